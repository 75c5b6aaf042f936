"""Every part of Houqin on one machine, started in order, kept alive, stopped without a trace.

    async with Stack(Path(".run/demo")) as stack:
        stack.urls["procurement"], stack.dsns["procurement"], stack.kafka

Postgres, Kafka and the identity provider start at once, the services as soon as the first two
answer. Start a Stack from the main thread: the kernel ends the children with the thread.
"""
# ruff: noqa: ASYNC110 - processes are polled; their files are tiny and local

import argparse
import asyncio
import contextlib
import json
import os
import secrets
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import httpx

from deploy.local.backup import Archive, folder_of
from deploy.local.clean import clean
from deploy.local.file_copies import files_of
from deploy.local.instance import Hold, choose_ports
from deploy.local.kafka import Kafka
from deploy.local.postgres import Postgres
from deploy.local.process import Process, StartFailed, end_leftover, follow, together
from deploy.local.running import run
from evidence.note import Signer
from sealing import secret_file

ROOT = Path(__file__).resolve().parents[2]
RUN = ROOT / ".run"
SERVICES = ("organisation", "procurement", "assets", "safety", "nutrition", "reporting", "portal")
DATABASES = (*SERVICES, "integration", "keys")
PORTAL = {"provider": "provider", "portal": "web"}
"""What the portal's package runs as: each a process of its own, with its command."""
ACCOUNTS = Path(__file__).with_name("accounts.toml")
READY_S = 60.0
BACKOFF_S, BACKOFF_MAX_S = 0.2, 10.0


@dataclass(eq=False)
class Part:
    """A process, how to see that it answers, and the task that keeps it alive."""

    process: Process
    ready: Callable[[], Awaitable[bool]]
    keeper: asyncio.Task[None] | None = None


class Stack:
    """All parts of one instance.

    `folder` holds its whole state. `services` are run as `python -m <modules>` with the name put
    in. `env` is added to, and wins over, the services' environment. `kafka_brokers` above 1 gives
    a replicated cluster for fault tests. `backup`: where Postgres's log is archived, from the first
    back-up on. Errors: InUse, StartFailed.
    """

    def __init__(
        self,
        folder: Path,
        services: Sequence[str] = SERVICES,
        *,
        env: Mapping[str, str] | None = None,
        progress: Callable[[str], None] = print,
        modules: str = "services.{}",
        kafka_brokers: int = 1,
        verbose: bool = False,
        backup: Archive | None = None,
    ) -> None:
        self.backup, self.postgres_patience_s = backup, READY_S
        self.folder, self.services, self.modules = folder.resolve(), tuple(services), modules
        self.env, self.kafka_brokers, self.verbose = dict(env or {}), kafka_brokers, verbose
        self.urls: dict[str, str] = {}
        self.dsns: dict[str, str] = {}
        self.secrets = self.folder / "keys.secret"
        self.kafka = ""
        self.feed_key = secrets.token_urlsafe(32)
        self._progress = progress
        self._parts: dict[str, Part] = {}
        self._followers: list[asyncio.Task[None]] = []
        self._hold: Hold | None = None
        self._ports: dict[str, int] = {}
        self._http: httpx.AsyncClient | None = None
        self._postgres: Postgres | None = None
        self._archiving: asyncio.Task[None] | None = None
        self._broker: Kafka | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Start everything and wait until all answer; on failure nothing is left running."""
        try:
            await self._begin()
            await together(self._start_stores(), self._start_python("provider"))
            await together(*(self._start_python(name) for name in self.services))
        except BaseException:
            await self.stop()
            raise

    async def start_parts(self) -> None:
        """Only Postgres and Kafka, for tests that run services in their own process."""
        try:
            await self._begin()
            await self._start_stores()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Stop everything in reverse order; may be called at any time, also twice."""
        tasks = [part.keeper for part in self._parts.values() if part.keeper]
        tasks += self._followers
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        python = [p.process for name, p in self._parts.items() if not self._is_store(name)]
        await asyncio.gather(*(process.stop() for process in python))
        stores = [store.stop() for store in (self._postgres, self._broker) if store is not None]
        await asyncio.gather(*stores)
        if self._archiving is not None:  # last, so that it gets all that Postgres had written
            self._archiving.cancel()
            await asyncio.gather(self._archiving, return_exceptions=True)
        if self._http is not None:
            await self._http.aclose()
        if self._hold is not None:
            self._hold.release()
        self._http = self._hold = self._postgres = self._broker = self._archiving = None
        self._followers, self._parts = [], {}

    def pid(self, name: str) -> int:
        """The pid of a running part: "postgres", "kafka", "provider" or a service; LookupError."""
        return self._parts[name].process.pid

    async def kill(self, name: str, number: int = signal.SIGKILL) -> None:
        """Send a signal to a part. If it ends, it is started again, as after a crash."""
        self._parts[name].process.kill(number)

    async def halt(self, name: str) -> None:
        """Stop a part and leave it stopped until `resume` or `restart`."""
        part = self._parts[name]
        if part.keeper is not None:
            part.keeper.cancel()
            await asyncio.gather(part.keeper, return_exceptions=True)
            part.keeper = None
        await part.process.stop()

    async def resume(self, name: str) -> None:
        """Start a halted part and wait until it answers; raises StartFailed."""
        part = self._parts[name]
        await part.process.start()
        await part.process.until_ready(part.ready, READY_S)
        part.keeper = asyncio.create_task(self._keep(part))

    async def restart(self, name: str) -> None:
        """Stop a part cleanly, start it again, wait until it answers; raises StartFailed."""
        await self.halt(name)
        await self.resume(name)

    async def command(self, name: str, *arguments: str) -> int:
        """Runs a command of a service to its end, in the service's environment; its exit status."""
        environment = {"HOUQIN_DATABASE": self.dsns[name], "HOUQIN_KAFKA": self.kafka}
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-m", self.modules.format(name), *arguments, cwd=ROOT,
            env={**os.environ, **self._common(), **environment, **self.env},
        )  # fmt: skip
        return await child.wait()

    async def until_ready(self, name: str, seconds: float = READY_S) -> None:
        """Wait until a part answers, whether or not it is being restarted; raises TimeoutError."""
        async with asyncio.timeout(seconds):
            while not (self._parts[name].process.running and await self._parts[name].ready()):
                await asyncio.sleep(0.05)

    def say(self, text: str) -> None:
        """Tell the user; a closed terminal is no reason to fail."""
        with contextlib.suppress(OSError, ValueError):
            self._progress(text)

    def _is_store(self, name: str) -> bool:
        return name == "postgres" or name.startswith("kafka")

    async def _begin(self) -> None:
        if self._hold is not None:
            raise StartFailed(f"{self.folder}: already started")
        self.folder.mkdir(parents=True, exist_ok=True)
        self._hold = Hold(self.folder)
        # What a killed supervisor left still sits on its ports, so it goes before the choice.
        left = sorted((self.folder / "pids").glob("*.json"))
        if any(await asyncio.gather(*map(end_leftover, left))):
            self.say("清理了上次未正常停止的进程 · ended what an earlier run had left behind")
        brokers = [f"kafka-{n}" for n in range(1, self.kafka_brokers + 1)]
        controllers = [f"{name}-controller" for name in brokers]
        names = ["postgres", *brokers, *controllers, "provider", *self.services]
        ports = choose_ports(self.folder / "ports.json", names)
        self._ports = ports
        self.urls = {n: f"http://127.0.0.1:{ports[n]}" for n in ("provider", *self.services)}
        self._http = httpx.AsyncClient(trust_env=False, timeout=5)
        self._postgres = Postgres(
            self.folder, ports["postgres"], sorted({*DATABASES, *self.services}),
            patience_s=self.postgres_patience_s,
        )  # fmt: skip
        pairs = [(ports[n], ports[c]) for n, c in zip(brokers, controllers, strict=True)]
        self._broker = Kafka(self.folder, pairs, RUN / "cache" / "kafka", progress=self.say)
        self.kafka = self._broker.bootstrap

    async def _start_stores(self) -> None:
        await together(self._start_postgres(), self._start_kafka())

    async def _start_postgres(self) -> None:
        assert self._postgres is not None
        begun = time.monotonic()
        process = await self._postgres.start()
        secret_file.make(self.secrets)
        self.dsns = {name: self._postgres.dsn(name) for name in self._postgres.databases}
        self._adopt(Part(process, self._postgres.ready), begun)
        if self.backup is not None:
            self._archiving = asyncio.create_task(self.backup.receive(self._postgres))

    async def _start_kafka(self) -> None:
        assert self._broker is not None
        begun = time.monotonic()
        for process in await self._broker.start():
            self._adopt(Part(process, self._broker.ready), begun)

    async def _start_python(self, name: str) -> None:
        """Start the provider or a service and wait for its /ready."""
        begun = time.monotonic()
        tag = f"houqin={self.folder}:{name}"
        module = [self.modules.format(name)]
        if name in PORTAL:
            module = ["services.portal", PORTAL[name]]
        process = Process(
            name=name,
            # -X is for options of one's own: here it marks the process as this instance's.
            command=[sys.executable, "-X", tag, "-m", *module],
            mark=tag,
            log=self.folder / "logs" / f"{name}.log",
            pid_file=self.folder / "pids" / f"{name}.json",
            env=self._environment(name),
            cwd=ROOT,
        )
        part = Part(process, lambda: self._answers(f"{self.urls[name]}/ready"))
        self._parts[name] = part
        await process.start()
        await process.until_ready(part.ready, READY_S)
        self._adopt(part, begun)

    def _adopt(self, part: Part, begun: float) -> None:
        """Take a part that answers into care."""
        name = part.process.name
        self._parts[name] = part
        part.keeper = asyncio.create_task(self._keep(part))
        if self.verbose:
            self._followers.append(asyncio.create_task(follow(part.process, self.say)))
        self.say(f"{name:<13} 就绪 ready  {time.monotonic() - begun:5.1f} s")

    async def _keep(self, part: Part) -> None:
        """Start a part again whenever it ends, later and later if it keeps ending."""
        process, delay = part.process, BACKOFF_S
        since = time.monotonic()
        while True:
            code = await process.ended()
            delay = BACKOFF_S if time.monotonic() - since > READY_S else delay
            self.say(f"{process.name:<13} 退出，将重启 ended ({code}), restarting in {delay:g} s")
            await asyncio.sleep(delay)
            delay, since = min(2 * delay, BACKOFF_MAX_S), time.monotonic()
            try:
                await process.start()
                await process.until_ready(part.ready, READY_S)
            except (StartFailed, OSError) as problem:
                self.say(str(problem))
                await process.stop()
            else:
                self.say(f"{process.name:<13} 已恢复 is back")

    async def _answers(self, url: str) -> bool:
        assert self._http is not None
        try:
            return (await self._http.get(url)).status_code == httpx.codes.OK
        except httpx.HTTPError:
            return False

    def _environment(self, name: str) -> dict[str, str]:
        portal = self.urls.get("portal")
        issuer, state = self.urls["provider"], self.folder / "state" / name
        services = (f"{one}={self.urls[one]}" for one in self.services if one not in PORTAL)
        state.mkdir(parents=True, exist_ok=True, mode=0o700)
        own = {
            **self._common(),
            "HOUQIN_KAFKA": self.kafka,
            "HOUQIN_HOST": "127.0.0.1",
            "HOUQIN_PORT": str(self._ports[name]),
            "HOUQIN_ISSUER": issuer,
            "HOUQIN_AUDIENCE": "houqin",
            "HOUQIN_JWKS_URL": f"{issuer}/jwks",
            "HOUQIN_PORTAL_JWKS_URL": f"{portal}/portal/jwks" if portal else "",
            "HOUQIN_ADMINISTRATORS": "administrator",
            "HOUQIN_ACCOUNTS": str(ACCOUNTS),
            "HOUQIN_STATE": str(state),
            "HOUQIN_FILES": str(files_of(self.folder)),
            "HOUQIN_SERVICES": " ".join(services),
            "HOUQIN_FEED_KEY": self.feed_key,
        }
        if name in self.dsns:
            own["HOUQIN_DATABASE"] = self.dsns[name]
        if name not in PORTAL:
            key = state / "signing.key"
            Signer.kept(key, f"{self.folder.name}.localhost/{name}")
            own["HOUQIN_SIGNING_KEY_FILE"] = str(key)
        return {**os.environ, **own, **self.env}

    def _common(self) -> dict[str, str]:
        """What every program of the platform is told."""
        return {
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
            "HOUQIN_PARTITIONS": "12",
            "HOUQIN_TOPIC_PREFIX": "houqin",
            "HOUQIN_REPLICATION": str(min(3, self.kafka_brokers)),
            "HOUQIN_KEYS": self.dsns.get("keys", ""),
            "HOUQIN_SECRETS": str(self.secrets),
        }


async def up(options: argparse.Namespace) -> int:
    """Start the stack, print where everything is, and keep it until told to stop."""
    begun = time.monotonic()
    archive = Archive(folder_of(options.instance))
    async with Stack(
        RUN / options.instance, options.services, verbose=options.verbose, backup=archive
    ) as stack:
        stack.say(f"全部就绪 all ready: {time.monotonic() - begun:.1f} s")
        stack.say(json.dumps({**stack.urls, "kafka": stack.kafka}, indent=1))
        stack.say("按 Ctrl-C 停止 · Ctrl-C stops everything")
        await asyncio.Event().wait()
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of `python -m deploy.local.supervisor`."""
    parser = argparse.ArgumentParser(description="Houqin on this machine")
    parser.add_argument("action", nargs="?", choices=("up", "clean"), default="up")
    parser.add_argument("--instance", default="local", help="name of the state folder in .run/")
    parser.add_argument("--services", nargs="*", default=SERVICES)
    parser.add_argument("--verbose", action="store_true", help="show the logs on screen")
    options = parser.parse_args(arguments)
    return clean(RUN) if options.action == "clean" else run(up(options))


if __name__ == "__main__":
    sys.exit(main())
