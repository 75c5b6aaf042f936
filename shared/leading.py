"""What one process of a service does for all of them: whoever holds the lock, while it holds it."""

from __future__ import annotations

import asyncio

import asyncpg

from shared.background import ended
from shared.locks import Lock
from shared.observe import log
from shared.store import Connection


class Leader:
    """Leads in the background, in turns with the same part of the service's other processes.

    `leading`: whether it holds the lock now. A part says in `lead` what its leader does.
    """

    def __init__(self, lock: Lock, pool: asyncpg.Pool[asyncpg.Record], retry_s: float) -> None:
        self.lock, self.pool, self.retry_s, self.leading = lock, pool, retry_s, False
        self._woken = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def lead(self, connection: Connection) -> None:
        """Does the leader's work until something fails; `connection` is the one with the lock."""
        raise NotImplementedError

    def wake(self) -> None:
        """Something was committed: it need not wait for the next look."""
        self._woken.set()

    async def woken(self, within_s: float) -> bool:
        """Waits until somebody wakes it, at most so long; whether somebody did."""
        try:
            await asyncio.wait_for(self._woken.wait(), within_s)
        except TimeoutError:
            return False
        self._woken.clear()
        return True

    async def start(self) -> None:
        """Begins to lead, or to wait for the lead."""
        self._task = asyncio.create_task(self._run(), name=self.lock.name)

    async def stop(self) -> None:
        """Ends at once: what was left half done, the next leader does again."""
        if self._task is not None:
            await ended([self._task])

    async def _run(self) -> None:
        """Leads whenever nobody else does. The lock is asked for by polling (a session that waits
        in `pg_advisory_lock` would hold vacuum back), and let go by the pool with its connection.
        """
        while True:
            try:
                async with self.pool.acquire() as connection:
                    if await connection.fetchval("select pg_try_advisory_lock($1)", self.lock):
                        self.leading = True
                        await self.lead(connection)
            except Exception as error:  # noqa: BLE001 - nothing may end a leader for good
                log.warning("leader_restarts", part=self.lock.name, error=repr(error))
            finally:
                self.leading = False
            await asyncio.sleep(self.retry_s)
