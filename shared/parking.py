"""Keys that wait: an event that cannot be applied parks its key, and the key's later events follow
it, in order, until somebody has repaired the cause and unparks it.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import asyncpg
import msgspec
from aiokafka import ConsumerRecord, TopicPartition

from shared.envelope import Delivered, key_of
from shared.store import Connection

_KEY = """
insert into parked_key (consumer, topic, key, partition, reason)
select $1, * from unnest($2::text[], $3::uuid[], $4::int[], $5::text[])
on conflict do nothing
"""

_EVENT = """
insert into parked_event (consumer, topic, key, epoch, tx, seq, kafka_offset, headers, value)
select $1, * from unnest($2::text[], $3::uuid[], $4::int[], $5::bigint[], $6::bigint[],
                         $7::bigint[], $8::jsonb[], $9::bytea[])
"""

# The row under the fence is locked, so that nobody takes the partition over before this commits.
_RELEASE = """
with held as (
    select from consumed where consumer = $1 and topic = $2 and partition = $4 and fence = $5
    for update
)
delete from parked_key where consumer = $1 and topic = $2 and key = $3 and exists (select from held)
returning 1
"""

type Place = tuple[str, UUID]
"""A key of a topic: what is parked."""


async def park(connection: Connection, consumer: str, events: Sequence[Delivered]) -> None:
    """Sets events aside, in order; those with a fault park their key."""
    keys = [(e.topic, e.key, e.partition, _plain(e.fault)[:4000]) for e in events if e.fault]
    if keys:
        await connection.execute(_KEY, consumer, *map(list, zip(*keys, strict=True)))
    rows = [(e.topic, e.key, *e.position, e.offset, _headers(e), e.data) for e in events]
    await connection.execute(_EVENT, consumer, *map(list, zip(*rows, strict=True)))


def _headers(event: Delivered) -> str:
    """Headers as JSON. Proper ones are plain text; what is not is made readable, and stays bad."""
    texts = {
        name: _plain(value.decode("utf-8", "backslashreplace"))
        for name, value in event.headers.items()
    }
    return msgspec.json.encode(texts).decode()


def _plain(text: str) -> str:
    return text.replace("\x00", "\\x00")


async def keys(
    pool: asyncpg.Pool[asyncpg.Record], consumer: str, *, asked: bool = False
) -> list[tuple[TopicPartition, UUID]]:
    """The parked keys; if `asked` only those that are to be tried again."""
    rows = await pool.fetch(
        "select topic, partition, key from parked_key where consumer = $1 and (retry or not $2)"
        " order by parked_at",
        consumer, asked,
    )  # fmt: skip
    return [(TopicPartition(topic, partition), key) for topic, partition, key in rows]


async def unpark(
    pool: asyncpg.Pool[asyncpg.Record],
    consumer: str,
    topic: str | None = None,
    key: UUID | None = None,
) -> int:
    """Asks the running consumer to apply what waits: of one key, or of all; returns how many keys.

    Each key is applied whole, in one transaction, or stays parked with the new reason.
    """
    rows = await pool.fetch(
        "update parked_key set retry = true where consumer = $1"
        " and topic = coalesce($2, topic) and key = coalesce($3, key) returning 1",
        consumer, topic, key,
    )  # fmt: skip
    return len(rows)


async def events(
    pool: asyncpg.Pool[asyncpg.Record], consumer: str, tp: TopicPartition, key: UUID
) -> list[Delivered]:
    """All that waits behind a key, in order."""
    rows = await pool.fetch(
        "select headers, value, kafka_offset from parked_event"
        " where consumer = $1 and topic = $2 and key = $3 order by epoch, tx, seq, kafka_offset",
        consumer, tp.topic, key,
    )  # fmt: skip
    found: list[Delivered] = []
    for headers, value, offset in rows:
        texts = msgspec.json.decode(headers, type=dict[str, str])
        pairs = [(name, text.encode()) for name, text in texts.items()]
        record = ConsumerRecord(*tp, offset, 0, 0, key_of(key), value, None, -1, -1, pairs)
        found.append(Delivered(record))
    return found


async def release(
    connection: Connection, consumer: str, tp: TopicPartition, key: UUID, fence: int
) -> bool:
    """Forgets a key that has been applied; False if the partition is no longer under `fence`."""
    released = await connection.fetchval(_RELEASE, consumer, tp.topic, key, tp.partition, fence)
    return released is not None


async def keep(
    pool: asyncpg.Pool[asyncpg.Record], consumer: str, topic: str, key: UUID, reason: str
) -> None:
    """Leaves a key parked that could still not be applied, and says why."""
    await pool.execute(
        "update parked_key set retry = false, reason = $4"
        " where consumer = $1 and topic = $2 and key = $3",
        consumer, topic, key, _plain(reason)[:4000],
    )  # fmt: skip
