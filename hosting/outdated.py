"""Rows of lists that a process of another release has written are made anew by one of their own.

While a release is rolled out or back, processes of both write to the same lists. What the other one
wrote lacks a new column, or holds an old meaning; it is marked in the same statement
(`views.marks`), and folded again here.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import asyncpg

from hosting import view_tables
from sealing.vault import Vault
from shared import views
from shared.kernel import ViewOf
from shared.store import Connection, fold

STREAMS = 200
"""Folded again in one transaction; their writers wait for as long as it takes."""

_MARKED = """
select o.stream from view_outdated o join view_shape s on s.name = o.name and s.shape = $2
where o.name = $1 limit $3
"""

# None, where a rebuild has made the list another release's meanwhile.
_TAKE = """
delete from view_outdated o using view_shape s
where o.name = $1 and s.name = o.name and s.shape = $2 and o.stream = any($3) returning o.stream
"""

# In the order in which appends lock them.
_HOLD = "select from head where stream = any($1) order by stream for update"


async def refold(
    pool: asyncpg.Pool[asyncpg.Record], lists: Sequence[ViewOf], vault: Vault | None = None
) -> None:
    """Makes marked rows anew, list by list, as far as this release is the lists' own."""
    if not await pool.fetchval("select exists (select from view_outdated)"):
        return  # as ever but during a release: one question each time, not one for every list
    for view in lists:
        while streams := await _marked(pool, view):
            async with pool.acquire() as connection, connection.transaction():
                await _refold(connection, view, streams, vault)


async def _marked(pool: asyncpg.Pool[asyncpg.Record], view: ViewOf) -> list[UUID]:
    return [row[0] for row in await pool.fetch(_MARKED, view.name, views.shape(view), STREAMS)]


async def _refold(
    connection: Connection, view: ViewOf, streams: Sequence[UUID], vault: Vault | None
) -> None:
    """Nobody moves these streams meanwhile, so that no older row replaces a newer one; and the list
    stays this release's: its table comes first, as it does in appends.
    """
    await connection.execute(f"lock table {views.table_of(view)} in row exclusive mode")
    await connection.execute(_HOLD, streams)
    taken = await connection.fetch(_TAKE, view.name, views.shape(view), streams)
    ids = [row[0] for row in taken]
    folded = await fold(connection, {view.aggregate.name: view.aggregate}, ids, vault)
    await view_tables.write(connection, view, list(folded.values()))
