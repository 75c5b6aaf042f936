"""A line that the far side has given up without a word is given up soon on this side, too."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import asyncpg
import pytest

from hosting.line import Line, pool_of
from shared.config import Settings
from tests.conftest import Parts
from tests.faults.proxy import Link

pytestmark = pytest.mark.stack

type Pool = asyncpg.Pool[asyncpg.Record]

BROKEN = (TimeoutError, asyncpg.InterfaceError, asyncpg.PostgresError, OSError)
LONG_S, SHORT_S = 600.0, 0.5


class Hasty(Line):
    tidy_s = SHORT_S


async def met(connection: asyncpg.Connection[asyncpg.Record]) -> None:
    assert await connection.fetchval("select 1") == 1


@asynccontextmanager
async def linked(parts: Parts, statement_s: float) -> AsyncIterator[tuple[Link, Pool]]:
    """A pool whose connections can be given up by the far side."""
    dsn = parts.dsn.format("postgres")
    port = urlsplit(dsn).port
    assert port is not None
    link = Link("postgres", port)
    await link.start()
    settings = Settings(database=dsn.replace(f":{port}/", f":{link.port}/"))
    try:
        async with pool_of(settings, met, line=Hasty, statement_s=statement_s) as pool:
            yield link, pool
    finally:
        await link.stop()


async def left_alone(pool: Pool, link: Link) -> None:
    """A transaction whose line is given up by the far side."""
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("select 1")
        link.forsake()
        await connection.fetchval("select 2", timeout=SHORT_S)


async def test_tidying_up_does_not_wait_as_long_again(parts: Parts) -> None:
    async with asyncio.timeout(60), linked(parts, LONG_S) as (link, pool):
        with pytest.raises(BROKEN):
            await left_alone(pool, link)
        assert await pool.fetchval("select 3") == 3, "nor does the next one of the pool"
