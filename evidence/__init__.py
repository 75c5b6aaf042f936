"""Proofs that a log was not changed: tree, signed checkpoints, and a verifier that stands alone.

Knows nothing of this platform's database, services or HTTP. `verify` is one file that can be copied
to another machine; what only the owner of a log needs (`tree`, `note`) builds on it.
"""
