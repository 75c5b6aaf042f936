"""Faults: the whole platform is broken on purpose, healed, and held against what it has answered.

`python -m tests.faults --help` says how; docs/reliability.md says what, and what came of it.
"""
