"""Setting terms, holidays, made-up days and closures, and taking a mistake back."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Annotated, ClassVar

import msgspec
from pydantic import Field

from services.organisation.calendar import (
    CalendarDayRemoved,
    ClosureSet,
    DayKind,
    Days,
    HolidaySet,
    MakeUpDaySet,
    SchoolCalendar,
    TermSet,
    calendars,
)
from shared.fields import Name, Reason
from shared.kernel import By, Command, Creation, Event, Policy, Refused
from shared.organisation import Role

SETTERS = (Role.ADMINISTRATOR, Role.BUREAU_OFFICER)
"""Who sets terms and holidays."""

CLOSERS = (*SETTERS, Role.PRINCIPAL)
"""Who may close a school, and have days made up."""

SATURDAY = 5
"""The weekday, counted from Monday as 0, from which on there is no school."""

type SchoolYear = Annotated[int, Field(ge=2000, le=2100)]
"""A school year, named by the calendar year in which it begins."""


class SchoolYearPolicy(Policy):
    """On which day a school year begins."""

    slug: ClassVar[str] = "organisation.school_year"

    begins_month: int
    begins_day: int


class OfficialHoliday(msgspec.Struct, frozen=True, kw_only=True):
    """A public holiday; both days belong to it."""

    name: str
    first_day: date
    last_day: date


class HolidaysPolicy(Policy):
    """The public holidays known so far; a region's own notice goes before them."""

    slug: ClassVar[str] = "organisation.holidays"

    holidays: tuple[OfficialHoliday, ...]


class SetTerm(Creation):
    school_year: SchoolYear
    term: Annotated[int, Field(ge=1, le=2)]
    first_day: date
    last_day: date


@calendars.post("/calendars/terms", allow=SETTERS)
def set_term(
    state: SchoolCalendar | None,
    command: SetTerm,
    by: By,
    year: SchoolYearPolicy,
    official: HolidaysPolicy,
) -> list[Event] | None:
    now = state or SchoolCalendar(school_year=command.school_year)
    days = Days(first_day=command.first_day, last_day=command.last_day)
    if now.terms.get(command.term) == days:
        return None
    refuse_outside(days, command.school_year, year)
    terms = {**now.terms, command.term: days}
    if len(terms) > 1 and terms[1].last_day >= terms[2].first_day:
        raise Refused("terms_overlap", field="first_day", last_day=terms[1].last_day)
    holidays = [
        Days(first_day=one.first_day, last_day=one.last_day, name=one.name)
        for one in official.holidays
    ]
    return [
        TermSet(
            region=by.unit,
            school_year=command.school_year,
            term=command.term,
            first_day=days.first_day,
            last_day=days.last_day,
        ),
        *(
            HolidaySet(
                region=by.unit,
                first_day=holiday.first_day,
                last_day=holiday.last_day,
                name=holiday.name,
                school_year=command.school_year,
                official=True,
            )
            for holiday in holidays
            if holiday.meets(days) and not any(holiday.meets(known) for known in now.holidays)
        ),
    ]


class SetHoliday(Creation):
    """Takes the place of official holidays that it touches, and of its own earlier version."""

    school_year: SchoolYear
    first_day: date
    last_day: date
    name: Name


@calendars.post("/calendars/holidays", allow=SETTERS)
def set_holiday(
    state: SchoolCalendar | None, command: SetHoliday, by: By, year: SchoolYearPolicy
) -> list[Event] | None:
    days = Days(first_day=command.first_day, last_day=command.last_day, name=command.name)
    known = state.holidays if state else ()
    if days in known:
        return None
    refuse_outside(days, command.school_year, year)
    others = [one for one in known if one.meets(days) and one.first_day != days.first_day]
    for other in others:
        if not other.official:
            raise Refused("days_overlap", field="first_day", name=other.name)
    return [
        *(
            CalendarDayRemoved(
                region=by.unit,
                kind=DayKind.HOLIDAY,
                first_day=other.first_day,
                reason=command.name,
                school_year=command.school_year,
            )
            for other in others
        ),
        HolidaySet(
            region=by.unit,
            first_day=days.first_day,
            last_day=days.last_day,
            name=days.name,
            school_year=command.school_year,
        ),
    ]


class SetMakeUpDay(Creation):
    school_year: SchoolYear
    day: date
    name: Name


@calendars.post("/calendars/make-up-days", allow=CLOSERS)
def set_make_up_day(
    state: SchoolCalendar | None, command: SetMakeUpDay, by: By, year: SchoolYearPolicy
) -> MakeUpDaySet | None:
    days = Days(first_day=command.day, last_day=command.day, name=command.name)
    if state is not None and days in state.make_up_days:
        return None
    refuse_outside(days, command.school_year, year)
    holidays = state.holidays if state else ()
    off = any(days.meets(holiday) for holiday in holidays)
    if command.day.weekday() < SATURDAY and not off:
        raise Refused("made_up_on_school_day", field="day", day=command.day)
    return MakeUpDaySet(
        region=by.unit, day=command.day, name=command.name, school_year=command.school_year
    )


class SetClosure(Creation):
    """Sent again with the same first day, it changes the last one."""

    school_year: SchoolYear
    first_day: date
    last_day: date
    reason: Reason


@calendars.post("/calendars/closures", allow=CLOSERS)
def set_closure(
    state: SchoolCalendar | None, command: SetClosure, by: By, year: SchoolYearPolicy
) -> ClosureSet | None:
    days = Days(first_day=command.first_day, last_day=command.last_day, name=command.reason)
    known = state.closures if state else ()
    if days in known:
        return None
    refuse_outside(days, command.school_year, year)
    for other in known:
        if other.meets(days) and other.first_day != days.first_day:
            raise Refused("days_overlap", field="first_day", name=other.name)
    return ClosureSet(
        region=by.unit,
        first_day=days.first_day,
        last_day=days.last_day,
        reason=days.name,
        school_year=command.school_year,
    )


class RemoveCalendarDay(Command):
    """Takes back what was set by mistake; `first_day` says which."""

    kind: DayKind
    first_day: date
    reason: Reason


@calendars.post("/calendars/{id}/remove", allow=CLOSERS)
def remove(state: SchoolCalendar, command: RemoveCalendarDay, by: By) -> CalendarDayRemoved:
    if command.kind is DayKind.HOLIDAY and not by.holds(*SETTERS):
        raise Refused("holidays_kept_by_bureau", field="kind")
    if command.first_day not in {days.first_day for days in state.of(command.kind)}:
        raise Refused("calendar_day_unknown", field="first_day", day=command.first_day)
    return CalendarDayRemoved(
        region=by.unit,
        kind=command.kind,
        first_day=command.first_day,
        reason=command.reason,
        school_year=state.school_year,
    )


def refuse_outside(days: Days, school_year: int, policy: SchoolYearPolicy) -> None:
    """Refuses days that run backwards or lie outside the school year."""
    if days.last_day < days.first_day:
        raise Refused("last_day_before_first", field="last_day", since=days.first_day)
    begins = date(school_year, policy.begins_month, policy.begins_day)
    ends = date(school_year + 1, policy.begins_month, policy.begins_day) - timedelta(days=1)
    if days.first_day < begins or days.last_day > ends:
        raise Refused("outside_school_year", field="first_day", begins=begins, ends=ends)
