"""Where things are measured: one Postgres and one Kafka of its own, and fresh databases in it."""

from __future__ import annotations

import os
import random
import shutil
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import asyncpg
import httpx

from deploy.local import postgres
from deploy.local.instance import is_free
from deploy.local.process import Process
from deploy.local.supervisor import ROOT, RUN, Stack
from deploy.local.token import demo_password, fetch_token
from hosting import migrations
from hosting.compose import prepare_database
from shared import store
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
        for folder in (FOLDER / "stores", FOLDER / "start"):
            if folder.exists():
                postgres.remove(folder)
                shutil.rmtree(folder)

    def size(self, whole: int, small: int) -> int:
        """A number of things: the small one with `--quick`."""
        return small if self.quick else whole

    async def stores(self) -> Stack:
        """Postgres, Kafka and the identity provider, started when first asked for."""
        if self.stack is None:
            stack = Stack(FOLDER / "stores", (), progress=lambda _: None)
            self._exits.push_async_callback(stack.stop)
            await stack.start()
            self.stack = stack
        return self.stack

    async def token(self, person: str) -> str:
        """A token of a demonstration person, from the real provider."""
        stack = await self.stores()
        return await fetch_token(stack.urls["provider"], person, demo_password(person))

    @asynccontextmanager
    async def process(
        self, name: str, *module: str, port: int, env: Mapping[str, str] | None = None
    ) -> AsyncIterator[Process]:
        """A Python module as a process of its own that answers on a port."""
        folder = FOLDER / "processes"
        mark = f"houqin={folder}:{name}"
        process = Process(
            name=name,
            command=[sys.executable, "-X", mark, "-m", *module],
            mark=mark,
            log=folder / f"{name}.log",
            pid_file=folder / f"{name}.json",
            env={**os.environ, **(env or {})},
            cwd=ROOT,
        )
        async with httpx.AsyncClient(trust_env=False) as client:

            async def answers() -> bool:
                try:
                    return (await client.get(f"http://127.0.0.1:{port}/ready")).is_success
                except httpx.HTTPError:
                    return False

            await process.start()
            try:
                await process.until_ready(answers, 60)
                yield process
            finally:
                await process.stop()

    async def environment(self, dsn: str, port: int, prefix: str) -> dict[str, str]:
        """What a service's process is told of its surroundings."""
        stack = await self.stores()
        issuer = stack.urls["provider"]
        return {
            "HOUQIN_DATABASE": dsn,
            "HOUQIN_KAFKA": stack.kafka,
            "HOUQIN_PORT": str(port),
            "HOUQIN_ISSUER": issuer,
            "HOUQIN_JWKS_URL": f"{issuer}/jwks",
            "HOUQIN_TOPIC_PREFIX": prefix,
            "HOUQIN_ADMINISTRATORS": "administrator",
            "HOUQIN_STATE": str(FOLDER / "state"),
            "HOUQIN_LOG_LEVEL": "WARNING",
        }

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
                await migrations.migrate(pool, [MIGRATIONS])
            else:
                await prepare_database(service, pool)
            yield pool


def rounds_wanted(*, quick: bool) -> int:
    """How often each side is measured: ROUNDS, else 5, with `--quick` once."""
    return int(os.environ.get("ROUNDS", "1" if quick else "5"))


def free_port() -> int:
    """A port on which nobody listens."""
    return next(port for port in iter(lambda: random.randint(20_000, 32_000), 0) if is_free(port))
