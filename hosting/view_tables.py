"""The tables that lists are read from: made by their rows' class, filled beside appends."""

from __future__ import annotations

from collections.abc import Sequence

from shared import views
from shared.kernel import ViewOf
from shared.store import Connection, Part, Stream

# Columns of another release stay, empty where it does not write: its processes may still run.
_OTHERS = """
select attname, format_type(atttypid, atttypmod) from pg_attribute
where attrelid = to_regclass($1) and attnum > 0 and not attisdropped and attname <> all($2)
"""


async def create(connection: Connection, view: ViewOf, table: str) -> None:
    """Makes an empty table for a view's rows."""
    fields = views.columns(view)
    others = await connection.fetch(_OTHERS, views.table_of(view), [*views.PLACE, *fields])
    wanted = "".join(f", {name} {sql}" for name, sql in (*fields.items(), *others))
    indexes = "".join(
        f"create index on {table} ({name}, stream, key);"
        for name in dict.fromkeys((*view.sorts[:1], *view.filters))
    )
    await connection.execute(
        f"create table {table} (stream uuid not null, key text not null, version int not null"
        f"{wanted}, primary key (stream, key)) with (fillfactor = 80);"
        f"create index on {table} (organisation);{indexes}"
        f"alter table {table} enable row level security;"
        f"create policy scope on {table} for select to {views.READER} using"
        " (current_setting('houqin.scope', true) = '*' or organisation in"
        " (select unit_id from units_below(current_setting('houqin.scope', true))));"
        f"grant select on {table} to {views.READER}"
    )


async def write(
    connection: Connection, view: ViewOf, streams: Sequence[Stream], table: str = ""
) -> None:
    """Brings the view's rows of `streams` up to date by themselves, not with an append."""
    await carry_out(connection, *views.parts(view, streams, table=table))


async def carry_out(connection: Connection, *parts: Part) -> None:
    """Executes parts of an append each by itself."""
    for part in parts:
        names = [f"${n}" for n in range(1, len(part.arguments) + 1)]
        await connection.execute(part.sql.format(*names), *part.arguments)
