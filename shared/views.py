"""Lists and pages: each view's table is made from its row class, written in the transaction of the
events, and read under row-level security with filters, sorting, search and keyset paging.
"""

from __future__ import annotations

import base64
import hashlib
import inspect
import re
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import date, datetime
from decimal import Decimal
from functools import cache
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from shared import pinyin
from shared.kernel import Refused, View, ViewOf
from shared.signature import hints_of, without_none
from shared.store import Connection, Part, Stream, fold

READER = "houqin_reader"
"""The database role under which everything is read: it sees only rows in the caller's scope."""

PAGE_MAX = 500

_COLUMNS: tuple[tuple[type, str], ...] = (
    (bool, "boolean"),
    (int, "bigint"),
    (str, "text"),
    (Decimal, "numeric"),
    (datetime, "timestamptz"),
    (date, "date"),
    (UUID, "uuid"),
)

_PLACE = {"stream": "uuid", "key": "text", "version": "int"}
"""What every view's table has beside the columns of its rows."""


@cache
def columns(view: ViewOf) -> dict[str, str]:
    """Column -> SQL type of the row class; what is not simple is kept as jsonb."""
    return {name: _sql_type(hint) for name, hint in hints_of(view.row).items() if name != "id"}


def _sql_type(hint: Any) -> str:
    kind = without_none(hint)
    named = (sql for python, sql in _COLUMNS if isinstance(kind, type) and issubclass(kind, python))
    return next(named, "jsonb")


def shape(view: ViewOf) -> str:
    """Hash of what a view's rows depend on: another hash means that it must be built anew."""
    modules = {view.aggregate.module, inspect.getmodule(view.function)}
    text = "".join(sorted(inspect.getsource(module) for module in modules if module))
    return hashlib.sha256((text + repr(columns(view))).encode()).hexdigest()


async def prepare(connection: Connection, views: Sequence[ViewOf]) -> None:
    """Makes missing view tables, and builds anew those whose shape has changed. Inside the
    migration's transaction, so that no command runs between.
    """
    known = {row[0]: row[1] for row in await connection.fetch("select * from view_shape")}
    for view in views:
        if known.get(view.name) != shape(view):
            await _create(connection, view)
            await rebuild(connection, view)


async def _create(connection: Connection, view: ViewOf) -> None:
    table, fields = f"view_{view.name}", columns(view)
    wanted = "".join(f", {name} {sql}" for name, sql in fields.items())
    indexes = "".join(
        f"create index on {table} ({name}, stream, key);"
        for name in dict.fromkeys((*view.sorts[:1], *view.filters))
    )
    await connection.execute(
        f"drop table if exists {table};"
        f"create table {table} (stream uuid not null, key text not null, version int not null"
        f"{wanted}, primary key (stream, key)) with (fillfactor = 80);"
        f"create index on {table} (organisation);{indexes}"
        f"alter table {table} enable row level security;"
        f"create policy scope on {table} for select to {READER} using"
        " (current_setting('houqin.scope', true) = '*' or organisation in"
        " (select unit_id from units_below(current_setting('houqin.scope', true))));"
        f"grant select on {table} to {READER}"
    )
    await connection.execute(
        "insert into view_shape values ($1, $2) on conflict (name) do update set shape = $2",
        view.name,
        shape(view),
    )


async def rebuild(connection: Connection, view: ViewOf) -> int:
    """Folds every stream of the view's aggregate again and writes its rows; returns how many."""
    aggregates, total = {view.aggregate.name: view.aggregate}, 0
    heads = await connection.cursor(
        "select stream from head where aggregate = $1", view.aggregate.name
    )
    while ids := [row[0] for row in await heads.fetch(1000)]:
        streams = await fold(connection, aggregates, ids)
        for part in parts(view, list(streams.values())):
            marks = [f"${n}" for n in range(1, len(part.arguments) + 1)]
            await connection.execute(part.sql.format(*marks), *part.arguments)
        total += len(ids)
    return total


type Shows = Callable[[ViewOf, Stream], Mapping[str, View]]
"""Gives a view's rows of one stream, by key."""


def rows_now(view: ViewOf, stream: Stream) -> Mapping[str, View]:
    """The view's rows of a stream as it is."""
    return view.rows(stream.state, stream.last)


def answer_rows(view: ViewOf, stream: Stream, shows: Shows = rows_now) -> list[dict[str, Any]]:
    """The view's rows of one stream, as the API answers them."""
    return [
        {"id": stream.id, **msgspec.structs.asdict(row), **({"key": key} if view.many else {})}
        for key, row in shows(view, stream).items()
    ]


@cache
def _upsert(view: ViewOf) -> str:
    fields = _PLACE | columns(view)
    names = ", ".join(fields)
    typed = ", ".join(f"{name} {sql}" for name, sql in fields.items())
    changed = ", ".join(f"{name} = excluded.{name}" for name in fields)
    return (
        f"insert into view_{view.name} ({names})"
        f" select {names} from json_to_recordset({{0}}::json) as t({typed})"
        f" on conflict (stream, key) do update set {changed}"
    )


@cache
def _delete(view: ViewOf) -> str:
    return (
        f"delete from view_{view.name} v where v.stream = any({{0}}::uuid[]) and not exists"
        " (select from unnest({1}::uuid[], {2}::text[]) as t(stream, key)"
        " where t.stream = v.stream and t.key = v.key)"
    )


def parts(view: ViewOf, streams: Sequence[Stream], shows: Shows = rows_now) -> list[Part]:
    """What brings the view's rows of `streams` up to date; the second where rows may go."""
    rows = [
        {"stream": stream.id, "key": key, "version": stream.version, **msgspec.structs.asdict(row)}
        for stream in streams
        for key, row in shows(view, stream).items()
    ]
    made: list[Part] = []
    if rows:
        made.append(Part(_upsert(view), (msgspec.json.encode(rows).decode(),)))
    if view.many or len(rows) < len(streams):
        ids = [stream.id for stream in streams]
        made.append(
            Part(_delete(view), (ids, [r["stream"] for r in rows], [r["key"] for r in rows]))
        )
    return made


@asynccontextmanager
async def reading(
    pool: asyncpg.Pool[asyncpg.Record], scope: str
) -> AsyncIterator[asyncpg.pool.PoolConnectionProxy[asyncpg.Record]]:
    """A connection that sees only rows of units in `scope` (unit ids with commas, or `*`)."""
    async with pool.acquire() as connection, connection.transaction(readonly=True):
        await connection.execute(
            "select set_config('role', $1, true), set_config('houqin.scope', $2, true)",
            READER,
            scope,
        )
        yield connection


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """What a list is asked for. `sort` may begin with `-`; `cursor` continues a page."""

    filters: Mapping[str, str] = {}
    sort: str = ""
    search: str = ""
    unit: UUID | None = None
    limit: int = 50
    cursor: str = ""


async def page(
    connection: Connection, view: ViewOf, query: Query
) -> tuple[list[dict[str, Any]], str | None]:
    """One page of rows and the cursor of the next; refuses unknown fields and broken cursors."""
    column, down = query.sort.removeprefix("-"), query.sort.startswith("-")
    if column and column not in view.sorts:
        raise Refused("sort_unknown", field="sort", allowed=", ".join(view.sorts) or "-")
    keys = [column, "stream", "key"] if column else ["stream", "key"]
    values = _Values()
    where = ["true", *_where(view, query, values)]
    # Rows without a value for the sort column come in neither direction by keyset; they are few
    # and found by filter, so they are left to the unsorted list.
    if column:
        where.append(f"{column} is not null")
    if query.cursor:
        types = _PLACE | columns(view)
        mark = values.mark(_keyset(query.cursor, len(keys)))
        last = (f"({mark}::text[])[{n}]::{types[name]}" for n, name in enumerate(keys, 1))
        where.append(f"({', '.join(keys)}) {'<' if down else '>'} ({', '.join(last)})")
    way, limit = " desc" if down else "", max(1, min(query.limit, PAGE_MAX))
    rows = await connection.fetch(
        f"select v.*, array[{', '.join(f'{name}::text' for name in keys)}] as keyset_"
        f" from view_{view.name} v where {' and '.join(where)}"
        f" order by {', '.join(name + way for name in keys)} limit {limit + 1}",
        *values,
    )
    shown, following = [row_of(view, row) for row in rows[:limit]], None
    if len(rows) > limit:
        keyset = msgspec.json.encode(rows[limit - 1]["keyset_"])
        following = base64.urlsafe_b64encode(keyset).decode()
    return shown, following


class _Values(list[object]):
    """The values of a statement, each named by its mark as it is added."""

    def mark(self, value: object) -> str:
        self.append(value)
        return f"${len(self)}"


def _where(view: ViewOf, query: Query, values: _Values) -> Iterator[str]:
    for name, wanted in query.filters.items():
        if name not in view.filters:
            raise Refused("filter_unknown", field=name, allowed=", ".join(view.filters) or "-")
        yield f"{name} = any({values.mark(wanted.split(','))}::text[]::{columns(view)[name]}[])"
    if query.search and view.search:
        like = values.mark(f"%{re.sub(r'([\\%_])', r'\\\1', query.search)}%")
        found = [f"{name} ilike {like}" for name in view.search]
        initials = pinyin.pattern(query.search)
        if initials is not None:
            mark = values.mark(initials)
            found += [f"{name} ~ {mark}" for name in view.search]
        yield f"({' or '.join(found)})"
    if query.unit:
        yield f"organisation in (select unit_id from units_below({values.mark(str(query.unit))}))"


def _keyset(cursor: str, length: int) -> list[str]:
    with suppress(ValueError, msgspec.MsgspecError):
        values = msgspec.json.decode(base64.urlsafe_b64decode(cursor), type=list[str])
        if len(values) == length:
            return values
    raise Refused("cursor_broken", field="cursor")


def row_of(view: ViewOf, row: asyncpg.Record) -> dict[str, Any]:
    """A stored row as the API answers it."""
    shown: dict[str, Any] = {"id": row["stream"]}
    for name, sql in columns(view).items():
        value = row[name]
        if sql == "jsonb" and value is not None:
            value = msgspec.json.decode(value)
        elif isinstance(value, Decimal):
            value = f"{value:f}"  # never 1E+6
        shown[name] = value
    if view.many:
        shown["key"] = row["key"]
    return shown


async def rows_of(
    connection: Connection, view: ViewOf, stream: UUID
) -> tuple[list[dict[str, Any]], int]:
    """Every row of one stream that the caller may see, and the stream's version."""
    rows = await connection.fetch(
        f"select * from view_{view.name} where stream = $1 order by key", stream
    )
    return [row_of(view, row) for row in rows], max((row["version"] for row in rows), default=0)
