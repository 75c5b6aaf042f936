"""Ids: new ones, parsed ones, and ones that follow from a name.

All are of the kind that the database driver gives, a subclass of `uuid.UUID` that keeps its hash,
text and bytes, where the standard one makes them in Python over and over.
"""

from __future__ import annotations

from uuid import UUID, uuid5

import uuid_utils
from asyncpg.pgproto import pgproto

NAMESPACE = UUID("6f1c8d7e-52a0-5c1b-9d55-686f7571696e")
"""Root of every derived id, so that a natural key means the same stream everywhere."""


def new_id() -> UUID:
    """A UUIDv7: ids made later sort later."""
    return pgproto.UUID(uuid_utils.uuid7().bytes)  # type: ignore[no-any-return]


def id_from(text: str) -> UUID:
    """The id of a text; ValueError if it is none."""
    return pgproto.UUID(text)  # type: ignore[no-any-return]


def derived_id(name: str, root: UUID = NAMESPACE) -> UUID:
    """The id that a name stands for under `root`, everywhere and always the same."""
    return pgproto.UUID(uuid5(root, name).bytes)  # type: ignore[no-any-return]
