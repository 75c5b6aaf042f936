"""What is there, read as plainly as can be: rows by SQL, records by a Kafka client without a group.

Nothing of the product's own code reads here, so that its mistakes are not repeated.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from typing import Any
from uuid import UUID

import asyncpg
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

PARTITIONS = 12
READ_S, ASK_S = 60.0, 5.0

type Pool = asyncpg.Pool[asyncpg.Record]
type Position = tuple[int, ...]
"""A place in a service's log: epoch, transaction and sequence."""


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
            if message.position > marks.get(message.partition, ()):
                marks[message.partition] = message.position
                kept.append(message)
        return kept

    def last(self) -> dict[int, Position]:
        """By partition the highest position that it holds."""
        return {one.partition: one.position for one in self.once()}


_LOG = """
select id, stream, version, type, data, organisation, actor, occurred_at, recorded_at,
       epoch, tx, seq
from event order by epoch, tx, seq
"""


async def log_of(pool: Pool, service: str) -> list[Event]:
    """A service's whole log, in its order."""
    return [
        Event(
            service, (row["epoch"], row["tx"], row["seq"]), row["id"], row["stream"], row["version"],
            row["type"], bytes(row["data"]), str(row["organisation"]), row["actor"],
            row["occurred_at"], row["recorded_at"],
        )
        for row in await pool.fetch(_LOG)
    ]  # fmt: skip


class Reader:
    """Reads topics whole, with a client of its own that belongs to no group. One that fails, or
    waits for a broker that is no more, is replaced.
    """

    def __init__(self, kafka: str) -> None:
        self._kafka = kafka
        self._made: Any = None

    async def stop(self) -> None:
        client, self._made = self._made, None
        if client is not None:
            with contextlib.suppress(TimeoutError, KafkaError, OSError):
                await asyncio.wait_for(client.stop(), ASK_S)

    @asynccontextmanager
    async def _client(self, seconds: float) -> AsyncIterator[Any]:
        try:
            async with asyncio.timeout(seconds):
                if self._made is None:
                    self._made = AIOKafkaConsumer(
                        bootstrap_servers=self._kafka, auto_offset_reset="earliest",
                        enable_auto_commit=False, isolation_level="read_committed",
                        max_partition_fetch_bytes=4 * 1024 * 1024, fetch_max_wait_ms=50,
                        metadata_max_age_ms=2_000,
                    )  # fmt: skip
                    await self._made.start()
                yield self._made
        except (TimeoutError, KafkaError, OSError):
            await self.stop()
            raise

    async def ends(self, names: Iterable[str]) -> dict[str, dict[int, int]]:
        """Where each topic's partitions end now."""
        wanted = [TopicPartition(name, number) for name in names for number in range(PARTITIONS)]
        async with self._client(ASK_S) as client:
            ends: Mapping[Any, int] = await client.end_offsets(wanted)
        found: dict[str, dict[int, int]] = defaultdict(dict)
        for tp, end in ends.items():
            found[tp.topic][tp.partition] = end
        return found

    async def whole(self, names: Iterable[str]) -> dict[str, Topic]:
        """Topics from their beginning to where they end now."""
        ends = await self.ends(names)
        topics = {name: Topic(name, ends=of) for name, of in ends.items()}
        for record in await self.records(ends):
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
        records: list[Any] = []
        async with self._client(READ_S) as client:
            client.assign(list(wanted))
            await client.seek_to_beginning(*wanted)
            while any([await client.position(tp) < end for tp, end in wanted.items()]):
                for tp, found in (await client.getmany(timeout_ms=50)).items():
                    records += [one for one in found if one.offset < wanted[tp]]
        return records


def _message(record: Any) -> Message | None:
    headers = dict(record.headers)
    if "ce_position" not in headers:
        return None
    return Message(
        record.partition, record.offset, record.key.decode(), UUID(headers["ce_id"].decode()),
        tuple(map(int, headers["ce_position"].decode().split("."))), record.value,
    )  # fmt: skip
