"""The API of figures: values with their parts, rankings, the events behind them, the check.

Every answer says how far the figures have got, and every number links to what it is the sum of.
"""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel

from hosting.routing import refusing, routing
from services.reporting import answers
from services.reporting.asking import (
    LEVELS,
    DimsParameter,
    LevelName,
    MeasuresParameter,
    PeriodParameter,
    UnitParameter,
    named,
    several,
    wanted_dims,
)
from services.reporting.dashboard import DashboardApi
from services.reporting.figures import read as stored
from services.reporting.figures import shape
from services.reporting.figures.fold import Folder
from services.reporting.figures.recount import Recounter
from services.reporting.measure import Figure
from services.reporting.measures import measures
from services.reporting.period import Period
from services.reporting.reader import Reader
from services.reporting.showing import Show, days_of
from shared.organisation import Unit
from shared.runtime import Runtime

EVENTS_MAX = 500_000
"""More than so many events are not counted again while somebody waits."""

REFUSALS = (
    "unauthenticated", "forbidden", "not_found", "measure_unknown", "dimension_unknown",
    "period_malformed", "filter_malformed", "cursor_broken", "check_too_large", "events_in_files",
    "after_unreached", "after_malformed",
)  # fmt: skip
"""What a reader of figures may be answered."""


def router(rt: Runtime, reader: Reader) -> APIRouter:
    """Every route of figures."""
    made = APIRouter(prefix=f"/{rt.service.name}", route_class=routing(rt), tags=["figures"])
    api = FigureApi(rt, reader)
    refused = refusing(*REFUSALS)
    every = {"x-measures": [words.model_dump(mode="json") for words in api.every()]}
    for path, endpoint, answer in (
        ("/measures", api.catalogue, answers.CatalogueAnswer),
        ("/figures", api.figures, answers.FiguresAnswer),
        ("/figures/{measure}", api.figure, answers.FigureAnswer),
        ("/figures/{measure}/events", api.events, answers.EventsAnswer),
        ("/figures/{measure}/check", api.check, answers.CheckAnswer),
        ("/rankings/{measure}", api.ranking, answers.RankingAnswer),
        ("/dashboards", DashboardApi(reader, api.show).dashboard, answers.DashboardAnswer),
    ):
        made.add_api_route(
            path, endpoint, methods=["GET"], response_model=answer, responses=refused,
            openapi_extra=every if path == "/measures" else None,
        )  # fmt: skip
    return made


class FigureApi:
    """The handlers. What a person may see is asked of `reader` in each of them first."""

    def __init__(self, rt: Runtime, reader: Reader) -> None:
        self.rt, self.reader = rt, reader
        self.folder, self.show = Folder(measures), Show(rt, reader)

    async def catalogue(self, request: Request) -> Response:
        """每个指标的名称、单位和维度 · what every measure is called and counted in."""
        await self.reader.caller(request)
        return _answer(answers.CatalogueAnswer(measures=self.every()))

    def every(self) -> list[answers.MeasureWords]:
        """Every measure by its name."""
        return [self.show.words(figure) for _, figure in sorted(measures.figures.items())]

    async def figure(
        self,
        request: Request,
        measure: str,
        unit: UnitParameter,
        period: PeriodParameter,
        dims: DimsParameter = "",
        by: Annotated[str, Query(description="units,dims,time")] = "units,dims,time",
    ) -> Response:
        """一个指标及其组成 · a figure with its parts, dimensions and course."""
        place, figure, span, where = await self.asked(request, measure, unit, period, dims)
        wanted = frozenset(by.split(","))
        async with self.reader.reading(place) as (connection, tree):
            found = await stored.read(
                connection, [figure], unit, span, where=where,
                tree=tree if "units" in wanted else None,
            )  # fmt: skip
            as_of = await self.reader.reach(connection)
        daily = span.days <= stored.DAILY_MAX
        links = {
            name: self.show.link(figure, unit, period, dims, name) for name in ("events", "check")
        }
        return _answer(
            answers.FigureAnswer(
                **shape.whole(figure, found).model_dump(),
                measure=self.show.words(figure),
                unit=self.reader.where(unit),
                period=days_of(span),
                grain="day" if daily else "month",
                parts=self.show.parts(figure, found, place, span, dims)
                if "units" in wanted
                else [],
                dims=self.show.dims(figure, found, unit, period) if "dims" in wanted else [],
                series=shape.course(figure, found, span, daily=daily) if "time" in wanted else [],
                links=links,
                as_of=as_of,
            )
        )

    async def figures(
        self,
        request: Request,
        unit: UnitParameter,
        period: PeriodParameter,
        names: MeasuresParameter,
    ) -> Response:
        """多个指标 · several figures at once."""
        person = await self.reader.caller(request)
        place = await self.reader.scope(person, unit)
        span = self.reader.period(period, place)
        chosen = several(names)
        async with self.reader.reading(place) as (connection, _):
            found = await stored.read(connection, chosen, unit, span, where={}, tree=None)
            as_of = await self.reader.reach(connection)
        daily = span.days <= stored.DAILY_MAX
        made = [
            answers.OneOfSeveral(
                **shape.whole(figure, found, index).model_dump(),
                measure=self.show.words(figure),
                series=shape.course(figure, found, span, daily=daily, index=index),
                link=self.show.link(figure, unit, period),
            )
            for index, figure in enumerate(chosen)
        ]
        return _answer(
            answers.FiguresAnswer(
                unit=self.reader.where(unit), period=days_of(span),
                grain="day" if daily else "month", figures=made, as_of=as_of,
            )
        )  # fmt: skip

    async def events(
        self,
        request: Request,
        measure: str,
        unit: UnitParameter,
        period: PeriodParameter,
        dims: DimsParameter = "",
        cursor: str = "",
        limit: Annotated[int, Query(ge=1, le=500)] = 50,
    ) -> Response:
        """指标背后的事件 · the events that a figure is the sum of."""
        place, figure, span, where = await self.asked(request, measure, unit, period, dims)
        async with self.reader.reading(place) as (connection, tree):
            counter = Recounter(self.folder, tree, figure, unit, span, where)
            await counter.at_hand(connection)
            found, following = await counter.page(connection, cursor, limit)
            as_of = await self.reader.reach(connection)
        return _answer(
            answers.EventsAnswer(
                measure=self.show.words(figure), unit=self.reader.where(unit), period=days_of(span),
                items=[self.show.behind(one) for one in found], next=following, as_of=as_of,
            )
        )  # fmt: skip

    async def check(
        self,
        request: Request,
        measure: str,
        unit: UnitParameter,
        period: PeriodParameter,
        dims: DimsParameter = "",
    ) -> Response:
        """从事件重算并核对 · counts the figure again from its events."""
        place, figure, span, where = await self.asked(request, measure, unit, period, dims)
        async with self.reader.reading(place) as (connection, tree):
            found = await stored.read(connection, [figure], unit, span, where=where, tree=None)
            counter = Recounter(self.folder, tree, figure, unit, span, where)
            await counter.at_hand(connection)
            again = await counter.recount(connection, EVENTS_MAX)
            as_of = await self.reader.reach(connection)
        sides = (stored.NUMERATOR, stored.DENOMINATOR)
        kept = [shape.total(found.own[0, side].values()) for side in sides]
        counted = [again.sums[side] for side in sides]
        return _answer(
            answers.CheckAnswer(
                measure=self.show.words(figure), unit=self.reader.where(unit), period=days_of(span),
                equal=kept == counted, figure=shape.shown(figure, *kept),
                recount=shape.shown(figure, *counted), events=again.events, as_of=as_of,
            )
        )  # fmt: skip

    async def ranking(
        self,
        request: Request,
        measure: str,
        unit: UnitParameter,
        period: PeriodParameter,
        level: LevelName = "school",
        order: Literal["desc", "asc"] = "desc",
        dims: DimsParameter = "",
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
        offset: Annotated[int, Query(ge=0)] = 0,
    ) -> Response:
        """下级单位排名 · the units below in the order of a figure."""
        place, figure, span, where = await self.asked(request, measure, unit, period, dims)
        async with self.reader.reading(place) as (connection, _):
            units = self.reader.at_level(place, LEVELS[level], span)
            found = await stored.read(connection, [figure], unit, span, where=where, tree=None)
            rows = await stored.rank(
                connection, figure, units, span, where=where, descending=order == "desc",
                limit=limit, offset=offset,
            )  # fmt: skip
            as_of = await self.reader.reach(connection)
        return _answer(
            answers.RankingAnswer(
                **shape.whole(figure, found).model_dump(),
                measure=self.show.words(figure), unit=self.reader.where(unit), period=days_of(span),
                level=level, order=order, units=len(units),
                ranking=[self.show.ranked(figure, row, period, dims) for row in rows], as_of=as_of,
            )
        )  # fmt: skip

    async def asked(
        self, request: Request, measure: str, unit: UUID, period: str, dims: str
    ) -> tuple[Unit, Figure, Period, dict[str, list[str]]]:
        """What a request is about; raises the problem that says why not."""
        person = await self.reader.caller(request)
        place = await self.reader.scope(person, unit)
        figure = named(measure)
        return place, figure, self.reader.period(period, place), wanted_dims(figure, dims)


def _answer(made: BaseModel) -> Response:
    return Response(made.model_dump_json(), media_type="application/json")
