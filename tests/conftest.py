"""One Postgres and one Kafka for the whole test session, started when a test first asks for them.

`postgres` is the DSN of a fresh, empty database per test module; `pool` is on a fresh database with
the kernel's tables, per test; `kafka` is the bootstrap address; `config` names a topic prefix of
its own, so that tests do not see each other's events. `world` is the whole platform, every service
a process.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest

from hosting import migrations
from shared.config import Settings
from tests.world import World, entered

ROOT = Path(__file__).parent.parent
START_S = 120.0
STOP_S = 60.0


@dataclass(frozen=True)
class Parts:
    """Where the session's stack is: a DSN with {} for the database, Kafka's bootstrap, and what
    wraps the data keys.
    """

    dsn: str
    kafka: str
    secrets: str


def folder_of(factory: pytest.TempPathFactory, worker: str | None) -> Path:
    base = factory.getbasetemp()
    return (base.parent if worker else base) / "stack"


@pytest.fixture(scope="session")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Parts]:
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    folder = folder_of(tmp_path_factory, worker)
    folder.mkdir(exist_ok=True)
    session = os.getppid() if worker else os.getpid()
    with (folder / "starting").open("w") as gate:
        fcntl.flock(gate, fcntl.LOCK_EX)
        if not (folder / "about.json").exists():
            start(folder, session)
    made = Parts(**json.loads((folder / "about.json").read_text()))
    os.environ["HOUQIN_KEYS"] = made.dsn.format("keys")
    os.environ["HOUQIN_SECRETS"] = made.secrets
    yield made
    if not worker:
        stop(folder)


def start(folder: Path, session: int) -> None:
    log = folder / "holder.log"
    with log.open("wb") as stream:
        holder = subprocess.Popen(
            [sys.executable, "-m", "tests.stack", str(folder), str(session)],
            cwd=ROOT, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream,
            start_new_session=True,
        )  # fmt: skip
    deadline = time.monotonic() + START_S
    while not (folder / "about.json").exists():
        if holder.poll() is not None or time.monotonic() > deadline:
            holder.terminate()
            raise RuntimeError(f"the stack did not start:\n{log.read_text(errors='replace')}")
        time.sleep(0.05)
    holder.returncode = 0  # it outlives this object on purpose


def stop(folder: Path) -> None:
    (folder / "stop").touch()
    deadline = time.monotonic() + STOP_S
    while not (folder / "ended").exists() and time.monotonic() < deadline:
        time.sleep(0.05)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """The controller of a parallel run ends the stack once all its workers are done."""
    factory = getattr(session.config, "_tmp_path_factory", None)
    parallel = session.config.getoption("numprocesses", None)
    if factory is not None and parallel and not os.environ.get("PYTEST_XDIST_WORKER"):
        folder = folder_of(factory, None)
        if (folder / "about.json").exists():
            stop(folder)


@pytest.fixture(scope="session")
def kafka(parts: Parts) -> str:
    return parts.kafka


async def make_database(parts: Parts, template: str = "template1") -> str:
    name = f"test_{uuid4().hex[:12]}"
    connection = await asyncpg.connect(parts.dsn.format("postgres"))
    try:
        await connection.execute(f'create database "{name}" template "{template}"')
    finally:
        await connection.close()
    return name


@pytest.fixture(scope="module")
async def postgres(parts: Parts) -> str:
    return parts.dsn.format(await make_database(parts))


@pytest.fixture(scope="session")
async def template(parts: Parts) -> str:
    """A database with the kernel's tables that others are copied from."""
    name = await make_database(parts)
    async with asyncpg.create_pool(parts.dsn.format(name), min_size=1, max_size=1) as pool:
        await migrations.migrate(pool, [ROOT / "shared" / "migrations"])
    return name


@pytest.fixture
async def database(parts: Parts, template: str) -> str:
    return parts.dsn.format(await make_database(parts, template))


@pytest.fixture
async def pool(database: str) -> AsyncIterator[asyncpg.Pool[asyncpg.Record]]:
    async with asyncpg.create_pool(database, min_size=1, max_size=10) as made:
        yield made
        # A test that fails may leave a connection held; the next test must not wait for it.
        try:
            await asyncio.wait_for(made.close(), 5)
        except TimeoutError:
            made.terminate()


@pytest.fixture
def config(database: str, kafka: str) -> Settings:
    prefix = f"t{uuid4().hex[:8]}"
    return Settings(database=database, kafka=kafka, topic_prefix=prefix, partitions=3)


@pytest.fixture(scope="session")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """The whole platform as processes, shared by the journeys and the faults."""
    async with entered(tmp_path_factory.mktemp("world")) as made:
        yield made
