"""Commands over HTTP, beside an empty FastAPI route that validates the same body."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count

import asyncpg
import msgspec

from bench.append import STREAMS, adopted
from bench.feed import World, world
from bench.load import Done, Order
from bench.place import Place, Pool, free_port
from bench.rows import Row, compared, interleaved, percentile, plain
from bench.world import keep_current
from deploy.local.supervisor import ROOT

PERSON = "finance_officer"
CONNECTIONS = 32
BATCH = 1_000


@dataclass(slots=True)
class Load:
    """The running load generator."""

    child: asyncio.subprocess.Process
    token: str
    schools: int
    marks: count[int]
    latencies_s: list[float]

    async def rate(
        self, port: int, requests: int, *, batch: int = 0, connections: int = CONNECTIONS
    ) -> float:
        """Commands a second, all of them taken."""
        done = await self.done(port, requests, batch=batch, connections=connections)
        self.latencies_s += done.latencies_s
        return requests * (batch or 1) / done.seconds

    async def done(
        self,
        port: int,
        requests: int,
        *,
        batch: int = 0,
        connections: int = CONNECTIONS,
        per_second: float = 0,
    ) -> Done:
        """Has an order carried out; RuntimeError unless every request was taken."""
        first = next(self.marks) * 1_000_000
        order = Order(
            port,
            requests,
            connections,
            self.token,
            self.schools,
            first // (batch or 1),
            batch,
            per_second,
        )
        assert self.child.stdin is not None
        assert self.child.stdout is not None
        self.child.stdin.write(msgspec.json.encode(order) + b"\n")
        done = msgspec.json.decode(await self.child.stdout.readline(), type=Done)
        if done.statuses != {200: requests}:
            raise RuntimeError(f"not every request was taken: {done.statuses}")
        return done


@asynccontextmanager
async def loading(place: Place, schools: int) -> AsyncIterator[Load]:
    """The load generator, in a process of its own."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.load", cwd=ROOT, limit=1 << 26,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        yield Load(child, await place.token(PERSON), schools, count(1), [])
    finally:
        assert child.stdin is not None
        child.stdin.close()
        await child.wait()


@asynccontextmanager
async def serving(place: Place) -> AsyncIterator[tuple[int, World]]:
    """Procurement's API as a process of its own, over budgets with five events each."""
    made = world(place.size(STREAMS, 200))
    dsn, port = await place.dsn("bench_web"), free_port()
    async with asyncpg.create_pool(dsn, min_size=4, max_size=4) as pool:
        await adopted(pool, made, PERSON)
        env = await place.environment(dsn, port, "bench-web")
        async with (
            current(pool),
            place.process("procurement", "services.procurement", "api", port=port, env=env),
        ):
            yield port, made


@asynccontextmanager
async def current(pool: Pool) -> AsyncIterator[None]:
    """Says that a service's local copy is up to date, for as long as it is used."""
    keeper = asyncio.create_task(_keep(pool))
    try:
        yield
    finally:
        keeper.cancel()


async def _keep(pool: Pool) -> None:
    while True:
        await keep_current(pool)
        await asyncio.sleep(5)


async def http(place: Place) -> list[Row]:
    """The same commands over HTTP, 32 connections, each asking again once it is answered."""
    requests, empty = place.size(6_400, 640), free_port()
    async with (
        serving(place) as (port, made),
        place.process("empty", "bench.empty", str(empty), port=empty),
        loading(place, len(made.schools)) as load,
    ):
        for one in (port, empty):
            await load.rate(one, requests)
        load.latencies_s.clear()
        waits: list[float] = []

        async def ours() -> float:
            before = len(load.latencies_s)
            rate = await load.rate(port, requests)
            waits.extend(load.latencies_s[before:])
            return rate

        found = await interleaved(
            place.rounds, {"ours": ours, "empty": lambda: load.rate(empty, requests)}
        )
    return [
        compared("http, 32 connections", "commands/s", found["ours"], found["empty"], at_least=0.5),
        plain("  latency p50 (http)", "ms", [percentile(waits, 0.5) * 1000]),
        plain("  latency p99 (http)", "ms", [percentile(waits, 0.99) * 1000]),
    ]


async def batch(place: Place) -> list[Row]:
    """A thousand commands in each request, two requests at once."""
    async with serving(place) as (port, made), loading(place, len(made.schools)) as load:
        await load.rate(port, 4, batch=BATCH, connections=2)
        rates = [
            await load.rate(port, place.size(20, 4), batch=BATCH, connections=2)
            for _ in range(place.rounds)
        ]
    return [plain("batch, over HTTP", "commands/s", rates, at_least=5_000)]
