"""Areas: each school visited every month, and named when nobody came."""

from datetime import date
from typing import Any
from uuid import UUID

from services.organisation.area import (
    AreaAssigned,
    AreaEnded,
    AreaMonthClosed,
    AssignArea,
    CloseAreaMonth,
    EndArea,
    RecordSchoolVisit,
    SchoolVisited,
    SchoolVisitMissed,
    area_schools,
    areas,
    month_closes_at,
    school_visits,
)  # fmt: skip
from services.organisation.spans import midnight
from shared.kernel import By, Recorded
from shared.organisation import Role
from shared.testing import STREAM, Result, by, given
from tests.organisation.places import COUNTY, SCHOOL, SISTER, TOWN, copy_of

BOTH = (SCHOOL.unit, SISTER.unit)
ASSIGNED = AreaAssigned(officer="li", schools=BOTH, since=date(2026, 9, 1))
PLACES = {state.unit: copy_of(state) for state in (SCHOOL, SISTER, TOWN)}


def officer(day: str = "2026-09-07", person: str = "li") -> By:
    return by(person, Role.BUREAU_OFFICER, at=f"{day}T08:00:00+08:00", unit=COUNTY.unit)


def assign(*before: Any, schools: tuple[UUID, ...] = BOTH, unit: UUID = COUNTY.unit) -> Result:
    command = AssignArea(organisation=unit, officer="li", schools=schools)
    who = by("chief", Role.BUREAU_OFFICER, at="2026-09-01T08:00:00+08:00", unit=unit)
    return given(areas, *before).when(command, by=who, places=PLACES)


def test_assigns_schools_under_the_unit() -> None:
    assign().then(ASSIGNED)
    assign(ASSIGNED).then()
    fewer = assign(ASSIGNED, schools=(SCHOOL.unit,)).outcome()
    assert fewer == [AreaAssigned(officer="li", schools=(SCHOOL.unit,), since=date(2026, 9, 1))]
    assign(schools=(SCHOOL.unit, SCHOOL.unit)).refused("school_twice", field="schools")
    assign(schools=(UUID(int=5),)).refused("unit_unknown", field="schools")
    assign(schools=(TOWN.unit,)).refused("school_outside_area", field="schools")
    assign(unit=UUID(int=6)).refused("school_outside_area")


def visited(
    school: UUID = SCHOOL.unit, day: date = date(2026, 9, 7), visits: int = 1, *, late: bool = False
) -> SchoolVisited:
    return SchoolVisited(
        officer="li", school=school, day=day, month=f"{day:%Y-%m}", findings="无异常",
        visits=visits, late=late,
    )  # fmt: skip


def visit(*before: Any, who: By | None = None, **fields: Any) -> Result:
    wanted: dict[str, Any] = {"school": SCHOOL.unit, "findings": "无异常"} | fields
    command = RecordSchoolVisit(**wanted)
    return given(areas, ASSIGNED, *before).when(command, by=who or officer())


def test_the_officer_records_visits() -> None:
    visit().then(visited())
    visit(visited()).then()
    visit(visited(), findings="地面湿滑").refused("visit_recorded_already", field="day")
    again = visited(day=date(2026, 9, 8), visits=2)
    visit(visited(), who=officer("2026-09-08")).then(again)
    visit(who=officer(person="sun")).refused("not_the_area_officer")
    visit(school=TOWN.unit).refused("school_not_in_area", field="school")
    visit(day=date(2026, 9, 8)).refused("visit_in_future", field="day")
    ended = AreaEnded(officer="li", ended_on=date(2026, 9, 7))
    visit(ended).refused("area_ended")
    assert visit(ended, day=date(2026, 9, 6)).outcome()


def close(*before: Any, on: str, assigned: AreaAssigned = ASSIGNED) -> Result:
    who = by("system", at=f"{on}T00:00:00+08:00", unit=COUNTY.unit)
    return given(areas, assigned, *before).when(CloseAreaMonth(), by=who)


def missed(school: UUID, month: str = "2026-09") -> SchoolVisitMissed:
    return SchoolVisitMissed(officer="li", school=school, month=month)


def month(name: str, due: int, done: int) -> AreaMonthClosed:
    return AreaMonthClosed(officer="li", month=name, schools_due=due, schools_visited=done)


def test_a_month_names_the_schools_that_nobody_visited() -> None:
    assert month_closes_at(given(areas, ASSIGNED).state) == midnight(date(2026, 10, 1))
    close(visited(), on="2026-09-30").then()
    after = close(visited(), on="2026-10-01").then(missed(SISTER.unit), month("2026-09", 2, 1))
    assert month_closes_at(after.state) == midnight(date(2026, 11, 1))
    close(visited(), missed(SISTER.unit), month("2026-09", 2, 1), on="2026-10-01").then()


def test_months_that_nobody_counted_are_made_up_and_holidays_left_out() -> None:
    since = AreaAssigned(officer="li", schools=(SCHOOL.unit,), since=date(2026, 6, 1))
    in_june = visited(day=date(2026, 6, 3))
    close(in_june, on="2026-10-05", assigned=since).then(
        month("2026-06", 1, 1), month("2026-07", 0, 0), month("2026-08", 0, 0),
        missed(SCHOOL.unit), month("2026-09", 1, 0),
    )  # fmt: skip


def test_the_first_full_month_is_the_first_one_due() -> None:
    since = AreaAssigned(officer="li", schools=BOTH, since=date(2026, 9, 2))
    assert month_closes_at(given(areas, since).state) == midnight(date(2026, 11, 1))


def test_a_late_visit_says_so() -> None:
    past = (missed(SCHOOL.unit), missed(SISTER.unit), month("2026-09", 2, 0))
    late = visited(day=date(2026, 9, 28), late=True)
    after = visit(*past, who=officer("2026-10-03"), day=date(2026, 9, 28)).then(late)
    assert after.state.missed["2026-09"] == (SISTER.unit,)


def test_an_ended_area_owes_nothing_for_its_last_month() -> None:
    who, command = officer("2026-09-20"), EndArea()
    ended = AreaEnded(officer="li", ended_on=date(2026, 9, 20))
    after = given(areas, ASSIGNED).when(command, by=who).then(ended)
    after.when(command, by=who).then()
    assert month_closes_at(after.state) is None
    full = (
        given(areas, ASSIGNED)
        .when(EndArea(ended_on=date(2026, 10, 1)), by=who)
        .then(AreaEnded(officer="li", ended_on=date(2026, 10, 1)))
    )
    assert month_closes_at(full.state) == midnight(date(2026, 10, 1))
    closed = given(areas, ASSIGNED, month("2026-09", 2, 2))
    closed.when(command, by=who).refused("month_closed_already", field="ended_on")
    again = AreaAssigned(officer="li", schools=BOTH, since=date(2027, 3, 1))
    revived = given(areas, ASSIGNED, ended, again)
    assert month_closes_at(revived.state) == midnight(date(2027, 4, 1))


def test_lists_visits_and_gaps() -> None:
    at = by().at
    recorded = Recorded(
        id=STREAM, stream=STREAM, version=1, organisation=COUNTY.unit, actor="a", occurred_at=at,
        recorded_at=at,
    )  # fmt: skip
    state = given(areas, ASSIGNED, visited(), missed(SISTER.unit), month("2026-09", 2, 1)).state
    rows = area_schools(state, recorded)
    assert rows[str(SCHOOL.unit)].last_visit_on == date(2026, 9, 7)
    assert (rows[str(SISTER.unit)].missed_months, rows[str(SISTER.unit)].missed_count) == (
        "2026-09", 1,
    )  # fmt: skip
    seen = next(iter(school_visits(state, recorded).values()))
    assert seen.organisation == SCHOOL.unit
