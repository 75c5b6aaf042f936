"""A page about a unit's figures in one answer: values, their courses, what they are held against,
and the same figures of the units below.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated
from uuid import UUID

from fastapi import Query, Request, Response

from services.reporting import answers
from services.reporting.answers import Shown, Value
from services.reporting.asking import (
    LEVELS,
    DimsParameter,
    LevelName,
    MeasuresParameter,
    PeriodParameter,
    UnitParameter,
    several,
    wanted_dims,
)
from services.reporting.comparison import before, year_before
from services.reporting.figures import read as stored
from services.reporting.figures import shape
from services.reporting.figures.totals import Totals, Wanted, totals
from services.reporting.measure import Figure, Ratio
from services.reporting.period import Period
from services.reporting.reader import UNITS_MAX, Reader
from services.reporting.showing import Show, days_of
from shared.clock import this_moment
from shared.fields import business_day
from shared.organisation import Level, Unit

CENT = Decimal("0.01")

type Units = dict[str, list[UUID]]
"""The units below, by level."""


class DashboardApi:
    """The handler. What a person may see is asked of `reader` first."""

    def __init__(self, reader: Reader, show: Show) -> None:
        self.reader, self.show = reader, show

    async def dashboard(
        self,
        request: Request,
        unit: UnitParameter,
        period: PeriodParameter,
        names: MeasuresParameter,
        level: LevelName | None = None,
        by_unit: Annotated[
            str, Query(description="按下级单位列出的指标 · measures to be answered by unit")
        ] = "",
        dims: DimsParameter = "",
    ) -> Response:
        """一页数据：数值、走势、对比和下级单位 · figures, courses, comparisons, units below."""
        person = await self.reader.caller(request)
        place = await self.reader.scope(person, unit)
        span = self.reader.period(period, place)
        figures = several(names)
        where: dict[str, list[str]] = {}
        for figure in figures:
            where = wanted_dims(figure, dims)
        async with self.reader.reading(place, beside=span) as (connection, _):
            made = Made(self.reader, place, span, figures, level, set(by_unit.split(",")))
            series = await stored.pick(connection, figures, where)
            found = await stored.read(
                connection, figures, unit, span, where=where, tree=None, series=series
            )
            apart = [one for one in series if one.figure in made.apart]
            made.past, made.last_year, made.sisters = await totals(
                connection, series, made.compared()
            )
            (made.below,) = await totals(connection, apart, [Wanted(made.units, span, apart=True)])
            as_of = await self.reader.reach(connection)
        return _answer(self._whole(made, found, dims, as_of))

    def _whole(
        self, made: Made, found: stored.Read, dims: str, as_of: list[answers.Reach]
    ) -> answers.DashboardAnswer:
        place, span = made.place, made.period
        daily = span.days <= stored.DAILY_MAX
        return answers.DashboardAnswer(
            unit=self.reader.where(place.id),
            period=days_of(span), previous=days_of(made.before),
            last_year=days_of(made.year_before), grain="day" if daily else "month",
            beside=made.beside and answers.Beside(
                units=len(made.beside[1]), under=self.reader.where(made.beside[0])
            ),
            levels=[
                answers.LevelBelow(level=name, units=len(units))
                for name, units in made.levels.items()
            ],
            level=made.level, units=[self.reader.where(one) for one in made.units],
            figures=[
                answers.OneCompared(
                    **shape.whole(figure, found, index).model_dump(),
                    measure=self.show.words(figure),
                    series=shape.course(figure, found, span, daily=daily, index=index),
                    link=self.show.link(figure, place.id, span.text, dims),
                    previous=made.of(made.past, index), last_year=made.of(made.last_year, index),
                    sisters=made.average(index), of_units=made.of_units(index),
                )
                for index, figure in enumerate(made.figures)
            ],
            dims=self.show.dims(made.figures[0], found, place.id, span.text)
            if len(made.figures) == 1
            else [],
            as_of=as_of,
        )  # fmt: skip


class Made:
    """What a dashboard is about, and the sums that it is made of."""

    past: Totals
    last_year: Totals
    sisters: Totals
    below: Totals

    def __init__(
        self,
        reader: Reader,
        place: Unit,
        period: Period,
        figures: Sequence[Figure],
        level: LevelName | None,
        by_unit: set[str],
    ) -> None:
        self.place, self.period, self.figures = place, period, figures
        today = business_day(this_moment())
        self.before, self.year_before = before(period, today), year_before(period, today)
        self.beside = reader.sisters(place, period)
        self.apart = {index for index, one in enumerate(figures) if one.name in by_unit}
        self.levels = levels_below(reader, place, period)
        # What most want to see: the schools, or what is nearest above them.
        lowest = next((name for name in SHOWN_FIRST if name in self.levels), None)
        self.level = level if level in self.levels else lowest
        self.units = self.levels[self.level] if self.level and self.apart else []

    def compared(self) -> list[Wanted]:
        """The sums that the unit's own are held against."""
        sisters = self.beside[1] if self.beside else []
        own = [self.place.id]
        return [
            Wanted(own, self.before), Wanted(own, self.year_before), Wanted(sisters, self.period),
        ]  # fmt: skip

    def of(self, found: Totals, index: int, unit: UUID | None = None) -> Shown:
        """A figure's value among sums."""
        sums = found.get(unit, {})
        return shape.shown(
            self.figures[index],
            sums.get((index, stored.NUMERATOR), shape.NOTHING),
            sums.get((index, stored.DENOMINATOR), shape.NOTHING),
        )

    def average(self, index: int) -> Value:
        """What the units beside it have on average; a ratio is formed from their sums."""
        if self.beside is None:
            return None
        value = self.of(self.sisters, index).value
        if value is None or isinstance(self.figures[index], Ratio):
            return value
        return (Decimal(value) / len(self.beside[1])).quantize(CENT)

    def of_units(self, index: int) -> list[Value]:
        """The figure of each unit below; nothing where it was not asked for."""
        if index not in self.apart:
            return []
        return [self.of(self.below, index, unit).value for unit in self.units]


SHOWN_FIRST = ("school", "township", "county", "city", "campus")


def levels_below(reader: Reader, place: Unit, period: Period) -> Units:
    """The units of each level below that has any, and not too many to be shown at once."""
    found = {
        name: reader.at_level(place, level, period)
        for name, level in LEVELS.items()
        if level > place.level and level is not Level.CLASS
    }
    return {name: units for name, units in found.items() if 0 < len(units) <= UNITS_MAX}


def _answer(made: answers.DashboardAnswer) -> Response:
    return Response(made.model_dump_json(), media_type="application/json")
