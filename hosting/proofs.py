"""The tree over a service's log grows behind its horizon, and is signed: one leader per service.

Strictly behind `pg_snapshot_xmin(pg_current_snapshot())`, in log order, like the relay: no event
ever appears before one that has its leaf already. A checkpoint is signed only if the tree still has
the last one as its beginning; else nothing is signed any more, loudly.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import asyncpg
from prometheus_client import Counter

from evidence.note import Signer
from evidence.verify import Checkpoint, Unverifiable, consistent, open_note
from hosting import proof_store
from hosting.proof_store import Grown
from shared import observe
from shared.leading import Leader
from shared.locks import Lock
from shared.store import Connection, epoch_of

LEAVES_PER_CHECKPOINT_MAX = 4_096
"""Where an event was rewritten together with its hash, signatures narrow it down to so many."""


PROOF_FAILURES = Counter(
    "houqin_proof_failures_total",
    "Places where log, tree and signature differ",
    ["service", "kind"],
)


class Broken(Exception):  # noqa: N818 - says what it is
    """The stored tree is not the one that was signed: signing must stop here."""


def signer_of(path: str) -> Signer | None:
    """The signing key in a file, or None where none is named. OSError, ValueError."""
    return Signer.read(Path(path).read_text("utf-8")) if path else None


class Proofs(Leader):
    """Appends the log to its tree and signs it, while it runs and is the leader.

    Without a `signer` the tree grows and nothing is signed: what is signed later covers it all.
    `halted`: why nothing is signed any more (empty: all is well).
    """

    def __init__(
        self,
        service: str,
        pool: asyncpg.Pool[asyncpg.Record],
        signer: Signer | None,
        *,
        batch: int = 512,
        idle_s: float = 0.5,
        sign_s: float = 3.0,
        retry_s: float = 0.5,
        halted_s: float = 60.0,
        closed_s: float = 5.0,
    ) -> None:
        super().__init__(Lock.PROOFS, pool, retry_s)
        self.service, self.signer = service, signer
        self.batch, self.idle_s, self.sign_s, self.halted_s = batch, idle_s, sign_s, halted_s
        self.closed_s = closed_s
        self.halted = ""
        self.tree = Grown(0, 0, 0, 0)
        self._signed, self._sign_at = 0, 0.0

    async def lead(self, connection: Connection) -> None:
        """Appends and signs until something fails."""
        try:
            epoch = await self.begin(connection)
        except Broken as error:
            observe.log.warning("tree_waits", error=str(error))
            await asyncio.sleep(self.closed_s)
            return
        while True:
            count = await proof_store.append(connection, self.tree, epoch, self.batch)
            await self._sign_when_due(connection)
            if count < self.batch:
                await self.woken(self.idle_s)
            # Hashing does not wait for anything: the process's other tasks come in between.
            await asyncio.sleep(0)

    async def begin(self, connection: Connection) -> int:
        """Reads how far the tree is, and makes the key known; the log's epoch."""
        self.tree = await proof_store.tree_of(connection)
        self._sign_at = 0.0
        epoch = await epoch_of(connection)
        is_open, ahead = await connection.fetchrow(
            "select log_is_open(), tx > pg_snapshot_xmax(pg_current_snapshot()) from log_tree"
        )
        if not is_open or (ahead and self.tree.epoch == epoch):
            # Restored: what is taken back from Kafka comes before what is there.
            raise Broken("the log was restored, and is not open yet")
        if self.signer is not None:
            await connection.execute(
                "insert into log_key (public_key) values ($1) on conflict do nothing",
                self.signer.public(),
            )
        return epoch

    async def _sign_when_due(self, connection: Connection) -> None:
        now = time.monotonic()
        full = self.tree.size - self._signed >= LEAVES_PER_CHECKPOINT_MAX and not self.halted
        if self.signer is None or (now < self._sign_at and not full):
            return
        try:
            await self.sign(connection, self.signer)
            self.halted, self._sign_at = "", now + self.sign_s
        except (Broken, KeyError, Unverifiable) as error:
            self.halted, self._sign_at = repr(error), now + self.halted_s
            PROOF_FAILURES.labels(self.service, "checkpoint").inc()
            observe.log.critical("log_not_signed", error=self.halted)

    async def sign(self, connection: Connection, signer: Signer) -> None:
        """Signs the tree as it is, unless this key has signed just that; raises `Broken`."""
        size, key = self.tree.size, signer.public()
        note = await proof_store.last_note(connection)
        before = Checkpoint(signer.name, 0, b"")
        if note is not None:
            before = open_note(note, await proof_store.keys_of(connection))
        if before.origin != signer.name:
            raise Broken(f"the key is of {signer.name}, the log is {before.origin}")
        if size < before.size:
            raise Broken(f"the tree has {size} leaves, and {before.size} were signed")
        self._signed = before.size
        ranges = [*proof_store.ranges_between(before.size, size), (0, size)]
        *proof, root = await proof_store.hashes_of(connection, ranges)
        if before.size and not consistent(before.size, before.root, size, root, proof):
            raise Broken(f"the tree is no longer the one that was signed at {before.size} leaves")
        fresh = signer.sign(size, root)
        if size and fresh != note:
            point = Checkpoint(signer.name, size, root)
            await proof_store.keep_checkpoint(connection, point, key, fresh, proof)
            self._signed = size
