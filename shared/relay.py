"""From the log to Kafka: one leader per service, in log order, at least once.

The cursor is (epoch, tx, seq), read behind `pg_snapshot_xmin(pg_current_snapshot())`, so that no
event is passed that commits later; of an older epoch none can. A batch is acknowledged by Kafka
before the cursor moves: a crash between the two sends it again, and consumers drop what is at or
below their high-water position. Nothing is ever skipped: whatever is in doubt is sent again from
the cursor.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import asyncpg
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError

from shared.config import Settings
from shared.envelope import encode, key_of, partition_of
from shared.failpoint import failpoint
from shared.leading import Leader
from shared.locks import Lock
from shared.observe import log
from shared.store import Connection, epoch_of

BATCH_BYTES_MAX = 512 * 1024
"""Of one Kafka batch before compression; an event of 256 kB still fits below the broker's 1 MB."""

REMEMBERED_STREAMS = 50_000

_READ = """
select * from event
where (epoch, tx, seq) > ($1::int, $2::xid8, $3::bigint)
  and (epoch < $4 or tx < pg_snapshot_xmin(pg_current_snapshot()))
order by epoch, tx, seq limit $5
"""

# Predecessors that come later in the order. They were recorded in about the same days, so months
# well before the batch need not be searched.
_DISORDER = """
select t.stream, t.version from unnest($1::uuid[], $2::int[]) as t(stream, version)
join event e on e.stream = t.stream and e.version = t.version - 1
where e.month >= $3::date - interval '1 month'
  and (e.epoch, e.tx, e.seq) > ($4::int, $5::xid8, $6::bigint)
limit 1
"""


class Fenced(Exception):  # noqa: N818 - says what it is
    """Another leader has taken over."""


class Disordered(Exception):  # noqa: N818 - says what it is
    """The log is not as it must be (a stream's versions have a gap in its order, or it was restored
    and has not been held against Kafka): sending must stop here.
    """


class Relay(Leader):
    """Sends one service's log to its topic while it runs and is the leader.

    `sent`: events since start; `halted`: why nothing is sent any more (empty: all is well).
    """

    def __init__(
        self,
        service: str,
        pool: asyncpg.Pool[asyncpg.Record],
        config: Settings,
        *,
        batch: int = 2_000,
        idle_s: float = 0.05,
        deadline_s: float = 10.0,
        retry_s: float = 0.5,
        halted_s: float = 30.0,
    ) -> None:
        super().__init__(Lock.RELAY, pool, retry_s)
        self.service, self.kafka, self.topic = service, config.kafka, config.topic(service)
        self.partitions, self.replication = config.partitions, config.replication
        self.batch, self.idle_s = batch, idle_s
        self.deadline_s, self.halted_s = deadline_s, halted_s
        self.source = f"/houqin/{service}".encode()
        self.sent, self.halted = 0, ""
        self.fence, self.epoch, self.cursor, self.offsets = 0, 0, (0, 0, 0), [0]
        self.producer: Any = None
        self.versions: dict[UUID, int] = {}

    async def lead(self, connection: Connection) -> None:
        """Sends until something fails. A log that is not as it must be stays where it is, loudly:
        it is looked at again only in case somebody has repaired it.
        """
        self.producer = AIOKafkaProducer(
            bootstrap_servers=self.kafka,
            client_id=f"houqin-relay-{self.service}",
            enable_idempotence=True,
            acks="all",
            compression_type="lz4",
            max_batch_size=BATCH_BYTES_MAX,
        )
        try:
            await self._begin(connection)
            # Somebody may have deleted it. What was sent to it, consumers take from the feed.
            await ensure_topics(self.kafka, {self.topic: self.partitions}, self.replication)
            await self.producer.start()
            self.offsets += [0] * (self.partitions - len(self.offsets))
            await self._send_forever(connection)
        except Disordered as error:
            self.halted = str(error)
            log.critical("relay_halted", relay=self.service, error=self.halted)
            await self.woken(self.halted_s)
        finally:
            await self._drop_producer(self.producer)

    async def _begin(self, connection: Connection) -> None:
        row = await connection.fetchrow(
            "update relay set fence = fence + 1 returning fence, epoch, tx, seq, offsets,"
            " tx > pg_snapshot_xmax(pg_current_snapshot()) as ahead, log_is_open() as open"
        )
        assert row is not None
        self.epoch = await epoch_of(connection)
        # Where transaction ids have begun anew (a logical restore), new events would sort before
        # the cursor and never be seen.
        if not row["open"] or (row["ahead"] and row["epoch"] == self.epoch):
            raise Disordered(f"restored: python -m services.{self.service} after-restore")
        cursor = row["epoch"], row["tx"], row["seq"]
        if self.cursor != cursor:
            self.versions.clear()  # somebody else has sent since
        self.fence, self.cursor, self.offsets = row["fence"], cursor, row["offsets"]

    async def _send_forever(self, connection: Connection) -> None:
        pause = self.idle_s
        while True:
            rows = await connection.fetch(_READ, *self.cursor, self.epoch, self.batch)
            if rows:
                await self._send_batch(connection, rows)
                pause = self.idle_s / 16
            self.halted = ""
            if len(rows) < self.batch:
                # After a commit soon again: it may still hide behind an older open transaction.
                woken = await self.woken(pause)
                pause = self.idle_s / 16 if woken else min(2 * pause, self.idle_s)

    async def _send_batch(self, connection: Connection, rows: Sequence[asyncpg.Record]) -> None:
        """Sends rows until Kafka has them all, then moves the cursor; raises `Fenced`.

        Idempotent batches never expire by themselves, and a producer that failed once stays dead:
        hence our own deadline, and a new producer for whoever leads next.
        """
        versions = await self._check(connection, rows)
        async with asyncio.timeout(self.deadline_s):
            await self._produce(rows)
        failpoint("relay.after_send")
        last = rows[-1]
        moved = await connection.execute(
            "update relay set epoch = $1, tx = $2::xid8, seq = $3, sent = sent + $4, offsets = $5"
            " where fence = $6",
            last["epoch"], last["tx"], last["seq"], len(rows), self.offsets, self.fence,
        )  # fmt: skip
        if moved != "UPDATE 1":
            raise Fenced
        failpoint("relay.after_mark")
        self.cursor = last["epoch"], last["tx"], last["seq"]
        self.sent += len(rows)
        if len(self.versions) > REMEMBERED_STREAMS:
            self.versions.clear()
        self.versions |= versions

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

    async def _produce(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Returns once Kafka has all rows, of each partition in order."""
        batches: list[tuple[int, Any]] = []
        filling: dict[int, Any] = {}
        for row in rows:
            partition = partition_of(row["organisation"], self.partitions)
            headers = encode(row, self.source)
            message = {"key": key_of(row["organisation"]), "value": row["data"], "headers": headers}
            batch = filling.get(partition)
            if batch is None or batch.append(timestamp=None, **message) is None:
                batch = filling[partition] = self.producer.create_batch()
                batches.append((partition, batch))
                if batch.append(timestamp=None, **message) is None:
                    raise AssertionError("an empty batch takes any event that the log takes")
        sent = [
            await self.producer.send_batch(batch, self.topic, partition=partition)
            for partition, batch in batches
        ]
        for (partition, batch), made in zip(batches, await asyncio.gather(*sent), strict=True):
            self.offsets[partition] = made.offset + batch.record_count()

    async def _drop_producer(self, producer: Any) -> None:
        """Ends the producer without waiting for what it could not deliver."""
        try:
            await asyncio.wait_for(producer.stop(), 2)
        except (KafkaError, TimeoutError, OSError):
            # It would go on trying for ever: its sender has no public way to be ended.
            sender = producer._sender.sender_task  # noqa: SLF001
            if sender is not None:
                sender.cancel()
            await producer.client.close()


async def ensure_topics(bootstrap: str, topics: Mapping[str, int], replication: int) -> None:
    """Makes the topics (name → partitions) that are missing and waits until all can be used.

    ValueError if one exists with another number of partitions: keys would move.
    """
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    missing = [NewTopic(name, partitions, replication) for name, partitions in topics.items()]
    async with asyncio.timeout(30):
        try:
            await admin.start()
            while not _usable(await admin.describe_topics(), topics):
                made = await admin.create_topics(missing)
                for name, code, *rest in made.topic_errors:
                    if code not in {0, TopicAlreadyExistsError.errno}:
                        raise KafkaError(f"cannot make topic {name}: {code} {rest}")
                await asyncio.sleep(0.05)
        finally:
            await admin.close()


def _usable(described: Sequence[Mapping[str, Any]], topics: Mapping[str, int]) -> bool:
    """Whether every topic exists and each of its partitions has a leader."""
    leaders = {one["topic"]: [part["leader"] for part in one["partitions"]] for one in described}
    for name, partitions in topics.items():
        found = leaders.get(name)
        if not found or min(found) < 0:
            return False
        if len(found) != partitions:
            raise ValueError(f"{name} has {len(found)} partitions, not {partitions}")
    return True
