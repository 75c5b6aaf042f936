"""Keys that wait: an event that cannot be applied parks its key, and the key's later events follow
it, in order, until somebody has repaired the cause and unparks it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

import asyncpg
import msgspec
from aiokafka import TopicPartition

from shared.envelope import Delivered
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


@dataclass(slots=True)
class _Kept:
    """A parked message in the shape in which it came."""

    topic: str
    partition: int
    offset: int
    key: bytes
    value: bytes
    headers: Sequence[tuple[str, bytes]]
    timestamp: int = 0


async def park(
    connection: Connection,
    consumer: str,
    events: Sequence[Delivered],
    reasons: Mapping[tuple[str, UUID], tuple[Delivered, str]],
) -> None:
    """Sets events aside, in order; `reasons` for the keys that are parked by one of them."""
    placed = set(map(id, events))
    keys = [
        (topic, key, event.partition, reason[:4000].replace("\x00", ""))
        for (topic, key), (event, reason) in reasons.items()
        if id(event) in placed
    ]
    if keys:
        await connection.execute(_KEY, consumer, *map(list, zip(*keys, strict=True)))
    rows = [(e.topic, e.key, *e.position, e.offset, _headers(e), e.data) for e in events]
    await connection.execute(_EVENT, consumer, *map(list, zip(*rows, strict=True)))


def _headers(event: Delivered) -> str:
    """Headers as JSON. Proper ones are plain text; what is not is made readable, and stays bad."""
    texts = {
        name: value.decode("utf-8", "backslashreplace").replace("\x00", "\\x00")
        for name, value in event.headers.items()
    }
    return msgspec.json.encode(texts).decode()


async def parked(
    pool: asyncpg.Pool[asyncpg.Record], consumer: str, partitions: Iterable[TopicPartition]
) -> frozenset[tuple[str, UUID]]:
    """The parked keys of some partitions."""
    mine = set(partitions)
    rows = await pool.fetch(
        "select topic, partition, key from parked_key where consumer = $1", consumer
    )
    return frozenset((row[0], row[2]) for row in rows if (row[0], row[1]) in mine)


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


async def asked(
    pool: asyncpg.Pool[asyncpg.Record], consumer: str
) -> list[tuple[TopicPartition, UUID]]:
    """The keys that are to be tried again."""
    rows = await pool.fetch(
        "select topic, partition, key from parked_key where consumer = $1 and retry"
        " order by parked_at",
        consumer,
    )
    return [(TopicPartition(row[0], row[1]), row[2]) for row in rows]


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
        kept = _Kept(tp.topic, tp.partition, offset, str(key).encode(), value, pairs)
        found.append(Delivered(kept))
    return found


async def release(
    connection: Connection, consumer: str, tp: TopicPartition, key: UUID, fence: int
) -> bool:
    """Forgets a key that has been applied; False if the partition is no longer under `fence`."""
    held = await connection.fetchval(
        "update consumed set applied_at = now() where consumer = $1 and topic = $2"
        " and partition = $3 and fence = $4 returning true",
        consumer, *tp, fence,
    )  # fmt: skip
    await connection.execute(
        "delete from parked_key where consumer = $1 and topic = $2 and key = $3",
        consumer, tp.topic, key,
    )  # fmt: skip
    return bool(held)


async def keep(
    pool: asyncpg.Pool[asyncpg.Record], consumer: str, topic: str, key: UUID, reason: str
) -> None:
    """Leaves a key parked that could still not be applied, and says why."""
    await pool.execute(
        "update parked_key set retry = false, reason = $4"
        " where consumer = $1 and topic = $2 and key = $3",
        consumer, topic, key, reason,
    )  # fmt: skip
