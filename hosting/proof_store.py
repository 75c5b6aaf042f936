"""Where a service keeps the tree over its log: leaves, tiles, checkpoints. All its SQL is here."""

from __future__ import annotations

import base64
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from evidence.tree import TileId, grown, hash_of, last_tiles, split, tiles_of
from evidence.verify import FIELDS, Checkpoint, consistency_ranges, encode, leaf_hash
from shared.store import Connection

# An event's leaf as text, in the order of `FIELDS` behind the position; moments are in UTC as JSON
# has them, which no setting of a session changes.
_TEXTS = """
to_char(e.month, 'YYYY-MM-DD') as month, e.stream::text, e.version::text, e.id::text, e.type,
e.organisation::text, e.actor, to_json(e.occurred_at at time zone 'UTC') #>> '{}' as occurred_at,
to_json(e.recorded_at at time zone 'UTC') #>> '{}' as recorded_at, e.correlation::text,
e.causation::text, e.trace, e.data
"""

_NEW = f"""
select e.epoch, e.tx, e.seq, e.stream as stream_id, e.version as version_number, {_TEXTS}
from event e
where (e.epoch, e.tx, e.seq) > ($1::int, $2::xid8, $3::bigint)
  and (e.epoch < $4 or e.tx < pg_snapshot_xmin(pg_current_snapshot()))
order by e.epoch, e.tx, e.seq limit $5
"""

_APPEND = """
with leaves as (
    insert into log_leaf (number, epoch, tx, seq, stream, version, hash)
    select $1 + t.n - 1, t.epoch, t.tx, t.seq, t.stream, t.version, t.hash
    from unnest($2::int[], $3::xid8[], $4::bigint[], $5::uuid[], $6::int[], $7::bytea[])
         with ordinality as t(epoch, tx, seq, stream, version, hash, n)
    order by t.n
    returning tx, seq
), tiles as (
    insert into log_tile (level, number, hashes)
    select * from unnest($8::smallint[], $9::bigint[], $10::bytea[])
    on conflict (level, number) do update set hashes = excluded.hashes
), moved as (
    update log_tree set size = size + cardinality($3), epoch = ($2)[cardinality($2)],
                        tx = ($3)[cardinality($3)], seq = ($4)[cardinality($4)]
    where size = $1
    returning 1
)
select must_be((select count(*) from moved), 1)
"""

_TILES = """
select t.level, t.number, t.hashes from log_tile t
join unnest($1::smallint[], $2::bigint[]) as w(level, number) using (level, number)
union all
select 0, w.number,
       (select string_agg(l.hash, ''::bytea order by l.number) from log_leaf l
        where l.number >= w.number << 8 and l.number < (w.number + 1) << 8)
from unnest($3::bigint[]) as w(number)
"""

# Leaves [$1, $2) beside what stands in the log now at their positions and between them.
_BESIDE = f"""
with e as (
    select * from event
    where (epoch, tx, seq) > ($4::int, $5::xid8, $6::bigint)
      and (epoch, tx, seq) <= ($7::int, $8::xid8, $9::bigint)
), l as (
    select * from log_leaf where number >= $1 and number < $2
)
select l.number as leaf, coalesce(l.epoch, e.epoch) as epoch, coalesce(l.tx, e.tx) as tx,
       coalesce(l.seq, e.seq) as seq, l.stream as leaf_stream, l.version as leaf_version, l.hash,
       e.tx is not null as there, $3::uuid[] is null or e.organisation = any($3) as shown,
       {_TEXTS}
from l full join e on (l.epoch, l.tx, l.seq) = (e.epoch, e.tx, e.seq)
order by 2, 3, 4, 1
"""

_PLACE_BELOW = """
select epoch, tx, seq from log_leaf where number < $1 order by number desc limit 1
"""

_CHECKPOINTS = """
select size, note, proof from log_checkpoint where size > $1 and size <= $2
order by size, signed_at, public_key
"""

ENDLESS = 2**62


@dataclass
class Grown:
    """How far the tree is: so many leaves, the last one of the event at (epoch, tx, seq)."""

    size: int
    epoch: int
    tx: int
    seq: int


async def tree_of(connection: Connection) -> Grown:
    """The tree as it is now."""
    row = await connection.fetchrow("select size, epoch, tx, seq from log_tree")
    assert row is not None
    return Grown(**row)


def position_of(row: asyncpg.Record) -> str:
    """The order key of a row, as it goes to Kafka."""
    return f"{row['epoch']}.{row['tx']}.{row['seq']}"


def leaf_hash_of(position: str, row: asyncpg.Record) -> bytes:
    """The leaf hash of an event, read as `_TEXTS` at the end of its row."""
    texts = row[-len(FIELDS) :]
    return leaf_hash(encode((position, *texts[:-1]), texts[-1]))


async def append(connection: Connection, tree: Grown, epoch: int, count: int) -> int:
    """Up to so many events of the log join the tree, in one statement; how many did. `epoch`: the
    one that is being written (of older ones nothing can come any more). `tree` says then how far
    it is. Raises ValueError where the stored tree is not whole.
    """
    rows = await connection.fetch(_NEW, tree.epoch, tree.tx, tree.seq, epoch, count)
    if not rows:
        return 0
    hashes = [leaf_hash_of(position_of(row), row) for row in rows]
    last = await read_tiles(connection, last_tiles(tree.size))
    changed = grown(tree.size, last, b"".join(hashes))
    tiles = [(level, n, content) for (level, n), content in changed.items() if level]
    columns = [list(column) for column in zip(*(row[:5] for row in rows), strict=True)]
    written = [list(column) for column in zip(*tiles, strict=True)] or [[], [], []]
    await connection.execute(_APPEND, tree.size, *columns, hashes, *written)
    tree.size += len(rows)
    tree.epoch, tree.tx, tree.seq = rows[-1][:3]
    return len(rows)


async def read_tiles(connection: Connection, wanted: Collection[TileId]) -> dict[TileId, bytes]:
    """Those tiles of the stored tree that there are."""
    above = [id_ for id_ in wanted if id_[0]]
    leaves = [number for level, number in wanted if not level]
    levels, numbers = [level for level, _ in above], [number for _, number in above]
    rows = await connection.fetch(_TILES, levels, numbers, leaves)
    return {(level, number): hashes or b"" for level, number, hashes in rows}


async def hashes_of(connection: Connection, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
    """The stored tree's hash of each range; KeyError names a tile that is not whole."""
    tiles = await read_tiles(connection, tiles_of(ranges))
    return [hash_of(low, high, tiles) for low, high in ranges]


async def last_note(connection: Connection, size_max: int = ENDLESS) -> str | None:
    """The newest checkpoint, of those that are not larger."""
    found: str | None = await connection.fetchval(
        "select note from log_checkpoint where size <= $1 order by size desc, signed_at desc"
        " limit 1",
        size_max,
    )
    return found


async def keys_of(connection: Connection) -> list[str]:
    """Every public key that ever signed here, the oldest first."""
    rows = await connection.fetch("select public_key from log_key order by since, public_key")
    return [row[0] for row in rows]


async def keep_checkpoint(
    connection: Connection, point: Checkpoint, key: str, note: str, proof: Sequence[bytes]
) -> None:
    """Keeps a checkpoint for ever, with the proof that leads to it."""
    await connection.execute(
        "insert into log_checkpoint (size, public_key, note, proof) values ($1, $2, $3, $4)"
        " on conflict do nothing",
        point.size, key, note, b"".join(proof),
    )  # fmt: skip


def ranges_between(before: int, size: int) -> list[tuple[int, int]]:
    """What proves the step from one checkpoint to the next; nothing for the first one."""
    return consistency_ranges(before, 0, size) if before else []


async def lines(
    connection: Connection, first: int, last: int, shown: Sequence[UUID] | None = None
) -> list[bytes]:
    """Leaves [first, last) as lines of an export: each beside the event that stands there now,
    events that have no leaf, and checkpoints, each behind the last leaf that it covers. At the
    log's end come the checkpoints that are beyond it. `shown`: only these organisations' events
    are told, of others the hash alone.
    """
    size = (await tree_of(connection)).size
    rows = await beside(connection, first, last, shown)
    beyond = ENDLESS if last >= size else last
    points = iter(await connection.fetch(_CHECKPOINTS, first, beyond))
    return [msgspec.json.encode(line) for line in _merged(rows, points)]


async def beside(
    connection: Connection, first: int, last: int, shown: Sequence[UUID] | None = None
) -> list[asyncpg.Record]:
    """Leaves [first, last), each beside the event at its position, and events without leaf."""
    tree = await tree_of(connection)
    low = await connection.fetchrow(_PLACE_BELOW, first) or (0, 0, 0)
    high = await connection.fetchrow(_PLACE_BELOW, last) or (0, 0, 0)
    if last >= tree.size:
        high = (tree.epoch, tree.tx, tree.seq)  # also where the record of the last leaf is gone
    rows: list[asyncpg.Record] = await connection.fetch(_BESIDE, first, last, shown, *low, *high)
    return rows


def _merged(
    rows: Sequence[asyncpg.Record], points: Iterator[asyncpg.Record]
) -> Iterator[dict[str, Any]]:
    point = next(points, None)
    for row in rows:
        while point is not None and row["leaf"] is not None and point["size"] <= row["leaf"]:
            yield checkpoint_line(point)
            point = next(points, None)
        yield leaf_line(row)
    while point is not None:
        yield checkpoint_line(point)
        point = next(points, None)


def checkpoint_line(row: asyncpg.Record) -> dict[str, Any]:
    """A checkpoint as a line of an export."""
    return {"checkpoint": row["note"], "proof": [text_of(one) for one in split(row["proof"])]}


def leaf_line(row: asyncpg.Record) -> dict[str, Any]:
    """A leaf, or an event that has none, as a line of an export."""
    position = position_of(row)
    line: dict[str, Any] = {"leaf": row["leaf"], "position": position}
    if row["hash"] is not None:
        line["hash"] = text_of(row["hash"])
    if row["shown"] or not row["there"]:
        if row["leaf"] is not None:
            line |= {"stream": str(row["leaf_stream"]), "version": str(row["leaf_version"])}
        line["event"] = event_of(position, row) if row["there"] else None
    return line


def event_of(position: str, row: asyncpg.Record) -> dict[str, str | None]:
    """An event as it is exported, which says all that its leaf is made of."""
    texts = row[-len(FIELDS) :]
    told = dict(zip(FIELDS, (position, *texts[:-1]), strict=True))
    return told | {"data": text_of(texts[-1])}


def text_of(content: bytes) -> str:
    """Bytes in JSON."""
    return base64.b64encode(content).decode()


async def leaf_at(
    connection: Connection, position: tuple[int, int, int], scope: str
) -> asyncpg.Record | None:
    """The number of the leaf of the event at (epoch, tx, seq), and whether that event lies within
    a scope as `shared.access.scope_of` has it.
    """
    return await connection.fetchrow(
        "select l.number, $4 = '*' or e.organisation in (select unit_id from units_below($4))"
        " as allowed from log_leaf l join event e using (epoch, tx, seq)"
        " where (l.epoch, l.tx, l.seq) = ($1, $2::xid8, $3)",
        *position, scope,
    )  # fmt: skip
