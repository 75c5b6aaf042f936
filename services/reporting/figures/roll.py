"""Moving figures when the tree moves, also from a day in the past, or becomes known late.

Figures of a unit that nobody has heard of yet stand at the unit alone. Once the local copy of the
tree knows where it belongs (or that it has been elsewhere since some day), what the unit's figures
came to on the days concerned is taken from whoever stood above it and given to whoever does now.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Sequence
from datetime import date
from uuid import UUID

import asyncpg

from services.reporting.figures.fold import Numbers
from services.reporting.figures.keep import (
    Pool,
    TreeNews,
    fetch_tree,
    intern_places,
)  # fmt: skip
from services.reporting.figures.tree import Tree
from shared import observe
from shared.background import ended
from shared.store import Connection

BEGINNING, END = date(1900, 1, 1), date(2900, 1, 1)

LANE = 0
"""Nobody else writes while the tree moves, so any lane will do."""

_MOVED = """
select tree_version() as version, p.unit, p.since, p.parent
from (select) one left join (
    select p.*, coalesce((u.document ->> 'level')::int, 0) as level
    from unit_parent p left join copied u on u.stream = p.unit
    where p.unit in (select unit from unit_parent where changed > $1)
) p on true
order by p.level, p.unit, p.since
"""

_SHIFT = """
with months as (
    select distinct series, day as month from figure
    where place = $1 and grain = 1 and day >= date_trunc('month', $2::date)::date and day < $3
), days as (
    select f.series, f.day, sum(f.entries) as entries, sum(f.count) as count,
           sum(f.amount) as amount, sum(f.quantity) as quantity
    from months m join figure f on f.series = m.series and f.grain = 0 and f.place = $1
        and f.day >= m.month and f.day < m.month + interval '1 month'
    where f.day >= $2 and f.day < $3
    group by 1, 2
), grown as (
    select series, 0::smallint as grain, day, entries, count, amount, quantity from days
    union all
    select series, 1::smallint, date_trunc('month', day)::date, sum(entries), sum(count),
           sum(amount), sum(quantity)
    from days group by 1, 3
)
insert into figure (series, grain, day, place, lane, entries, count, amount, quantity)
select g.series, g.grain, g.day, t.place, $6, t.sign * g.entries, t.sign * g.count,
       t.sign * g.amount, t.sign * g.quantity
from grown g cross join unnest($4::int[], $5::int[]) as t(place, sign)
on conflict (series, grain, day, place, lane) do update set
    entries = figure.entries + excluded.entries, count = figure.count + excluded.count,
    amount = figure.amount + excluded.amount, quantity = figure.quantity + excluded.quantity
"""

_WITH_FIGURES = """
select p.unit from place p where p.unit = any($1)
    and exists (select from figure f where f.place = p.no and f.grain = 1)
"""

type Path = tuple[UUID, ...]
type Shift = tuple[date, date, dict[UUID, int]]
"""From a day until before another: what is taken from (-1) and given to (+1) whom."""


def shifts(before: Sequence[tuple[date, Path]], after: Sequence[tuple[date, Path]]) -> list[Shift]:
    """Where a unit's figures must go, given the paths that it had and those that it has now."""
    marks = sorted({start for start, _ in (*before[1:], *after[1:])})
    found: list[Shift] = []
    for first, until in zip((BEGINNING, *marks), (*marks, END), strict=True):
        old, new = set(_at(before, first)[1:]), set(_at(after, first)[1:])
        signs = dict.fromkeys(old - new, -1) | dict.fromkeys(new - old, 1)
        if signs:
            found.append((first, until, signs))
    return found


def _at(paths: Sequence[tuple[date, Path]], day: date) -> Path:
    found = paths[0][1]
    for start, path in paths[1:]:
        if start > day:
            break
        found = path
    return found


class Roller:
    """Keeps figures rolled up along the local copy's tree, beside the consumer that counts."""

    def __init__(self, pool: Pool, every_s: float = 0.2) -> None:
        self.pool, self.every_s = pool, every_s
        self.tree, self.numbers = Tree(), Numbers()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Brings figures up to the tree, and begins to watch it."""
        await self.step()
        self._task = asyncio.create_task(self._run(), name="roller")

    async def stop(self) -> None:
        """Ends; a move under way is rolled back and made by the next one who looks."""
        if self._task is not None:
            await ended([self._task])

    async def _run(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.sleep(self.every_s)
            try:
                await self.step()
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                observe.log.warning("tree_not_rolled", error=repr(error))

    async def step(self) -> int:
        """Moves figures along if the tree has moved; returns how many units' figures went."""
        if await self.pool.fetchval("select version = tree_version() from rolled"):
            return 0
        async with self.pool.acquire() as connection, connection.transaction():
            version = await connection.fetchval("select version from rolled for update")
            (await fetch_tree(connection, self.tree.version)).into(self.tree)
            try:
                return await self._move(connection, await _moved(connection, version))
            except BaseException:
                self.tree = Tree()  # what it learnt is rolled back
                raise

    async def _move(self, connection: Connection, news: TreeNews) -> int:
        units = await connection.fetch(_WITH_FIGURES, list(news.histories))
        filled = {row["unit"] for row in units}
        moved = 0
        for unit, history in news.histories.items():
            before = self.tree.over_time(unit)
            self.tree.put(unit, history)
            if unit in filled:
                for first, until, signs in shifts(before, self.tree.over_time(unit)):
                    await self._shift(connection, unit, first, until, signs)
                    filled |= signs.keys()
                moved += 1
        await _keep(connection, news)
        self.tree.version = news.version
        return moved

    async def _shift(
        self, connection: Connection, unit: UUID, first: date, until: date, signs: dict[UUID, int]
    ) -> None:
        await intern_places(self.pool, self.numbers, (unit, *signs))
        places = self.numbers.places
        await connection.execute(
            _SHIFT, places[unit], first, until, [places[above] for above in signs],
            list(signs.values()), LANE,
        )  # fmt: skip


async def _moved(connection: Connection, version: int) -> TreeNews:
    """What the local copy knows of the tree beyond `version`, upper units first."""
    rows = await connection.fetch(_MOVED, version)
    news = TreeNews(rows[0]["version"], {})
    for row in rows:
        if row["unit"] is not None:
            news.histories.setdefault(row["unit"], []).append((row["since"], row["parent"]))
    return news


async def _keep(connection: Connection, news: TreeNews) -> None:
    rows: Iterable[tuple[UUID, date, UUID | None]] = [
        (unit, since, parent)
        for unit, history in news.histories.items()
        for since, parent in history
    ]
    await connection.execute("delete from rolled_parent where unit = any($1)", list(news.histories))
    await connection.executemany(
        f"insert into rolled_parent (unit, since, parent, changed)"
        f" values ($1, $2, $3, {news.version:d})",
        rows,
    )
    await connection.execute("update rolled set version = $1", news.version)
