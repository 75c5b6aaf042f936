"""Routes: every stop in order becomes an inspection of its school."""

from datetime import date
from typing import Any
from uuid import UUID

from services.safety.inspection import InspectionBasis, inspections
from services.safety.inspection.schedule import SetInspection
from services.safety.programme import ProgrammeKind
from services.safety.route import (
    InspectionRoutePlanned,
    PlanInspectionRoute,
    inspection_route_register,
    inspection_routes,
)
from shared.kernel import Recorded, Send
from shared.organisation import Role
from shared.testing import COUNTY, STREAM, by, given
from tests.safety.test_draw import CALLER, COUNTY_UNIT, DAY, SCHOOLS, UNITS, unit
from tests.safety.test_inspection import BUREAU, LIST

STOPS = (SCHOOLS[2], SCHOOLS[0])
MADE = tuple(inspections.id_of("route", STREAM, school) for school in STOPS)
PLANNED = InspectionRoutePlanned(
    title="东线", checklist=LIST, programme="检查表", kind=ProgrammeKind.RANDOM, planned_on=DAY,
    schools=STOPS, inspections=MADE, inspectors=("zhao", "qian"), bodies=(), planned_by="zhao",
)  # fmt: skip


def plan(**more: Any) -> PlanInspectionRoute:
    content: dict[str, Any] = {
        "organisation": COUNTY, "title": "东线", "checklist": LIST, "planned_on": DAY,
        "schools": STOPS, "inspectors": ("zhao", "qian"),
    }  # fmt: skip
    return PlanInspectionRoute(**content | more)


def result(command: PlanInspectionRoute, *past: InspectionRoutePlanned, **facts: Any) -> Any:
    usual = {"unit": COUNTY_UNIT, "schools": UNITS, "checklist": BUREAU}
    return given(inspection_routes, *past).when(command, by=CALLER, **usual | facts)


def test_every_stop_becomes_an_inspection_in_order() -> None:
    sends = [
        Send(
            inspections, id_,
            SetInspection(
                organisation=school, checklist=LIST, planned_on=DAY, inspectors=("zhao", "qian"),
                basis=InspectionBasis.ROUTE, origin=STREAM, stop=stop,
            ),
        )
        for stop, (id_, school) in enumerate(zip(MADE, STOPS, strict=True), 1)
    ]  # fmt: skip
    result(plan()).then(PLANNED, *sends)
    result(plan(), PLANNED).then()
    result(plan(schools=STOPS[::-1]), PLANNED).refused("route_exists", field="id")


def test_refuses_stops_that_are_not_ours_twice_or_closed() -> None:
    result(plan(schools=(*STOPS, STOPS[0]))).refused("school_twice")
    result(plan(), schools={}).refused("school_not_below", field="schools")
    closed = {**UNITS, STOPS[0]: unit(STOPS[0], COUNTY, closed=date(2026, 9, 1))}
    result(plan(), schools=closed).refused("school_closed")


def test_refuses_a_past_day_and_an_unknown_checklist() -> None:
    result(plan(planned_on=date(2026, 9, 6))).refused("planned_in_the_past", field="planned_on")
    result(plan(), checklist=None).refused("checklist_unknown")


def test_only_a_bureau_plans_routes_and_the_register_shows_the_stops() -> None:
    allowed = inspection_routes.decisions[PlanInspectionRoute].allow
    assert Role.PRINCIPAL not in allowed
    assert Role.INSPECTOR in allowed
    recorded = Recorded(
        id=UUID(int=1), stream=STREAM, version=1, organisation=COUNTY, actor="zhao",
        occurred_at=by().at, recorded_at=by().at,
    )  # fmt: skip
    row = inspection_route_register(given(inspection_routes, PLANNED).state, recorded)
    assert (row.schools, row.inspections) == (STOPS, MADE)
