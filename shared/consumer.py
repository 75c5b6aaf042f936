"""From Kafka into a service's own database: each event once in effect.

A consumer's offsets, and per partition the order key of the last event applied (its high-water
mark), move in the transaction of their effect; what is at or below the mark is a repetition, and
dropped. A fence per partition, taken with every assignment, shuts out a consumer that was paused
and overtaken.

The next batch is fetched and folded while the last one commits. Whatever fails without an event
being to blame (database or broker away, an overtaken fence) rolls back, and the Kafka client is
built anew.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

import asyncpg
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import KafkaError

from shared import observe
from shared.config import Settings
from shared.effect import Apply, Batch, Effect, Handler, Mark, Plain
from shared.envelope import Delivered, Position, Unappliable, partition_of
from shared.parking import unpark

__all__ = [
    "Apply", "Consumer", "Delivered", "Handler", "Plain", "Unappliable", "position_reached",
    "unpark",
]  # fmt: skip

REBALANCE_S = 60.0
"""How long a batch at hand may take before its partitions are given away regardless."""

POLL_POSITION_S = 0.02


class Stalled(Exception):  # noqa: N818 - says what it is
    """Kafka has more, but the client does not get it."""


class Consumer:
    """One consumer of a service. Several processes of the same name share the partitions.

    `apply`: a function, or a `Handler` for what is folded before it is written; `wanted`: the event
    types that a function is given (None: all). The Kafka group is `houqin.<database>.<name>`, so
    that services never share one; `group` names another. For metrics: `lag_events`, `lag_seconds`
    (age of the last event applied, while behind), `parked` (keys), `missing` (events that Kafka no
    longer had), `duplicates`, `rebuilds`.
    """

    def __init__(
        self,
        name: str,
        pool: asyncpg.Pool[asyncpg.Record],
        config: Settings,
        topics: Sequence[str],
        apply: Handler | Apply,
        *,
        wanted: Iterable[str] | None = None,
        group: str | None = None,
        batch: int = 5_000,
        poll_s: float = 0.1,
        check_s: float = 0.5,
        stall_s: float = 30.0,
        session_timeout_s: float = 10.0,
        after_commit: Callable[[], None] | None = None,
    ) -> None:
        self.name, self.pool, self.config, self.topics = name, pool, config, list(topics)
        self.group = group
        self.batch, self.poll_s, self.check_s = batch, poll_s, check_s
        self.stall_s, self.session_timeout_s = stall_s, session_timeout_s
        handler: Handler = Plain(apply, wanted) if callable(apply) else apply
        self.wanted = handler.wanted
        self.effect = Effect(name, pool, handler, after_commit)
        self.lag_events, self.lag_seconds = 0, 0.0
        self.missing = self.duplicates = self.rebuilds = 0
        self._kafka: Any = None
        self._taken: dict[TopicPartition, Mark] = {}
        self._moved_at: dict[TopicPartition, float] = {}
        self._generation, self._assigned = 0, False
        self._broken: Exception | None = None
        self._pending: asyncio.Task[None] | None = None
        self._seen: tuple[float, Mapping[TopicPartition, int]] | None = None
        self._look, self._checked = asyncio.Event(), asyncio.Condition()
        self._current_as_of = float("-inf")
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def parked(self) -> int:
        """How many keys of this process's partitions wait for repair."""
        return len(self.effect.parked)

    async def start(self) -> None:
        """Begins to consume, in the background."""
        self._stopping.clear()
        self._task = asyncio.create_task(self.run(), name=f"consumer {self.name}")

    async def stop(self) -> None:
        """Finishes the batch at hand, leaves the group, and ends."""
        self._stopping.set()
        if self._task is not None:
            await self._task

    async def caught_up(self) -> None:
        """Waits until all has been applied that Kafka held at some moment after this call."""
        asked = time.monotonic()
        async with self._checked:
            while self._current_as_of < asked:
                self._look.set()
                await self._checked.wait()

    async def run(self) -> None:
        """Consumes until `stop`; what fails is built anew, later and later (at most 2 s)."""
        delay = 0.1
        while not self._stopping.is_set():
            begun = time.monotonic()
            try:
                await self._session()
            except Exception as error:  # noqa: BLE001 - nothing may end a consumer for good
                self.rebuilds += 1
                observe.log.warning("consumer_rebuilt", consumer=self.name, error=repr(error))
                delay = 0.1 if time.monotonic() - begun > self.stall_s else min(2 * delay, 2.0)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), delay)

    async def _session(self) -> None:
        """One life of a Kafka client: join, consume until stopped or broken, leave."""
        if self.group is None:
            service = await self.pool.fetchval("select current_database()")
            self.group = f"{self.config.topic_prefix}.{service}.{self.name}"
        kafka = AIOKafkaConsumer(
            bootstrap_servers=self.config.kafka,
            client_id=f"houqin-{self.name}",
            group_id=self.group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            session_timeout_ms=int(self.session_timeout_s * 1000),
            heartbeat_interval_ms=int(self.session_timeout_s * 300),
            rebalance_timeout_ms=int(REBALANCE_S * 1000),
            fetch_max_wait_ms=250,
        )
        self._broken, self._seen = None, None
        self._kafka = kafka
        kafka.subscribe(self.topics, listener=_Listener(self, kafka))
        watching: asyncio.Task[None] | None = None
        try:
            await kafka.start()
            watching = asyncio.create_task(self._watch(kafka))
            await self._pump(kafka)
        finally:
            self._generation += 1
            pending, self._pending = self._pending, None
            for task in (watching, pending):
                if task is not None:
                    task.cancel()
            await asyncio.gather(*filter(None, (watching, pending)), return_exceptions=True)
            with contextlib.suppress(KafkaError, TimeoutError, OSError):
                await asyncio.wait_for(kafka.stop(), 10)
            self._taken, self.effect.marks, self._assigned = {}, {}, False

    async def _pump(self, kafka: Any) -> None:
        """Fetches and folds the next batch while the last one commits."""
        effect, poll_ms = self.effect, int(self.poll_s * 1000)
        while not self._stopping.is_set():
            records = await kafka.getmany(timeout_ms=poll_ms, max_records=self.batch)
            if self._broken is not None:
                raise self._broken
            batch = self._take(records)
            with contextlib.suppress(Exception):  # met again, and seen to, where it is applied
                await effect.fold(batch, batch.sift(effect.parked)[0])
            await self._settle()
            if batch.ends and batch.generation == self._generation:
                self._pending = asyncio.create_task(effect.apply(batch))
            # Best when there is nothing to do; but even under constant load, now and then.
            if self._seen is not None and (
                not batch.ends or time.monotonic() - self._seen[0] > self.check_s
            ):
                await self._settle()
                await self._check(kafka, *self._seen)
        await self._settle()

    async def _settle(self) -> None:
        """Waits for the batch that commits; raises what it failed with."""
        pending = self._pending
        if pending is not None:
            await asyncio.wait([pending])
            self._pending = None
            pending.result()

    def _take(self, records: Mapping[TopicPartition, Sequence[Any]]) -> Batch:
        """What of the records is fresh and wanted; the rest only moves the offsets."""
        batch, wanted = Batch(self._generation), self.wanted
        for tp, messages in records.items():
            mark = self._taken.get(tp)
            if mark is None:  # taken from us meanwhile
                continue
            if 0 < mark.next_offset < messages[0].offset:
                lost = messages[0].offset - mark.next_offset
                self.missing += lost
                observe.log.error("events_missing", consumer=self.name, topic=tp[0], count=lost)
            position = mark.position
            for message in messages:
                event = Delivered(message)
                if event.fault:
                    # It has no place of its own: it waits where it stands.
                    event.position = position
                    batch.note_fault(event)
                elif event.position <= position:
                    self.duplicates += 1
                    continue
                position = event.position
                if wanted is None or event.type in wanted or event.fault:
                    batch.events.append(event)
            last = messages[-1]
            end = Mark(last.offset + 1, position, mark.fence, last.timestamp)
            batch.begins[tp], batch.ends[tp], self._taken[tp] = mark, end, end
            self._moved_at[tp] = time.monotonic()
        return batch

    async def revoked(self) -> None:
        """Before partitions go: lets the running batch commit, forgets what was only fetched."""
        self._generation += 1
        self._taken = {}
        if self._pending is not None:
            await asyncio.wait([self._pending])
        self.effect.marks = {}

    async def assigned(self, kafka: Any, partitions: Iterable[TopicPartition]) -> None:
        """Goes on where the effect on these partitions ends."""
        try:
            await self.effect.take_over(partitions)
        except Exception as error:  # noqa: BLE001 - the client would only log it
            self._broken = error
            return
        for tp, mark in self.effect.marks.items():
            kafka.seek(tp, mark.next_offset)
        self._taken = dict(self.effect.marks)
        self._moved_at = dict.fromkeys(self._taken, time.monotonic())
        self._assigned = True

    async def _watch(self, kafka: Any) -> None:
        """Looks every `check_s`, and when asked, how far Kafka reaches."""
        while True:
            self._look.clear()
            asked, partitions = time.monotonic(), list(self.effect.marks)
            with contextlib.suppress(KafkaError, OSError):  # away: there is nothing to compare with
                self._seen = (asked, await kafka.end_offsets(partitions) if partitions else {})
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._look.wait(), self.check_s)

    async def _check(self, kafka: Any, asked: float, ends: Mapping[TopicPartition, int]) -> None:
        """Between two batches: lag, stall, age, keys to unpark, offsets for others to see."""
        self._seen, marks, now = None, self.effect.marks, time.monotonic()
        mine = {tp: end for tp, end in ends.items() if tp in marks}
        behind = {tp: end - marks[tp].next_offset for tp, end in mine.items()}
        behind = {tp: count for tp, count in behind.items() if count > 0}
        self._moved_at |= dict.fromkeys(mine.keys() - behind.keys(), now)
        stalled = [tp for tp in behind if now - self._moved_at[tp] > self.stall_s]
        if stalled:
            raise Stalled(f"{self.name}: no progress in {stalled}")
        self.lag_events = sum(behind.values())
        ages = [time.time() - marks[tp].at_ms / 1000 for tp in behind if marks[tp].at_ms]
        self.lag_seconds = max(ages, default=0.0)
        if self._assigned and not behind and marks.keys() == mine.keys():
            self._current_as_of = asked
        await self.effect.say_current(mine.keys() - behind.keys(), now - asked)
        await self.effect.retry_parked()
        offsets = {tp: mark.next_offset for tp, mark in self.effect.marks.items()}
        if offsets:
            with contextlib.suppress(KafkaError, TimeoutError):
                await asyncio.wait_for(kafka.commit(offsets), 5)
        async with self._checked:
            self._checked.notify_all()


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]
    """Tells a consumer of its partitions; the client calls it from a task of its own."""

    def __init__(self, consumer: Consumer, kafka: Any) -> None:
        self.consumer, self.kafka = consumer, kafka

    async def on_partitions_revoked(self, revoked: Any) -> None:  # noqa: ARG002 - always all
        await self.consumer.revoked()

    async def on_partitions_assigned(self, assigned: Any) -> None:
        await self.consumer.assigned(self.kafka, assigned)


_WHERE = """
select partition, (epoch, tx, seq) >= ($3::int, $4::bigint, $5::bigint) as passed,
       (epoch, tx, seq) = ($3::int, $4::bigint, $5::bigint) as here,
       current_at, clock_timestamp() as now
from consumed where consumer = $1 and topic = $2
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
    deadline, proof = time.monotonic() + timeout_s, None
    while True:
        rows = await pool.fetch(_WHERE, consumer, topic, *position)
        if own is not None:
            if any(row["passed"] for row in rows if row["partition"] == own):
                return True
        elif any(row["here"] for row in rows):
            return True
        elif any(row["passed"] for row in rows):
            proof = proof or rows[0]["now"]
            late = [row["current_at"] for row in rows if not row["passed"]]
            if len(rows) == partitions and all(at is not None and at > proof for at in late):
                return True
        if time.monotonic() >= deadline:
            return False
        await asyncio.sleep(POLL_POSITION_S)
