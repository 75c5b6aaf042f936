"""Real processes side by side: how soon a figure shows what was committed, and what they weigh."""
# ruff: noqa: ASYNC110 - other processes are watched by asking them

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg

from bench.append import adopted, writing
from bench.feed import world
from bench.place import FOLDER, Place, Pool, free_port
from bench.rows import Row, percentile, plain
from bench.web import PERSON, current, loading
from bench.world import settle
from deploy.local.supervisor import Stack
from hosting.compose import prepare_database
from services.reporting import reporting

SCHOOLS = 200
"""A county's."""

PREFIX = "bench-live"
POLL_S = 0.002
PATIENCE_S = 120.0

_COUNTED = """
select coalesce(sum(f.entries), 0)::bigint from figure f
join series s on s.no = f.series join place p on p.no = f.place
where s.measure = 'procurement.budget_adopted' and f.grain = 1 and p.unit = $1
"""


@dataclass(slots=True)
class Watch:
    """Looks again and again how much has arrived of what was asked for: `counting` counts it."""

    pool: Pool
    counting: str
    of: tuple[object, ...] = ()
    seen: list[tuple[float, int]] = field(default_factory=list)

    async def count(self) -> int:
        return int(await self.pool.fetchval(self.counting, *self.of))

    async def run(self) -> None:
        while True:
            count = await self.count()
            if not self.seen or count > self.seen[-1][1]:
                self.seen.append((time.time(), count))
            await asyncio.sleep(POLL_S)

    async def until(self, wanted: int) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while await self.count() < wanted:
                await asyncio.sleep(0.05)

    async def waits(self, ask: Callable[[], Awaitable[list[float]]]) -> list[float]:
        """Seconds from each answer to what is asked, whose times `ask` returns in order, until it
        had arrived.
        """
        before = await self.count()
        watching = asyncio.create_task(self.run())
        answered_at = await ask()
        await self.until(before + len(answered_at))
        await asyncio.sleep(10 * POLL_S)
        watching.cancel()
        waits = self.waits_s(before, answered_at)
        self.seen.clear()
        return waits

    def waits_s(self, before: int, answered_at: list[float]) -> list[float]:
        """From each answer until it had arrived, when there were `before` already."""
        waits: list[float] = []
        at = 0
        for n, answered in enumerate(answered_at, before + 1):
            while self.seen[at][1] < n:
                at += 1
            waits.append(max(0.0, self.seen[at][0] - answered))
        return waits


@asynccontextmanager
async def county(place: Place) -> AsyncIterator[tuple[int, Watch]]:
    """Procurement and reporting as processes of their own, over a county of 200 schools."""
    made = world(SCHOOLS, counties=1)
    mine, figures = await place.dsn("bench_live"), await place.dsn("bench_live_figures")
    ports = free_port(), free_port()
    async with (
        asyncpg.create_pool(mine, min_size=2, max_size=4) as pool,
        asyncpg.create_pool(figures, min_size=1, max_size=2) as read,
    ):
        await adopted(pool, made, PERSON)
        await prepare_database(reporting, read)
        await settle(read, made, PERSON)
        env = [
            await place.environment(dsn, port, PREFIX)
            for dsn, port in zip((mine, figures), ports, strict=True)
        ]
        async with (
            current(pool),
            place.process("procurement", "services.procurement", port=ports[0], env=env[0]),
            place.process("reporting", "services.reporting", port=ports[1], env=env[1]),
        ):
            watch = Watch(read, _COUNTED, (made.counties[0],))
            await watch.until(await pool.fetchval("select count(*) from event"))
            yield ports[0], watch


async def latency(place: Place) -> list[Row]:
    """From the answer to a command until the county's figure shows it."""
    rows: list[Row] = []
    async with county(place) as (port, watch), loading(place, SCHOOLS) as load:
        for rate in (200, 1_000):
            requests = rate * place.size(6, 2)

            async def ask(requests: int = requests, rate: int = rate) -> list[float]:
                return (await load.done(port, requests, per_second=rate)).answered_at

            waits = [await watch.waits(ask) for _ in range(place.rounds)]
            for share, at_most in ((0.5, 40), (0.99, 100)):
                values = [1000 * percentile(one, share) for one in waits]
                name = f"committed → in the county's figure, {rate:,}/s, p{share * 100:.0f}"
                rows.append(plain(name, "ms", values, at_most=at_most))
    return rows


def weight_mb(pid: int) -> float:
    """A process's proportional share of memory."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    raise LookupError(pid)


async def memory(place: Place) -> list[Row]:
    """What one service weighs at rest, and after its log has grown."""
    events, made = place.size(100_000, 5_000), world(2_000)
    dsn, port = await place.dsn("bench_memory"), free_port()
    async with asyncpg.create_pool(dsn, min_size=4, max_size=4) as pool:
        await adopted(pool, made, PERSON)
        env = await place.environment(dsn, port, "bench-memory")
        async with place.process(
            "procurement", "services.procurement", port=port, env=env
        ) as process:
            await _relayed(pool)
            before = weight_mb(process.pid)
            async with writing(pool, world(0, 0), PERSON) as bench:
                bench.schools = made.schools
                await bench.batch_rate(events // 1_000)
            await _relayed(pool)
            after = weight_mb(process.pid)
    return [
        plain("memory of one service at rest (PSS)", "MB", [before], at_most=120),
        Row(
            f"  after {events:,} more events", after, "MB", before, after / before, "≤ 1.1 ×",
            after / before <= 1.1,
        ),
    ]  # fmt: skip


async def _relayed(pool: Pool) -> None:
    """Waits until the relay has sent the whole log, and a little longer."""
    async with asyncio.timeout(PATIENCE_S):
        while await pool.fetchval(
            "select exists (select from event, relay"
            " where (event.epoch, event.tx, event.seq) > (relay.epoch, relay.tx, relay.seq))"
        ):
            await asyncio.sleep(0.2)
    await asyncio.sleep(3)


async def start(place: Place) -> list[Row]:
    """The whole stack from stopped to answering; its very first start is not counted."""
    stack = Stack(FOLDER / "start", progress=lambda _: None)
    seconds: list[float] = []
    for n in range(1 + place.rounds):
        begun = time.perf_counter()
        await stack.start()
        if n:
            seconds.append(time.perf_counter() - begun)
        await stack.stop()
    return [plain("stack up, from stopped to answering", "s", seconds, at_most=12)]
