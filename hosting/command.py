"""The command line of a service.

`python -m services.<name>` runs both roles in one process; `api` answers requests, `worker` moves
the log to Kafka, takes in events and fires what is due.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from socket import socket

import asyncpg
import uvicorn
from uvicorn.loops.auto import auto_loop_factory

from evidence.note import Signer
from hosting import after_restore, operate, parked
from hosting.application import application
from hosting.collector import collect_seldom
from hosting.compose import RoleName, running
from hosting.export_log import export
from hosting.waiting_for import tell_on_signal
from shared import observe
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

        tell_on_signal()
        server = Server(
            uvicorn.Config(
                application(rt, role), config.host, config.port, log_level="warning",
                access_log=False, lifespan="off", timeout_graceful_shutdown=3,
            )
        )  # fmt: skip
        await server.serve()


def main(
    service: Service, rebuilds: Mapping[str, operate.Made] | None = None, *, detaches: bool = False
) -> None:
    """The command line of `python -m services.<name>`. `rebuilds`: what can be rebuilt beside its
    lists; `detaches`: whether months of its archive may be taken out of the database.
    """
    parser = argparse.ArgumentParser(
        prog=f"python -m services.{service.name}",
        description=f"后勤 · {service.name}",
        epilog="不带参数：一个进程承担两种角色 · without a command: both roles in one process",
    )
    commands = parser.add_subparsers(dest="command")
    commands.add_parser("api", help="只回答请求 · answers requests only")
    commands.add_parser("worker", help="只搬运事件 · relay, consumers and timers only")
    operate.add(commands, service, rebuilds or {}, detaches=detaches)
    parked.add(commands)
    after_restore.add(commands)
    log = commands.add_parser("export-log", help="导出日志供验证 · writes the log for verify.py")
    log.add_argument("file", type=Path)
    key = commands.add_parser("signing-key", help="生成签名密钥 · makes the key that signs the log")
    key.add_argument("file", type=Path)
    key.add_argument("name", help="日志的名称，如 example.cn/procurement · what the log is called")
    given = parser.parse_args()
    if given.command == "parked":
        sys.exit(asyncio.run(parked.run(given)))
    elif given.command == "after-restore":
        sys.exit(asyncio.run(after_restore.run(service, given)))
    elif given.command == "export-log":
        asyncio.run(_export(given.file))
    elif given.command == "signing-key":
        sys.stdout.write(f"{Signer.kept(given.file, given.name).public()}\n")
    elif "task" in given:
        sys.exit(operate.run(given.task, given))
    else:
        _run(service, given.command or "all")


def _run(service: Service, role: RoleName) -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    collect_seldom()
    with asyncio.Runner(loop_factory=auto_loop_factory()) as runner:
        runner.run(serve(service, role))


async def _export(path: Path) -> None:
    connection = await asyncpg.connect(settings().database)
    try:
        sys.stdout.write(f"{path}: {await export(connection, path)}\n")
    finally:
        await connection.close()
