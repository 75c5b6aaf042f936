"""Sums over whole periods, of many units at once and without their course: what a unit's figure is
held against, and the figures of the units below it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from services.reporting.figures.fold import Sums
from services.reporting.figures.read import (
    SIDES,
    SUMS,
    Picked,
    Query,
    Side,
    cells,
    counting,
    grains,
    places,
)
from services.reporting.period import Period
from shared.store import Connection


class Wanted(NamedTuple):
    """Units, and the days to sum up; `apart`: each unit by itself, else all together."""

    units: Sequence[UUID]
    period: Period
    apart: bool = False


type Totals = dict[UUID | None, dict[Side, Sums]]
"""By unit (None: all together), then by figure and side. What has no facts is not there."""


async def totals(
    connection: Connection, series: Sequence[Picked], wanted: Sequence[Wanted]
) -> list[Totals]:
    """The sums of the picked series for each of the wanted, in one statement."""
    query = Query()
    selects = [
        _select(query, number, one, [series for series in series if series.balance == balance])
        for number, one in enumerate(wanted)
        for balance in sorted({series.balance for series in series})
        if one.units
    ]
    found: list[Totals] = [{} for _ in wanted]
    if selects:
        for row in await connection.fetch(" union all ".join(selects), *query.values):
            number, side, unit, *sums = row
            found[number].setdefault(unit, {})[divmod(side, SIDES)] = sums
    return found


def _select(query: Query, number: int, wanted: Wanted, series: Sequence[Picked]) -> str:
    spans = grains(wanted.period, balance=series[0].balance, daily=False)
    of = [one.figure * SIDES + one.side for one in series]
    rows = cells(query, series, spans, places(query, wanted.units))
    unit, join, group = ("x.unit", " join place x on x.no = f.place", "2, 3")
    if not wanted.apart:
        unit, join, group = "null::uuid", "", "2"
    return (
        f"select {number}, p.as_, {unit}, {SUMS}"
        f" from ({rows}) f {counting(query, series, of)}{join} group by {group}"
    )
