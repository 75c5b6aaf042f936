"""What is there, read as plainly as can be: rows by SQL, records by a Kafka client without a group.

Nothing of the product's own code reads here, so that its mistakes are not repeated.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from typing import Any
from uuid import UUID

import asyncpg
from aiokafka import AIOKafkaConsumer, TopicPartition

PARTITIONS = 12
READ_S = 60.0

type Pool = asyncpg.Pool[asyncpg.Record]
type Position = tuple[int, int]
"""A place in a service's log: transaction and sequence."""


@dataclass
class Event:
    """A row of a log."""

    service: str
    position: Position
    id: UUID
    stream: UUID
    version: int
    type: str
    data: bytes
    organisation: str
    actor: str
    occurred_at: datetime
    recorded_at: datetime

    @cached_property
    def body(self) -> dict[str, Any]:
        return dict(json.loads(self.data))

    @property
    def day(self) -> date:
        """The day in China on which it happened."""
        return day_of(self.occurred_at)


def day_of(moment: datetime) -> date:
    """The day in China."""
    return (moment.astimezone(UTC) + timedelta(hours=8)).date()


@dataclass
class Message:
    """What of a Kafka record is looked at."""

    partition: int
    offset: int
    key: str
    id: UUID
    position: Position
    value: bytes


@dataclass
class Topic:
    """A whole topic, from its first record to its last; `foreign`: records that are no events."""

    name: str
    messages: list[Message] = field(default_factory=list)
    ends: dict[int, int] = field(default_factory=dict)
    foreign: int = 0

    def once(self) -> list[Message]:
        """Without repetitions: what is not above all before it in its partition is one."""
        marks: dict[int, Position] = {}
        kept = []
        for message in self.messages:
            if message.position > marks.get(message.partition, (0, 0)):
                marks[message.partition] = message.position
                kept.append(message)
        return kept

    def last(self) -> dict[int, Position]:
        """By partition the highest position that it holds."""
        return {one.partition: one.position for one in self.once()}


_LOG = """
select id, stream, version, type, data, organisation, actor, occurred_at, recorded_at,
       event.tx::text::bigint as tx, seq
from event order by event.tx, seq
"""


async def log_of(pool: Pool, service: str) -> list[Event]:
    """A service's whole log, in its order."""
    return [
        Event(
            service, (row["tx"], row["seq"]), row["id"], row["stream"], row["version"],
            row["type"], bytes(row["data"]), str(row["organisation"]), row["actor"],
            row["occurred_at"], row["recorded_at"],
        )
        for row in await pool.fetch(_LOG)
    ]  # fmt: skip


class Reader:
    """Reads topics whole, with one client of its own that belongs to no group."""

    def __init__(self, kafka: str) -> None:
        self._client = AIOKafkaConsumer(
            bootstrap_servers=kafka, auto_offset_reset="earliest", enable_auto_commit=False,
            max_partition_fetch_bytes=4 * 1024 * 1024, isolation_level="read_committed",
            request_timeout_ms=5_000, metadata_max_age_ms=2_000, fetch_max_wait_ms=50,
        )  # fmt: skip

    async def start(self) -> None:
        await self._client.start()

    async def stop(self) -> None:
        await asyncio.wait_for(self._client.stop(), 10)

    async def ends(self, name: str) -> dict[int, int]:
        """Where a topic's partitions end now."""
        partitions = [TopicPartition(name, number) for number in range(PARTITIONS)]
        ends: Mapping[Any, int] = await self._client.end_offsets(partitions)
        return {tp.partition: end for tp, end in ends.items()}

    async def whole(self, names: Iterable[str]) -> dict[str, Topic]:
        """Topics from their beginning to where they end now."""
        topics = {name: Topic(name, ends=await self.ends(name)) for name in names}
        for record in await self.records({name: topic.ends for name, topic in topics.items()}):
            topic, message = topics[record.topic], _message(record)
            if message is None:
                topic.foreign += 1
            else:
                topic.messages.append(message)
        return topics

    async def records(self, ends: Mapping[str, Mapping[int, int]]) -> list[Any]:
        """Every record below the ends of each topic, as it came; each partition in its order."""
        wanted = {
            TopicPartition(name, number): end
            for name, parts in ends.items()
            for number, end in parts.items()
            if end
        }
        if not wanted:
            return []
        self._client.assign(list(wanted))
        await self._client.seek_to_beginning(*wanted)
        records: list[Any] = []
        async with asyncio.timeout(READ_S):
            while any([await self._client.position(tp) < end for tp, end in wanted.items()]):
                for tp, found in (await self._client.getmany(timeout_ms=50)).items():
                    records += [one for one in found if one.offset < wanted[tp]]
        return records


def _message(record: Any) -> Message | None:
    headers = dict(record.headers)
    if "ce_position" not in headers:
        return None
    _, tx, seq = headers["ce_position"].decode().split(".")
    return Message(
        record.partition, record.offset, record.key.decode(), UUID(headers["ce_id"].decode()),
        (int(tx), int(seq)), record.value,
    )  # fmt: skip
