"""The one composition root: a service made ready to work, for production, demo and tests alike."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Literal
from uuid import UUID

import asyncpg

from hosting import outdated, restored
from hosting.line import pool_of
from hosting.watch import DIRECTORY_AGE, Watch
from shared import observe, store, views
from shared.access import Tokens
from shared.clock import this_moment
from shared.config import Settings
from shared.consumer import Consumer
from shared.decide import SYSTEM, Step
from shared.decide import Request as Asked
from shared.directory import Directory, directory_consumer
from shared.kernel import Service
from shared.locks import Lock
from shared.reactions import Reactions
from shared.relay import Relay, ensure_topics
from shared.runtime import Runtime
from shared.timers import Timers
from shared.words import words_of
from shared.writer import Writer

type RoleName = Literal["api", "worker", "all"]

SERVICES = Path(__file__).parent.parent / "services"
REFRESH_S = 0.2
"""How often a process looks whether the local copy has changed: a revoked post ends within it."""


@asynccontextmanager
async def running(
    service: Service, config: Settings, role: RoleName = "all"
) -> AsyncIterator[Runtime]:
    """A service ready to work: database migrated, topic made, copy loaded, workers running."""
    async with pool_of(config, SameServer()) as pool:
        await prepare_database(service, pool)
        directory = Directory(pool, service.name, config.administrator_subjects())
        await directory.refresh()
        writer = Writer(service, pool, directory, config)
        await writer.start()
        rt = Runtime(
            service=service, settings=config, pool=pool, directory=directory, writer=writer,
            tokens=Tokens(config), words=words_of(service.name),
        )  # fmt: skip
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_callback(writer.stop)
            DIRECTORY_AGE.labels(service.name).set_function(lambda: directory.age_seconds)
            _every(rt, REFRESH_S, directory.refresh, "directory_not_refreshed")
            if role in {"worker", "all"}:
                await start_workers(rt, stack)
            try:
                yield rt
            finally:
                for task in rt.background:
                    task.cancel()
                await asyncio.gather(*rt.background, return_exceptions=True)


_SERVER = """
select system_identifier, left(pg_walfile_name(pg_current_wal_insert_lsn()), 8) as timeline, oid
from pg_control_system(), pg_database where datname = current_database()
"""


class SameServer:
    """Looks at each new connection of a process. One that has known a database before it was
    restored, or its server before a failover, remembers what may never have been: it ends, and is
    started anew.
    """

    def __init__(self) -> None:
        self.known: object = None

    async def __call__(self, connection: asyncpg.Connection[asyncpg.Record]) -> None:
        """Raises asyncpg.InterfaceError, and asks the process to end, on another server."""
        found = await connection.fetchrow(_SERVER)
        self.known = self.known or found
        if found != self.known:
            observe.log.critical("database_restored", known=str(self.known), found=str(found))
            os.kill(os.getpid(), signal.SIGTERM)
            raise asyncpg.InterfaceError("the database was restored: this process must end")


async def prepare_database(service: Service, pool: asyncpg.Pool[asyncpg.Record]) -> None:
    """Migrations of the kernel, then of the service, then its view tables."""
    own = SERVICES / service.name / "migrations"
    await store.migrate(pool, [SERVICES.parent / "shared" / "migrations", own])
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("select pg_advisory_xact_lock($1)", Lock.MIGRATION)
        await views.prepare(connection, service.views())


async def start_workers(rt: Runtime, stack: contextlib.AsyncExitStack) -> None:
    """Relay, local copy, reactions, timers, and what the service adds itself."""
    config, service = rt.settings, rt.service
    reactions = Reactions(service, rt.writer, rt.directory)
    names = {"organisation", service.name, *reactions.sources, *service.reads}
    topics = {config.topic(name): config.partitions for name in names}
    await ensure_topics(config.kafka, topics, config.replication)
    if behind := await restored.settle(rt.pool, service.name, config):
        observe.log.critical("log_behind_kafka", events=behind)
    relay = Relay(service.name, rt.pool, config)
    timers = Timers(rt.pool, partial(fire, rt))
    rt.writer.on_commit += [relay.wake, timers.wake]
    rt.consumers.append(directory_consumer(rt.pool, config))
    if reactions.by_type:
        sources = [config.topic(name) for name in reactions.sources]
        rt.consumers.append(Consumer("reactions", rt.pool, config, sources, reactions))
    rt.consumers += [make(rt) for make in service.consumers]
    for worker in (relay, timers, *rt.consumers):
        await worker.start()
        stack.push_async_callback(worker.stop)
    _every(rt, 1, partial(outdated.refold, rt.pool, service.views()), "lists_not_refolded")
    _every(rt, 3600, partial(_add_partitions, rt), "partitions_not_added")
    _every(rt, 5, Watch(rt, relay).look, "not_measured")
    if behind:
        _every(rt, 1, partial(_await_opening, rt, relay), "opening_not_seen")


async def fire(rt: Runtime, stream: UUID, name: str) -> bool:
    """Sends a due stream its timer's command; whether any event came of it."""
    timer = rt.writer.aggregates[name].timer
    assert timer is not None
    answer = await rt.writer.ask(Asked([Step(timer, stream, timer.command())], SYSTEM))
    return b'"events":[]' not in answer.body


def _every(rt: Runtime, seconds: float, work: Callable[[], Awaitable[None]], failed: str) -> None:
    """Does something for as long as the process runs, also where the database is away at times."""

    async def keep() -> None:
        while True:
            try:
                await work()
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                observe.log.warning(failed)
            await asyncio.sleep(seconds)

    rt.background.append(asyncio.create_task(keep(), name=failed))


async def _await_opening(rt: Runtime, relay: Relay) -> None:
    """Somebody else takes back what the log lacks (`after-restore`); then it is sent at once."""
    if relay.halted and await rt.pool.fetchval("select log_is_open()"):
        restored.BEHIND.labels(rt.service.name).set(0)
        relay.wake()


async def _add_partitions(rt: Runtime) -> None:
    """The next month's partition exists before the month does."""
    async with rt.pool.acquire() as connection:
        await store.add_partitions(connection, this_moment().date())
