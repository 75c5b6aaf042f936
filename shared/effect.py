"""The transactional half of a consumer: events in, effect and offsets written together.

A batch is sifted (what belongs to a parked key waits), folded, and written in one transaction:
first the handler's effect, then the events set aside, then the offsets under their fences. An event
that is to blame for a failure parks its key; where nobody says which one it is, the batch is halved
until it is found.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from shared import observe, parking
from shared.envelope import Delivered, Position, Unappliable
from shared.failpoint import failpoint
from shared.parking import Place
from shared.store import Conflict, Connection

ATTEMPTS = 8
"""How often a batch that lost a race is applied anew before the whole consumer is rebuilt."""

LINKS_MAX = 32
"""Traces that one batch's span is linked to."""

_TAKE = """
insert into consumed (consumer, topic, partition, fence)
select $1, t.topic, t.partition, 1 from unnest($2::text[], $3::int[]) as t(topic, partition)
order by 2, 3
on conflict (consumer, topic, partition) do update set fence = consumed.fence + 1
returning topic, partition, next_offset, epoch, tx, seq, fence
"""

_MOVE = """
update consumed c set next_offset = t.after, epoch = t.epoch, tx = t.tx, seq = t.seq,
                      applied_at = now()
from unnest($2::text[], $3::int[], $4::bigint[], $5::bigint[], $6::bigint[], $7::int[],
            $8::bigint[], $9::bigint[])
     as t(topic, partition, fence, before, after, epoch, tx, seq)
where c.consumer = $1 and c.topic = t.topic and c.partition = t.partition
  and c.next_offset = t.before and c.fence = t.fence
returning 1
"""

# Only a statement of age: it may be lost in a crash, so it need not wait for the disk.
_CURRENT = """
with quick as (select set_config('synchronous_commit', 'off', true))
update consumed c set current_at = $5
from unnest($2::text[], $3::int[], $4::bigint[]) as t(topic, partition, fence), quick
where c.consumer = $1 and c.topic = t.topic and c.partition = t.partition and c.fence = t.fence
"""

FORGOTTEN = -1
"""The next offset of a partition of which Kafka no longer has what would come next."""

_FORGET = """
update consumed c set next_offset = -1
from unnest($2::text[], $3::int[], $4::bigint[]) as t(topic, partition, fence)
where c.consumer = $1 and c.topic = t.topic and c.partition = t.partition and c.fence = t.fence
"""

RACES = (Conflict, asyncpg.DeadlockDetectedError, asyncpg.SerializationError)


class Handler:
    """What a consumer does with events.

    `prepare` leaves nothing behind that outlives a failed commit: it may run twice for the same
    events. `commit` gets the connection of a transaction that has made no writes yet (decided
    events must be inserted first); the consumer's own writes follow it. Either raises `Unappliable`
    for the event that is to blame; with any other error the consumer finds it. Raise `Conflict` to
    be called again, in a new transaction.
    """

    wanted: frozenset[str] | None = None
    """The event types that are handed over; None: all. Others are passed by."""

    async def prepare(self, events: list[Delivered], /) -> Any:
        """The effect of `events`, folded in memory."""
        return events

    async def commit(self, connection: Connection, prepared: Any, /) -> None:
        """Writes the effect."""
        raise NotImplementedError

    def committed(self) -> None:
        """Told after each transaction."""


class Overtaken(Exception):  # noqa: N818 - says what it is
    """Somebody else has these partitions now, or has moved them."""


class Mark(NamedTuple):
    """Where a partition stands: the next offset, the last order key, and the fence it is under."""

    next_offset: int
    position: Position
    fence: int
    at_ms: int = 0
    """When Kafka got the last event applied, since 1970."""


@dataclass(slots=True, eq=False)
class Batch:
    """Fresh events of some partitions, partition by partition, and where that takes each.

    `prepared`: what the handler made of those that are `kept`, as far as is known by now.
    """

    events: list[Delivered] = field(default_factory=list)
    ends: dict[TopicPartition, Mark] = field(default_factory=dict)
    kept: list[Delivered] = field(default_factory=list)
    prepared: Any = None

    def sift(self, parked: frozenset[Place]) -> tuple[list[Delivered], list[Delivered]]:
        """What is to be applied, and what must wait because its key is parked: before, or by an
        event that has a fault.
        """
        if not (parked or any(event.fault for event in self.events)):
            return self.events, []
        kept: list[Delivered] = []
        aside: list[Delivered] = []
        waiting = set(parked)
        for event in self.events:
            place = (event.topic, event.key)
            if event.fault:
                waiting.add(place)
            (aside if place in waiting else kept).append(event)
        return kept, aside

    def halves(self) -> tuple[Batch, Batch]:
        """Two batches, one after the other, that come to the same."""
        middle = len(self.events) // 2
        first, second = Batch(self.events[:middle]), Batch(self.events[middle:], self.ends)
        for event in first.events:
            tp = TopicPartition(event.topic, event.partition)
            fence = self.ends[tp].fence
            first.ends[tp] = Mark(event.offset + 1, event.position, fence, event.timestamp_ms)
        return first, second


class Effect:
    """Where a consumer stands, and how it moves on. `marks`: by partition, as committed."""

    def __init__(self, name: str, pool: asyncpg.Pool[asyncpg.Record], handler: Handler) -> None:
        self.name, self.pool, self.handler = name, pool, handler
        self.marks: dict[TopicPartition, Mark] = {}
        self.parked: frozenset[Place] = frozenset()

    async def take_over(self, partitions: Iterable[TopicPartition]) -> None:
        """Fences partitions off from whoever had them, and finds where their effect ends."""
        wanted = sorted(partitions)
        topics, numbers = [tp.topic for tp in wanted], [tp.partition for tp in wanted]
        rows = await self.pool.fetch(_TAKE, self.name, topics, numbers)
        parked = await parking.keys(self.pool, self.name)
        self.parked = frozenset((tp.topic, key) for tp, key in parked if tp in wanted)
        self.marks = {
            TopicPartition(topic, partition): Mark(offset, (epoch, tx, seq), fence)
            for topic, partition, offset, epoch, tx, seq, fence in rows
        }

    async def forget(self, partitions: Iterable[TopicPartition]) -> None:
        """Notes that these must be refilled, from the position that they have reached."""
        rows = [(*tp, self.marks[tp].fence) for tp in sorted(partitions)]
        await self.pool.execute(_FORGET, self.name, *map(list, zip(*rows, strict=True)))

    async def fold(self, batch: Batch) -> list[Delivered]:
        """Prepares what is to be applied, unless that is done; returns what must wait."""
        kept, aside = batch.sift(self.parked)
        if kept != batch.kept:
            batch.prepared = await self.handler.prepare(kept) if kept else None
            batch.kept = kept
        return aside

    async def apply(self, batch: Batch) -> None:
        """Applies a batch, parking what is at fault; raises what has nothing to do with events."""
        races = 0
        while True:
            try:
                await self._write(batch)
            except RACES:
                races += 1
                if races == ATTEMPTS:
                    raise
                batch.kept = []
                await asyncio.sleep(random.uniform(0, 0.005 * 2**races))  # noqa: S311
            except Exception as error:
                kept = batch.sift(self.parked)[0]
                if transient(error) or not kept:
                    raise
                if isinstance(error, Unappliable) and error.delivered in kept:
                    error.delivered.fault = _reason(error)
                elif len(batch.events) == 1:
                    kept[0].fault = _reason(error)
                else:
                    for half in batch.halves():
                        await self.apply(half)
                    return
            else:
                self.handler.committed()
                return

    async def _write(self, batch: Batch) -> None:
        """One transaction: effect, parked events, offsets."""
        aside = await self.fold(batch)
        traces = (event.headers.get("traceparent", b"") for event in batch.kept)
        sampled = (trace.decode() for trace in traces if trace.endswith(b"-01"))
        with observe.batch(self.name, list(islice(sampled, LINKS_MAX))):
            async with self.pool.acquire() as connection, connection.transaction():
                if batch.kept:
                    await self.handler.commit(connection, batch.prepared)
                    failpoint("project.middle", self.name)
                if aside:
                    await parking.park(connection, self.name, aside)
                await self._move(connection, batch.ends)
        self.marks |= batch.ends
        self.parked |= {(event.topic, event.key) for event in aside}
        for event in aside:
            if event.fault:
                observe.log.error(
                    "key_parked", consumer=self.name, topic=event.topic, key=str(event.key),
                    type=event.type, reason=event.fault,
                )  # fmt: skip

    async def _move(self, connection: Connection, ends: dict[TopicPartition, Mark]) -> None:
        rows = [
            (*tp, end.fence, self.marks[tp].next_offset, end.next_offset, *end.position)
            for tp, end in ends.items()
        ]
        moved = await connection.fetch(_MOVE, self.name, *map(list, zip(*rows, strict=True)))
        if len(moved) != len(rows):
            raise Overtaken(self.name)

    async def say_current(self, partitions: Iterable[TopicPartition], at: datetime) -> None:
        """Notes that all that Kafka held of `partitions` at that moment is applied."""
        rows = [(*tp, self.marks[tp].fence) for tp in sorted(partitions)]
        if rows:
            await self.pool.execute(_CURRENT, self.name, *map(list, zip(*rows, strict=True)), at)

    async def retry_parked(self) -> None:
        """Applies the keys that somebody asked to unpark, each whole and in order."""
        for tp, key in await parking.keys(self.pool, self.name, asked=True):
            if tp not in self.marks:
                continue
            try:
                await self._apply_parked(tp, key, self.marks[tp].fence)
            except RACES:
                continue
            except Exception as error:
                if transient(error):
                    raise
                await parking.keep(self.pool, self.name, tp.topic, key, _reason(error))
            else:
                self.parked -= {(tp.topic, key)}

    async def _apply_parked(self, tp: TopicPartition, key: UUID, fence: int) -> None:
        waiting = await parking.events(self.pool, self.name, tp, key)
        # All that waited may have been taken away.
        prepared = await self.handler.prepare(waiting) if waiting else None
        async with self.pool.acquire() as connection, connection.transaction():
            if waiting:
                await self.handler.commit(connection, prepared)
            if not await parking.release(connection, self.name, tp, key, fence):
                raise Overtaken(self.name)
        self.handler.committed()


def _reason(error: Exception) -> str:
    return (isinstance(error, Unappliable) and error.reason) or repr(error)


def transient(error: Exception) -> bool:
    """Whether it is the database or the broker that failed, and no event is to blame."""
    if isinstance(error, asyncpg.InterfaceError):
        return not isinstance(error, ValueError)  # that is a value that does not fit its column
    if isinstance(error, asyncpg.PostgresError):
        # Connection, rollback, resources, prerequisites, intervention, system, time limit.
        return str(error.sqlstate)[:2] in {"08", "25", "40", "53", "55", "57", "58"}
    # The client's own state is at odds with a connection that the server has just ended.
    return isinstance(error, OSError | KafkaError | Overtaken | asyncpg.InternalClientError)
