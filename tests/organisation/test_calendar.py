"""The school calendar: terms in order, official holidays by default, what differs on top."""

from datetime import date
from typing import Any

from services.organisation.calendar import (
    CalendarDayRemoved,
    ClosureSet,
    DayKind,
    HolidaySet,
    MakeUpDaySet,
    SchoolCalendar,
    TermSet,
    calendars,
)  # fmt: skip
from services.organisation.calendar.setting import (
    HolidaysPolicy,
    OfficialHoliday,
    RemoveCalendarDay,
    SetClosure,
    SetHoliday,
    SetMakeUpDay,
    SetTerm,
)  # fmt: skip
from services.organisation.calendar.views import calendar_days, is_school_day, school_terms
from shared.kernel import Recorded
from shared.organisation import Role
from shared.testing import SCHOOL, STREAM, Result, by, given

OFFICER = by("li", Role.BUREAU_OFFICER)
FIRST, LAST = date(2026, 9, 1), date(2027, 1, 20)
NATIONAL_DAY = HolidaySet(
    region=SCHOOL, first_day=date(2026, 10, 1), last_day=date(2026, 10, 3), name="国庆节",
    school_year=2026, official=True,
)  # fmt: skip
ONE_HOLIDAY = HolidaysPolicy(
    holidays=(
        OfficialHoliday(name="国庆节", first_day=date(2026, 10, 1), last_day=date(2026, 10, 3)),
        OfficialHoliday(name="劳动节", first_day=date(2027, 5, 1), last_day=date(2027, 5, 2)),
    )
)


def term_set(term: int = 1, first: date = FIRST, last: date = LAST) -> TermSet:
    return TermSet(region=SCHOOL, school_year=2026, term=term, first_day=first, last_day=last)


def set_term(*before: Any, term: int = 1, first: date = FIRST, last: date = LAST) -> Result:
    command = SetTerm(
        organisation=SCHOOL, school_year=2026, term=term, first_day=first, last_day=last
    )
    return given(calendars, *before).when(command, by=OFFICER, official=ONE_HOLIDAY)


def test_a_term_brings_its_official_holidays() -> None:
    set_term().then(term_set(), NATIONAL_DAY)
    set_term(term_set(), NATIONAL_DAY).then()
    own = HolidaySet(
        region=SCHOOL, first_day=date(2026, 9, 30), last_day=date(2026, 10, 7), name="国庆",
        school_year=2026,
    )  # fmt: skip
    set_term(own).then(term_set())
    later = date(2027, 1, 25)
    set_term(term_set(), NATIONAL_DAY, last=later).then(term_set(last=later))


def test_the_shipped_holidays_of_the_example_years_are_there() -> None:
    command = SetTerm(
        organisation=SCHOOL, school_year=2009, term=1, first_day=date(2009, 9, 1),
        last_day=date(2010, 1, 25),
    )  # fmt: skip
    names = [
        event.name
        for event in given(calendars).when(command, by=OFFICER).outcome()
        if isinstance(event, HolidaySet)
    ]
    assert names == ["国庆节", "元旦"]


def test_terms_keep_their_order_and_their_year() -> None:
    set_term(first=date(2026, 9, 2), last=date(2026, 9, 1)).refused("last_day_before_first")
    set_term(first=date(2026, 7, 31)).refused("outside_school_year", field="first_day")
    set_term(last=date(2027, 8, 1)).refused("outside_school_year")
    second = (date(2027, 2, 20), date(2027, 7, 5))
    set_term(term_set(), term=2, first=LAST, last=second[1]).refused("terms_overlap")
    set_term(term_set(2, *second), last=second[0]).refused("terms_overlap")
    outcome = set_term(term_set(), term=2, first=second[0], last=second[1]).outcome()
    assert outcome[0] == term_set(2, *second)
    assert [event.name for event in outcome[1:]] == ["劳动节"]  # type: ignore[union-attr]


def holiday(first: date, last: date, name: str = "秋假") -> HolidaySet:
    return HolidaySet(region=SCHOOL, first_day=first, last_day=last, name=name, school_year=2026)


def set_holiday(*before: Any, first: date, last: date, name: str = "秋假") -> Result:
    command = SetHoliday(
        organisation=SCHOOL, school_year=2026, first_day=first, last_day=last, name=name
    )
    return given(calendars, *before).when(command, by=OFFICER)


def test_a_holiday_takes_the_place_of_official_ones() -> None:
    first, last = date(2026, 9, 30), date(2026, 10, 7)
    after = set_holiday(term_set(), NATIONAL_DAY, first=first, last=last).then(
        CalendarDayRemoved(
            region=SCHOOL, kind=DayKind.HOLIDAY, first_day=date(2026, 10, 1), reason="秋假",
            school_year=2026,
        ),
        holiday(first, last),
    )  # fmt: skip
    assert len(after.state.holidays) == 1
    set_holiday(holiday(first, last), first=first, last=last).then()
    longer = date(2026, 10, 9)
    again = set_holiday(holiday(first, last), first=first, last=longer).then(holiday(first, longer))
    assert len(again.state.holidays) == 1
    set_holiday(holiday(first, last), first=last, last=longer).refused("days_overlap")
    set_holiday(first=last, last=first).refused("last_day_before_first")
    set_holiday(first=date(2025, 10, 1), last=last).refused("outside_school_year")


def set_make_up(*before: Any, day: date, name: str = "补国庆") -> Result:
    command = SetMakeUpDay(organisation=SCHOOL, school_year=2026, day=day, name=name)
    return given(calendars, *before).when(command, by=OFFICER)


def made_up(day: date) -> MakeUpDaySet:
    return MakeUpDaySet(region=SCHOOL, day=day, name="补国庆", school_year=2026)


def test_days_are_made_up_on_days_off() -> None:
    saturday, friday = date(2026, 10, 10), date(2026, 10, 2)
    set_make_up(day=saturday).then(made_up(saturday))
    set_make_up(made_up(saturday), day=saturday).then()
    set_make_up(NATIONAL_DAY, day=friday).then(made_up(friday))
    set_make_up(day=friday).refused("made_up_on_school_day", field="day")
    set_make_up(day=date(2026, 7, 4)).refused("outside_school_year")


def set_closure(*before: Any, first: date, last: date) -> Result:
    command = SetClosure(
        organisation=SCHOOL, school_year=2026, first_day=first, last_day=last, reason="台风"
    )
    return given(calendars, *before).when(command, by=by("zhao", Role.PRINCIPAL))


def closure(first: date, last: date) -> ClosureSet:
    return ClosureSet(
        region=SCHOOL, first_day=first, last_day=last, reason="台风", school_year=2026
    )


def test_a_closure_is_set_and_changed() -> None:
    first, last = date(2026, 9, 7), date(2026, 9, 8)
    set_closure(first=first, last=last).then(closure(first, last))
    set_closure(closure(first, last), first=first, last=last).then()
    after = set_closure(closure(first, last), first=first, last=first).then(closure(first, first))
    assert len(after.state.closures) == 1
    set_closure(closure(first, last), first=last, last=last).refused("days_overlap")
    set_closure(first=last, last=first).refused("last_day_before_first", field="last_day")
    set_closure(first=first, last=date(2027, 8, 1)).refused("outside_school_year")


def test_mistakes_are_taken_back() -> None:
    day = date(2026, 9, 7)
    command = RemoveCalendarDay(kind=DayKind.CLOSURE, first_day=day, reason="台风未来")
    removed = CalendarDayRemoved(
        region=SCHOOL, kind=DayKind.CLOSURE, first_day=day, reason="台风未来", school_year=2026
    )
    principal = by("zhao", Role.PRINCIPAL)
    after = given(calendars, closure(day, day)).when(command, by=principal).then(removed)
    assert after.state.closures == ()
    after.when(command, by=principal).refused("calendar_day_unknown", field="first_day")
    official = RemoveCalendarDay(
        kind=DayKind.HOLIDAY, first_day=date(2026, 10, 1), reason="当地另有安排"
    )
    before = given(calendars, NATIONAL_DAY)
    before.when(official, by=principal).refused("holidays_kept_by_bureau", field="kind")
    assert before.when(official, by=OFFICER).outcome()


def test_school_days_follow_the_calendar() -> None:
    week = term_set(first=date(2026, 9, 28), last=date(2026, 10, 11))
    state: SchoolCalendar = given(
        calendars, week, NATIONAL_DAY, made_up(date(2026, 10, 10)),
        closure(date(2026, 9, 28), date(2026, 9, 28)),
    ).state  # fmt: skip
    at = by().at
    recorded = Recorded(
        id=STREAM, stream=STREAM, version=1, organisation=SCHOOL, actor="a", occurred_at=at,
        recorded_at=at,
    )  # fmt: skip
    assert school_terms(state, recorded)["1"].school_days == 10 - 2 - 1 + 1
    assert not is_school_day(state, date(2026, 9, 28))
    assert not is_school_day(state, date(2026, 10, 1))
    assert is_school_day(state, date(2026, 10, 10))
    assert not is_school_day(state, date(2026, 10, 11))
    kinds = [row.kind for row in calendar_days(state, recorded).values()]
    assert kinds == [DayKind.HOLIDAY, DayKind.MAKE_UP, DayKind.CLOSURE]
