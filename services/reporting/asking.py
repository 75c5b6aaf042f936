"""What a request for figures names: unit, period, level, measures and their dimensions."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

from fastapi import Query

from services.reporting.measure import Figure
from services.reporting.measures import measures
from shared.kernel import Refused
from shared.organisation import Level

FIGURES_MAX = 40
"""How many figures are answered at once."""

LEVELS = {"city": Level.CITY, "county": Level.COUNTY, "township": Level.TOWNSHIP,
          "school": Level.SCHOOL, "campus": Level.CAMPUS}  # fmt: skip

type LevelName = Literal["city", "county", "township", "school", "campus"]

type UnitParameter = Annotated[UUID, Query(description="单位 · unit")]
type PeriodParameter = Annotated[
    str,
    Query(
        description="期间 · 2011-09-01, 2011-W36, 2011-09, 2011, 2011/2012, 2011/2012-1,"
        " 2011-09-01..2012-01-15"
    ),
]
type DimsParameter = Annotated[str, Query(description="维度 · kind:lamp,kind:valve,fund:canteen")]
type MeasuresParameter = Annotated[
    str, Query(alias="measures", description="assets.repairs_done,…")
]


def named(name: str) -> Figure:
    """The figure of that name; refuses an unknown one."""
    figure = measures.figures.get(name)
    if figure is None:
        raise Refused("measure_unknown", field="measure", measure=name)
    return figure


def several(names: str) -> list[Figure]:
    """The figures of these names, each once; refuses an unknown one."""
    return [named(name) for name in dict.fromkeys(names.split(","))][:FIGURES_MAX]


def wanted_dims(figure: Figure, text: str) -> dict[str, list[str]]:
    """`kind:lamp,kind:valve` as dimension -> values; refuses a dimension that there is none of."""
    wanted: dict[str, list[str]] = {}
    for pair in filter(None, text.split(",")):
        name, colon, value = pair.partition(":")
        if not colon or name not in figure.dims:
            raise Refused(
                "dimension_unknown", field="dims", dimension=name,
                allowed=", ".join(figure.dims) or "-",
            )  # fmt: skip
        wanted.setdefault(name, []).append(value)
    return wanted
