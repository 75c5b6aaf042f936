"""A bureau officer answers for named schools and visits each of them every month.

责任片区, 蹲点联系学校. Visits are recorded with what was found; when a month has ended, every
school of the area that nobody visited in it is named by itself. Which months need no visit is a
dated rule.
"""

from __future__ import annotations

from copy import replace
from datetime import date, datetime
from typing import Annotated, ClassVar
from uuid import UUID

import msgspec
from pydantic import Field

from services.organisation.spans import midnight, month_of, next_month
from shared.fields import Photo, Reason, Subject, Text, UnitId
from shared.kernel import (
    Aggregate,
    By,
    Command,
    Creation,
    Event,
    From,
    Policy,
    Recorded,
    Refused,
    State,
    View,
)  # fmt: skip
from shared.organisation import BUREAU, READERS, Level, Role, Unit


class AreaAssigned(Event):
    """From the first full month on, `officer` visits each of `schools` every month."""

    officer: str
    schools: tuple[UUID, ...]
    since: date


class SchoolVisited(Event):
    """`visits`: how many of that school in that month, this one counted; `late`: the month had
    been closed as missed.
    """

    officer: str
    school: UUID
    day: date
    month: str
    findings: str
    visits: int
    late: bool
    photos: tuple[str, ...] = ()


class SchoolVisitMissed(Event):
    officer: str
    school: UUID
    month: str


class AreaMonthClosed(Event):
    """How many schools were due a visit in the month, and how many got one."""

    officer: str
    month: str
    schools_due: int
    schools_visited: int


class AreaEnded(Event):
    officer: str
    ended_on: date


type AreaEvent = AreaAssigned | SchoolVisited | SchoolVisitMissed | AreaMonthClosed | AreaEnded


class SchoolVisit(msgspec.Struct, frozen=True, kw_only=True):
    """A visit and what was found."""

    school: UUID
    day: date
    findings: str


class Area(State):
    """`open_month`: the month whose visits are still to be counted."""

    officer: str
    schools: tuple[UUID, ...]
    open_month: str
    visits: tuple[SchoolVisit, ...] = ()
    missed: dict[str, tuple[UUID, ...]] = {}
    ended_on: date | None = None

    def visits_of(self, school: UUID, month: str) -> int:
        """How often the school was visited in the month."""
        return sum(v.school == school and month_of(v.day) == month for v in self.visits)


def evolve(state: Area | None, event: AreaEvent) -> Area:
    """The area after one more event."""
    if isinstance(event, AreaAssigned):
        if state is None or state.ended_on is not None:
            before = state or Area(officer=event.officer, schools=(), open_month="")
            begun = event.since.day == 1
            month = month_of(event.since if begun else next_month(month_of(event.since)))
            return replace(before, schools=event.schools, open_month=month, ended_on=None)
        return replace(state, schools=event.schools)
    assert state is not None, "an area starts by being assigned"
    match event:
        case SchoolVisited(school=school, day=day, findings=findings, month=month):
            visit = SchoolVisit(school=school, day=day, findings=findings)
            missed = tuple(one for one in state.missed.get(month, ()) if one != school)
            return replace(
                state, visits=(*state.visits, visit), missed={**state.missed, month: missed}
            )
        case SchoolVisitMissed(school=school, month=month):
            missed = (*state.missed.get(month, ()), school)
            return replace(state, missed={**state.missed, month: missed})
        case AreaMonthClosed(month=month):
            return replace(state, open_month=month_of(next_month(month)))
        case AreaEnded(ended_on=ended_on):
            return replace(state, ended_on=ended_on)


areas = Aggregate(
    "area",
    events=AreaEvent,
    state=Area,
    evolve=evolve,
    key=lambda command: f"{command.organisation}:{command.officer}",
)


class VisitsPolicy(Policy):
    """Visits due per school and month, and the months (1 to 12) in which none is."""

    slug: ClassVar[str] = "organisation.visits"

    visits_per_month: int
    months_off: tuple[int, ...]


class AssignArea(Creation):
    """Sent again for the same officer, it replaces the list of schools."""

    officer: Subject
    schools: Annotated[tuple[UnitId, ...], Field(min_length=1, max_length=200)]


@areas.post("/areas", allow=(Role.ADMINISTRATOR, Role.BUREAU_OFFICER, Role.SUPERVISOR))
def assign(
    state: Area | None,
    command: AssignArea,
    by: By,
    places: Annotated[dict[UUID, Unit], From("schools")],
) -> AreaAssigned | None:
    if len(set(command.schools)) < len(command.schools):
        raise Refused("school_twice", field="schools")
    if state is not None and state.ended_on is None and state.schools == command.schools:
        return None
    for school in command.schools:
        place = places.get(school)
        if place is None:
            raise Refused("unit_unknown", field="schools", unit=school)
        if by.unit not in place.path or place.level is not Level.SCHOOL:
            raise Refused("school_outside_area", field="schools", name=place.name)
    return AreaAssigned(officer=command.officer, schools=command.schools, since=by.day)


class RecordSchoolVisit(Command):
    """`day` is today unless said; `findings`: what was seen, also that nothing was amiss."""

    school: UnitId
    day: date | None = None
    findings: Reason
    photos: Annotated[tuple[Photo, ...], Field(max_length=20)] = ()


@areas.post("/areas/{id}/visit", allow=(Role.ADMINISTRATOR, *BUREAU))
def visit(state: Area, command: RecordSchoolVisit, by: By) -> SchoolVisited | None:
    day = command.day or by.day
    for known in state.visits:
        if (known.school, known.day) == (command.school, day):
            if known.findings == command.findings:
                return None
            raise Refused("visit_recorded_already", field="day", day=day)
    if by.person != state.officer:
        raise Refused("not_the_area_officer", officer=state.officer)
    if command.school not in state.schools:
        raise Refused("school_not_in_area", field="school")
    if day > by.day:
        raise Refused("visit_in_future", field="day", today=by.day)
    if state.ended_on is not None and day >= state.ended_on:
        raise Refused("area_ended", ended_on=state.ended_on)
    month = month_of(day)
    return SchoolVisited(
        officer=state.officer,
        school=command.school,
        day=day,
        month=month,
        findings=command.findings,
        visits=state.visits_of(command.school, month) + 1,
        late=command.school in state.missed.get(month, ()),
        photos=command.photos,
    )


class EndArea(Command):
    """`ended_on` is the first day on which the officer no longer answers for the schools."""

    ended_on: date | None = None
    note: Text = ""


@areas.post("/areas/{id}/end", allow=(Role.ADMINISTRATOR, Role.BUREAU_OFFICER, Role.SUPERVISOR))
def end(state: Area, command: EndArea, by: By) -> AreaEnded | None:
    if state.ended_on is not None:
        return None
    ended_on = command.ended_on or by.day
    if month_of(ended_on) < state.open_month:
        raise Refused("month_closed_already", field="ended_on", month=state.open_month)
    return AreaEnded(officer=state.officer, ended_on=ended_on)


class CloseAreaMonth(Command):
    pass


def month_closes_at(state: Area) -> datetime | None:
    """When the open month's visits are counted; an ended area's last month is not."""
    closes_on = next_month(state.open_month)
    if state.ended_on is not None and state.ended_on < closes_on:
        return None
    return midnight(closes_on)


@areas.when_due(month_closes_at)
def close_month(
    state: Area, command: CloseAreaMonth, by: By, policy: VisitsPolicy
) -> list[Event] | None:
    """Closes every month that has ended: a machine that stood still catches up at once."""
    events: list[Event] = []
    now = state
    while (at := month_closes_at(now)) is not None and at <= by.at:
        month = now.open_month
        due = () if int(month[5:]) in policy.months_off else state.schools
        missed = [one for one in due if state.visits_of(one, month) < policy.visits_per_month]
        events += [
            SchoolVisitMissed(officer=state.officer, school=school, month=month)
            for school in missed
        ]
        closed = AreaMonthClosed(
            officer=state.officer,
            month=month,
            schools_due=len(due),
            schools_visited=len(due) - len(missed),
        )
        events.append(closed)
        now = evolve(now, closed)
    return events


class AreaSchoolRow(View):
    """A school of an area: when it was last visited, and for which months nobody came."""

    id: UUID
    organisation: UUID
    officer: str
    school: UUID
    last_visit_on: date | None
    visits: int
    missed_months: str
    missed_count: int
    ended_on: date | None


@areas.view(
    "/areas",
    allow=READERS,
    filters=("officer", "school"),
    sorts=("officer", "last_visit_on", "missed_count"),
    search=("officer",),
)
def area_schools(state: Area, recorded: Recorded) -> dict[str, AreaSchoolRow]:
    rows: dict[str, AreaSchoolRow] = {}
    for school in state.schools:
        visits = [visit.day for visit in state.visits if visit.school == school]
        missed = [month for month, schools in state.missed.items() if school in schools]
        rows[str(school)] = AreaSchoolRow(
            id=recorded.stream,
            organisation=recorded.organisation,
            officer=state.officer,
            school=school,
            last_visit_on=max(visits, default=None),
            visits=len(visits),
            missed_months="、".join(sorted(missed)),
            missed_count=len(missed),
            ended_on=state.ended_on,
        )
    return rows


class SchoolVisitRow(View):
    id: UUID
    organisation: UUID
    officer: str
    school: UUID
    day: date
    findings: str


@areas.view(
    "/school-visits",
    allow=READERS,
    filters=("officer", "school", "day"),
    sorts=("day", "officer"),
    search=("findings",),
)
def school_visits(state: Area, recorded: Recorded) -> dict[str, SchoolVisitRow]:
    return {
        f"{visit.day}:{visit.school}": SchoolVisitRow(
            id=recorded.stream,
            organisation=visit.school,
            officer=state.officer,
            school=visit.school,
            day=visit.day,
            findings=visit.findings,
        )
        for visit in state.visits
    }
