"""The school calendar of a region: terms, holidays, days made up, closures, one school year each.

校历. Official holidays come in by themselves with a term; a bureau sets what differs, a school its own
closures and made-up days. Every duty and meal follows it. Source: regulation on public holidays
(全国年节及纪念日放假办法) and the yearly notices.
"""

from __future__ import annotations

from copy import replace
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Annotated, ClassVar
from uuid import UUID

import msgspec
from pydantic import Field

from shared.fields import Name, Reason
from shared.kernel import (
    Aggregate,
    By,
    Command,
    Creation,
    Event,
    Policy,
    Recorded,
    Refused,
    State,
    View,
)  # fmt: skip
from shared.organisation import READERS, Role

SETTERS = (Role.ADMINISTRATOR, Role.BUREAU_OFFICER)
"""Who sets terms and holidays."""

CLOSERS = (*SETTERS, Role.PRINCIPAL)
"""Who may close a school, and have days made up."""


class DayKind(StrEnum):
    """How a day differs from what term and week say of it."""

    HOLIDAY = "holiday"
    MAKE_UP = "make_up"
    CLOSURE = "closure"


class TermSet(Event):
    region: UUID
    school_year: int
    term: int
    first_day: date
    last_day: date


class HolidaySet(Event):
    region: UUID
    first_day: date
    last_day: date
    name: str
    official: bool = False


class MakeUpDaySet(Event):
    region: UUID
    day: date
    name: str


class ClosureSet(Event):
    region: UUID
    first_day: date
    last_day: date
    reason: str


class CalendarDayRemoved(Event):
    """What was set from `first_day` on was a mistake and no longer holds."""

    region: UUID
    kind: DayKind
    first_day: date
    reason: str


type CalendarEvent = TermSet | HolidaySet | MakeUpDaySet | ClosureSet | CalendarDayRemoved


class Days(msgspec.Struct, frozen=True, kw_only=True):
    """Days from the first to the last, both counted, and what they are called."""

    first_day: date
    last_day: date
    name: str = ""

    def meets(self, other: Days) -> bool:
        """Whether the two share a day."""
        return self.first_day <= other.last_day and other.first_day <= self.last_day

    def __contains__(self, day: date) -> bool:
        return self.first_day <= day <= self.last_day


class SchoolCalendar(State):
    terms: dict[int, Days] = {}
    holidays: tuple[Days, ...] = ()
    make_up_days: tuple[Days, ...] = ()
    closures: tuple[Days, ...] = ()
    school_year: int = 0

    def of(self, kind: DayKind) -> tuple[Days, ...]:
        """The days of one kind."""
        match kind:
            case DayKind.HOLIDAY:
                return self.holidays
            case DayKind.MAKE_UP:
                return self.make_up_days
            case DayKind.CLOSURE:
                return self.closures
