"""Lists and pages: each view's table is made from its row class, written in the transaction of the
events, and read under row-level security with filters, sorting, search and keyset paging.
"""

from __future__ import annotations

import base64
import hashlib
import inspect
import re
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import date, datetime
from decimal import Decimal
from functools import cache
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from sealing.record import record_of
from shared import pinyin
from shared.kernel import Refused, View, ViewOf
from shared.personal import marks_of
from shared.signature import hints_of, without_none
from shared.store import Connection, Part, Stream

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

PLACE = {"stream": "uuid", "key": "text", "version": "int"}
"""What every view's table has beside the columns of its rows."""


@cache
def columns(view: ViewOf) -> dict[str, str]:
    """Column -> SQL type of the row class; what is not simple is kept as jsonb."""
    return {name: _sql_type(hint) for name, hint in hints_of(view.row).items() if name != "id"}


def _sql_type(hint: Any) -> str:
    kind = without_none(hint)
    named = (sql for python, sql in _COLUMNS if isinstance(kind, type) and issubclass(kind, python))
    return next(named, "jsonb")


@cache
def shape(view: ViewOf) -> str:
    """Hash of what a view's rows depend on: another hash means that it must be built anew."""
    modules = {view.aggregate.module, inspect.getmodule(view.function)}
    text = "".join(sorted(inspect.getsource(module) for module in modules if module))
    return hashlib.sha256((text + repr(columns(view))).encode()).hexdigest()


def table_of(view: ViewOf) -> str:
    """The table that is read, and written in the transaction of the events."""
    return f"view_{view.name}"


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
def _upsert(view: ViewOf, table: str) -> str:
    fields = PLACE | columns(view)
    names = ", ".join(fields)
    typed = ", ".join(f"{name} {sql}" for name, sql in fields.items())
    changed = ", ".join(f"{name} = excluded.{name}" for name in fields)
    return (
        f"insert into {table} ({names})"
        f" select {names} from json_to_recordset({{0}}::json) as t({typed})"
        f" on conflict (stream, key) do update set {changed}"
    )


@cache
def _delete(table: str) -> str:
    return (
        f"delete from {table} v where v.stream = any({{0}}::uuid[]) and not exists"
        " (select from unnest({1}::uuid[], {2}::text[]) as t(stream, key)"
        " where t.stream = v.stream and t.key = v.key)"
    )


def parts(
    view: ViewOf, streams: Sequence[Stream], shows: Shows = rows_now, table: str = ""
) -> list[Part]:
    """What brings the view's rows of `streams` up to date; the second where rows may go."""
    table = table or table_of(view)
    rows = [
        {"stream": stream.id, "key": key, "version": stream.version, **msgspec.structs.asdict(row)}
        for stream in streams
        for key, row in shows(view, stream).items()
    ]
    made: list[Part] = []
    if rows:
        # A column not declared personal takes nothing that is.
        hook = record_of if marks_of(view.row) else None
        text = msgspec.json.encode(rows, enc_hook=hook).decode()
        made.append(Part(_upsert(view, table), (text,)))
    if view.many or len(rows) < len(streams):
        ids = [stream.id for stream in streams]
        made.append(
            Part(_delete(table), (ids, [r["stream"] for r in rows], [r["key"] for r in rows]))
        )
    return made


_MARK = """
insert into view_outdated
select t.name, t.stream from unnest({0}::text[], {1}::text[], {2}::uuid[]) as t(name, shape, stream)
join view_shape s on s.name = t.name and s.shape <> t.shape
on conflict do nothing
"""


def marks(written: Iterable[tuple[ViewOf, Sequence[Stream]]]) -> list[Part]:
    """What notes the streams whose rows are written here, where the list is of another release."""
    rows = [(view.name, shape(view), one.id) for view, streams in written for one in streams]
    return [Part(_MARK, tuple(list(column) for column in zip(*rows, strict=True)))] if rows else []


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
        types = PLACE | columns(view)
        mark = values.mark(_keyset(query.cursor, len(keys)))
        last = (f"({mark}::text[])[{n}]::{types[name]}" for n, name in enumerate(keys, 1))
        where.append(f"({', '.join(keys)}) {'<' if down else '>'} ({', '.join(last)})")
    way, limit = " desc" if down else "", max(1, min(query.limit, PAGE_MAX))
    rows = await connection.fetch(
        f"select {named(view)}, array[{', '.join(f'{name}::text' for name in keys)}] as keyset_"
        f" from {table_of(view)} v where {' and '.join(where)}"
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
        first, span, last = wanted.partition("..")
        if span and columns(view)[name] == "date":  # from one day to another, or without an end
            ends = ((">=", first), ("<=", last))
            yield from (f"{name} {way} {values.mark(day)}::text::date" for way, day in ends if day)
            continue
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


def named(view: ViewOf) -> str:
    """The columns by name: a list that gets one more must not fail who has read it before."""
    return ", ".join(PLACE | columns(view))


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
        f"select {named(view)} from {table_of(view)} where stream = $1 order by key", stream
    )
    return [row_of(view, row) for row in rows], max((row["version"] for row in rows), default=0)
