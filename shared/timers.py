"""What happens by itself at a moment: the due table, read by one leader per service.

A row of `due` is written, moved and taken away by the transactions that move its stream. Here it is
only found to be due: whoever is called decides on the stream as it then is, so that calling twice,
or late, does no harm.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from uuid import UUID

import asyncpg

from shared.locks import Lock
from shared.observe import log
from shared.store import Connection

AGAIN_S = 30.0
"""A stream whose moment still stands after it was fired is fired again after this long."""

_DUE = """
select stream, aggregate, at from due
where at <= $1 and not exists (
    select from unnest($2::uuid[], $3::timestamptz[]) as tried(stream, at)
    where tried.stream = due.stream and tried.at = due.at
) order by at limit $4
"""

_NEXT = "select min(at) from due where at > $1"

type Fire = Callable[[list[tuple[UUID, str]]], Awaitable[None]]


class Timers:
    """Calls `fire` with (stream, aggregate) of what is due, while it runs and is the leader.

    `clock` says what time it is. `fired`: streams handed over since start.
    """

    def __init__(
        self,
        pool: asyncpg.Pool[asyncpg.Record],
        fire: Fire,
        *,
        batch: int = 200,
        idle_s: float = 1.0,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.pool, self.fire, self.batch = pool, fire, batch
        self.idle_s, self.clock = idle_s, clock
        self.leading, self.fired = False, 0
        self.tried: dict[tuple[UUID, datetime], float] = {}
        self._woken = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def wake(self) -> None:
        """Something was committed that may be due sooner than was known."""
        self._woken.set()

    async def start(self) -> None:
        """Begins to lead, or to wait for the lead, in the background."""
        self._task = asyncio.create_task(self.run(), name="timers")

    async def stop(self) -> None:
        """Ends; what was not fired stays due."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def run(self) -> None:
        """Leads whenever nobody else does, until cancelled."""
        while True:
            try:
                async with self.pool.acquire() as connection:
                    await self._lead(connection)
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                log.warning("timers_restart", error=repr(error))
            await asyncio.sleep(self.idle_s)

    async def _lead(self, connection: Connection) -> None:
        if not await connection.fetchval("select pg_try_advisory_lock($1)", Lock.TIMERS):
            return
        try:
            self.leading = True
            while True:
                self._woken.clear()
                if not await self._fire_due(connection):
                    await self._sleep(connection)
        finally:
            self.leading = False
            if not connection.is_closed():
                with contextlib.suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                    await connection.execute("select pg_advisory_unlock($1)", Lock.TIMERS)

    async def _fire_due(self, connection: Connection) -> bool:
        """Hands over one batch; whether there was any."""
        now = time.monotonic()
        self.tried = {place: at for place, at in self.tried.items() if now - at < AGAIN_S}
        tried = [stream for stream, _ in self.tried], [at for _, at in self.tried]
        rows = await connection.fetch(_DUE, self.clock(), *tried, self.batch)
        if not rows:
            return False
        # Noted first: one that fails, or has nothing to do, must not hold up those behind it.
        self.tried |= {(row["stream"], row["at"]): now for row in rows}
        try:
            await self.fire([(row["stream"], row["aggregate"]) for row in rows])
        except Exception as error:  # noqa: BLE001 - it is fired again, and the others go on
            log.error("timers_failed", streams=len(rows), error=repr(error))
        self.fired += len(rows)
        return True

    async def _sleep(self, connection: Connection) -> None:
        """Until the next moment in the table, the next look, or a wake-up."""
        now = self.clock()
        upcoming = await connection.fetchval(_NEXT, now)
        wait_s = self.idle_s
        if upcoming is not None:
            wait_s = min(wait_s, max(0.0, (upcoming - now).total_seconds()))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._woken.wait(), wait_s)
