"""The local stack with a link in every place where a line could break, and a hand on every process.

Each service reaches Postgres over a link of its own and Kafka over one link per broker (a listener
per service, whose advertised port is the link's); clients reach each service over one more. The
harness itself looks at Postgres, Kafka and /ready directly.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import psutil  # type: ignore[import-untyped]

from deploy.local import supervisor
from deploy.local.instance import choose_ports
from deploy.local.kafka import Kafka
from deploy.local.process import Process, StartFailed
from deploy.local.supervisor import ROOT, RUN, Stack
from tests.faults.proxy import HOST, Link
from tests.world import until

BACK_S = 60.0
"""So long may a part that died take to answer again before the harness gives up."""

SERVICES = tuple(name for name in supervisor.SERVICES if name not in supervisor.PORTAL)
"""The services that have a log."""

POSTGRES, KAFKA, CLIENT, PROVIDER = "postgres", "kafka", "client", "provider"
KINDS = (POSTGRES, KAFKA, CLIENT)
"""What a service is linked with."""

type Pool = asyncpg.Pool[asyncpg.Record]


class ListeningKafka(Kafka):
    """Brokers with one listener more per service. `doors`: by broker number and service, the port
    listened on and the port told to clients.
    """

    doors: Mapping[int, Mapping[str, tuple[int, int]]] = {}

    def _options(self, number: int) -> dict[str, object]:
        options = super()._options(number)
        lines = {name: str(options[name]) for name in ("listeners", "advertised.listeners")}
        protocols = str(options["listener.security.protocol.map"])
        for service, (port, told) in self.doors[number].items():
            door = service.upper()
            lines["listeners"] += f",{door}://{HOST}:{port}"
            lines["advertised.listeners"] += f",{door}://{HOST}:{told}"
            protocols += f",{door}:PLAINTEXT"
        return {
            **options, **lines,
            "listener.security.protocol.map": protocols,
            "inter.broker.listener.name": "PLAINTEXT",
        }  # fmt: skip


class Rig(Stack):
    """The stack of a fault run. `links`: by service and what it is linked with."""

    def __init__(
        self,
        folder: Path,
        *,
        brokers: int,
        env: Mapping[str, str],
        progress: Callable[[str], None],
    ) -> None:
        super().__init__(folder, SERVICES, env=env, progress=progress, kafka_brokers=brokers)
        self.links: dict[tuple[str, str], list[Link]] = {}
        self.pools: dict[str, Pool] = {}
        self.spares: dict[str, Process] = {}

    @property
    def brokers(self) -> list[str]:
        """The brokers' names."""
        return [name for name in self._parts if name.startswith(KAFKA)]

    async def stop(self) -> None:
        """Ends everything, also what was stopped in its tracks."""
        for pool in self.pools.values():
            pool.terminate()
        self.pools.clear()
        for spare in self.spares.values():
            await spare.stop()
        await super().stop()
        for link in self.every_link():
            await link.stop()
        self.links.clear()

    def every_link(self) -> Iterable[Link]:
        """All links there are."""
        return [link for links in self.links.values() for link in links]

    async def _begin(self) -> None:
        await super()._begin()
        ports = self._ports
        numbers = range(1, self.kafka_brokers + 1)
        doors = [f"kafka-{n}-{service}" for n in numbers for service in self.services]
        ports |= choose_ports(self.folder / "ports.json", [*ports, *doors])
        for service in self.services:
            self.links[service, POSTGRES] = [Link(service, ports["postgres"], postgres=True)]
            self.links[service, CLIENT] = [Link(service, ports[service])]
            self.links[service, KAFKA] = [
                Link(service, ports[f"kafka-{n}-{service}"]) for n in numbers
            ]
        await asyncio.gather(*(link.start() for link in self.every_link()))
        assert self._broker is not None
        kafka = ListeningKafka(
            self.folder, self._broker.ports, RUN / "cache" / "kafka", heap_mb=320,
            progress=self.say,
        )  # fmt: skip
        kafka.doors = {
            n: {
                service: (ports[f"kafka-{n}-{service}"], self.links[service, KAFKA][n - 1].port)
                for service in self.services
            }
            for n in numbers
        }
        self._broker = kafka

    def _environment(self, name: str) -> dict[str, str]:
        env = {**super()._environment(name), "HOUQIN_CLOCK": str(self._clock(name))}
        if name not in self.services:
            return env
        (store,) = self.links[name, POSTGRES]
        there = f"{HOST}:{self._ports['postgres']}/"
        return {
            **env,
            "HOUQIN_DATABASE": self.dsns[name].replace(there, f"{HOST}:{store.port}/"),
            "HOUQIN_KAFKA": ",".join(f"{HOST}:{link.port}" for link in self.links[name, KAFKA]),
        }

    def environment(self, name: str) -> dict[str, str]:
        """What a service's processes are told: for a command that is run beside them."""
        return {**os.environ, **self._environment(name)}

    def _clock(self, name: str) -> Path:
        """The file that says how far the clock of that part is off."""
        path = self.folder / "clocks" / name
        if not path.exists():
            path.parent.mkdir(exist_ok=True)
            path.write_text("0")
        return path

    def turn_clocks(self, seconds: float, *names: str) -> None:
        """From now on those parts (none named: every service and the provider) have that much more
        than it is; Postgres and Kafka keep the machine's time.
        """
        for name in names or (*self.services, PROVIDER):
            fresh = self._clock(name).with_suffix(".new")
            fresh.write_text(str(seconds))
            fresh.replace(self._clock(name))

    def doors(self) -> dict[str, str]:
        """Where clients reach each service, and the provider."""
        here = {name: self.links[name, CLIENT][0].port for name in self.services}
        return {**self.urls, **{name: f"http://{HOST}:{port}" for name, port in here.items()}}

    async def pool(self, service: str) -> Pool:
        """A service's own database, to look at what its API cannot tell."""
        if service not in self.pools:
            self.pools[service] = await asyncpg.create_pool(
                self.dsns[service], min_size=0, max_size=4, command_timeout=60
            )
        return self.pools[service]

    # Hands on processes.

    async def until_back(self, name: str, pid: int) -> None:
        """Waits until another process answers in the place of the one that died."""

        async def replaced() -> bool:
            process = self._parts[name].process
            return process.running and process.pid != pid

        try:
            await until(replaced, BACK_S)
        except TimeoutError as error:
            raise StartFailed(await self._why(name)) from error
        await self.until_ready(name, BACK_S)
        # Its keeper waits longer after each death, which would only slow the next round.
        part = self._parts[name]
        if part.keeper is not None:
            part.keeper.cancel()
            await asyncio.gather(part.keeper, return_exceptions=True)
        part.keeper = asyncio.create_task(self._keep(part))

    async def _why(self, name: str) -> str:
        """What a part that should have been replaced says of itself."""
        part = self._parts[name]

        def said() -> str:
            return "\n".join(part.process.log.read_text("utf-8", "replace").splitlines()[-60:])

        async def told() -> bool:
            return '"event": "waits"' in said()

        if part.process.running:
            part.process.kill(signal.SIGUSR1)
            with contextlib.suppress(TimeoutError):
                await until(told, 5)
        return f"{name}: running {part.process.running}, kept by {part.keeper}\n{said()}"

    async def until_all_answer(self) -> None:
        """Waits until every part answers: from then on the platform has to recover by itself."""
        await asyncio.gather(*(self.until_ready(name, BACK_S) for name in self._parts))

    async def arm(self, name: str, failpoint: str) -> asyncio.subprocess.Process:
        """Starts a service anew so that it kills itself at a failpoint; its keeper, who knows
        nothing of that, starts it again. The process that is to die.
        """
        part = self._parts[name]
        await self.halt(name)
        own = part.process.env
        part.process.env = {**own, "HOUQIN_FAILPOINT": failpoint}
        await part.process.start()
        part.process.env = own
        child = part.process.child
        assert child is not None
        part.keeper = asyncio.create_task(self._keep(part))
        return child

    async def release(self, name: str, tree: Path | None) -> None:
        """Exchanges a service's process for one out of another tree of files (None: this one)."""
        process = self._parts[name].process
        await self.halt(name)
        process.env = {**process.env, "PYTHONPATH": str(tree or ROOT)}
        process.cwd = tree or ROOT
        await self.resume(name)

    def backends(self) -> list[tuple[int, str]]:
        """Postgres's own processes that serve a service: pid and database."""
        found = []
        for child in psutil.Process(self.pid("postgres")).children():
            words = " ".join(child.cmdline()).split()
            if len(words) > 2 and words[2] in self.services:
                found.append((int(child.pid), words[2]))
        return sorted(found)

    @asynccontextmanager
    async def spare(
        self, service: str, role: str = "", failpoint: str = "", tree: Path | None = None
    ) -> AsyncIterator[tuple[Process, int]]:
        """A second process of a service (role: all, or `worker`), and its port; out of another tree
        of files than this one, if named.
        """
        name = f"{service}-spare"
        (port,) = choose_ports(self.folder / "ports.json", [name]).values()
        tag = f"houqin={self.folder}:{name}"
        process = Process(
            name=name,
            command=[sys.executable, "-X", tag, "-m", f"services.{service}", *role.split()],
            mark=tag,
            log=self.folder / "logs" / f"{name}.log",
            pid_file=self.folder / "pids" / f"{name}.json",
            env={
                **self._environment(service),
                "HOUQIN_PORT": str(port), "HOUQIN_FAILPOINT": failpoint,
                "PYTHONPATH": str(tree or ROOT),
            },
            cwd=tree or ROOT,
        )  # fmt: skip
        self.spares[name] = process
        try:
            await process.start()
            url = f"http://{HOST}:{port}/ready"
            await process.until_ready(lambda: self._answers(url), BACK_S)
            yield process, port
        finally:
            await process.stop()
            del self.spares[name]

    def memory_mb(self, name: str) -> float:
        """What a part holds in memory."""
        return float(psutil.Process(self.pid(name)).memory_info().rss) / 1e6


async def until_gone(pid: int) -> None:
    """Waits until a process is no more."""

    async def gone() -> bool:
        return not psutil.pid_exists(pid)

    await until(gone, BACK_S)


def freeze(pid: int) -> None:
    """Stops a process of ours in its tracks."""
    os.kill(pid, signal.SIGSTOP)


def thaw(pid: int) -> None:
    """Lets a frozen process go on."""
    os.kill(pid, signal.SIGCONT)


def frozen(pid: int) -> bool:
    """Whether a process of ours is stopped in its tracks."""
    return bool(psutil.Process(pid).status() == psutil.STATUS_STOPPED)


async def fences(pools: Sequence[Pool], consumer: str) -> int:
    """How often partitions of a consumer have changed hands, all in all."""
    found = [
        await pool.fetchval(
            "select coalesce(sum(fence), 0) from consumed where consumer = $1", consumer
        )
        for pool in pools
    ]
    return int(sum(found))
