"""What is written of a batch, in the transaction that moves its offsets: archive and figures.

Figures stand rolled up along one version of the tree. A batch folded along another version is
folded again; whoever moves the tree (see `roll`) waits for the batches under way and no longer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import batched
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from services.reporting.figures.fold import (
    ARCHIVE,
    FigureRow,
    Folded,
    Folder,
    Numbers,
    SeriesKey,
    Spread,
    Stray,
    rows_of,
)  # fmt: skip
from services.reporting.figures.tree import Tree
from services.reporting.measure import Measures
from shared.effect import Handler
from shared.envelope import Delivered
from shared.locks import Lock
from shared.store import Conflict, Connection

PORTION = 500
"""So many events are folded before something else may go on."""

COPY_FROM = 1_000
"""From so many rows on a COPY is faster than arrays as parameters."""

_ADD = """
on conflict (series, grain, day, place, lane) do update set
    entries = figure.entries + excluded.entries, count = figure.count + excluded.count,
    amount = figure.amount + excluded.amount, quantity = figure.quantity + excluded.quantity
"""

_FIGURES = (
    """
insert into figure (series, grain, day, place, lane, entries, count, amount, quantity)
select * from unnest($1::int[], $2::smallint[], $3::date[], $4::int[], $5::smallint[],
                     $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[])
"""
    + _ADD
)

_FIGURES_COPIED = "insert into figure select * from figure_batch" + _ADD

_BATCH = """
create temp table if not exists figure_batch (
    series int, grain smallint, day date, place int, lane smallint,
    entries bigint, count bigint, amount bigint, quantity bigint
) on commit delete rows
"""

_ARCHIVE = f"""
insert into archive ({", ".join(ARCHIVE)})
select * from unnest($1::date[], $2::text[], $3::int[], $4::bigint[], $5::bigint[], $6::uuid[],
                     $7::uuid[], $8::int[], $9::text[], $10::uuid[], $11::text[],
                     $12::timestamptz[], $13::timestamptz[], $14::date[], $15::uuid[],
                     $16::uuid[], $17::bytea[], $18::text[])
"""

_STRAYS = """
insert into stray
select * from unnest($1::text[], $2::uuid[], $3::date[], $4::date[], $5::text[], $6::int[],
                     $7::bigint[], $8::bigint[])
"""

type Pool = asyncpg.Pool[asyncpg.Record]


@dataclass(slots=True)
class Prepared:
    """A folded batch, ready to be written, the version of the tree it was folded along, and the
    generation of the series it was counted under.
    """

    folded: Folded
    rows: list[FigureRow]
    version: int
    generation: int


class Keeper(Handler):
    """The handler of the consumer named `figures`: takes in every event of every service."""

    def __init__(self, pool: Pool, measures: Measures) -> None:
        self.pool, self.folder = pool, Folder(measures)
        self.tree, self.numbers = Tree(), Numbers()
        self.spread = Spread(self.tree, self.numbers)
        self.lane: int | None = None
        self.generation = -1
        self._months: set[date] = set()

    async def prepare(self, events: list[Delivered]) -> Prepared:
        """Folds a batch; raises `Unappliable` for an event that no measure can read."""
        folded = Folded()
        for some in batched(events, PORTION, strict=False):
            self.folder.fold(some, folded)
            await asyncio.sleep(0)  # what is being written goes on
        partition = min(event.partition for event in events)
        # Processes share no partition, so the lowest one names the process.
        self.lane = partition if self.lane is None else min(self.lane, partition)
        await self._add_months({row[0] for row in folded.archive})
        return await self.rolled(folded)

    async def rolled(self, folded: Folded) -> Prepared:
        """The batch added up along the tree as this process last saw it."""
        if self.tree.version < 0:
            await self.reload()
        await intern_series(self.pool, self.numbers, {key for key, _, _ in folded.leaves})
        await intern_places(self.pool, self.numbers, {unit for _, unit, _ in folded.leaves})
        cells, version, generation = (
            self.spread.cells(folded.leaves), self.tree.version, self.generation
        )  # fmt: skip
        await asyncio.sleep(0)
        return Prepared(folded, rows_of(cells, self.lane or 0), version, generation)

    async def commit(self, connection: Connection, prepared: Prepared) -> None:
        """Writes a folded batch; `Conflict` if the tree has moved meanwhile, or figures have been
        replaced by those of a rebuild.
        """
        if not await current(connection, prepared):
            await self.reload()
            raise Conflict
        await _write(connection, "archive", _ARCHIVE, prepared.folded.archive, ARCHIVE)
        await _write(connection, "stray", _STRAYS, sorted(prepared.folded.strays), Stray._fields)
        await write_figures(connection, prepared.rows)

    async def reload(self) -> None:
        """Takes in what has changed of the tree along which figures stand rolled up, and forgets
        the numbers of series that are no longer counted on.
        """
        generation = await self.pool.fetchval("select generation from rolled")
        if generation != self.generation:
            self.generation = generation
            self.numbers.series.clear()
        news = await fetch_tree(self.pool, self.tree.version)
        await intern_places(self.pool, self.numbers, news.units())
        news.into(self.tree)
        self.spread = Spread(self.tree, self.numbers)

    async def _add_months(self, months: set[date]) -> None:
        for month in months - self._months:
            after = date(month.year + month.month // 12, month.month % 12 + 1, 1)
            async with self.pool.acquire() as connection, connection.transaction():
                await connection.execute("select pg_advisory_xact_lock($1)", Lock.ARCHIVE)
                await connection.execute(
                    f"create table if not exists archive_{month:%Y%m} partition of archive"
                    f" for values from ('{month}') to ('{after}')"
                )
            self._months.add(month)


async def current(connection: Connection, prepared: Prepared) -> bool:
    """Whether tree and series are those that it was prepared with, and stay so until the end of
    the transaction.
    """
    row = await connection.fetchrow("select version, generation from rolled for share")
    assert row is not None
    return (row["version"], row["generation"]) == (prepared.version, prepared.generation)


async def write_figures(connection: Connection, rows: Sequence[FigureRow]) -> None:
    """Adds rows to the stored figures, in one statement."""
    if len(rows) < COPY_FROM:
        if rows:
            await connection.execute(_FIGURES, *map(list, zip(*rows, strict=True)))
        return
    await connection.execute(_BATCH)
    await connection.copy_records_to_table("figure_batch", records=rows)
    await connection.execute(_FIGURES_COPIED)


async def _write(
    connection: Connection, table: str, insert: str, rows: Sequence[Any], columns: Sequence[str]
) -> None:
    if len(rows) >= COPY_FROM:
        await connection.copy_records_to_table(table, records=rows, columns=list(columns))
    elif rows:
        await connection.execute(insert, *map(list, zip(*rows, strict=True)))


async def intern_series(pool: Pool, numbers: Numbers, keys: Iterable[SeriesKey]) -> None:
    """Gives series their numbers. Kept even if the batch is not: a number may go unused."""
    fresh = [key for key in keys if key not in numbers.series]
    if not fresh:
        return
    # An array of arrays must be rectangular, so labels travel as JSON.
    names = [name for name, _ in fresh]
    labels = [msgspec.json.encode(labels).decode() for _, labels in fresh]
    await pool.execute(
        "insert into series (measure, labels, stand)"
        " select t.measure, array(select json_array_elements_text(t.labels::json)), $3"
        " from unnest($1::text[], $2::text[]) as t(measure, labels) order by 1, 2"
        " on conflict do nothing",
        names, labels, numbers.stand,
    )  # fmt: skip
    rows = await pool.fetch(
        "select no, measure, labels from series where measure = any($1) and stand = $2",
        names, numbers.stand,
    )  # fmt: skip
    numbers.series |= {(row["measure"], tuple(row["labels"])): row["no"] for row in rows}


async def intern_places(pool: Pool, numbers: Numbers, units: Iterable[UUID]) -> None:
    """Gives units their numbers."""
    fresh = sorted({unit for unit in units if unit not in numbers.places})
    if not fresh:
        return
    await pool.execute(
        "insert into place (unit) select unnest($1::uuid[]) on conflict do nothing", fresh
    )
    rows = await pool.fetch("select no, unit from place where unit = any($1)", fresh)
    numbers.places |= {row["unit"]: row["no"] for row in rows}


@dataclass(slots=True)
class TreeNews:
    """What has changed of the tree: the whole history of each unit of which a part has."""

    version: int
    histories: dict[UUID, list[tuple[date, UUID | None]]]

    def units(self) -> set[UUID]:
        """Every unit that it names."""
        above = (parent for history in self.histories.values() for _, parent in history)
        return {*self.histories, *(parent for parent in above if parent is not None)}

    def into(self, tree: Tree) -> None:
        """Brings the tree up to it."""
        for unit, history in self.histories.items():
            tree.put(unit, history)
        tree.version = max(tree.version, self.version)


async def fetch_tree(source: Pool | Connection, known: int) -> TreeNews:
    """What has changed since version `known` of the tree that figures stand rolled up along."""
    rows = await source.fetch(
        "select r.version, p.unit, p.since, p.parent from rolled r left join rolled_parent p"
        " on p.unit in (select unit from rolled_parent where changed > $1)",
        known,
    )
    news = TreeNews(rows[0]["version"], {})
    for row in rows:
        if row["unit"] is not None:
            news.histories.setdefault(row["unit"], []).append((row["since"], row["parent"]))
    return news
