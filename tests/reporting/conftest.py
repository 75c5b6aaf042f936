"""A database with the reporting service's tables, and the service itself, per test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import httpx
import pytest
import uvicorn

from hosting import migrations
from hosting.application import application
from hosting.compose import running
from services.reporting import reporting
from services.reporting.figures.keep import Keeper
from services.reporting.figures.roll import Roller
from services.reporting.measures import measures
from shared.config import Settings
from shared.problems import Problem
from shared.runtime import Runtime
from tests.reporting.events import POSTS, TREE, put_post, put_tree
from tests.shared.wire import until

ROOT = Path(__file__).parent.parent.parent

type Pool = asyncpg.Pool[asyncpg.Record]


@pytest.fixture
async def base(pool: Pool) -> Pool:
    await migrations.migrate(
        pool, [ROOT / "shared" / "migrations", ROOT / "services" / "reporting" / "migrations"]
    )
    return pool


@pytest.fixture
async def keeper(base: Pool) -> Keeper:
    return Keeper(base, measures)


@pytest.fixture
async def roller(base: Pool) -> Roller:
    return Roller(base)


class Tokens:
    """Takes the bearer token as the person's name."""

    async def person(self, authorization: str | None) -> str:
        scheme, _, name = (authorization or "").partition(" ")
        if scheme != "Bearer" or not name:
            raise Problem("unauthenticated", field="Authorization")
        return name


@pytest.fixture
async def rt(config: Settings) -> AsyncIterator[Runtime]:
    """The service as the product composes it, answering requests; no workers."""
    async with running(reporting, config, "api") as made:
        made.tokens = Tokens()
        await put_tree(made.pool, TREE)
        for person, unit, role in POSTS:
            await put_post(made.pool, person, unit, role)
        await Roller(made.pool).step()
        await made.directory.refresh()
        yield made


@pytest.fixture
async def served(rt: Runtime) -> AsyncIterator[str]:
    """Its address over real HTTP."""
    config = uvicorn.Config(
        application(rt, "api"), "127.0.0.1", 0, log_level="error", lifespan="off",
        timeout_graceful_shutdown=1,
    )  # fmt: skip
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve())
    await until(lambda: server.started)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        await task


@pytest.fixture
async def http(served: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=served, timeout=20) as client:
        yield client
