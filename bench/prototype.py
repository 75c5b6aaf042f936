"""The least that a projection can do with the same events: a typed decode of the fields that are
needed, a fold in memory, one sorted upsert per table (school and county rows), offsets in the same
transaction, the next batch folded while the last one commits. It shows what the machine allows.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition

from bench.feed import PARTITIONS, Feed, World

BATCH = 10_000
TOPICS = ("assets", "safety", "procurement")

TABLES = """
create table school_day (kind text, school uuid, day date, count bigint, amount numeric,
                         primary key (kind, school, day));
create table county_day (kind text, county uuid, day date, count bigint, amount numeric,
                         primary key (kind, county, day));
create table taken (topic text, partition int, next_offset bigint, primary key (topic, partition))
"""

_UPSERT = """
insert into {table} as t (kind, {place}, day, count, amount)
select * from unnest($1::text[], $2::uuid[], $3::date[], $4::bigint[], $5::numeric[])
on conflict (kind, {place}, day) do update set
    count = t.count + excluded.count, amount = t.amount + excluded.amount
"""
SCHOOLS = _UPSERT.format(table="school_day", place="school")
COUNTIES = _UPSERT.format(table="county_day", place="county")

_OFFSETS = """
insert into taken select * from unnest($1::text[], $2::int[], $3::bigint[])
on conflict (topic, partition) do update set next_offset = excluded.next_offset
"""


class Repair(msgspec.Struct):
    cost_cny: Decimal


class Purchase(msgspec.Struct):
    amount_cny: Decimal


class Damage(msgspec.Struct):
    replacement_cost_cny: Decimal


class Inspection(msgspec.Struct):
    score: Decimal


class Hazard(msgspec.Struct):
    rectified_in_minutes: int


KINDS: dict[bytes, tuple[msgspec.json.Decoder[Any], str]] = {
    b"RepairSigned": (msgspec.json.Decoder(Repair), "cost_cny"),
    b"PurchaseApproved": (msgspec.json.Decoder(Purchase), "amount_cny"),
    b"AssetDamaged": (msgspec.json.Decoder(Damage), "replacement_cost_cny"),
    b"InspectionPassed": (msgspec.json.Decoder(Inspection), "score"),
    b"HazardClosed": (msgspec.json.Decoder(Hazard), "rectified_in_minutes"),
}

type Pool = asyncpg.Pool[asyncpg.Record]
type Sums = dict[tuple[bytes, bytes, date], list[Any]]
"""Count and amount by kind, place (as a message's key names it) and day."""

type Columns = list[list[Any]]


@dataclass(slots=True)
class Folded:
    """A batch as rows of both tables, and where it takes the offsets."""

    events: int
    schools: Columns
    counties: Columns
    offsets: list[tuple[str, int, int]]


@dataclass(slots=True)
class Prototype:
    """The job; `folded` keeps what it wrote, to be written again alone."""

    kafka: str
    pool: Pool
    feed: Feed
    counties: Mapping[UUID, UUID]
    folded: list[Folded] = field(default_factory=list)
    _schools: dict[bytes, UUID] = field(default_factory=dict)
    _counties: dict[bytes, UUID] = field(default_factory=dict)
    _above: dict[bytes, bytes] = field(default_factory=dict)
    _days: dict[bytes, date] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for school, county in self.counties.items():
            lower, upper = str(school).encode(), str(county).encode()
            self._schools[lower], self._counties[upper] = school, county
            self._above[lower] = upper

    async def run(self) -> float:
        """Events a second from the first message to the last commit."""
        await self.pool.execute("drop table if exists school_day, county_day, taken")
        await self.pool.execute(TABLES)
        self.folded.clear()
        begun = await self.work(keep=True)
        return self.feed.events / (time.time() - begun)

    async def work(
        self, partitions: Sequence[int] = range(PARTITIONS), *, keep: bool = False
    ) -> float:
        """Does the job, with some of each topic's partitions; when its first message came."""
        begun = 0.0
        pending: asyncio.Task[None] | None = None
        async for records in batches(self.kafka, self.feed, partitions):
            begun = begun or time.time()
            folded = self.fold(records)
            if pending is not None:
                await pending
            pending = asyncio.create_task(self.write(folded))
            if keep:
                self.folded.append(folded)
        if pending is not None:
            await pending
        return begun

    async def rewrite(self) -> float:
        """Events a second where they need not be read or folded: the upserts alone."""
        await self.pool.execute("truncate school_day, county_day, taken")
        begun = time.perf_counter()
        for folded in self.folded:
            await self.write(folded)
        return sum(one.events for one in self.folded) / (time.perf_counter() - begun)

    def fold(self, records: Mapping[TopicPartition, list[Any]]) -> Folded:
        sums: Sums = {}
        events = 0
        for messages in records.values():
            events += len(messages)
            for message in messages:
                headers = dict(message.headers)
                kind = headers["ce_type"]
                decoder, name = KINDS[kind]
                amount = getattr(decoder.decode(message.value), name)
                _add(sums, (kind, message.key, self._day(headers["ce_time"])), 1, amount)
        above: Sums = {}
        for (kind, school, day), (count, total) in sums.items():
            _add(above, (kind, self._above[school], day), count, total)
        offsets = [(*tp, messages[-1].offset + 1) for tp, messages in records.items()]
        return Folded(
            events, _columns(sums, self._schools), _columns(above, self._counties), offsets
        )

    def _day(self, at: bytes) -> date:
        """The business day of a moment, which the relay writes in UTC; the same for an hour."""
        hour = at[:13]
        day = self._days.get(hour)
        if day is None:
            moment = datetime.fromisoformat(at.decode())
            day = self._days[hour] = (moment + timedelta(hours=8)).date()
        return day

    async def write(self, folded: Folded) -> None:
        async with self.pool.acquire() as connection, connection.transaction():
            await connection.execute(SCHOOLS, *folded.schools)
            await connection.execute(COUNTIES, *folded.counties)
            await connection.execute(_OFFSETS, *map(list, zip(*folded.offsets, strict=True)))


def _add(sums: Sums, key: tuple[bytes, bytes, date], count: int, amount: Any) -> None:
    known = sums.get(key)
    if known is None:
        sums[key] = [count, amount]
    else:
        known[0] += count
        known[1] += amount


def _columns(sums: Sums, places: Mapping[bytes, UUID]) -> Columns:
    """In the order of the key, so that two writers never lock rows crosswise."""
    rows = (
        (kind.decode(), places[place], day, *known)
        for (kind, place, day), known in sorted(sums.items())
    )
    return [list(column) for column in zip(*rows, strict=True)]


async def batches(kafka: str, feed: Feed, partitions: Sequence[int] = range(PARTITIONS)) -> Any:
    """All of a feed's messages in some partitions of each topic, as the client hands them out."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=kafka, enable_auto_commit=False, auto_offset_reset="earliest"
    )
    await consumer.start()
    try:
        places = [
            TopicPartition(f"{feed.prefix}.{topic}", partition)
            for topic in TOPICS
            for partition in partitions
        ]
        consumer.assign(places)
        missing = sum((await consumer.end_offsets(places)).values())
        while missing > 0:
            records = await consumer.getmany(timeout_ms=1000, max_records=BATCH)
            missing -= sum(map(len, records.values()))
            if records:
                yield records
    finally:
        await consumer.stop()


async def consume(kafka: str, feed: Feed) -> float:
    """Messages a second where nothing is done with them."""
    done, begun = 0, 0.0
    async for records in batches(kafka, feed):
        begun = begun or time.perf_counter()
        done += sum(map(len, records.values()))
    return done / (time.perf_counter() - begun)


def counties_of(made: World) -> dict[UUID, UUID]:
    """County by school."""
    return {school: made.county_of(n) for n, school in enumerate(made.schools)}
