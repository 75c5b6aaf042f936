"""Figures folded anew beside those that are read, while events come in and people look."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from itertools import islice

import asyncpg
import httpx
from aiokafka import AIOKafkaProducer

from bench.events import rows_of
from bench.feed import PARTITIONS, Feed, world
from bench.figures import MEASURE, YEAR, counted
from bench.place import Place
from bench.rows import Row, plain
from bench.web import PERSON
from deploy.local.supervisor import ROOT
from shared.envelope import encode, key_of, partition_of

LIVE_PER_S, READS_PER_S = 200, 20
LIVE_MAX = 100_000
"""Events that stand ready to come in meanwhile: more than a rebuild takes time for."""

TIMES = 10

SAME, DIFFERS = "一致", "不同"
"""What the command says where old and new are equal, and where not."""

_MORE = f"""
insert into archive (month, source, epoch, tx, seq, id, stream, version, type, organisation, actor,
                     occurred_at, recorded_at, day, correlation, causation, data)
select month, source, epoch, tx + n * 1000000, seq, gen_random_uuid(), gen_random_uuid(), version,
       type, organisation, actor, occurred_at, recorded_at, day, correlation, causation, data
from archive, generate_series(1, {TIMES - 1}) n
"""


async def rebuild(place: Place) -> list[Row]:
    """A million events, by the operator's command, with events and readers beside it."""
    stack = await place.stores()
    feed = Feed(place.size(100_000, 5_000), place.size(20_000, 2_000), days=30)
    events = feed.events * TIMES
    env, port = await counted(place, feed, "bench_rebuild")
    await multiply(env["HOUQIN_DATABASE"])
    await command(env, DIFFERS)
    headers = {"Authorization": f"Bearer {await place.token(PERSON)}"}
    async with (
        place.process("reporting", "services.reporting", port=port, env=env),
        httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{port}", trust_env=False, headers=headers, timeout=30
        ) as client,
    ):
        beside = Beside(client, stack.kafka, feed)
        unit = str(world(feed.schools).counties[0])
        tasks = [asyncio.create_task(beside.write()), asyncio.create_task(beside.look(unit))]
        try:
            seconds = [await command(env) for _ in range(min(place.rounds, 3))]
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
    per_s = beside.written / sum(seconds)
    name = f"rebuild of {events:,} events with live writes"
    return [
        plain(name, "s", seconds, at_most=60),
        plain("  events counted meanwhile", "events/s", [per_s]),
        plain(f"  of {beside.read:,} reads meanwhile, failed", "reads", [beside.failed], at_most=0),
        plain("  slowest read meanwhile", "ms", [1000 * beside.slowest_s]),
    ]


async def multiply(dsn: str) -> None:
    """Events as those that are there, of other things: the archive alone, which is quicker than all
    of them through Kafka. Figures get them by a first rebuild.
    """
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(_MORE)
        await connection.execute("vacuum analyze archive")
    finally:
        await connection.close()


async def command(env: dict[str, str], said: str = SAME) -> float:
    """Seconds that the command takes, from its call to its end."""
    begun = time.perf_counter()
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.reporting", "rebuild", "figures",
        cwd=ROOT, env={**os.environ, **env}, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, error = await child.communicate()
    if child.returncode or said not in out.decode():
        raise RuntimeError(f"{child.returncode}: {(out + error).decode()}")
    return time.perf_counter() - begun


class Beside:
    """What goes on during a rebuild: events come in, a county's figure is read."""

    def __init__(self, client: httpx.AsyncClient, kafka: str, feed: Feed) -> None:
        self.client, self.kafka, self.feed = client, kafka, feed
        self.written = self.read = self.failed = 0
        self.slowest_s = 0.0

    async def write(self) -> None:
        """Goes on where the feed ended, so many events a second."""
        more = Feed(self.feed.events + LIVE_MAX, self.feed.schools, self.feed.days)
        producer = AIOKafkaProducer(bootstrap_servers=self.kafka, acks="all")
        await producer.start()
        try:
            for service, row in islice(rows_of(more), self.feed.events, None):
                await producer.send(
                    f"{self.feed.prefix}.{service}", row["data"], key_of(row["organisation"]),
                    partition_of(row["organisation"], PARTITIONS),
                    headers=encode(row, f"/houqin/{service}".encode()),
                )  # fmt: skip
                self.written += 1
                await asyncio.sleep(1 / LIVE_PER_S)
        finally:
            await producer.stop()

    async def look(self, unit: str) -> None:
        """A county's figure, again and again."""
        while True:
            begun = time.perf_counter()
            try:
                answer = await self.client.get(
                    f"/reporting/figures/{MEASURE}", params={"unit": unit, "period": YEAR}
                )
                self.failed += not answer.is_success
            except httpx.HTTPError:
                self.failed += 1
            self.read += 1
            self.slowest_s = max(self.slowest_s, time.perf_counter() - begun)
            await asyncio.sleep(1 / READS_PER_S)
