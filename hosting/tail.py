"""What is known of a log elsewhere: its newest events as Kafka or reporting's archive has them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, date, datetime
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg
from aiokafka import AIOKafkaConsumer, TopicPartition

from shared.config import Settings
from shared.envelope import Delivered, Position
from shared.ids import id_from
from shared.store import month_of

CHUNK = 2_000

_ARCHIVED = """
select month, epoch, tx, seq, id, stream, version, type, data, organisation, actor, occurred_at,
       recorded_at, correlation, causation, trace
from archive where source = $1 and (epoch, tx, seq) > ($2, $3, $4) order by epoch, tx, seq
"""


class Known(NamedTuple):
    """An event as it was in the log; the order of fields is that in which it is put back."""

    month: date
    epoch: int
    tx: int
    seq: int
    id: UUID
    stream: UUID
    version: int
    type: str
    data: bytes
    organisation: UUID
    actor: str
    occurred_at: datetime
    recorded_at: datetime
    correlation: UUID
    causation: UUID | None
    trace: str | None


async def in_kafka(
    config: Settings, service: str, offsets: Sequence[int]
) -> AsyncIterator[list[Known]]:
    """The service's events from these offsets (by partition) to where its topic ends now, each
    partition in its order. What is no event of the service is passed over. The topic must exist;
    raises KafkaError.
    """
    client: Any = AIOKafkaConsumer(
        bootstrap_servers=config.kafka, enable_auto_commit=False, auto_offset_reset="earliest",
        isolation_level="read_committed", fetch_max_wait_ms=100,
    )  # fmt: skip
    await client.start()
    try:
        topic = config.topic(service)
        tps = [TopicPartition(topic, n) for n in range(config.partitions)]
        first = await client.beginning_offsets(tps)
        ends = await client.end_offsets(tps)
        begins = {tp: max(first[tp], _at(offsets, tp.partition, ends[tp])) for tp in tps}
        left = {tp for tp in tps if begins[tp] < ends[tp]}
        client.assign(list(left))
        for tp in left:
            client.seek(tp, begins[tp])
        while left:
            found = await client.getmany(timeout_ms=100, max_records=CHUNK)
            events = [Delivered(record) for records in found.values() for record in records]
            yield [known for event in events if (known := _known(event, service)) is not None]
            left = {tp for tp in left if await client.position(tp) < ends[tp]}
    finally:
        await client.stop()


def _at(offsets: Sequence[int], partition: int, end: int) -> int:
    """Where to begin; from the start if the topic is not the one that the offsets are of."""
    offset = offsets[partition] if partition < len(offsets) else 0
    return offset if offset <= end else 0


def _known(event: Delivered, service: str) -> Known | None:
    if event.fault:
        return None
    try:
        if event.service != service:
            return None
        facts, cause = event.recorded, event.headers.get("ce_causationid")
        return Known(
            month_of(facts.recorded_at.astimezone(UTC).date()), *event.position, facts.id,
            facts.stream, facts.version, event.type, event.data, facts.organisation, facts.actor,
            facts.occurred_at, facts.recorded_at, event.correlation,
            id_from(cause.decode()) if cause else None, event.traceparent,
        )  # fmt: skip
    except (KeyError, ValueError):
        return None


async def in_archive(dsn: str, service: str, after: Position) -> AsyncIterator[list[Known]]:
    """The service's events above an order key that reporting's database has kept, in order."""
    connection = await asyncpg.connect(dsn)
    try:
        async with connection.transaction(readonly=True):
            cursor = await connection.cursor(_ARCHIVED, service, *after)
            while rows := await cursor.fetch(CHUNK):
                yield [Known(*row) for row in rows]
    finally:
        await connection.close()
