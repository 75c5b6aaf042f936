"""A database as the code wants it: numbered SQL files, each applied once, and the log's months."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path

import asyncpg

from shared.clock import this_moment
from shared.locks import Lock
from shared.store import Connection, month_of


async def migrate(pool: asyncpg.Pool[asyncpg.Record], folders: Sequence[Path]) -> None:
    """Brings a service's database to what its files say, with the log's partitions of today."""
    async with pool.acquire() as connection, connection.transaction():
        await apply_files(connection, folders)
        await add_partitions(connection, this_moment().date())


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


def _next_month(first: date) -> date:
    return date(first.year + first.month // 12, first.month % 12 + 1, 1)
