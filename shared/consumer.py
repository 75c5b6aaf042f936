"""From Kafka into a service's own database: each event once in effect.

A consumer's offsets, and per partition the order key of the last event applied (its high-water
mark), move in the transaction of their effect; what is at or below the mark is a repetition, and
dropped. A fence per partition, taken with every assignment, shuts out a consumer that was paused
and overtaken.

What Kafka no longer has (retention passed, a topic deleted and made again) is read from the feed of
the service that it came from, after the high-water mark and so each event once; then Kafka goes on.

The next batch is fetched and folded while the last one commits. Whatever fails without an event
being to blame (database or broker away, an overtaken fence) rolls back, and the Kafka client is
built anew.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from shared.background import ended
from shared.config import Settings
from shared.effect import FORGOTTEN, Batch, Effect, Handler, Mark
from shared.envelope import Delivered, Position, partition_of
from shared.observe import log

REBALANCE_S = 60.0
"""How long a batch at hand may take before its partitions are given away regardless."""

SESSION_TIMEOUT_S = 10.0
POLL_S = 0.1
PORTION = 1_000
"""So many records are unpacked before something else may go on."""

AGAIN_S = 1.0
"""After so long a client that failed is built anew."""

POLL_POSITION_S = 0.02


class Stalled(Exception):  # noqa: N818 - says what it is
    """Kafka has more, but the client does not get it."""


FROM_FEED = FORGOTTEN - 1
"""What events of a feed have for an offset: the one after is that of a forgotten partition."""


class Forgotten(Exception):  # noqa: N818 - says what it is
    """Kafka no longer has what would come next: it is not the topic that was known, or too old."""


class Page(NamedTuple):
    """Events of a feed, the position that they reach, and whether there are more by now."""

    records: Sequence[ConsumerRecord[Any, Any]]
    position: Position
    more: bool


type Feed = Callable[[str, Position], Awaitable[Page]]
"""A topic's events after a position; ConnectionError where they cannot be had."""


class Consumer(ConsumerRebalanceListener):  # type: ignore[misc]
    """One consumer of a service. Several processes of the same name share the partitions.

    The Kafka group is `houqin.<database>.<name>`, so that services never share one. For metrics:
    `lag_events`, `lag_seconds` (age of the last event applied, while behind), `parked` (keys),
    `missing` (events that Kafka no longer had, and no feed), `refilled` (from a feed), `lost`
    (partitions that are being refilled), `duplicates`, `rebuilds`.
    """

    def __init__(
        self,
        name: str,
        pool: asyncpg.Pool[asyncpg.Record],
        config: Settings,
        topics: Sequence[str],
        handler: Handler,
        *,
        batch: int = 5_000,
        check_s: float = 0.5,
        stall_s: float = 15.0,
    ) -> None:
        self.name, self.pool, self.config, self.topics = name, pool, config, list(topics)
        self.batch, self.check_s, self.stall_s = batch, check_s, stall_s
        self.group: str | None = None
        self.effect = Effect(name, pool, handler)
        self.lag_events, self.lag_seconds, self._again_at = 0, 0.0, 0.0
        self.missing = self.refilled = self.duplicates = self.rebuilds = 0
        self.feed: Feed | None = None
        self.lost: set[TopicPartition] = set()
        self._gone: set[TopicPartition] = set()
        self._read_to: dict[str, Position] = {}
        self._kafka: Any = None
        self._taken: dict[TopicPartition, Mark] = {}
        self._moved_at: dict[TopicPartition, float] = {}
        self._pending: asyncio.Task[None] | None = None
        self._seen: tuple[datetime, Mapping[TopicPartition, int]] | None = None
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def parked(self) -> int:
        """How many keys of this process's partitions wait for repair."""
        return len(self.effect.parked)

    async def start(self) -> None:
        """Begins to consume, in the background."""
        self._task = asyncio.create_task(self.run(), name=f"consumer {self.name}")

    async def stop(self) -> None:
        """Finishes the batch at hand, leaves the group, and ends."""
        self._stopping.set()
        if self._task is not None:
            await self._task

    async def run(self) -> None:
        """Consumes until `stop`; what fails is built anew."""
        while not self._stopping.is_set():
            try:
                await self._session()
            except Exception as error:  # noqa: BLE001 - nothing may end a consumer for good
                self.rebuilds += 1
                log.warning("consumer_rebuilt", consumer=self.name, error=repr(error))
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), AGAIN_S)

    async def _session(self) -> None:
        """One life of a Kafka client: join, consume until stopped or broken, leave."""
        if self.group is None:
            service = await self.pool.fetchval("select current_database()")
            self.group = f"{self.config.topic_prefix}.{service}.{self.name}"
        self._kafka = kafka = AIOKafkaConsumer(
            bootstrap_servers=self.config.kafka,
            client_id=f"houqin-{self.name}",
            group_id=self.group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            session_timeout_ms=int(SESSION_TIMEOUT_S * 1000),
            heartbeat_interval_ms=int(SESSION_TIMEOUT_S * 300),
            rebalance_timeout_ms=int(REBALANCE_S * 1000),
            metadata_max_age_ms=5_000,  # a topic that was deleted and made again is found by itself
            request_timeout_ms=int(SESSION_TIMEOUT_S * 1500),
        )
        kafka.subscribe(self.topics, listener=self)
        watching = asyncio.create_task(self._watch(kafka))
        try:
            await kafka.start()
            await self._pump(kafka)
        finally:
            self._taken = {}
            await ended([task for task in (watching, self._pending) if task])
            with contextlib.suppress(KafkaError, TimeoutError, OSError):
                await asyncio.wait_for(kafka.stop(), 10)
            self.effect.marks, self._pending, self._seen = {}, None, None

    async def _pump(self, kafka: Any) -> None:
        """Fetches and folds the next batch while the last one commits."""
        checked_at = 0.0
        while not self._stopping.is_set():
            refill = bool(self.lost) and time.monotonic() >= self._again_at
            batch = await self._gather(kafka, 0 if refill else POLL_S)
            with contextlib.suppress(Exception):  # met again, and seen to, where it is applied
                await self.effect.fold(batch)
            await self._settle()
            self._gone &= self._taken.keys()
            if self._gone:
                await self.effect.forget(self._gone)
                raise Forgotten(f"{self.name}: {sorted(self._gone)}")
            if refill and self.lost:
                await self._refill(kafka)
            # Best when there is nothing to do; but even under constant load, now and then.
            overdue = time.monotonic() - checked_at > 2 * self.check_s
            if self._seen is not None and (overdue or not batch.ends):
                (asked_at, ends), self._seen = self._seen, None
                await self._check(asked_at, ends)
                checked_at = time.monotonic()
            if batch.ends and batch.ends.items() <= self._taken.items():  # else taken from us
                self._pending = asyncio.create_task(self.effect.apply(batch))
        await self._settle()

    async def _gather(self, kafka: Any, wait_s: float) -> Batch:
        """The next batch, in portions, so that what is under way is not kept waiting meanwhile."""
        batch, missing = Batch(), self.batch
        while missing > 0:
            records = await kafka.getmany(
                timeout_ms=int(wait_s * 1000), max_records=min(missing, PORTION)
            )
            if not batch.ends.items() <= self._taken.items():
                batch = Batch()  # taken from us meanwhile, and begun anew
            if not records:
                break
            missing -= self._take(records, batch)
            wait_s = 0
            await asyncio.sleep(0)
        return batch

    async def _settle(self) -> None:
        """Waits for what is under way; raises what it failed with."""
        if self._pending is not None:
            await self._pending

    def _take(self, records: Mapping[TopicPartition, Sequence[Any]], batch: Batch) -> int:
        """Adds what of the records is fresh and wanted to a batch; the rest only moves the offsets.
        Returns how many records there were.
        """
        wanted = self.effect.handler.wanted
        for tp, messages in records.items():
            mark = self._taken.get(tp)
            if mark is None:  # taken from us meanwhile
                continue
            if self.feed is not None and not _follows(messages[0], mark):
                self._gone.add(tp)
                continue
            if 0 < mark.next_offset < messages[0].offset:
                lost = messages[0].offset - mark.next_offset
                self.missing += lost
                log.error("events_missing", consumer=self.name, topic=tp[0], count=lost)
            position = mark.position
            for message in messages:
                if message.offset < mark.next_offset and self.feed is not None:
                    continue
                event = Delivered(message)
                if event.fault:
                    event.position = position  # it has none of its own: it waits where it stands
                elif event.position <= position:
                    self.duplicates += 1
                    continue
                position = event.position
                if wanted is None or event.type in wanted or event.fault:
                    batch.events.append(event)
            last = messages[-1]
            end = Mark(last.offset + 1, position, mark.fence, last.timestamp)
            batch.ends[tp] = self._taken[tp] = end
            self._moved_at[tp] = time.monotonic()
        return sum(map(len, records.values()))

    async def on_partitions_revoked(self, revoked: Any) -> None:  # noqa: ARG002 - always all
        """Before partitions go: lets the running batch commit, forgets what was only fetched."""
        self._taken, self.lost = {}, set()
        if self._pending is not None:
            await asyncio.wait([self._pending])
        self.effect.marks = {}

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Goes on where the effect on these partitions ends. The client would only log a failure,
        so it is left to be met by the pump.
        """
        self._pending = asyncio.create_task(self._take_over(assigned))
        await asyncio.wait([self._pending])

    async def _take_over(self, assigned: Iterable[TopicPartition]) -> None:
        await self.effect.take_over(assigned)
        marks = self.effect.marks
        self._gone, self._read_to = set(), {}
        self.lost = {tp for tp, mark in marks.items() if mark.next_offset == FORGOTTEN}
        for tp, mark in marks.items():
            # The last event applied is looked at again: does the topic still have it there?
            again = self.feed is not None and mark.next_offset > 0
            self._kafka.seek(tp, max(0, mark.next_offset - again))
        self._kafka.pause(*self.lost)
        self._taken = {tp: mark for tp, mark in marks.items() if tp not in self.lost}
        self._moved_at = dict.fromkeys(self._taken, time.monotonic())

    async def _refill(self, kafka: Any) -> None:
        """One page of what Kafka has forgotten of a topic; after the last one, Kafka's first."""
        topic = min(tp.topic for tp in self.lost)
        marks = {tp: m for tp, m in self.effect.marks.items() if tp in self.lost}
        marks = {tp: mark for tp, mark in marks.items() if tp.topic == topic}
        after = self._read_to.get(topic) or min(mark.position for mark in marks.values())
        try:
            page = await self.feed(topic, after) if self.feed else Page((), after, more=False)
        except ConnectionError as error:
            log.warning("feed_away", consumer=self.name, topic=topic, error=str(error))
            self._again_at = time.monotonic() + AGAIN_S
            return
        batch, wanted = Batch(), self.effect.handler.wanted
        for event in map(Delivered, page.records):
            mark = marks.get(TopicPartition(topic, event.partition))
            if mark is not None and event.position > mark.position:
                marks[TopicPartition(topic, event.partition)] = mark._replace(
                    position=event.position
                )
                self.refilled += 1
                if wanted is None or event.type in wanted or event.fault:
                    batch.events.append(event)
        self._read_to[topic] = page.position
        first = {} if page.more else await kafka.beginning_offsets(list(marks))
        batch.ends = {
            tp: mark._replace(next_offset=first.get(tp, FORGOTTEN)) for tp, mark in marks.items()
        }
        if not marks.keys() <= self.effect.marks.keys():  # taken from us meanwhile
            return
        self._pending = asyncio.create_task(self.effect.apply(batch))
        await self._settle()
        for tp in first:
            kafka.seek(tp, first[tp])
        if first:
            self.lost -= first.keys()
            kafka.resume(*first)
            self._taken |= batch.ends
            self._moved_at |= dict.fromkeys(first, time.monotonic())
            log.warning("refilled", consumer=self.name, topic=topic, events=self.refilled)

    async def _watch(self, kafka: Any) -> None:
        """Looks every `check_s` how far Kafka reaches, at what time of the database's."""
        while True:
            with contextlib.suppress(Exception):  # away: there is nothing to compare with
                asked_at = await self.pool.fetchval("select clock_timestamp()")
                marks = {tp: mark.next_offset for tp, mark in self._taken.items()}
                ends = await kafka.end_offsets(list(self.effect.marks))
                self._gone |= {tp for tp in marks if tp in ends and ends[tp] < marks[tp]}
                self._seen = asked_at, ends
            await asyncio.sleep(self.check_s)

    async def _check(self, asked_at: datetime, ends: Mapping[TopicPartition, int]) -> None:
        """Between two batches: lag, stall, age, keys to unpark, offsets for others to see."""
        marks, now = self.effect.marks, time.monotonic()
        lag = {
            tp: max(0, end - marks[tp].next_offset)
            for tp, end in ends.items()
            if tp in marks and tp not in self.lost
        }
        behind = [tp for tp, events in lag.items() if events]
        current = lag.keys() - behind
        self._moved_at |= dict.fromkeys(current, now)
        stalled = [tp for tp in behind if now - self._moved_at[tp] > self.stall_s]
        if stalled:
            raise Stalled(f"{self.name}: no progress in {stalled}")
        self.lag_events = sum(lag.values()) + len(self.lost)
        ages = [time.time() - marks[tp].at_ms / 1000 for tp in behind if marks[tp].at_ms]
        self.lag_seconds = max(ages, default=0.0)
        await self.effect.say_current(current, asked_at)
        await self.effect.retry_parked()
        if offsets := {tp: marks[tp].next_offset for tp in marks.keys() - self.lost}:
            with contextlib.suppress(KafkaError, TimeoutError):
                await asyncio.wait_for(self._kafka.commit(offsets), 5)


def _follows(message: Any, mark: Mark) -> bool:
    """Whether a partition goes on where it was left: the event before is the last one applied."""
    if message.offset == mark.next_offset - 1:
        return Delivered(message).position <= mark.position
    return bool(message.offset == mark.next_offset)


# $6: the partition that it is in, if that is known; $8: when it was first seen in Kafka.
_REACHED = """
select case when $6::int is not null then bool_or(partition = $6 and passed)
            else bool_or(here)
                 or count(*) = $7 and bool_and(passed or coalesce(current_at > $8, false))
       end as reached,
       case when bool_or(passed) then coalesce($8, clock_timestamp()) end as seen_at
from (
    select partition, current_at, (epoch, tx, seq) = ($3::int, $4::bigint, $5::bigint) as here,
           (epoch, tx, seq) >= ($3::int, $4::bigint, $5::bigint) as passed
    from consumed where consumer = $1 and topic = $2
) as places
"""


async def position_reached(
    pool: asyncpg.Pool[asyncpg.Record],
    consumer: str,
    topic: str,
    position: Position,
    *,
    partitions: int,
    organisation: UUID | None = None,
    timeout_s: float = 5.0,
) -> bool:
    """Whether within `timeout_s` the consumer has applied the event with that order key.

    Of a known organisation exactly: its partition has passed the key. Else once one partition has
    passed it (so that the relay has) and every other has too or is found current after that.
    """
    own = None if organisation is None else partition_of(organisation, partitions)
    deadline, seen_at = time.monotonic() + timeout_s, None
    while True:
        row = await pool.fetchrow(_REACHED, consumer, topic, *position, own, partitions, seen_at)
        assert row is not None
        reached, seen_at = row
        if reached or time.monotonic() >= deadline:
            return bool(reached)
        await asyncio.sleep(POLL_POSITION_S)
