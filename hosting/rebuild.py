"""A list folded anew from the log beside the one that is read, and then put in its place.

The new table is filled stream by stream, then with every stream that was written to meanwhile,
until few are left; both are held against each other; then, in one short transaction in which nobody
else writes to the list, the last streams are folded and the new table takes the old one's name.
Readers never fail: they wait for a moment at most. Nobody but this task writes to the new table,
and always from the log as it then is, so that no older row can replace a newer one.

Every chunk is a transaction of its own, kept with how far it got: what was stopped goes on there.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import asyncpg

from hosting import view_tables
from hosting.archive import Wrong
from hosting.progress import Progress
from sealing.vault import Vault
from shared import observe, views
from shared.kernel import ViewOf
from shared.locks import Lock
from shared.store import Connection, fold

type Pool = asyncpg.Pool[asyncpg.Record]

CHUNK = 1_000
"""Streams folded in one transaction."""

REST_MAX = 200
"""Once so few streams have moved since the last round, the rest is folded in the switch."""

ROUNDS_MAX = 20
LOCK_S, ATTEMPTS = 2, 60
"""How long a switch waits for readers and writers who were there before it, and stands in the way
of those who come after; and how often it tries."""

WAIT_S = 0.5
SHOWN = 20
"""Differing rows that are named."""

_HEADS = "select stream from head where aggregate = $1 and stream > $2 order by stream limit $3"

_MOVED = """
select distinct e.stream from event e join head h on h.stream = e.stream
where (e.epoch, e.tx) >= ((select max(epoch) from log_epoch), $1::xid8) and h.aggregate = $2
"""

# What was written after the last round is not compared: it is folded in the switch.
_COMPARE = """
with moved as (
    select stream from event
    where (epoch, tx) >= ((select max(epoch) from log_epoch), $1::xid8)
), old as (
    select stream, key, v::text as row, hashtextextended(v::text, 0) as hash from {old} v
    where stream not in (select stream from moved)
), new as (
    select stream, key, v::text as row, hashtextextended(v::text, 0) as hash from {new} v
    where stream not in (select stream from moved)
), differing as (
    select stream, key, old.row as old, new.row as new
    from old full join new using (stream, key) where old.row is distinct from new.row
)
select (select count(*) from old) as old_rows, (select count(*) from new) as new_rows,
       (select bit_xor(hash) from old) as old_hash, (select bit_xor(hash) from new) as new_hash,
       (select count(*) from differing) as differing,
       array(select trim(stream || ' ' || key) || ': ' || coalesce(old, '-') || ' → '
             || coalesce(new, '-') from differing order by stream, key limit $2) as shown
"""


@dataclass(slots=True)
class Compared:
    """How what is read and what was built anew stand to each other. `redefined`: what is made by
    other code than before, and may therefore differ; `shown`: some of the `differing`, in words.
    """

    old_rows: int
    new_rows: int
    old_hash: int
    new_hash: int
    differing: int
    shown: list[str]
    redefined: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, row: asyncpg.Record, redefined: Sequence[str]) -> Compared:
        """From the row of a query that compares."""
        return cls(
            row["old_rows"], row["new_rows"], row["old_hash"] or 0, row["new_hash"] or 0,
            row["differing"], row["shown"], list(redefined),
        )  # fmt: skip

    @property
    def same(self) -> bool:
        """Whether nothing differs."""
        return self.differing == 0

    def told(self) -> dict[str, Any]:
        """The counts, and the hashes as people compare them."""
        return {
            "old_rows": self.old_rows, "new_rows": self.new_rows, "differing": self.differing,
            "old_hash": hexadecimal(self.old_hash), "new_hash": hexadecimal(self.new_hash),
        }  # fmt: skip


def hexadecimal(number: int) -> str:
    """A signed 64-bit hash as 16 digits."""
    return f"{number & (1 << 64) - 1:016x}"


@asynccontextmanager
async def alone(pool: Pool) -> AsyncIterator[None]:
    """One rebuild of a database at a time; who comes second waits."""
    async with pool.acquire() as connection:
        # Asked for by polling, as whoever waits in the lock itself would hold vacuum back.
        while not await connection.fetchval(  # noqa: ASYNC110 - another process has it
            "select pg_try_advisory_lock($1)", Lock.REBUILD
        ):
            await asyncio.sleep(WAIT_S)
        yield  # the pool gives the lock back with the connection


async def prepare(pool: Pool, wanted: Sequence[ViewOf], vault: Vault | None = None) -> None:
    """Makes every view's table be of today's shape. One that has changed is built anew before this
    process answers; those that run the code before go on reading and writing the table before.
    """
    if not await _others(pool, wanted):
        return  # an operator's rebuild may take hours: nobody's start waits for it without need
    async with alone(pool):
        if await pool.fetchval("select not exists (select from view_shape)"):
            # Nobody has ever run here.
            async with pool.acquire() as connection, connection.transaction():
                for view in wanted:
                    await view_tables.create(connection, view, views.table_of(view))
                    await _of_shape(connection, view)
        for view in await _others(pool, wanted):
            await ViewRebuild(view, pool, Progress(view.name), vault).build()


async def _others(pool: Pool, wanted: Sequence[ViewOf]) -> list[ViewOf]:
    """The views whose tables are not there, or of another shape."""
    known = dict(await pool.fetch("select name, shape from view_shape"))
    return [view for view in wanted if known.get(view.name) != views.shape(view)]


async def _of_shape(connection: Connection, view: ViewOf) -> None:
    await connection.execute(
        "insert into view_shape values ($1, $2) on conflict (name) do update set shape = $2",
        view.name,
        views.shape(view),
    )


class ViewRebuild:
    """A rebuild of one list."""

    def __init__(
        self, view: ViewOf, pool: Pool, progress: Progress, vault: Vault | None = None
    ) -> None:
        self.pool, self.view, self.progress, self.vault = pool, view, progress, vault
        self.table = views.table_of(view)
        self.beside = f"{self.table}_beside"
        self.aggregates = {view.aggregate.name: view.aggregate}
        self.since: Any = None

    async def run(self, *, check: bool = False, fresh: bool = False) -> Compared:
        """Builds, compares, and (unless it is only to `check`) switches. Goes on with a rebuild by
        the same code that was stopped, unless it is to begin `fresh`.
        """
        async with alone(self.pool):
            return await self.build(check=check, fresh=fresh)

    async def build(self, *, check: bool = False, fresh: bool = False) -> Compared:
        """The same, for who is `alone` already."""
        await self._begin(fresh=fresh)
        await self._fold_all()
        await self._catch_up()
        found = await self._compare()
        if check:
            await self._drop()
        else:
            await self._switch()
        observe.log.info("view_rebuilt", view=self.view.name, check=check, **found.told())
        return found

    async def _begin(self, *, fresh: bool) -> None:
        name, shape = self.view.name, views.shape(self.view)
        if not await self.pool.fetchval(
            "select true from view_rebuild where name = $1 and shape = $2 and not $3",
            name, shape, fresh,
        ):  # fmt: skip
            await self._drop()
            async with self.pool.acquire() as connection, connection.transaction():
                await view_tables.create(connection, self.view, self.beside)
                await connection.execute(
                    "insert into view_rebuild (name, shape) values ($1, $2)", name, shape
                )
        row = await self.pool.fetchrow(
            "select folded, (select coalesce(sum(version), 0)::bigint from head"
            " where aggregate = $2) as total from view_rebuild where name = $1",
            name, self.view.aggregate.name,
        )  # fmt: skip
        assert row is not None
        self.progress.before = self.progress.done = row["folded"]
        self.progress.total = row["total"]

    async def _drop(self) -> None:
        async with self.pool.acquire() as connection, connection.transaction():
            await connection.execute(f"drop table if exists {self.beside}")
            await connection.execute("delete from view_rebuild where name = $1", self.view.name)

    async def _fold_all(self) -> None:
        """Every stream there is, in the order of ids."""
        last = await self.pool.fetchval(
            "select last from view_rebuild where name = $1", self.view.name
        )
        while ids := await self._ids(_HEADS, self.view.aggregate.name, last, CHUNK):
            last = ids[-1]
            await self._fold(ids, last)

    async def _ids(self, query: str, *values: Any) -> list[UUID]:
        return [row[0] for row in await self.pool.fetch(query, *values)]

    async def _fold(self, ids: Sequence[UUID], last: UUID | None = None) -> None:
        """One transaction: the rows of some streams, and how far that is."""
        async with self.pool.acquire() as connection, connection.transaction():
            events = await self._write(connection, ids)
            await connection.execute(
                "update view_rebuild set last = coalesce($2, last), folded = folded + $3"
                " where name = $1",
                self.view.name, last, events,
            )  # fmt: skip
        self.progress.add(events)

    async def _write(self, connection: Connection, ids: Sequence[UUID]) -> int:
        """The rows of streams as the log has them; returns how many events that took."""
        found = await fold(connection, self.aggregates, ids, self.vault, cached=False)
        await view_tables.write(connection, self.view, list(found.values()), self.beside)
        return sum(stream.version for stream in found.values())

    async def _catch_up(self) -> None:
        """Rounds over what was written meanwhile, until hardly anything was."""
        self.since = await self.pool.fetchval(
            "select since from view_rebuild where name = $1", self.view.name
        )
        for _ in range(ROUNDS_MAX):
            horizon = await self.pool.fetchval("select pg_snapshot_xmin(pg_current_snapshot())")
            ids = await self._ids(_MOVED, self.since, self.view.aggregate.name)
            for first in range(0, len(ids), CHUNK):
                await self._fold(ids[first : first + CHUNK])
            self.since = horizon
            await self.pool.execute(
                "update view_rebuild set since = $2 where name = $1", self.view.name, horizon
            )
            if len(ids) <= REST_MAX:
                return

    async def _compare(self) -> Compared:
        known = await self.pool.fetchval(
            "select shape from view_shape where name = $1", self.view.name
        )
        redefined = [] if known == views.shape(self.view) else [self.view.name]
        named = views.named(self.view)
        async with (
            self.pool.acquire() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            # What another release has beside our columns is not ours to compare.
            old = f"(select {'*' if redefined else named} from {self.table} v)"
            if not await connection.fetchval("select to_regclass($1)", self.table):  # a new list
                old = f"(select * from {self.beside} limit 0)"
            query = _COMPARE.format(old=old, new=f"(select {named} from {self.beside} v)")
            row = await connection.fetchrow(query, self.since, SHOWN)
        assert row is not None
        return Compared.of(row, redefined)

    async def _switch(self) -> None:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                await self._exchange()
            except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError):
                if attempt == ATTEMPTS:
                    raise
                self.progress.say("有人在读，稍后再换 · somebody reads it: switching later")
                await asyncio.sleep(WAIT_S)
                await self._catch_up()
            else:
                return

    async def _exchange(self) -> None:
        """The last streams, then the new table under the old one's name: whoever would write to the
        list waits, and finds the new one.
        """
        async with self.pool.acquire() as connection, connection.transaction():
            await connection.execute(f"set local lock_timeout = '{LOCK_S}s'")
            if await connection.fetchval("select to_regclass($1)", self.table):
                await connection.execute(f"lock table {self.table} in share row exclusive mode")
            moved = await connection.fetch(_MOVED, self.since, self.view.aggregate.name)
            if moved:
                await self._write(connection, [row[0] for row in moved])
            await connection.execute(
                f"drop table if exists {self.table};"
                f"alter table {self.beside} rename to {self.table}"
            )
            await _of_shape(connection, self.view)
            await connection.execute("delete from view_outdated where name = $1", self.view.name)
            if not await connection.fetchval(
                "delete from view_rebuild where name = $1 returning true", self.view.name
            ):
                raise Wrong("日志已恢复，请重新运行 · the log was restored meanwhile: run it again")
