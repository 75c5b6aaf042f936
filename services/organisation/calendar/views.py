"""Terms with their school days, and the days that differ from the week."""

from __future__ import annotations

from datetime import date, timedelta
from uuid import UUID

from services.organisation.calendar import DayKind, Days, SchoolCalendar, calendars
from services.organisation.calendar.setting import SATURDAY
from shared.kernel import Recorded, View
from shared.organisation import READERS


class TermRow(View):
    """`school_days`: what this region's calendar leaves of the term; schools may have fewer."""

    id: UUID
    organisation: UUID
    school_year: int
    term: int
    first_day: date
    last_day: date
    school_days: int


@calendars.view(
    "/terms",
    allow=READERS,
    filters=("school_year", "term"),
    sorts=("first_day", "school_year"),
)
def school_terms(state: SchoolCalendar, recorded: Recorded) -> dict[str, TermRow]:
    return {
        str(term): TermRow(
            id=recorded.stream,
            organisation=recorded.organisation,
            school_year=state.school_year,
            term=term,
            first_day=days.first_day,
            last_day=days.last_day,
            school_days=school_days(state, days),
        )
        for term, days in state.terms.items()
    }


def school_days(state: SchoolCalendar, term: Days) -> int:
    """How many days of the term pupils have school."""
    span = range((term.last_day - term.first_day).days + 1)
    return sum(is_school_day(state, term.first_day + timedelta(days=n)) for n in span)


def is_school_day(state: SchoolCalendar, day: date) -> bool:
    """A closure is stronger than a made-up day, and that than a holiday or a weekend."""
    if any(day in days for days in state.closures):
        return False
    if any(day in days for days in state.make_up_days):
        return True
    return day.weekday() < SATURDAY and not any(day in days for days in state.holidays)


class CalendarDayRow(View):
    """Days that differ from the week; a closure's name is its reason."""

    id: UUID
    organisation: UUID
    school_year: int
    kind: DayKind
    first_day: date
    last_day: date
    name: str
    official: bool


@calendars.view(
    "/calendar-days",
    allow=READERS,
    filters=("school_year", "kind", "official"),
    sorts=("first_day", "kind"),
    search=("name",),
)
def calendar_days(state: SchoolCalendar, recorded: Recorded) -> dict[str, CalendarDayRow]:
    return {
        f"{kind}:{days.first_day}": CalendarDayRow(
            id=recorded.stream,
            organisation=recorded.organisation,
            school_year=state.school_year,
            kind=kind,
            first_day=days.first_day,
            last_day=days.last_day,
            name=days.name,
            official=days.official,
        )
        for kind in DayKind
        for days in state.of(kind)
    }
