"""What reporting answers, as its API documents it. Decimals travel as text, counts as numbers."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict

type Value = int | Decimal | None
"""A count is a number, an amount, quantity or ratio a text; null: a ratio without denominator."""


class Answer(BaseModel):
    """A part of an answer."""

    model_config = ConfigDict(frozen=True)


class Words(Answer):
    """A text in both languages."""

    zh: str
    en: str


class Where(Answer):
    """A unit by its name."""

    id: UUID
    name: str
    level: int


class Days(Answer):
    """A period, as asked for and in days; both ends belong to it."""

    text: str
    first: date
    last: date


class Reach(Answer):
    """How far the figures have got with one service's events.

    `current_at`: the last moment at which all that Kafka then held had been counted; `applied_at`:
    when an event was last counted. `waiting`: units whose events wait for repair, so that figures
    lack them.
    """

    source: str
    current_at: datetime | None
    applied_at: datetime | None
    waiting: list[UUID]


class Shown(Answer):
    """A value; of a ratio also what it was formed from. `entries`: of how many facts."""

    value: Value
    numerator: Value = None
    denominator: Value = None
    entries: int


class OfUnit(Shown):
    """A unit's share of a figure. `own`: what counts for the unit itself and none below it."""

    unit: Where
    own: bool
    link: str


class OfLabels(Shown):
    """A figure's part with these dimensions."""

    dims: dict[str, str]
    words: dict[str, Words]
    link: str


class OfTime(Shown):
    """A figure on a day, or in the month that begins on it; of a balance: at the end of it."""

    day: date


class MeasureWords(Answer):
    """What a measure is called and counted in."""

    measure: str
    words: Words
    unit: str
    unit_words: Words
    dims: dict[str, Words]
    balance: bool
    ratio: bool
    formula: list[str]


class FigureAnswer(Shown):
    """A figure with its parts, each of which sums up to it (a ratio's: both of its sums)."""

    measure: MeasureWords
    unit: Where
    period: Days
    grain: str
    parts: list[OfUnit]
    dims: list[OfLabels]
    series: list[OfTime]
    links: dict[str, str]
    as_of: list[Reach]


class OneOfSeveral(Shown):
    """One figure of a dashboard, with its course."""

    measure: MeasureWords
    series: list[OfTime]
    link: str


class FiguresAnswer(Answer):
    """Several figures of one unit and period."""

    unit: Where
    period: Days
    grain: str
    figures: list[OneOfSeveral]
    as_of: list[Reach]


class Ranked(Shown):
    """A unit's place; equal values share a place."""

    place: int | None
    unit: Where
    link: str


class RankingAnswer(Shown):
    """Units of one level below a unit in the order of a figure; `value` is that of all together."""

    measure: MeasureWords
    unit: Where
    period: Days
    level: str
    order: str
    units: int
    ranking: list[Ranked]
    as_of: list[Reach]


class Beside(Answer):
    """The units that a unit is averaged with: how many, itself among them, and under which."""

    units: int
    under: Where


class LevelBelow(Answer):
    """How many units of a level there are below a unit."""

    level: str
    units: int


class OneCompared(OneOfSeveral):
    """One figure of a dashboard with its course, and what it is held against.

    `previous`: of the period before; `last_year`: of the same days a year earlier; `sisters`: the
    average of the units beside it; `of_units`: of each of the dashboard's units, in their order,
    null where there is none.
    """

    previous: Shown
    last_year: Shown
    sisters: Value
    of_units: list[Value]


class DashboardAnswer(Answer):
    """All that a page about a unit's figures shows. Of a period that is under way, `previous` and
    `last_year` are as many days as have passed of it.

    `levels`: those below the unit that can be asked for; `level`: the one of `units`; `dims`: of a
    single figure, what it is composed of.
    """

    unit: Where
    period: Days
    previous: Days
    last_year: Days
    grain: str
    beside: Beside | None
    levels: list[LevelBelow]
    level: str | None
    units: list[Where]
    figures: list[OneCompared]
    dims: list[OfLabels]
    as_of: list[Reach]


class GivenFact(Answer):
    """What an event adds to a figure."""

    measure: str
    unit: Where
    day: date
    dims: dict[str, str]
    sign: int
    count: int
    amount: Decimal
    quantity: Decimal


class EventBehind(Answer):
    """An event that a figure is the sum of, as it was received."""

    id: UUID
    source: str
    position: str
    type: str
    words: Words
    stream: UUID
    version: int
    organisation: Where
    actor: str
    occurred_at: datetime
    recorded_at: datetime
    day: date
    data: dict[str, Any]
    facts: list[GivenFact]


class EventsAnswer(Answer):
    """A page of the events behind a figure, latest first."""

    measure: MeasureWords
    unit: Where
    period: Days
    items: list[EventBehind]
    next: str | None
    as_of: list[Reach]


class CheckAnswer(Answer):
    """A figure beside what its events come to when counted again."""

    measure: MeasureWords
    unit: Where
    period: Days
    equal: bool
    figure: Shown
    recount: Shown
    events: int
    as_of: list[Reach]


class CatalogueAnswer(Answer):
    """Every measure there is."""

    measures: list[MeasureWords]
