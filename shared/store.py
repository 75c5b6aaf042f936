"""The log of one service: migrate, load streams, append. SQL of the write path is only here.

Order and gaps: the cursor is (epoch, tx, seq), read behind
`pg_snapshot_xmin(pg_current_snapshot())` in the epoch that is being written (older ones have
ended). The insert of events is the first write of its transaction, and what is decided is decided
from reads made before it; who loses a race starts a new transaction.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Sequence
from datetime import UTC, date, datetime
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg
import msgspec

from shared.kernel import Aggregate, Event, Recorded
from shared.locks import Lock

SNAPSHOT_EVERY = 100
"""A stream's state is kept beside the log each time its version passes a multiple of this."""

EVENT_BYTES_MAX = 256 * 1024
"""A larger event is refused at the door, so that the relay never meets one it cannot send."""

type Connection = (
    asyncpg.Connection[asyncpg.Record] | asyncpg.pool.PoolConnectionProxy[asyncpg.Record]
)


class Conflict(Exception):  # noqa: N818 - a race lost, not an error
    """Another transaction moved a stream first; decide again from what it wrote."""


class Stream(msgspec.Struct, frozen=True):
    """A stream as it is now: folded state, version, owner, and its last event's envelope."""

    id: UUID
    aggregate: str
    organisation: UUID
    version: int
    state: Any
    last: Recorded


class NewEvent(NamedTuple):
    """A decided event on its way into the log; the order of fields is that of `_INSERT`."""

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


class NewKey(NamedTuple):
    """An idempotency row: what was asked under a key, and the answer it got. `last`: the last
    event that the request made, whose order key is kept with the answer.
    """

    subject: str
    key: str
    operation: str
    fingerprint: bytes
    status: int
    etag: int | None
    body: bytes
    last: UUID | None


class Part(NamedTuple):
    """A further write of the append statement; `{0}`, `{1}` stand for its own arguments."""

    sql: str
    arguments: tuple[Any, ...]


class Move(NamedTuple):
    """A stream head's move; version 0 before means that the stream is born."""

    stream: UUID
    aggregate: str
    organisation: UUID
    before: int
    after: int


_EVENTS = """
insert into event (month, id, stream, version, type, data, organisation, actor, occurred_at,
                   recorded_at, correlation, causation, trace)
select {0}, t.id, t.stream, t.version, t.type, t.data, t.organisation, t.actor, t.occurred_at,
       t.recorded_at, t.correlation, t.causation, t.trace
from unnest({1}::uuid[], {2}::uuid[], {3}::int[], {4}::text[], {5}::bytea[], {6}::uuid[],
            {7}::text[], {8}::timestamptz[], {9}::timestamptz[], {10}::uuid[], {11}::uuid[],
            {12}::text[])
     with ordinality as t(id, stream, version, type, data, organisation, actor, occurred_at,
                          recorded_at, correlation, causation, trace, n)
order by t.n
on conflict do nothing
returning id, epoch, tx, seq, organisation
"""

_MOVED = """
update head set version = t.after
from unnest({0}::uuid[], {1}::int[], {2}::int[]) as t(stream, before, after)
where head.stream = t.stream and head.version = t.before
returning 1
"""

_BORN = """
insert into head (stream, aggregate, organisation, version)
select * from unnest({0}::uuid[], {1}::text[], {2}::uuid[], {3}::int[])
on conflict do nothing
returning 1
"""

_KEPT = """
insert into idempotency (subject, key, operation, fingerprint, status, etag, body, position)
select k.subject, k.key, k.operation, k.fingerprint, k.status, k.etag, k.body,
       p.epoch || '.' || p.tx::text || '.' || p.seq || ';' || p.organisation
from unnest({0}::text[], {1}::text[], {2}::text[], {3}::bytea[], {4}::smallint[], {5}::int[],
            {6}::bytea[], {7}::uuid[])
     as k(subject, key, operation, fingerprint, status, etag, body, last)
left join placed p on p.id = k.last
on conflict do nothing
returning 1
"""

_READ = """
select h.stream, h.version, null::idempotency as answer from head h where h.stream = any($1)
union all
select null, null, i from idempotency i
join unnest($2::text[], $3::text[]) as t(subject, key)
  on i.subject = t.subject and i.key = t.key
"""

# The event at a snapshot's own version comes with it, and only lends its envelope.
_FOLD = """
select h.aggregate, case when e.version = s.version then s.state end as snapshot,
       e.id, e.stream, e.version, e.type, e.data, e.organisation, e.actor, e.occurred_at,
       e.recorded_at
from head h
left join snapshot s on s.stream = h.stream and s.code = any($2)
join event e on e.stream = h.stream and e.version >= coalesce(s.version, 1)
where h.stream = any($1)
order by e.stream, e.version
"""


async def migrate(pool: asyncpg.Pool[asyncpg.Record], folders: Sequence[Path]) -> None:
    """Brings a service's database to what its files say, with the log's partitions of today."""
    async with pool.acquire() as connection, connection.transaction():
        await apply_files(connection, folders)
        await add_partitions(connection, datetime.now(UTC).date())


async def apply_files(connection: Connection, folders: Sequence[Path]) -> None:
    """Applies every numbered SQL file not yet applied, one process at a time."""
    await connection.execute("select pg_advisory_xact_lock($1)", Lock.MIGRATION)
    await connection.execute(
        "create table if not exists migration (name text primary key,"
        " applied_at timestamptz not null default now())"
    )
    done = {row["name"] for row in await connection.fetch("select name from migration")}
    for folder in folders:
        for path in sorted(folder.glob("*.sql")):
            name = f"{folder.parent.name}/{path.name}"
            if name not in done:
                await connection.execute(path.read_text("utf-8"))
                await connection.execute("insert into migration (name) values ($1)", name)


async def add_partitions(connection: Connection, today: date) -> None:
    """Makes the log's partitions of this month and the next one."""
    first = month_of(today)
    for begin in (first, _next_month(first)):
        end = _next_month(begin)
        await connection.execute(
            f"create table if not exists event_{begin:%Y%m} partition of event"
            f" for values from ('{begin}') to ('{end}')"
        )


def month_of(day: date) -> date:
    """The first day of the day's month: the log's partition key."""
    return day.replace(day=1)


def _next_month(first: date) -> date:
    return date(first.year + first.month // 12, first.month % 12 + 1, 1)


async def epoch_of(connection: Connection) -> int:
    """The epoch that is being written: every restore of the log begins a new one."""
    return int(await connection.fetchval("select max(epoch) from log_epoch"))


async def read(
    connection: Connection, streams: Sequence[UUID], keys: Sequence[tuple[str, str]]
) -> tuple[dict[UUID, int], dict[tuple[str, str], Any]]:
    """In one round trip: the version of each stream that exists, and the stored answers of
    (subject, key) pairs that were used before.
    """
    versions: dict[UUID, int] = {}
    answers: dict[tuple[str, str], Any] = {}
    subjects, names = [subject for subject, _ in keys], [key for _, key in keys]
    for stream, version, answer in await connection.fetch(_READ, streams, subjects, names):
        if stream is not None:
            versions[stream] = version
        else:
            answers[answer["subject"], answer["key"]] = answer
    return versions, answers


async def fold(
    connection: Connection, aggregates: dict[str, Aggregate], streams: Sequence[UUID]
) -> dict[UUID, Stream]:
    """Streams folded from their snapshot (if it is of today's code) and the events after it."""
    codes = [code_of(aggregate) for aggregate in aggregates.values()]
    found: dict[UUID, Stream] = {}
    for row in await connection.fetch(_FOLD, streams, codes):
        id_, aggregate = row["stream"], aggregates[row["aggregate"]]
        if row["snapshot"] is not None:
            state = msgspec.json.decode(row["snapshot"], type=aggregate.state)
        else:
            before = found[id_].state if id_ in found else None
            state = aggregate.evolve(before, decode(aggregate, row["type"], row["data"]))
        last = Recorded(
            id=row["id"], stream=id_, version=row["version"], organisation=row["organisation"],
            actor=row["actor"], occurred_at=row["occurred_at"], recorded_at=row["recorded_at"],
        )  # fmt: skip
        found[id_] = Stream(id_, aggregate.name, last.organisation, last.version, state, last)
    return found


@cache
def _decoder(event: type[Event]) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(event)


def decode(aggregate: Aggregate, type_: str, data: bytes) -> Event:
    """An event from its bytes; KeyError for a type that the aggregate does not know."""
    return _decoder(aggregate.events[type_]).decode(data)  # type: ignore[no-any-return]


@cache
def code_of(aggregate: Aggregate) -> str:
    """Hash of the module that folds: a snapshot by other code is not used."""
    assert aggregate.module is not None
    return hashlib.sha256(inspect.getsource(aggregate.module).encode()).hexdigest()


async def append(
    connection: Connection,
    events: Sequence[NewEvent],
    moves: Sequence[Move],
    keys: Sequence[NewKey] = (),
    parts: Sequence[Part] = (),
) -> dict[UUID, tuple[int, int, int]]:
    """Writes decided events, moved heads, answers, and what else belongs to them, in ONE statement
    and so in one transaction; returns each event's (epoch, tx, seq).

    In a transaction of the caller's it must be the first write. Raises `Conflict`, with nothing
    written: decide anew from what another has written; asyncpg.ReadOnlySQLTransactionError if the
    log is closed because it was restored.
    """
    # Every writer locks heads in the same order.
    in_order = sorted(moves, key=lambda move: move.stream.bytes)
    text, arguments = _statement(events, in_order, keys, parts)
    try:
        rows = await connection.fetch(text, *arguments)
    except (asyncpg.RaiseError, asyncpg.DeadlockDetectedError) as error:
        raise Conflict from error
    return {row[0]: (row[1], row[2], row[3]) for row in rows if row[0] is not None}


def _statement(
    events: Sequence[NewEvent], moves: Sequence[Move], keys: Sequence[NewKey], parts: Sequence[Part]
) -> tuple[str, list[Any]]:
    """The append statement: named writes, each checked to have met as many rows as it should."""
    moved = [move for move in moves if move.before]
    born = [move for move in moves if not move.before]
    month = month_of(events[0].recorded_at.date()) if events else date.min
    checked = [
        ("placed", Part(_EVENTS, (month, *_columns(events, NewEvent))), len(events)),
        ("moved", Part(_MOVED, tuple(_columns(moved, Move)[n] for n in (0, 3, 4))), len(moved)),
        ("born", Part(_BORN, tuple(_columns(born, Move)[n] for n in (0, 1, 2, 4))), len(born)),
        ("kept", Part(_KEPT, tuple(_columns(keys, NewKey))), len(keys)),
    ]
    met = [one for one in checked if one[2] or one[0] == "placed"]
    every = [part for _, part, _ in met] + list(parts)
    arguments = [argument for part in every for argument in part.arguments]
    arguments += [wanted for _, _, wanted in met]
    shape = tuple((part.sql, len(part.arguments)) for part in every)
    return _text(tuple(name for name, _, _ in met), shape), arguments


@lru_cache(1024)
def _text(checked: tuple[str, ...], shape: tuple[tuple[str, int], ...]) -> str:
    """The statement of so many checked writes and further ones; what they should meet comes last
    among the arguments.
    """
    named: list[str] = []
    count = 0
    for n, (sql, size) in enumerate(shape):
        marks = [f"${count + m}" for m in range(1, size + 1)]
        name = checked[n] if n < len(checked) else f"part_{n - len(checked)}"
        named.append(f"{name} as ({sql.format(*marks)})")
        count += size
    checks = [
        f"must_be((select count(*) from {name}), ${count + n})"
        for n, name in enumerate(checked, start=1)
    ]
    return (
        f"with {', '.join(named)} select placed.id, placed.epoch, placed.tx, placed.seq, checked.*"
        f" from (select must_be_open(), {', '.join(checks)}) as checked left join placed on true"
    )


def _columns(rows: Sequence[tuple[Any, ...]], row: type[NamedTuple]) -> list[list[Any]]:
    """Rows as columns; an empty one stands for nulls, which `unnest` fills up with."""
    if not rows:
        return [[] for _ in row._fields]
    columns = zip(*rows, strict=True)
    return [[] if column.count(None) == len(column) else [*column] for column in columns]


async def keep_snapshots(
    connection: Connection, aggregates: dict[str, Aggregate], streams: Sequence[Stream]
) -> None:
    """Keeps the states of `streams`; a cache that may be dropped at any time."""
    await connection.executemany(
        "insert into snapshot (stream, version, code, state) values ($1, $2, $3, $4)"
        " on conflict (stream) do update set version = excluded.version, code = excluded.code,"
        " state = excluded.state where snapshot.version < excluded.version",
        [
            (s.id, s.version, code_of(aggregates[s.aggregate]), msgspec.json.encode(s.state))
            for s in streams
        ],
    )
