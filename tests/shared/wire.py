"""What the tests of the way to Kafka and back share: logs to fill, topics to fill, waiting."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from shared import store
from shared.config import Settings
from shared.consumer import Consumer
from shared.effect import Handler
from shared.envelope import Delivered, Position, encode, key_of, partition_of
from shared.relay import ensure_topics
from shared.store import Connection, NewEvent
from tests.conftest import ROOT

SERVICE = "procurement"
NOW = datetime(2026, 9, 7, 8, 0, tzinfo=UTC)

type Apply = Callable[[Connection, list[Delivered]], Awaitable[None]]


async def until(condition: Callable[[], Any], seconds: float = 20.0) -> None:
    """Waits for a condition (a function, plain or async); TimeoutError if it does not come."""
    async with asyncio.timeout(seconds):
        while True:
            found = condition()
            if asyncio.iscoroutine(found):
                found = await found
            if found:
                return
            await asyncio.sleep(0.01)


def new_event(stream: UUID, version: int, organisation: UUID, **data: Any) -> NewEvent:
    return NewEvent(
        uuid4(), stream, version, data.pop("type", "GoodsAccepted"), msgspec.json.encode(data),
        organisation, "li", NOW, datetime.now(UTC), uuid4(), None, None,
    )  # fmt: skip


async def insert(connection: Connection, events: Sequence[NewEvent]) -> None:
    """Only the events, in one statement: what the relay reads."""
    month = store.month_of(datetime.now(UTC).date())
    await connection.execute(
        f"insert into event (month, {', '.join(NewEvent._fields)}) select $1, * from unnest("
        "$2::uuid[], $3::uuid[], $4::int[], $5::text[], $6::bytea[], $7::uuid[], $8::text[],"
        " $9::timestamptz[], $10::timestamptz[], $11::uuid[], $12::uuid[], $13::text[])",
        month,
        *map(list, zip(*events, strict=True)),
    )


async def received(config: Settings, count: int, service: str = SERVICE) -> list[Delivered]:
    """The first `count` messages of the topic, per partition in order, repetitions too."""
    consumer = AIOKafkaConsumer(bootstrap_servers=config.kafka, auto_offset_reset="earliest")
    topic = config.topic(service)
    found: list[Delivered] = []
    await consumer.start()
    try:
        consumer.assign([TopicPartition(topic, p) for p in range(config.partitions)])
        async with asyncio.timeout(20):
            while len(found) < count:
                for messages in (await consumer.getmany(timeout_ms=100)).values():
                    found += map(Delivered, messages)
    finally:
        await consumer.stop()
    return found


def once(messages: Sequence[Delivered]) -> list[Delivered]:
    """What a consumer keeps of them: per partition only what is above all before it."""
    marks: dict[int, Position] = {}
    kept = []
    for message in messages:
        if message.position > marks.get(message.partition, (0, 0, 0)):
            marks[message.partition] = message.position
            kept.append(message)
    return kept


async def run_worker(role: str, config: Settings, failpoint: str) -> int:
    """Runs a worker until its failpoint kills it; its exit code."""
    env = {
        **os.environ, "HOUQIN_FAILPOINT": failpoint, "HOUQIN_DATABASE": config.database,
        "HOUQIN_KAFKA": config.kafka, "HOUQIN_TOPIC_PREFIX": config.topic_prefix,
        "HOUQIN_PARTITIONS": str(config.partitions),
    }  # fmt: skip
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.shared.worker", role, cwd=ROOT, env=env
    )
    return await asyncio.wait_for(child.wait(), 30)


class Topic:
    """Fills a topic as the relay would, without a log behind it."""

    def __init__(self, config: Settings, producer: Any, service: str = SERVICE) -> None:
        self.config, self.producer, self.service = config, producer, service
        self.name = config.topic(service)
        self.sequence = 0

    async def send(
        self,
        organisation: UUID,
        *,
        type: str = "GoodsAccepted",  # noqa: A002 - as the header is called
        stream: UUID | None = None,
        position: Position | None = None,
        raw: bytes | None = None,
        headers: Any = None,
        **data: Any,
    ) -> Position:
        """Sends one event and returns its order key."""
        self.sequence += 1
        place = position or (1, 1000, self.sequence)
        row = {
            "id": uuid4(), "type": type, "stream": stream or uuid4(), "version": 1,
            "epoch": place[0], "tx": place[1], "seq": place[2], "organisation": organisation,
            "actor": "li", "occurred_at": NOW, "recorded_at": datetime.now(UTC),
            "correlation": uuid4(), "causation": None, "trace": None,
        }  # fmt: skip
        await self.producer.send_and_wait(
            self.name,
            raw if raw is not None else msgspec.json.encode(data),
            key=key_of(organisation),
            partition=partition_of(organisation, self.config.partitions),
            headers=encode(row, f"/houqin/{self.service}".encode()) if headers is None else headers,
        )
        return place


@asynccontextmanager
async def filled(config: Settings, service: str = SERVICE) -> AsyncIterator[Topic]:
    await ensure_topics(config.kafka, {config.topic(service): config.partitions}, 1)
    producer = AIOKafkaProducer(bootstrap_servers=config.kafka, acks="all")
    await producer.start()
    try:
        yield Topic(config, producer, service)
    finally:
        await producer.stop()


@asynccontextmanager
async def consuming(*consumers: Consumer) -> AsyncIterator[None]:
    for consumer in consumers:
        await consumer.start()
    try:
        yield
    finally:
        await asyncio.gather(*(consumer.stop() for consumer in consumers))


def organisations(config: Settings, count: int, partition: int | None = None) -> list[UUID]:
    """New organisations, all of one partition if it is named."""
    found: list[UUID] = []
    while len(found) < count:
        made = uuid4()
        if partition is None or partition_of(made, config.partitions) == partition:
            found.append(made)
    return found


async def make_effects(pool: asyncpg.Pool[asyncpg.Record]) -> None:
    await pool.execute(
        "create table effect (n bigint generated always as identity, organisation uuid, what int)"
    )


async def effects(
    pool: asyncpg.Pool[asyncpg.Record], organisation: UUID | None = None
) -> list[int]:
    """What has been applied, in order."""
    rows = await pool.fetch(
        "select what from effect where organisation = coalesce($1, organisation) order by n",
        organisation,
    )
    return [row["what"] for row in rows]


class What(msgspec.Struct):
    what: int


_decoder = msgspec.json.Decoder(What)


async def note(connection: Connection, events: Sequence[Delivered]) -> None:
    """The plainest handler: one row per event."""
    await connection.executemany(
        "insert into effect (organisation, what) values ($1, $2)",
        [(event.recorded.organisation, event.decode(_decoder).what) for event in events],
    )


class Plain(Handler):
    """A handler that only writes: `apply(connection, events)`."""

    def __init__(self, apply: Apply, wanted: Iterable[str] | None = None) -> None:
        self.apply, self.wanted = apply, None if wanted is None else frozenset(wanted)

    async def commit(self, connection: Connection, prepared: list[Delivered]) -> None:
        await self.apply(connection, prepared)


def notes(
    pool: asyncpg.Pool[asyncpg.Record],
    config: Settings,
    apply: Any = note,
    *,
    wanted: Any = None,
    group: str | None = None,
    **options: Any,
) -> Consumer:
    """A consumer that notes. In a group of its own nobody tells it of the others."""
    handler = Plain(apply, wanted) if callable(apply) else apply
    made = Consumer(
        "notes", pool, config, [config.topic(SERVICE)], handler, **{"check_s": 0.05, **options}
    )
    made.group = group
    return made


async def caught_up(consumer: Consumer) -> None:
    """Waits until all has been applied that Kafka held at some moment after this call."""
    pool, partitions = consumer.pool, len(consumer.topics) * consumer.config.partitions
    asked_at = await pool.fetchval("select clock_timestamp()")
    current = (
        "select count(*) = $3 from consumed"
        " where consumer = $1 and topic = any($2) and current_at > $4"
    )
    await until(
        lambda: pool.fetchval(current, consumer.name, consumer.topics, partitions, asked_at)
    )


async def delete_before(config: Settings, tp: TopicPartition, offset: int) -> None:
    """As when Kafka no longer keeps what is older."""
    admin = AIOKafkaAdminClient(bootstrap_servers=config.kafka)
    await admin.start()
    try:
        await admin.delete_records({tp: RecordsToDelete(offset)})
    finally:
        await admin.close()
