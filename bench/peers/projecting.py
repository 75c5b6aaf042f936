"""School and county rows per day in Postgres from the same topics, by us and by others.

The job is that of bench/prototype.py. Every side has its own processes and a fresh database with
the same tables; afterwards its rows must sum up to what was in the topics.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
from aiokafka.admin import AIOKafkaAdminClient

from bench.events import fill
from bench.feed import PARTITIONS, Feed, world
from bench.peers import parts
from bench.peers.child import Ran, ran
from bench.place import Place
from bench.projection import product
from bench.prototype import TABLES, TOPICS, Prototype, consume, counties_of
from bench.rows import Row, Side, compared, interleaved
from deploy.local.kafka import java

_SUMS = """
select (select sum(count) from school_day), (select sum(count) from county_day),
       (select sum(amount) from school_day), (select sum(amount) from county_day)
"""
THREADS = 2
COMMIT_MS = 500
HEAP_MB = 512
ROUNDS_MAX = 3
"""A round takes some three minutes."""


@dataclass(slots=True)
class Contest:
    """All sides of one measurement. `whole` is for those that are quick, `part` for Quix and the
    product's own projection, `few` for one event after the other: a rate is a rate.
    """

    place: Place
    kafka: str
    whole: Feed
    part: Feed
    few: Feed
    numbers: itertools.count[int] = field(default_factory=itertools.count)
    runs: dict[str, list[Ran]] = field(default_factory=dict)
    sums: dict[Feed, Decimal] = field(default_factory=dict)

    async def ours(self, processes: int) -> float:
        """The prototype job; each process takes its share of the partitions."""
        shares = [list(range(n, PARTITIONS, processes)) for n in range(processes)]
        return await self._run(
            f"prototype {processes}",
            self.whole,
            lambda _, dsn: [
                self._mine("prototype", dsn, self.whole, partitions) for partitions in shares
            ],
        )

    async def one_by_one(self) -> float:
        """A plain consumer."""
        return await self._run(
            "one-by-one", self.few, lambda _, dsn: [self._mine("one-by-one", dsn, self.few)]
        )

    def _mine(
        self, job: str, dsn: str, feed: Feed, partitions: Sequence[int] = ()
    ) -> list[str | Path]:
        options = {
            "job": job, "kafka": self.kafka, "dsn": dsn, "feed": asdict(feed),
            "partitions": list(partitions),
        }  # fmt: skip
        return [sys.executable, "-m", "bench.peers.ours", json.dumps(options)]

    async def streams(self) -> float:
        """Kafka Streams: one process, a thread per processor."""

        def commands(name: str, dsn: str) -> list[list[str | Path]]:
            at = urlsplit(dsn)
            options = self._told(name, self.whole) | {
                "url": f"jdbc:postgresql://{at.hostname}:{at.port}{at.path}"
                f"?user={at.username}&password={at.password}",
                "partitions": PARTITIONS, "threads": THREADS, "commitMs": COMMIT_MS,
                "store": "memory", "cacheMb": 0,
            }  # fmt: skip
            return [
                [
                    java(), f"-Xmx{HEAP_MB}m", "-Dorg.apache.logging.log4j.level=ERROR",
                    "--enable-native-access=ALL-UNNAMED", "-cp", classpath, "peers.DailyTotals",
                    json.dumps(options),
                ]
            ]  # fmt: skip

        classpath = await asyncio.to_thread(parts.classpath)
        return await self._run("streams", self.whole, commands)

    async def quix(self) -> float:
        """Quix Streams: one process."""

        def commands(name: str, dsn: str) -> list[list[str | Path]]:
            at = urlsplit(dsn)
            options = self._told(name, self.part) | {
                "commit_s": COMMIT_MS / 1000,
                "postgres": {
                    "host": at.hostname, "port": at.port, "dbname": at.path.lstrip("/"),
                    "user": at.username, "password": at.password,
                },
            }  # fmt: skip
            return [
                [
                    python,
                    "-W",
                    "ignore",
                    Path(__file__).with_name("quix_job.py"),
                    json.dumps(options),
                ]
            ]

        python = await asyncio.to_thread(parts.python)
        return await self._run("quix", self.part, commands)

    def _told(self, name: str, feed: Feed) -> dict[str, Any]:
        counties = parts.HOME / f"counties-{feed.schools}"
        if not counties.exists():
            made = counties_of(world(feed.schools))
            counties.write_text("".join(f"{school} {above}\n" for school, above in made.items()))
        return {
            "kafka": self.kafka, "name": name, "counties": str(counties), "events": feed.events,
            "topics": [f"{feed.prefix}.{topic}" for topic in TOPICS],
            "state": str(parts.HOME / "state" / name),
        }  # fmt: skip

    async def _run(
        self, side: str, feed: Feed, commands: Callable[[str, str], Sequence[Sequence[str | Path]]]
    ) -> float:
        """One run of one side on a fresh database; RuntimeError if its rows are not right."""
        stack = await self.place.stores()
        name = f"peer-{next(self.numbers)}"
        dsn = await self.place.dsn("bench_peer")
        connection = await asyncpg.connect(dsn)
        try:
            await connection.execute(TABLES)
            result = await ran(stack, commands(name, dsn), feed.events)
            await self._check(side, feed, tuple(await connection.fetchrow(_SUMS)))
            await connection.execute("checkpoint")
        finally:
            await connection.close()
            shutil.rmtree(parts.HOME / "state" / name, ignore_errors=True)
            await self._forget(name)
        self.runs.setdefault(side, []).append(result)
        return result.rate

    async def _check(self, side: str, feed: Feed, found: tuple[Any, ...]) -> None:
        schools, counties, amount, above = found
        expected = self.sums.setdefault(feed, amount)
        if (schools, counties, amount, above) != (feed.events, feed.events, expected, expected):
            raise RuntimeError(f"{side}: rows sum up to {found}, not to {feed.events}, {expected}")

    async def _forget(self, name: str) -> None:
        """Removes what a side has made in Kafka beside the events."""
        client = AIOKafkaAdminClient(bootstrap_servers=self.kafka)
        await client.start()
        try:
            names = [topic for topic in await client.list_topics() if name in topic]
            if names:
                await client.delete_topics(names)
        finally:
            await client.close()

    def values(self, side: str, what: str) -> list[float]:
        """A figure of every round's run of a side."""
        return [getattr(run, what) for run in self.runs[side]]


async def projection(place: Place) -> list[Row]:
    """School and county rows, beside Kafka Streams, Quix Streams and a plain consumer."""
    stack = await place.stores()
    schools = place.size(20_000, 2_000)
    contest = Contest(
        place, stack.kafka, Feed(place.size(2_000_000, 100_000), schools),
        Feed(place.size(200_000, 20_000), schools), Feed(place.size(20_000, 2_000), schools),
    )  # fmt: skip
    for feed in (contest.whole, contest.part, contest.few):
        await fill(stack.kafka, feed)
    async with place.database("bench_upsert", None, 2) as pool:
        bound = Prototype(stack.kafka, pool, contest.whole, counties_of(world(schools)))
        serial = await Serial.of(bound)
        sides: dict[str, Side] = {
            "one": lambda: contest.ours(1),
            "two": lambda: contest.ours(2),
            "streams": contest.streams,
            "quix": contest.quix,
            "one-by-one": contest.one_by_one,
            "product": lambda: product(place, contest.part),
            "serial": serial.rate,
        }
        found = await interleaved(min(place.rounds, ROUNDS_MAX), sides)
    with suppress(FileNotFoundError):
        shutil.rmtree(parts.HOME / "state")
    return rows(contest, found)


@dataclass(frozen=True, slots=True)
class Serial:
    """The bound of whoever consumes, then writes what is folded already, and never both at once."""

    job: Prototype

    @classmethod
    async def of(cls, job: Prototype) -> Serial:
        """Folds everything once, to be written again and again."""
        await job.run()
        return cls(job)

    async def rate(self) -> float:
        """Events a second: the time of both, one after the other."""
        consumed = await consume(self.job.kafka, self.job.feed)
        written = await self.job.rewrite()
        return 1 / (1 / consumed + 1 / written)


def rows(contest: Contest, found: Mapping[str, Sequence[float]]) -> list[Row]:
    """The table's lines."""
    one, streams, rate, cpu = found["one"], found["streams"], "events/s", "µs/event"
    of = contest.values
    return [
        compared(
            "projection job, one process ÷ Kafka Streams", rate, one, streams, at_least=1.6
        ),
        compared("  two processes", rate, found["two"], streams, at_least=2.5),
        compared(
            "  processor time of the job", cpu, of("prototype 1", "cpu_us"),
            of("streams", "cpu_us"), at_most=0.4,
        ),
        compared(
            "  with that of Kafka and Postgres", cpu, of("prototype 1", "all_cpu_us"),
            of("streams", "all_cpu_us"),
        ),
        compared(
            "  peak memory", "MB", of("prototype 1", "memory_mb"), of("streams", "memory_mb"),
            at_most=0.3,
        ),
        compared("projection job ÷ Quix Streams", rate, one, found["quix"]),
        compared("projection job ÷ one event after the other", rate, one, found["one-by-one"]),
        compared(
            "projection job ÷ consume, then upsert", rate, one, found["serial"], at_least=0.8
        ),
        compared("the whole product ÷ Kafka Streams' job", rate, found["product"], streams),
    ]  # fmt: skip
