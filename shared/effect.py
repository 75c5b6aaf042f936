"""The transactional half of a consumer: events in, effect and offsets written together.

A batch is sifted (what belongs to a parked key waits), folded, and written in one transaction:
first the handler's effect, then the events set aside, then the offsets under their fences. An event
that is to blame for a failure parks its key; where nobody says which one it is, the batch is halved
until it is found.
"""

from __future__ import annotations

import asyncio
import inspect
import random
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol
from uuid import UUID

import asyncpg
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from shared import observe, parking
from shared.envelope import Delivered, Position, Unappliable
from shared.failpoint import failpoint
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
update consumed c set current_at = clock_timestamp() - $5::float8 * interval '1 second'
from unnest($2::text[], $3::int[], $4::bigint[]) as t(topic, partition, fence), quick
where c.consumer = $1 and c.topic = t.topic and c.partition = t.partition and c.fence = t.fence
"""

type Apply = Callable[[Connection, list[Delivered]], Awaitable[None]]
type Place = tuple[str, UUID]
"""A key of a topic: what is parked."""


class Handler(Protocol):
    """What a consumer does with events.

    `prepare` is pure, or leaves nothing behind that outlives a failed commit: it may run twice for
    the same events. `commit` gets the connection of a transaction that has made no writes yet
    (decided events must be inserted first); the consumer's own writes follow it. Either raises
    `Unappliable` for the event that is to blame; with any other error the consumer finds it. Raise
    `Conflict` to be called again, in a new transaction.
    """

    wanted: frozenset[str] | None
    """The event types that are handed over; None: all. Others are passed by."""

    def prepare(self, events: list[Delivered], /) -> Any:
        """The effect of `events`, folded in memory; may be a coroutine."""

    async def commit(self, connection: Connection, prepared: Any, /) -> None:
        """Writes the effect."""


class Plain:
    """A handler that only writes: `apply(connection, events)`."""

    def __init__(self, apply: Apply, wanted: Iterable[str] | None = None) -> None:
        self.apply, self.wanted = apply, None if wanted is None else frozenset(wanted)

    def prepare(self, events: list[Delivered]) -> list[Delivered]:
        """Nothing to fold."""
        return events

    async def commit(self, connection: Connection, prepared: list[Delivered]) -> None:
        """Applies the events."""
        await self.apply(connection, prepared)


class Overtaken(Exception):  # noqa: N818 - says what it is
    """Somebody else has these partitions now, or has moved them."""


@dataclass(frozen=True, slots=True)
class Mark:
    """Where a partition stands: the next offset, the last order key, and the fence it is under."""

    next_offset: int
    position: Position
    fence: int
    at_ms: int = 0
    """When Kafka got the last event applied, since 1970."""


@dataclass(slots=True, eq=False)
class Batch:
    """Fresh events of some partitions, partition by partition, and where that takes each."""

    generation: int
    events: list[Delivered] = field(default_factory=list)
    begins: dict[TopicPartition, Mark] = field(default_factory=dict)
    ends: dict[TopicPartition, Mark] = field(default_factory=dict)
    bad: dict[Place, tuple[Delivered, str]] = field(default_factory=dict)
    kept: list[Delivered] = field(default_factory=list)
    prepared: Any = None
    folded: bool = False

    def blame(self, event: Delivered, reason: str) -> None:
        """Parks the event's key, from this event on; ValueError if it is parked there already."""
        place = (event.topic, event.key)
        if place in self.bad and self.bad[place][0].offset <= event.offset:
            raise ValueError(f"{event.type} at {event.offset} was not to be applied")
        self.bad[place] = (event, reason)

    def note_fault(self, event: Delivered) -> None:
        """Parks the key of a message that is no event; an earlier one may have done so already."""
        self.bad.setdefault((event.topic, event.key), (event, event.fault))

    def sift(self, parked: frozenset[Place]) -> tuple[list[Delivered], list[Delivered]]:
        """What is to be applied, and what must wait because its key is parked."""
        if not parked and not self.bad:
            return self.events, []
        kept: list[Delivered] = []
        aside: list[Delivered] = []
        waiting = set(parked)
        for event in self.events:
            place = (event.topic, event.key)
            if place in self.bad and self.bad[place][0] is event:
                waiting.add(place)
            (aside if place in waiting else kept).append(event)
        return kept, aside

    def halves(self) -> tuple[Batch, Batch]:
        """Two batches, one after the other, that come to the same."""
        first, second = Batch(self.generation), Batch(self.generation, bad=self.bad)
        middle = len(self.events) // 2
        first.events, second.events = self.events[:middle], self.events[middle:]
        second.begins, second.ends = dict(self.begins), dict(self.ends)
        for event in first.events:
            tp = TopicPartition(event.topic, event.partition)
            first.begins[tp] = self.begins[tp]
            first.ends[tp] = second.begins[tp] = Mark(
                event.offset + 1, event.position, self.begins[tp].fence, event.timestamp_ms
            )
        first.bad = self.bad
        return first, second


class Effect:
    """Where a consumer stands, and how it moves on. `marks`: by partition, as committed."""

    def __init__(
        self,
        name: str,
        pool: asyncpg.Pool[asyncpg.Record],
        handler: Handler,
        after_commit: Callable[[], None] | None,
    ) -> None:
        self.name, self.pool, self.handler = name, pool, handler
        self.after_commit = after_commit or (lambda: None)
        self.marks: dict[TopicPartition, Mark] = {}
        self.parked: frozenset[Place] = frozenset()

    async def take_over(self, partitions: Iterable[TopicPartition]) -> None:
        """Fences partitions off from whoever had them, and finds where their effect ends."""
        wanted = sorted(partitions)
        topics, numbers = [tp.topic for tp in wanted], [tp.partition for tp in wanted]
        rows = await self.pool.fetch(_TAKE, self.name, topics, numbers)
        self.parked = await parking.parked(self.pool, self.name, wanted)
        self.marks = {
            TopicPartition(topic, partition): Mark(offset, (epoch, tx, seq), fence)
            for topic, partition, offset, epoch, tx, seq, fence in rows
        }

    async def fold(self, batch: Batch, kept: list[Delivered]) -> None:
        """Prepares what is to be applied, unless that is done; what is kept only ever shrinks."""
        if kept and not (batch.folded and len(kept) == len(batch.kept)):
            batch.folded = False
            batch.prepared = await self._prepare(kept)
            batch.kept, batch.folded = kept, True

    async def apply(self, batch: Batch) -> None:
        """Applies a batch, parking what is at fault; raises what has nothing to do with events."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                while not await self._try(batch):
                    pass
            except (Conflict, asyncpg.DeadlockDetectedError, asyncpg.SerializationError):
                batch.folded = False
                await asyncio.sleep(random.uniform(0, 0.005 * 2**attempt))  # noqa: S311
            except Exception as error:
                kept = batch.sift(self.parked)[0]
                if transient(error) or not kept:
                    raise
                if len(batch.events) > 1:
                    for half in batch.halves():
                        await self.apply(half)
                    return
                batch.blame(kept[0], repr(error))
            else:
                self.after_commit()
                return
        raise Conflict

    async def _prepare(self, events: list[Delivered]) -> Any:
        prepared = self.handler.prepare(events)
        return await prepared if inspect.isawaitable(prepared) else prepared

    async def _try(self, batch: Batch) -> bool:
        """One transaction: effect, parked events, offsets. False if an event was blamed: again."""
        kept, aside = batch.sift(self.parked)
        traces = [e.headers["traceparent"] for e in kept if "traceparent" in e.headers]
        sampled = [trace.decode() for trace in traces if trace.endswith(b"-01")]
        try:
            await self.fold(batch, kept)
            with observe.batch(self.name, sampled[:LINKS_MAX]):
                async with self.pool.acquire() as connection, connection.transaction():
                    if kept:
                        await self.handler.commit(connection, batch.prepared)
                        failpoint("project.middle")
                    if aside:
                        await parking.park(connection, self.name, aside, batch.bad)
                    await self._move(connection, batch)
        except Unappliable as fault:
            batch.blame(fault.delivered, fault.reason)
            return False
        self.marks.update(batch.ends)
        self.parked |= {(event.topic, event.key) for event in aside}
        for event, reason in batch.bad.values():
            if event in aside:
                observe.log.error(
                    "key_parked", consumer=self.name, topic=event.topic, key=str(event.key),
                    type=event.type, reason=reason,
                )  # fmt: skip
        return True

    async def _move(self, connection: Connection, batch: Batch) -> None:
        rows = [
            (*tp, begin.fence, begin.next_offset, end.next_offset, *end.position)
            for tp, begin in batch.begins.items()
            for end in (batch.ends[tp],)
        ]
        moved = await connection.fetch(_MOVE, self.name, *map(list, zip(*rows, strict=True)))
        if len(moved) != len(rows):
            raise Overtaken(self.name)

    async def say_current(self, partitions: Iterable[TopicPartition], age_s: float) -> None:
        """Notes that all that Kafka held of `partitions` `age_s` seconds ago is applied."""
        rows = [(*tp, self.marks[tp].fence) for tp in sorted(partitions)]
        if rows:
            columns = map(list, zip(*rows, strict=True))
            await self.pool.execute(_CURRENT, self.name, *columns, age_s)

    async def retry_parked(self) -> None:
        """Applies the keys that somebody asked to unpark, each whole and in order."""
        for tp, key in await parking.asked(self.pool, self.name):
            mark = self.marks.get(tp)
            if mark is None:
                continue
            try:
                await self._apply_parked(tp, key, mark.fence)
            except Conflict:
                continue
            except Exception as error:
                if transient(error):
                    raise
                reason = error.reason if isinstance(error, Unappliable) else repr(error)
                await parking.keep(self.pool, self.name, tp.topic, key, reason)
            else:
                self.parked -= {(tp.topic, key)}

    async def _apply_parked(self, tp: TopicPartition, key: UUID, fence: int) -> None:
        prepared = await self._prepare(await parking.events(self.pool, self.name, tp, key))
        async with self.pool.acquire() as connection, connection.transaction():
            await self.handler.commit(connection, prepared)
            if not await parking.release(connection, self.name, tp, key, fence):
                raise Overtaken(self.name)
        self.after_commit()


def transient(error: Exception) -> bool:
    """Whether it is the database or the broker that failed, and no event is to blame."""
    if isinstance(error, asyncpg.InterfaceError):
        return not isinstance(error, ValueError)  # that is a value that does not fit its column
    if isinstance(error, asyncpg.PostgresError):
        # Connection, rollback, resources, prerequisites, intervention, system, time limit.
        return str(error.sqlstate)[:2] in {"08", "25", "40", "53", "55", "57", "58"}
    return isinstance(error, OSError | KafkaError | Overtaken)
