"""A service looks after its own proofs: slowly, tile by tile, for as long as it runs.

Each look takes 256 leaves: events against their leaves, leaves against the tree, the tree's tiles
against those above them, its root against the last signature. One tile in turn, one by chance.
"""

from __future__ import annotations

import random

import asyncpg

from evidence.tree import HEIGHT, WIDTH, split
from evidence.verify import Finding, Leaf, Unverifiable, leaf_of, open_note, root_of
from hosting import proof_store
from hosting.proofs import PROOF_FAILURES
from shared import observe
from shared.store import Connection


class ProofCheck:
    """`found`: all that was ever found wrong, each counted and logged once."""

    def __init__(self, service: str, pool: asyncpg.Pool[asyncpg.Record]) -> None:
        self.service, self.pool = service, pool
        self.found: set[Finding] = set()
        self._next = 0

    async def look(self) -> None:
        """The tile whose turn it is, one by chance, and the root."""
        # One moment for all of it: the tree grows meanwhile.
        async with (
            self.pool.acquire() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            size = (await proof_store.tree_of(connection)).size
            tiles = -(-size // WIDTH)
            if not tiles:
                return
            for number in {self._next % tiles, random.randrange(tiles)}:  # noqa: S311 - a sample
                await self._tile(connection, number, size)
            await self._root(connection)
        self._next = (self._next + 1) % tiles

    async def _tile(self, connection: Connection, number: int, size: int) -> None:
        first, last = number * WIDTH, min((number + 1) * WIDTH, size)
        leaves: dict[int, Leaf] = {}
        for row in await proof_store.beside(connection, first, last):
            line = proof_store.leaf_line(row)
            leaf = leaf_of(line, -1 if row["leaf"] is None else row["leaf"])
            wrong = leaf.differs() if row["leaf"] is not None else leaf.finding("inserted")
            if wrong is not None:
                self._say("event", wrong)
            leaves[leaf.number] = leaf
        missing = set(range(first, last)) - leaves.keys()
        for one in sorted(missing):
            self._say("leaf", Finding("leaf", one, one))
        for level in range(1, 1 + (size.bit_length() - 1) // HEIGHT):
            await self._above(connection, level, number >> HEIGHT * (level - 1), size)

    async def _above(self, connection: Connection, level: int, number: int, size: int) -> None:
        """A full tile against its hash in the tile above it."""
        width = WIDTH**level
        first, last = number * width, (number + 1) * width
        if last > size:
            return
        tiles = await proof_store.read_tiles(connection, [(level - 1, number)])
        try:
            (kept,) = await proof_store.hashes_of(connection, [(first, last)])
        except KeyError:
            kept = b""
        if root_of(split(tiles.get((level - 1, number), b""))) != kept:
            self._say("tile", Finding("leaf", first, last - 1, note=f"tile {level - 1}/{number}"))

    async def _root(self, connection: Connection) -> None:
        """The tree against the last signature."""
        note = await proof_store.last_note(connection)
        if note is None:
            return
        try:
            point = open_note(note, await proof_store.keys_of(connection))
            (root,) = await proof_store.hashes_of(connection, [(0, point.size)])
        except (Unverifiable, KeyError) as error:
            self._say("checkpoint", Finding("checkpoint", None, None, note=str(error)))
            return
        if root != point.root:
            self._say("checkpoint", Finding("checkpoint", 0, point.size - 1))

    def _say(self, kind: str, finding: Finding) -> None:
        if finding not in self.found:
            self.found.add(finding)
            PROOF_FAILURES.labels(self.service, kind).inc()
            observe.log.critical("log_changed", kind=kind, what=str(finding))
