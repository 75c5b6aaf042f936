"""The school calendar of a region: terms, holidays, days made up, closures, one school year each.

校历. Official holidays come in by themselves with a term; a bureau sets what differs, a school its
own closures and made-up days. Every duty and meal follows it. Source: regulation on public
holidays (全国年节及纪念日放假办法) and the yearly notices.
"""

from __future__ import annotations

from copy import replace
from datetime import date
from enum import StrEnum
from uuid import UUID

import msgspec

from shared.kernel import Aggregate, Event, State


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
    school_year: int = 0
    official: bool = False


class MakeUpDaySet(Event):
    region: UUID
    day: date
    name: str
    school_year: int = 0


class ClosureSet(Event):
    region: UUID
    first_day: date
    last_day: date
    reason: str
    school_year: int = 0


class CalendarDayRemoved(Event):
    """What was set from `first_day` on was a mistake and no longer holds."""

    region: UUID
    kind: DayKind
    first_day: date
    reason: str
    school_year: int = 0


type CalendarEvent = TermSet | HolidaySet | MakeUpDaySet | ClosureSet | CalendarDayRemoved


class Days(msgspec.Struct, frozen=True, kw_only=True):
    """Days from the first to the last, both counted, and what they are called.

    `official`: nobody set them, they came in with the term.
    """

    first_day: date
    last_day: date
    name: str = ""
    official: bool = False

    def meets(self, other: Days) -> bool:
        """Whether the two share a day."""
        return self.first_day <= other.last_day and other.first_day <= self.last_day

    def __contains__(self, day: date) -> bool:
        return self.first_day <= day <= self.last_day


class SchoolCalendar(State):
    school_year: int
    terms: dict[int, Days] = {}
    holidays: tuple[Days, ...] = ()
    make_up_days: tuple[Days, ...] = ()
    closures: tuple[Days, ...] = ()

    def of(self, kind: DayKind) -> tuple[Days, ...]:
        """The days of one kind."""
        match kind:
            case DayKind.HOLIDAY:
                return self.holidays
            case DayKind.MAKE_UP:
                return self.make_up_days
            case DayKind.CLOSURE:
                return self.closures


def evolve(state: SchoolCalendar | None, event: CalendarEvent) -> SchoolCalendar:
    """The calendar after one more event."""
    if isinstance(event, CalendarDayRemoved):
        assert state is not None, "only what was set can be removed"
        kept = _without(state.of(event.kind), event.first_day)
        return _with(state, event.kind, kept)
    now = state or SchoolCalendar(school_year=event.school_year)
    match event:
        case TermSet(term=term, first_day=first_day, last_day=last_day):
            days = Days(first_day=first_day, last_day=last_day)
            return replace(now, terms={**now.terms, term: days})
        case HolidaySet(first_day=first_day, last_day=last_day, name=name, official=official):
            days = Days(first_day=first_day, last_day=last_day, name=name, official=official)
            return _with(now, DayKind.HOLIDAY, (*_without(now.holidays, first_day), days))
        case MakeUpDaySet(day=day, name=name):
            days = Days(first_day=day, last_day=day, name=name)
            return _with(now, DayKind.MAKE_UP, (*_without(now.make_up_days, day), days))
        case ClosureSet(first_day=first_day, last_day=last_day, reason=reason):
            days = Days(first_day=first_day, last_day=last_day, name=reason)
            return _with(now, DayKind.CLOSURE, (*_without(now.closures, first_day), days))


def _without(known: tuple[Days, ...], first_day: date) -> tuple[Days, ...]:
    return tuple(days for days in known if days.first_day != first_day)


def _with(state: SchoolCalendar, kind: DayKind, days: tuple[Days, ...]) -> SchoolCalendar:
    match kind:
        case DayKind.HOLIDAY:
            return replace(state, holidays=days)
        case DayKind.MAKE_UP:
            return replace(state, make_up_days=days)
        case DayKind.CLOSURE:
            return replace(state, closures=days)


calendars = Aggregate(
    "calendar",
    events=CalendarEvent,
    state=SchoolCalendar,
    evolve=evolve,
    key=lambda command: f"{command.organisation}:{command.school_year}",
)

# The capabilities record themselves on `calendars`.
from services.organisation.calendar import setting, views  # noqa: E402, F401
