"""A line that the far side has given up without a word is given up soon on this side, too."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

import asyncpg
import pytest

from hosting.line import Line
from tests.conftest import Parts
from tests.faults.proxy import Link

pytestmark = pytest.mark.stack

LONG_S, SHORT_S = 600, 0.2


class Hasty(Line):
    tidy_s = SHORT_S


async def left_alone(pool: asyncpg.Pool[asyncpg.Record], link: Link) -> None:
    """A transaction whose line is given up by the far side."""
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("select 1")
        link.forsake()
        await connection.fetchval("select 2", timeout=SHORT_S)


async def test_tidying_up_does_not_wait_as_long_again(parts: Parts) -> None:
    dsn = parts.dsn.format("postgres")
    port = urlsplit(dsn).port
    assert port is not None
    link = Link("postgres", port)
    await link.start()
    try:
        async with asyncio.timeout(60), asyncpg.create_pool(
            dsn.replace(f":{port}/", f":{link.port}/"),
            min_size=1, max_size=1, command_timeout=LONG_S, connection_class=Hasty,
        ) as pool:  # fmt: skip
            with pytest.raises((TimeoutError, asyncpg.InterfaceError, OSError)):
                await left_alone(pool, link)
            assert await pool.fetchval("select 3") == 3, "on a line of its own"
    finally:
        await link.stop()
