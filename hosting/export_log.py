"""A service's whole log as a file that `evidence/verify.py` takes.

A line of JSON each: first `{"houqin_log": 1, "keys": [...]}`, then every leaf beside the event that
stands at its position now, events that have no leaf, and every checkpoint behind the last leaf that
it covers. docs/evidence.md has the members.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from hosting import proof_store
from shared.store import Connection

FORMAT = 1
PAGE = 2_048


async def export(connection: Connection, path: Path) -> int:
    """Writes the log as it is at one moment; how many leaves that was. The file is read by nobody
    else: it holds what every event says.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.fchmod(descriptor, 0o600)  # also one that was there before
    async with connection.transaction(isolation="repeatable_read"):
        keys = await proof_store.keys_of(connection)
        size = (await proof_store.tree_of(connection)).size
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(msgspec.json.encode({"houqin_log": FORMAT, "keys": keys}) + b"\n")
            for first in range(0, max(size, 1), PAGE):
                page = await proof_store.lines(connection, first, first + PAGE)
                stream.writelines(line + b"\n" for line in page)
    return size
