"""Where things are measured: one Postgres and one Kafka of its own, and fresh databases in it."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import asyncpg

from deploy.local.supervisor import RUN, Stack
from shared import store
from shared.service import prepare_database
from shared.kernel import Service

type Pool = asyncpg.Pool[asyncpg.Record]

MIGRATIONS = Path(store.__file__).parent / "migrations"
FOLDER = RUN / "bench"


@dataclass(slots=True)
class Place:
    """What every measurement is given: the stores, how many rounds, and whether sizes are small."""

    rounds: int = 5
    quick: bool = False
    stack: Stack | None = None
    _exits: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._exits.aclose()

    def size(self, whole: int, small: int) -> int:
        """A number of things: the small one with `--quick`."""
        return small if self.quick else whole

    async def stores(self) -> Stack:
        """Postgres and Kafka, started when first asked for."""
        if self.stack is None:
            stack = Stack(FOLDER / "stores", (), progress=lambda _: None)
            self._exits.push_async_callback(stack.stop)
            await stack.start_parts()
            self.stack = stack
        return self.stack

    async def dsn(self, name: str) -> str:
        """The DSN of a fresh database of that name."""
        stack = await self.stores()
        connection = await asyncpg.connect(stack.dsns["organisation"])
        try:
            await connection.execute(f'drop database if exists "{name}" with (force)')
            await connection.execute(f'create database "{name}"')
        finally:
            await connection.close()
        return stack.dsns["organisation"].replace("/organisation", f"/{name}")

    @asynccontextmanager
    async def database(self, name: str, service: Service | None, size: int) -> AsyncIterator[Pool]:
        """A pool on a fresh database with the tables of a service (None: of the kernel)."""
        async with asyncpg.create_pool(await self.dsn(name), min_size=size, max_size=size) as pool:
            if service is None:
                await store.migrate(pool, [MIGRATIONS])
            else:
                await prepare_database(service, pool)
            yield pool


def rounds_wanted(*, quick: bool) -> int:
    """How often each side is measured: ROUNDS, else 5, with `--quick` once."""
    return int(os.environ.get("ROUNDS", "1" if quick else "5"))
