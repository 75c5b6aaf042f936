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

from hosting import migrations, outdated, rebuild, restored
from hosting.feed import Feeds
from hosting.line import pool_of
from hosting.proof_check import ProofCheck
from hosting.proofs import Proofs, signer_of
from hosting.tokens import Tokens
from hosting.watch import DIRECTORY_AGE, Watch
from sealing import secret_file, vault
from sealing.vault import Vault
from shared import observe
from shared.background import ended
from shared.clock import this_moment
from shared.config import Settings
from shared.consumer import Consumer
from shared.decide import SYSTEM, Step
from shared.decide import Request as Asked
from shared.directory import Directory, directory_consumer
from shared.kernel import Service
from shared.personal import is_personal
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
    async with pool_of(config, SameServer()) as pool, vault_of(service, config) as keys:
        # What is to be built anew may take longer than a request may.
        async with asyncpg.create_pool(config.database, min_size=1, max_size=4) as patient:
            await prepare_database(service, patient, keys)
        directory = Directory(pool, service.name, config.administrator_subjects())
        await directory.refresh()
        writer = Writer(service, pool, directory, config, keys)
        await writer.start()
        rt = Runtime(
            service=service, settings=config, pool=pool, directory=directory, writer=writer,
            tokens=Tokens(config), words=words_of(service.name), vault=keys,
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
                await ended(rt.background)


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


@asynccontextmanager
async def vault_of(service: Service, config: Settings) -> AsyncIterator[Vault | None]:
    """The keys of personal data, or None where there are neither; RuntimeError if they are needed
    and nobody says where they are.
    """
    if not (config.keys and config.secrets):
        if any(map(is_personal, service.aggregates)):
            raise RuntimeError(f"{service.name}: HOUQIN_KEYS and HOUQIN_SECRETS are not set")
        yield None
        return
    secrets = secret_file.read(Path(config.secrets))
    async with vault.opened(config.keys, secrets, config.sealing, config.key_life_s) as made:
        yield made


async def prepare_database(
    service: Service, pool: asyncpg.Pool[asyncpg.Record], keys: Vault | None = None
) -> None:
    """Migrations of the kernel, then of the service, then its view tables."""
    own = SERVICES / service.name / "migrations"
    await migrations.migrate(pool, [SERVICES.parent / "shared" / "migrations", own])
    await rebuild.prepare(pool, service.views(), keys)


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
    proofs = Proofs(service.name, rt.pool, signer_of(config.signing_key_file))
    if proofs.signer is None:
        observe.log.warning("log_not_signed", error="HOUQIN_SIGNING_KEY_FILE names no key")
    rt.writer.on_commit += [relay.wake, timers.wake]
    rt.consumers.append(directory_consumer(rt.pool, config))
    if reactions.by_type:
        sources = [config.topic(name) for name in reactions.sources]
        rt.consumers.append(Consumer("reactions", rt.pool, config, sources, reactions))
    rt.consumers += [make(rt) for make in service.consumers]
    if config.feed_key:
        feeds = Feeds(config)
        stack.push_async_callback(feeds.close)
        for consumer in rt.consumers:
            consumer.feed = feeds.page
    for worker in (relay, proofs, timers, *rt.consumers):
        await worker.start()
        stack.push_async_callback(worker.stop)
    for make_chore in service.chores:
        _every(rt, 1, make_chore(rt), "chore_not_done")
    refold = partial(outdated.refold, rt.pool, service.views(), rt.vault)
    _every(rt, 1, refold, "lists_not_refolded")
    _every(rt, 3600, partial(_add_partitions, rt), "partitions_not_added")
    _every(rt, 5, Watch(rt, relay).look, "not_measured")
    if behind:
        _every(rt, 1, partial(_await_opening, rt, relay), "opening_not_seen")
    check = ProofCheck(service.name, rt.pool)
    _every(rt, config.log_check_s, partial(_check_if_leading, proofs, check), "log_not_checked")


async def fire(rt: Runtime, stream: UUID, name: str) -> bool:
    """Sends a due stream its timer's command; whether any event came of it."""
    timer = rt.writer.aggregates[name].timer
    assert timer is not None
    answer = await rt.writer.ask(Asked([Step(timer, stream, timer.command())], SYSTEM))
    return b'"events":[]' not in answer.body


def _every(rt: Runtime, seconds: float, work: Callable[[], Awaitable[None]], failed: str) -> None:
    """Does something for as long as the process runs, whatever it meets."""

    async def keep() -> None:
        while True:
            try:
                await work()
            except Exception as error:  # noqa: BLE001 - nothing may end it for good
                observe.log.warning(failed, error=repr(error))
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
        await migrations.add_partitions(connection, this_moment().date())


async def _check_if_leading(proofs: Proofs, check: ProofCheck) -> None:
    if proofs.leading:
        await check.look()
