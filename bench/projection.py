"""The product's own projection: every measure at every level, archive, dedupe, parking."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Sequence
from typing import Any

from bench.events import fill
from bench.feed import PARTITIONS, Feed, world
from bench.place import Place
from bench.prototype import Prototype, consume, counties_of
from bench.rows import Row, compared, either, interleaved, plain
from bench.world import settle
from hosting.compose import running
from services.reporting import reporting
from services.reporting.counting import Counting
from shared.config import Settings
from shared.runtime import Runtime

PATIENCE_S = 600.0


async def product(place: Place, feed: Feed) -> float:
    """Events a second of one process, from its first batch to its last commit."""
    stack = await place.stores()
    config = Settings(
        database=await place.dsn("bench_reporting"), kafka=stack.kafka,
        topic_prefix=feed.prefix, partitions=PARTITIONS,
    )  # fmt: skip
    async with running(reporting, config, "api") as rt:
        clock = await count(rt, feed)
        await rt.pool.execute("checkpoint")
    return feed.events / (clock.ended - clock.begun)


async def count(rt: Runtime, feed: Feed, person: str = "bench") -> Clock:
    """Has reporting count a whole feed."""
    await settle(rt.pool, world(feed.schools), person)
    await rt.directory.refresh()
    counting = Counting(rt)
    clock = Clock(counting, feed.events)
    await counting.start()
    try:
        async with asyncio.timeout(PATIENCE_S):
            await clock.finished.wait()
    finally:
        await counting.stop()
    if counting.parked:
        raise RuntimeError(f"{counting.parked} keys were parked")
    return clock


class Clock:
    """When a consumer folds its first batch, and when it has committed so many events."""

    def __init__(self, counting: Counting, events: int) -> None:
        self.counting, self.events = counting, events
        self.begun = self.ended = 0.0
        self.finished = asyncio.Event()
        self._prepare = counting.keeper.prepare
        counting.keeper.prepare = self.prepare  # type: ignore[method-assign]
        counting.keeper.committed = self.committed  # type: ignore[method-assign]

    async def prepare(self, events: list[Any]) -> Any:
        self.begun = self.begun or time.perf_counter()
        return await self._prepare(events)

    def committed(self) -> None:
        self.ended = time.perf_counter()
        if sum(m.next_offset for m in self.counting.effect.marks.values()) >= self.events:
            self.finished.set()


async def projection(place: Place) -> list[Row]:
    """Half a million events of 20,000 schools, beside the least that can be done with them."""
    stack = await place.stores()
    feed = Feed(place.size(500_000, 20_000), place.size(20_000, 2_000))
    await fill(stack.kafka, feed)
    async with place.database("bench_prototype", None, 2) as pool:
        least = Prototype(stack.kafka, pool, feed, counties_of(world(feed.schools)))
        await consume(stack.kafka, feed)
        found = await interleaved(
            place.rounds,
            {
                "product": lambda: product(place, feed),
                "least": least.run,
                "consume": lambda: consume(stack.kafka, feed),
            },
        )
        upserts = [await least.rewrite() for _ in range(place.rounds)]
    return [
        either(
            compared(
                "projection, one process", "events/s", found["product"], found["least"],
                at_least=0.4,
            ),
            40_000,
        ),
        plain("  limit: bare prototype job", "events/s", found["least"]),
        plain("  limit: consume only (aiokafka)", "events/s", found["consume"]),
        plain("  limit: upsert only", "events/s", upserts),
    ]  # fmt: skip


async def growth(place: Place) -> list[Row]:
    """How the time per event grows with events, schools and days."""
    stack = await place.stores()
    share = 1 if not place.quick else 50
    few, many = Feed(500_000 // share), Feed(2_000_000 // share)
    base = Feed(200_000 // share)
    schools, days = Feed(200_000 // share, schools=2_000), Feed(200_000 // share, days=200)
    feeds = {"few": few, "many": many, "base": base, "schools": schools, "days": days}
    for feed in feeds.values():
        await fill(stack.kafka, feed)
    found = await interleaved(
        min(place.rounds, 3),
        {name: lambda feed=feed: product(place, feed) for name, feed in feeds.items()},  # type: ignore[misc]
    )
    return [
        _grown("growth: 2 M ÷ 0.5 M events", found["many"], found["few"], 1.1),
        _grown("growth: 20,000 ÷ 2,000 schools", found["base"], found["schools"], 1.6),
        _grown("growth: 200 ÷ 2 days", found["days"], found["base"], 1.5),
    ]


def _grown(name: str, large: Sequence[float], small: Sequence[float], at_most: float) -> Row:
    """Time per event of the larger ÷ that of the smaller; both given as events a second."""
    times = [1e6 / rate for rate in large], [1e6 / rate for rate in small]
    row = compared(name, "µs/event", *times, at_most=at_most)
    assert row.limit == statistics.median(times[1])
    return row
