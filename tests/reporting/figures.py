"""Figures as tests look at them: stored, and counted by hand from the archive."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import date
from typing import Any
from uuid import UUID

import asyncpg

from services.reporting.figures.fold import Folder, Sums
from services.reporting.figures.keep import Keeper, fetch_tree
from services.reporting.figures.tree import Tree
from services.reporting.measure import scaled
from services.reporting.measures import measures
from shared.envelope import Delivered
from shared.kernel import Recorded
from shared.store import Conflict

type Pool = asyncpg.Pool[asyncpg.Record]
type Table = dict[tuple[str, tuple[str, ...], int, date, UUID], Sums]


async def take(keeper: Keeper, events: Sequence[Delivered]) -> None:
    """What the consumer does with a batch."""
    while True:
        prepared = await keeper.prepare(list(events))
        try:
            async with keeper.pool.acquire() as connection, connection.transaction():
                await keeper.commit(connection, prepared)
        except Conflict:
            continue
        return


async def kept(pool: Pool) -> Table:
    """Every stored figure, lanes added up, without those that have come to nothing."""
    rows = await pool.fetch(
        "select s.measure, s.labels, f.grain, f.day, p.unit, sum(f.entries)::bigint,"
        " sum(f.count)::bigint, sum(f.amount)::bigint, sum(f.quantity)::bigint"
        " from figure f join series s on s.no = f.series join place p on p.no = f.place"
        " group by 1, 2, 3, 4, 5"
    )
    return {
        (row[0], tuple(row[1]), row[2], row[3], row[4]): list(row)[5:]
        for row in rows
        if any(list(row)[5:])
    }


async def counted(pool: Pool) -> Table:
    """The same, counted one event at a time from what was received, along today's tree."""
    tree, folder = Tree(), Folder(measures)
    (await fetch_tree(pool, -1)).into(tree)
    names = frozenset(measure.name for measure in measures.stored)
    made: dict[Any, Sums] = defaultdict(lambda: [0, 0, 0, 0])
    for row in await pool.fetch("select * from archive"):
        recorded = Recorded(
            id=row["id"], stream=row["stream"], version=row["version"],
            organisation=row["organisation"], actor=row["actor"],
            occurred_at=row["occurred_at"], recorded_at=row["recorded_at"],
        )  # fmt: skip
        for placed in folder.facts(row["source"], row["type"], row["data"], recorded, names):
            for unit in tree.path_on(placed.unit, placed.day):
                for grain, day in ((0, placed.day), (1, placed.day.replace(day=1))):
                    sums = made[placed.measure.name, placed.labels, grain, day, unit]
                    sums[0] += 1
                    sums[1] += placed.fact.count
                    sums[2] += scaled(placed.fact.amount)
                    sums[3] += scaled(placed.fact.quantity)
    return {key: sums for key, sums in made.items() if any(sums)}
