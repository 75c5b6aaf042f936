"""Connections to Postgres that are given up in good time.

A line that the far side has given up without a word is noticed by the time limit of a statement.
What then tidies up (the rollback, the reset, the farewell) goes over the same line and would wait
for as long each time; and the next connection of the pool is as dead as the first.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from shared.config import Settings

STATEMENT_S = 10
"""A statement that takes longer fails; what it did is unknown, as with a broken line. Together with
a consumer's request it leaves half-open lines no half minute.
"""


type Met = Callable[[asyncpg.Connection[asyncpg.Record]], Awaitable[None]]


class Line(asyncpg.Connection):  # type: ignore[misc]
    """A connection that has `tidy_s` for tidying up, and else is ended."""

    tidy_s = 2.0

    async def execute(self, query: str, *args: Any, timeout: float | None = None) -> str:
        """As ever; a rollback has less time."""
        limit = self.tidy_s if query.startswith("ROLLBACK") else timeout
        return str(await super().execute(query, *args, timeout=limit))

    async def close(self, *, timeout: float | None = None) -> None:
        """As ever, in less time: nobody answers a farewell over a line that leads nowhere."""
        await super().close(timeout=self._little(timeout))

    async def reset(self, *, timeout: float | None = None) -> None:
        """As ever, in less time: a connection that cannot be reset is not used again."""
        await super().reset(timeout=self._little(timeout))

    def _little(self, timeout: float | None) -> float:
        return self.tidy_s if timeout is None else min(timeout, self.tidy_s)


@asynccontextmanager
async def pool_of(
    config: Settings, met: Met, *, line: type[Line] = Line, statement_s: float = STATEMENT_S
) -> AsyncIterator[asyncpg.Pool[asyncpg.Record]]:
    """A service's connections; `met` is told of each new one. After a statement that took too long
    none that is open is used again: whoever comes next gets a new one.
    """
    expiring: set[asyncio.Task[None]] = set()

    async def watch(connection: asyncpg.Connection[asyncpg.Record]) -> None:
        connection.add_query_logger(noticed)
        await met(connection)

    def noticed(query: Any) -> None:
        if isinstance(query.exception, TimeoutError):
            expiring.add(task := asyncio.create_task(pool.expire_connections()))
            task.add_done_callback(expiring.discard)

    async with asyncpg.create_pool(
        config.database, min_size=2, max_size=config.pool_size, command_timeout=statement_s,
        connection_class=line, init=watch,
    ) as pool:  # fmt: skip
        yield pool
