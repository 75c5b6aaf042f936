"""A log that was restored: held against Kafka, given back what it lacks, opened in a new epoch.

What Kafka holds has happened: others have seen it, and acted on it. So a log that is behind Kafka
(restored to an older time, or after a failover that lost commits) stays closed until it has taken
the missing events back, as they were, at their old places in its order (docs/adr/0013).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field
from uuid import UUID

import asyncpg
from prometheus_client import Gauge

from hosting import migrations, view_tables
from hosting.tail import Known, in_archive, in_kafka
from sealing.vault import Vault
from shared import store
from shared.config import Settings
from shared.directory import own_places
from shared.kernel import Service
from shared.locks import Lock
from shared.store import Connection, NewEvent, Stream
from shared.timers import due_parts

BEHIND = Gauge(
    "houqin_log_behind_kafka", "Events in Kafka that the restored log lacks", ["service"]
)
STREAMS = 1_000
"""Folded at once."""

TURN_S = 600.0
"""So long a process waits for another one that takes a log's events back."""

_EPOCH = "select max(epoch) from log_epoch"
_TURN = "select pg_advisory_xact_lock($1)"

_PRESENT = """
select e.stream, e.version, e.id from event e
join unnest($1::uuid[], $2::int[]) as t(stream, version)
  on e.stream = t.stream and e.version = t.version
"""

_LACKING = """
select count(*) from unnest($1::uuid[], $2::uuid[], $3::int[]) as t(id, stream, version)
where not exists (select from event e where e.stream = t.stream and e.version = t.version
                  and e.id = t.id)
  and not exists (select from voided v where v.id = t.id)
"""

_PUT_BACK = f"""
insert into event ({", ".join(Known._fields)}) overriding system value
select t.month, t.epoch, t.tx::text::xid8, {", ".join(f"t.{name}" for name in Known._fields[3:])}
from unnest($1::date[], $2::int[], $3::bigint[], $4::bigint[], $5::uuid[], $6::uuid[], $7::int[],
            $8::text[], $9::bytea[], $10::uuid[], $11::text[], $12::timestamptz[],
            $13::timestamptz[], $14::uuid[], $15::uuid[], $16::text[])
     as t({", ".join(Known._fields)})
"""

_HEADS = """
insert into head (stream, aggregate, organisation, version)
select * from unnest($1::uuid[], $2::text[], $3::uuid[], $4::int[])
on conflict (stream) do update set version = excluded.version
"""

_VOID = """
insert into voided (id, epoch, tx, seq, stream, version, type)
select * from unnest($1::uuid[], $2::int[], $3::bigint[], $4::bigint[], $5::uuid[], $6::int[],
                     $7::text[])
on conflict do nothing
"""


class Torn(Exception):  # noqa: N818 - says what it is
    """`events` cannot be taken back: their streams lack what came before them, or went another
    way.
    """

    def __init__(self, events: Sequence[Known]) -> None:
        super().__init__(f"{len(events)} events cannot be taken back")
        self.events = events

    @property
    def words(self) -> str:
        """What it is, and what to do next, in both languages."""
        first, count = self.events[0], len(self.events)
        where = f"{first.stream} v{first.version} {first.type}"
        return (
            f"有 {count} 个事件无法取回（如 {where}）。可用 --archive 指明报表库，由其补全；"
            "或恢复到更早的时间点；--void 则作废这些事件，此后须重建报表。 "
            f"{count} events cannot be taken back (such as {where}). Name reporting's database with"
            " --archive to fill the gap, or restore to an earlier time; --void gives them up, and"
            " reporting must then be rebuilt."
        )


async def settle(pool: asyncpg.Pool[asyncpg.Record], service: str, config: Settings) -> int:
    """Opens a closed log to which Kafka has nothing to add, and closes one that is behind Kafka;
    returns how many events it lacks. Raises KafkaError.
    """
    while True:
        epoch = await pool.fetchval(_EPOCH)
        lacks = await lacking(pool, service, config)
        async with pool.acquire() as connection, connection.transaction():
            await connection.execute(_TURN, Lock.MIGRATION, timeout=TURN_S)
            if await connection.fetchval(_EPOCH) != epoch:
                continue  # who opened it meanwhile has taken back what was lacking
            is_open = await connection.fetchval("select log_is_open()")
            if lacks and is_open:
                await close(connection)
            elif not lacks and not is_open:
                await begin_epoch(connection)
        BEHIND.labels(service).set(lacks)
        return lacks


async def lacking(pool: asyncpg.Pool[asyncpg.Record], service: str, config: Settings) -> int:
    """How many events Kafka has from behind the relay's mark that are not in the log.

    All that was sent before the mark is in it: the mark moves after the events have committed, so
    every restore that has the mark has them too.
    """
    count = 0
    offsets = await pool.fetchval("select offsets from relay")
    async for events in in_kafka(config, service, offsets):
        columns = [[getattr(one, name) for one in events] for name in ("id", "stream", "version")]
        count += await pool.fetchval(_LACKING, *columns)
    return count


async def close(connection: Connection) -> None:
    """Nobody may write to the log until it has been held against Kafka."""
    await connection.execute(
        "update log_epoch set timeline = 0 where epoch = (select max(epoch) from log_epoch)"
    )


async def begin_epoch(connection: Connection) -> int:
    """Opens the log: what is written from now on sorts after all that was ever written."""
    epoch = await connection.fetchval(
        "insert into log_epoch (epoch) select max(epoch) + 1 from log_epoch returning epoch"
    )
    await connection.execute(f"alter table event alter column epoch set default {epoch:d}")
    # A list that was half built anew does not know what has come back at its old place.
    await connection.execute("delete from view_rebuild")
    return int(epoch)


@dataclass(frozen=True)
class Taken:
    """What came of it: events put back, streams that moved, events declared void."""

    events: int = 0
    streams: int = 0
    voided: int = 0


async def take_back(
    pool: asyncpg.Pool[asyncpg.Record],
    service: Service,
    config: Settings,
    *,
    archive: str = "",
    void: bool = False,
    keys: Vault | None = None,
) -> Taken:
    """Puts back what the log lacks and Kafka (before it, reporting's database `archive`) has, and
    opens the log; all or nothing, in one transaction.

    An event without its predecessor, or whose version another one has, cannot be put back: raises
    `Torn`, unless it may be declared `void`. Raises KafkaError.
    """
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute(_TURN, Lock.MIGRATION, timeout=TURN_S)
        if await connection.fetchval("select log_is_open()"):
            return Taken()
        mark = await connection.fetchrow("select epoch, tx, seq, offsets from relay")
        assert mark is not None
        back = Back(connection, service, config, keys)
        if archive:
            await back.take(in_archive(archive, service.name, (mark[0], mark[1], mark[2])))
        await back.take(in_kafka(config, service.name, mark["offsets"]))
        if back.torn and not void:
            raise Torn(list(back.torn.values()))
        await back.finish()
        await begin_epoch(connection)
    BEHIND.labels(service.name).set(0)
    return Taken(back.count, len(back.moved), len(back.torn))


@dataclass
class Back:
    """The events on their way back, chunk by chunk. `reached`: the version of each stream that was
    met; `moved`: the streams that got events; `torn`: what cannot be put back; `forked`: the
    streams that have gone another way.
    """

    connection: Connection
    service: Service
    config: Settings
    keys: Vault | None = None
    count: int = 0
    reached: dict[UUID, int] = field(default_factory=dict)
    moved: dict[UUID, tuple[str, UUID]] = field(default_factory=dict)
    torn: dict[UUID, Known] = field(default_factory=dict)
    forked: set[UUID] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.aggregates = {one.name: one for one in self.service.aggregates}
        self.owners = {type_: one.name for one in self.service.aggregates for type_ in one.events}

    async def take(self, chunks: AsyncIterator[list[Known]]) -> None:
        """Puts back, in order, what of the events is not in the log."""
        async for events in chunks:
            await self._meet({event.stream for event in events} - self.reached.keys())
            present = await _present(self.connection, events)
            fresh: list[Known] = []
            for event in events:
                self._sort(event, present, fresh)
            await self._put(fresh)

    async def _meet(self, streams: set[UUID]) -> None:
        self.reached |= dict.fromkeys(streams, 0)
        found = await self.connection.fetch(
            "select stream, version from head where stream = any($1)", list(streams)
        )
        self.reached |= {row[0]: row[1] for row in found}

    def _sort(
        self, event: Known, present: dict[tuple[UUID, int], UUID], fresh: list[Known]
    ) -> None:
        """Whether an event is there already, comes next, or has no place any more: its stream lacks
        what came before it, or has gone another way since.
        """
        place = event.stream, event.version
        if present.get(place) == event.id:
            self.torn.pop(event.id, None)
        elif place in present or event.stream in self.forked:
            self.forked.add(event.stream)
            self.torn[event.id] = event
        elif event.version == self.reached[event.stream] + 1 and event.type in self.owners:
            fresh.append(event)
            present[place] = event.id
            self.reached[event.stream] = event.version
            self.torn.pop(event.id, None)
        else:
            self.torn[event.id] = event

    async def _put(self, events: Sequence[Known]) -> None:
        for day in sorted({event.month for event in events}):
            await migrations.add_partitions(self.connection, day)
        if not events:
            return
        columns = list(map(list, zip(*events, strict=True)))
        await self.connection.execute(_PUT_BACK, *columns)
        self.moved |= {e.stream: (self.owners[e.type], e.organisation) for e in events}
        self.count += len(events)
        causes = [event.causation for event in events if event.causation]
        await self.connection.execute(
            "insert into reacted select distinct unnest($1::uuid[]) on conflict do nothing", causes
        )
        await view_tables.carry_out(self.connection, *own_places(map(_new, events)))

    async def finish(self) -> None:
        """Moves heads, lists and due moments to where the streams are now."""
        columns = "id", "epoch", "tx", "seq", "stream", "version", "type"
        await self.connection.execute(
            _VOID, *([getattr(event, name) for event in self.torn.values()] for name in columns)
        )
        await self.connection.execute(
            "select setval(pg_get_serial_sequence('event', 'seq'), max(seq)) from event"
            " having max(seq) is not null"
        )
        ids = list(self.moved)
        for at in range(0, len(ids), STREAMS):
            await self._move(ids[at : at + STREAMS])

    async def _move(self, ids: Sequence[UUID]) -> None:
        names, owners = zip(*(self.moved[id_] for id_ in ids), strict=True)
        versions = [self.reached[id_] for id_ in ids]
        await self.connection.execute(_HEADS, ids, list(names), list(owners), versions)
        by_aggregate: dict[str, list[Stream]] = {}
        folded = await store.fold(self.connection, self.aggregates, ids, self.keys)
        for stream in folded.values():
            by_aggregate.setdefault(stream.aggregate, []).append(stream)
        for name, streams in by_aggregate.items():
            for view in self.aggregates[name].views:
                await view_tables.write(self.connection, view, streams)
        due = due_parts(self.aggregates, by_aggregate, self.config.late_entry_grace_s)
        await view_tables.carry_out(self.connection, *due)


async def _present(
    source: Connection | asyncpg.Pool[asyncpg.Record], events: Iterable[Known]
) -> dict[tuple[UUID, int], UUID]:
    """Which events the log has at the streams and versions of these."""
    places = {(event.stream, event.version) for event in events}
    streams, versions = [place[0] for place in places], [place[1] for place in places]
    rows = await source.fetch(_PRESENT, streams, versions)
    return {(stream, version): id_ for stream, version, id_ in rows}


def _new(event: Known) -> NewEvent:
    return NewEvent(*(getattr(event, name) for name in NewEvent._fields))
