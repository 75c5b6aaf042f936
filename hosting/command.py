"""The command line of a service.

`python -m services.<name>` runs both roles in one process; `api` answers requests, `worker` moves
the log to Kafka, takes in events and fires what is due.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import signal
import sys
from collections.abc import Iterator
from socket import socket

import asyncpg
import uvicorn
from uvicorn.loops.auto import auto_loop_factory

from hosting import after_restore, parked
from hosting.application import application
from hosting.compose import RoleName, running
from shared import observe, views
from shared.config import settings
from shared.kernel import Service


async def serve(service: Service, role: RoleName) -> None:
    """Runs a service until SIGTERM or SIGINT, then drains and ends."""
    config = settings()
    observe.configure(service.name, config.trace_share, config.log_level)
    async with running(service, config, role) as rt:

        class Server(uvicorn.Server):
            async def shutdown(self, sockets: list[socket] | None = None) -> None:
                rt.stopping.set()
                await super().shutdown(sockets)

            @contextlib.contextmanager
            def capture_signals(self) -> Iterator[None]:
                # Uvicorn's own sends itself the signal once more when it has drained, and dies of
                # it before the workers have finished their batches and left their groups.
                loop = asyncio.get_running_loop()
                for number in (signal.SIGTERM, signal.SIGINT):
                    loop.add_signal_handler(number, self.handle_exit, number, None)
                yield

        server = Server(
            uvicorn.Config(
                application(rt, role), config.host, config.port, log_level="warning",
                access_log=False, lifespan="off", timeout_graceful_shutdown=3,
            )
        )  # fmt: skip
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
    parked.add(commands)
    after_restore.add(commands)
    given = parser.parse_args()
    if given.command == "parked":
        sys.exit(asyncio.run(parked.run(given)))
    elif given.command == "after-restore":
        sys.exit(asyncio.run(after_restore.run(service, given)))
    elif given.command == "rebuild":
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
