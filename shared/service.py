"""The one composition root: a service's processes for production, demo and tests alike.

`python -m services.<name>` runs both roles in one process; `api` answers requests, `worker` moves
the log to Kafka, takes in events and fires what is due. Both serve /health, /ready and /metrics.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from socket import socket
from typing import Literal
from uuid import UUID

import asyncpg
import uvicorn
from fastapi import FastAPI
from fastapi_offline import FastAPIOffline
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from uvicorn.loops.auto import auto_loop_factory

from shared import contract, http, observe, problems, store, views
from shared.access import Tokens
from shared.config import Settings, settings
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
    async with asyncpg.create_pool(
        config.database, min_size=2, max_size=config.pool_size, command_timeout=15
    ) as pool:
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
            observe.DIRECTORY_AGE.labels(service.name).set_function(lambda: directory.age_seconds)
            _every(rt, REFRESH_S, directory.refresh, "directory_not_refreshed")
            if role in {"worker", "all"}:
                await start_workers(rt, stack)
            try:
                yield rt
            finally:
                for task in rt.background:
                    task.cancel()
                await asyncio.gather(*rt.background, return_exceptions=True)


async def prepare_database(service: Service, pool: asyncpg.Pool[asyncpg.Record]) -> None:
    """Migrations of the kernel, then of the service, then its view tables."""
    own = SERVICES / service.name / "migrations"
    await store.migrate(pool, [Path(__file__).parent / "migrations", own])
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
    _every(rt, 3600, partial(_add_partitions, rt), "partitions_not_added")
    _every(rt, 5, partial(_measure, rt, relay), "not_measured")


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


async def _add_partitions(rt: Runtime) -> None:
    """The next month's partition exists before the month does."""
    async with rt.pool.acquire() as connection:
        await store.add_partitions(connection, datetime.now(UTC).date())


_LOG = """
select coalesce(extract(epoch from now() - min(xact_start)), 0)::float8 as horizon_age,
       (select count(*) from event, relay where (event.tx, event.seq) > (relay.tx, relay.seq))
       as unsent
from pg_stat_activity where backend_xid is not null
"""


async def _measure(rt: Runtime, relay: Relay) -> None:
    """What operators watch: how far log, relay and consumers are apart."""
    name = rt.service.name
    for one in rt.consumers:
        observe.CONSUMER_LAG.labels(name, one.name).set(one.lag_events)
        observe.CONSUMER_LAG_SECONDS.labels(name, one.name).set(one.lag_seconds)
        observe.PARKED.labels(name, one.name).set(one.parked)
    row = await rt.pool.fetchrow(_LOG)
    assert row is not None
    observe.HORIZON_AGE.labels(name).set(row["horizon_age"])
    if relay.leading:
        observe.RELAY_LAG.labels(name).set(row["unsent"])


def application(rt: Runtime, role: RoleName = "all") -> FastAPI:
    """The HTTP application of a running service."""
    name = rt.service.name
    # The page's scripts come with the package: many schools have no way to a public network.
    app = FastAPIOffline(title=name, openapi_url=f"/{name}/openapi.json")
    for status in (404, 405):
        app.add_exception_handler(status, problems.elsewhere(rt.words))
    app.router.routes += [
        Route("/health", JSONResponse({"status": "ok"}), methods=["GET"]),
        Route("/ready", _ready(rt)),
        Route("/metrics", _metrics),
    ]
    if role in {"api", "all"}:
        for make in rt.service.routers:
            app.include_router(make(rt))
        document = contract.openapi(name)
        app.openapi = lambda: document  # type: ignore[method-assign]
        events = JSONResponse(contract.asyncapi(name, rt.settings.topic(name)))
        app.router.routes += [
            *http.routes(rt),
            Route(f"/{name}/events", events, methods=["GET"]),
        ]
    return app


async def _metrics(_: object) -> Response:
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


def _ready(rt: Runtime) -> problems.Endpoint:
    async def ready(_: object) -> Response:
        try:
            await asyncio.wait_for(rt.pool.fetchval("select 1"), 2)
        except (TimeoutError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            return JSONResponse({"status": "no database", "why": str(error)}, 503)
        if rt.directory.age_seconds == float("inf"):
            # Nothing weighty would be decided: nobody knows how much of the posts is missing.
            return JSONResponse({"status": "copy not current"}, 503)
        return JSONResponse({"status": "ready", "parked": sum(c.parked for c in rt.consumers)})

    return ready


async def serve(service: Service, role: RoleName) -> None:
    """Runs a service until SIGTERM or SIGINT, then drains and ends."""
    config = settings()
    observe.configure(service.name, config.trace_share, config.log_level)
    async with running(service, config, role) as rt:

        class Server(uvicorn.Server):
            async def shutdown(self, sockets: list[socket] | None = None) -> None:
                rt.stopping.set()
                await super().shutdown(sockets)

        server = Server(
            uvicorn.Config(
                application(rt, role), config.host, config.port, log_level="warning",
                access_log=False, lifespan="off", timeout_graceful_shutdown=3,
            )
        )  # fmt: skip
        with contextlib.suppress(asyncio.CancelledError):
            await server.serve()


def main(service: Service) -> None:
    """The command line of `python -m services.<name>`."""
    parser = argparse.ArgumentParser(
        prog=f"python -m services.{service.name}",
        description=f"后勤 · {service.name}",
        epilog="不带参数：一个进程承担两种角色 · without a command: both roles in one process",
    )
    commands = parser.add_subparsers(dest="command")
    commands.add_parser("api", help="只回答请求 · answers requests only")
    commands.add_parser("worker", help="只搬运事件 · relay, consumers and timers only")
    rebuild = commands.add_parser("rebuild", help="从日志重建一个列表 · folds the log again")
    rebuild.add_argument("view", choices=sorted(view.name for view in service.views()))
    given = parser.parse_args()
    if given.command == "rebuild":
        asyncio.run(_rebuild(service, given.view))
    else:
        _run(service, given.command or "all")


def _run(service: Service, role: RoleName) -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    # Batches of thousands of events are all young objects: collecting every 700 of them cost a
    # third of a consumer's time.
    gc.set_threshold(100_000, 20, 20)
    with asyncio.Runner(loop_factory=auto_loop_factory()) as runner:
        runner.run(serve(service, role))


async def _rebuild(service: Service, name: str) -> None:
    view = next(view for view in service.views() if view.name == name)
    async with (
        asyncpg.create_pool(settings().database, min_size=1, max_size=2) as pool,
        pool.acquire() as connection,
        connection.transaction(),
    ):
        sys.stdout.write(f"{name}: {await views.rebuild(connection, view)}\n")
