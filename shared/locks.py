"""The advisory locks of a service's database, named in one place so that no two are the same."""

from __future__ import annotations

from enum import IntEnum


class Lock(IntEnum):
    """What only one process of a service does at a time."""

    MIGRATION = 7001
    RELAY = 7002
    TIMERS = 7003
    ARCHIVE = 7004
    REBUILD = 7005
    PROOFS = 7006
