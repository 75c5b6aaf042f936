"""From the log to Kafka: one leader per service, in log order, at least once.

The cursor is (tx, seq), read behind `pg_snapshot_xmin(pg_current_snapshot())`, so that no event is
passed that commits later. A batch is acknowledged by Kafka before the cursor moves: a crash between
the two sends it again, and consumers drop what is at or below their high-water position. Nothing is
ever skipped: whatever is in doubt is sent again from the cursor.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError

from shared.config import Settings
from shared.envelope import encode, key_of, partition_of
from shared.failpoint import failpoint
from shared.locks import Lock
from shared.observe import log
from shared.store import Connection, epoch_of

BATCH_BYTES_MAX = 512 * 1024
"""Of one Kafka batch before compression; an event of 256 kB still fits below the broker's 1 MB."""

REMEMBERED_STREAMS = 20_000
ALREADY_EXISTS = 36

_READ = """
select month, tx, seq, id, stream, version, type, data, organisation, actor, occurred_at,
       recorded_at, correlation, causation, trace
from event
where (tx, seq) > ($1::xid8, $2::bigint) and tx < pg_snapshot_xmin(pg_current_snapshot())
order by tx, seq limit $3
"""

# Predecessors that come later in the order. They were recorded in about the same days, so months
# well before the batch need not be searched.
_DISORDER = """
select t.stream, t.version from unnest($1::uuid[], $2::int[]) as t(stream, version)
join event e on e.stream = t.stream and e.version = t.version - 1
where e.month >= $3::date - interval '1 month' and (e.tx, e.seq) > ($4::xid8, $5::bigint)
limit 1
"""


class Fenced(Exception):  # noqa: N818 - says what it is
    """Another leader has taken over."""


class Disordered(Exception):  # noqa: N818 - says what it is
    """A stream's versions are not contiguous in the order of the log: sending must stop here."""


class Relay:
    """Sends one service's log to its topic while it runs and is the leader.

    For metrics: `leading`, `sent` (events since start), `rebuilt` (producers given up), `lag_s`
    (age of the oldest event of the last batch read; 0 when there was none), and `halted`: why
    nothing is sent any more (empty: all is well).
    """

    def __init__(
        self,
        service: str,
        pool: asyncpg.Pool[asyncpg.Record],
        config: Settings,
        *,
        batch: int = 2_000,
        idle_s: float = 0.05,
        deadline_s: float = 30.0,
        retry_s: float = 0.5,
        halted_s: float = 30.0,
    ) -> None:
        self.service, self.pool = service, pool
        self.kafka, self.topic = config.kafka, config.topic(service)
        self.batch, self.idle_s, self.deadline_s = batch, idle_s, deadline_s
        self.retry_s, self.halted_s = retry_s, halted_s
        self.source = f"/houqin/{service}".encode()
        self.leading, self.sent, self.rebuilt, self.lag_s = False, 0, 0, 0.0
        self.halted = ""
        self.fence, self.epoch, self.cursor = 0, 0, (0, 0)
        self.producer: Any = None
        self.partitions = 0
        self.versions: OrderedDict[UUID, int] = OrderedDict()
        self._woken = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def wake(self) -> None:
        """Something was committed: it need not wait for the next poll."""
        self._woken.set()

    async def start(self) -> None:
        """Begins to lead, or to wait for the lead, in the background."""
        self._task = asyncio.create_task(self.run(), name=f"relay {self.service}")

    async def stop(self) -> None:
        """Ends. What was sent and not yet marked is sent again by the next leader."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def run(self) -> None:
        """Leads whenever nobody else does, until cancelled. A log that is out of order stays where
        it is, loudly: it is looked at again only in case somebody has repaired it.
        """
        while True:
            try:
                async with self.pool.acquire() as connection:
                    await self._lead(connection)
            except Disordered as error:
                self.halted = str(error)
                log.critical("relay_halted", relay=self.service, error=self.halted)
                await asyncio.sleep(self.halted_s)
            except Fenced:
                log.warning("relay_fenced", relay=self.service)
            except (OSError, KafkaError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                log.warning("relay_restarts", relay=self.service, error=repr(error))
            await asyncio.sleep(self.retry_s)

    async def _lead(self, connection: Connection) -> None:
        """Takes the lead if it is free (asked by polling: a session that waits in
        `pg_advisory_lock` would hold vacuum back), then sends until something fails.
        """
        if not await connection.fetchval("select pg_try_advisory_lock($1)", Lock.RELAY):
            return
        try:
            await self._begin(connection)
            self.leading = True
            await self._send_forever(connection)
        finally:
            self.leading = False
            await self._drop_producer()
            if not connection.is_closed():
                with contextlib.suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                    await connection.execute("select pg_advisory_unlock($1)", Lock.RELAY)

    async def _begin(self, connection: Connection) -> None:
        row = await connection.fetchrow(
            "update relay set fence = fence + 1 returning fence, tx, seq,"
            " tx > pg_snapshot_xmax(pg_current_snapshot()) as ahead"
        )
        assert row is not None
        if row["ahead"]:
            # Transaction ids began anew (a logical restore), so that new events would sort before
            # the cursor and never be seen.
            raise Disordered("the cursor is ahead of the cluster: the log needs a new epoch")
        if self.cursor != (row["tx"], row["seq"]):
            self.versions.clear()  # somebody else has sent since
        self.fence, self.cursor = row["fence"], (row["tx"], row["seq"])
        self.epoch = await epoch_of(connection)

    async def _send_forever(self, connection: Connection) -> None:
        pause = self.idle_s
        while True:
            self._woken.clear()
            rows = await connection.fetch(_READ, *self.cursor, self.batch)
            if rows:
                self.halted = ""
                self.lag_s = (datetime.now(UTC) - rows[0]["recorded_at"]).total_seconds()
                await self._send_batch(connection, rows)
                pause = self.idle_s / 16
                if len(rows) == self.batch:
                    continue
            else:
                self.lag_s = 0.0
            try:
                await asyncio.wait_for(self._woken.wait(), pause)
                # What was just committed may still hide behind an older open transaction: look
                # again soon.
                pause = self.idle_s / 16
            except TimeoutError:
                pause = min(2 * pause, self.idle_s)

    async def _send_batch(self, connection: Connection, rows: Sequence[asyncpg.Record]) -> None:
        """Sends rows until Kafka has them all, then moves the cursor; raises `Fenced`."""
        versions = await self._check(connection, rows)
        while not await self._produce(rows):
            await self._drop_producer()
            self.rebuilt += 1
            await asyncio.sleep(self.retry_s)
            if connection.is_closed():
                raise Fenced
        failpoint("relay.after_send")
        last = rows[-1]
        moved = await connection.execute(
            "update relay set tx = $1::xid8, seq = $2, sent = sent + $3 where fence = $4",
            last["tx"], last["seq"], len(rows), self.fence,
        )  # fmt: skip
        if moved != "UPDATE 1":
            raise Fenced
        self.cursor = (last["tx"], last["seq"])
        self.sent += len(rows)
        self._remember(versions)

    async def _check(
        self, connection: Connection, rows: Sequence[Mapping[str, Any]]
    ) -> dict[UUID, int]:
        """The version that each stream of the batch reaches; raises `Disordered`."""
        reached: dict[UUID, int] = {}
        unknown: dict[UUID, int] = {}
        for row in rows:
            stream, version = row["stream"], row["version"]
            before = reached.get(stream) or self.versions.get(stream)
            if before is None and version > 1:
                unknown[stream] = version
            elif version != (before or 0) + 1:
                raise self._disordered(stream, version)
            reached[stream] = version
        if unknown:
            month = min(row["month"] for row in rows)
            found = await connection.fetchrow(
                _DISORDER, list(unknown), list(unknown.values()), month, *self.cursor
            )
            if found is not None:
                raise self._disordered(found["stream"], found["version"])
        return reached

    def _disordered(self, stream: UUID, version: int) -> Disordered:
        return Disordered(f"{self.service}: version {version} of {stream} before its predecessor")

    def _remember(self, versions: Mapping[UUID, int]) -> None:
        for stream, version in versions.items():
            self.versions[stream] = version
            self.versions.move_to_end(stream)
        while len(self.versions) > REMEMBERED_STREAMS:
            self.versions.popitem(last=False)

    async def _produce(self, rows: Sequence[Mapping[str, Any]]) -> bool:
        """Whether Kafka has all rows, in order, within the deadline. Idempotent batches never
        expire by themselves, and a producer that failed once stays dead: hence our own deadline.
        """
        try:
            async with asyncio.timeout(self.deadline_s):
                producer = await self._ready_producer()
                await asyncio.gather(
                    *[
                        self._deliver(producer, partition, batches)
                        for partition, batches in self._batches(producer, rows).items()
                    ]
                )
        except (KafkaError, TimeoutError, OSError) as error:
            log.warning("relay_producer_rebuilt", relay=self.service, error=repr(error))
            return False
        return True

    async def _deliver(self, producer: Any, partition: int, batches: Sequence[Any]) -> None:
        """One partition's batches, in order; several only where a batch of rows is very large."""
        await asyncio.gather(
            *[
                await producer.send_batch(batch, self.topic, partition=partition)
                for batch in batches
            ]
        )

    def _batches(self, producer: Any, rows: Sequence[Mapping[str, Any]]) -> dict[int, list[Any]]:
        made: dict[int, list[Any]] = {}
        for row in rows:
            partition = partition_of(row["organisation"], self.partitions)
            batches = made.setdefault(partition, [])
            message = {
                "timestamp": None,
                "key": key_of(row["organisation"]),
                "value": row["data"],
                "headers": encode(row, self.source, self.epoch),
            }
            if not batches or batches[-1].append(**message) is None:
                batches.append(producer.create_batch())
                if batches[-1].append(**message) is None:
                    raise AssertionError("an empty batch takes any event that the log takes")
        for batches in made.values():
            for batch in batches:
                batch.close()
        return made

    async def _ready_producer(self) -> Any:
        if self.producer is None:
            self.producer = AIOKafkaProducer(
                bootstrap_servers=self.kafka,
                client_id=f"houqin-relay-{self.service}",
                enable_idempotence=True,
                acks="all",
                compression_type="lz4",
                max_batch_size=BATCH_BYTES_MAX,
            )
            await self.producer.start()
            self.partitions = len(await self.producer.partitions_for(self.topic))
        return self.producer

    async def _drop_producer(self) -> None:
        """Ends the producer without waiting for what it could not deliver."""
        producer, self.producer = self.producer, None
        if producer is None:
            return
        try:
            await asyncio.wait_for(producer.stop(), 2)
        except (KafkaError, TimeoutError, OSError):
            # It would go on trying for ever: its sender has no public way to be ended.
            sender = producer._sender.sender_task  # noqa: SLF001
            if sender is not None:
                sender.cancel()
            await producer.client.close()


async def ensure_topics(
    bootstrap: str, topics: Mapping[str, int], replication: int, timeout_s: float = 30.0
) -> None:
    """Makes the topics (name → partitions) that are missing and waits until all can be used.

    ValueError if one exists with another number of partitions: keys would move.
    """
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    async with asyncio.timeout(timeout_s):
        try:
            await admin.start()
            while not await _usable(admin, topics):
                made = await admin.create_topics(
                    [NewTopic(name, n, replication) for name, n in topics.items()]
                )
                for name, code, *rest in made.topic_errors:
                    if code not in (0, ALREADY_EXISTS):
                        raise KafkaError(f"cannot make topic {name}: {code} {rest}")
                await asyncio.sleep(0.05)
        finally:
            await admin.close()


async def _usable(admin: Any, topics: Mapping[str, int]) -> bool:
    """Whether every topic exists and each of its partitions has a leader."""
    known = set(await admin.list_topics())
    if not known.issuperset(topics):
        return False
    for described in await admin.describe_topics(list(topics)):
        name, partitions = described["topic"], described["partitions"]
        if any(partition["leader"] < 0 for partition in partitions) or not partitions:
            return False
        if len(partitions) != topics[name]:
            raise ValueError(f"{name} has {len(partitions)} partitions, not {topics[name]}")
    return True
