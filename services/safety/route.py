"""An inspector goes along a route of schools on one day: every stop becomes an inspection.

巡查路线. The route is the bureau's; each stop's inspection belongs to its school, and is carried
out, moved or called off there.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated
from uuid import UUID

import msgspec
from pydantic import Field

from services.safety.checklist import Checklist, version_to_judge
from services.safety.inspection import InspectionBasis, inspections
from services.safety.inspection.schedule import (
    BodyNames,
    ChecklistId,
    InspectorNames,
    SetInspection,
    refuse_past_day,
)
from services.safety.programme import BUREAU_INSPECTORS, ProgrammeKind, refuse_not_below
from shared.fields import Name, UnitId
from shared.kernel import (
    Aggregate,
    By,
    Creation,
    Event,
    From,
    Recorded,
    Refused,
    Send,
    State,
    View,
)  # fmt: skip
from shared.organisation import READERS, Unit


class InspectionRoutePlanned(Event):
    """`schools`: the stops in order; `inspections`: what each of them becomes."""

    title: str
    checklist: UUID
    programme: str
    kind: ProgrammeKind
    planned_on: date
    schools: tuple[UUID, ...]
    inspections: tuple[UUID, ...]
    inspectors: tuple[str, ...]
    bodies: tuple[str, ...]
    planned_by: str


class InspectionRoute(State):
    planned: InspectionRoutePlanned


def evolve(state: InspectionRoute | None, event: InspectionRoutePlanned) -> InspectionRoute:
    """A route is planned once; its stops live on as inspections."""
    return InspectionRoute(planned=event)


inspection_routes = Aggregate(
    "inspection_route", events=InspectionRoutePlanned, state=InspectionRoute, evolve=evolve
)


class PlanInspectionRoute(Creation):
    """`schools`: the stops in the order in which they are visited."""

    title: Name
    checklist: ChecklistId
    planned_on: date
    schools: Annotated[tuple[UnitId, ...], Field(min_length=1, max_length=50)]
    inspectors: InspectorNames
    bodies: BodyNames = ()


@inspection_routes.post("/inspection-routes", allow=BUREAU_INSPECTORS)
def plan_route(
    state: InspectionRoute | None,
    command: PlanInspectionRoute,
    by: By,
    *,
    unit: Unit,
    schools: Annotated[dict[UUID, Unit], From("schools")],
    checklist: Annotated[Checklist | None, From("checklist")],
) -> list[Event | Send] | None:
    if state is not None:
        known = state.planned
        wanted = (command.schools, command.planned_on, command.inspectors)
        if (known.schools, known.planned_on, known.inspectors) == wanted:
            return None
        raise Refused("route_exists", field="id")
    refuse_past_day(command.planned_on, by)
    found, _ = version_to_judge(checklist, None)
    refuse_not_below(unit, command.schools, schools, command.planned_on)
    stops = tuple(inspections.id_of("route", by.id, school) for school in command.schools)
    planned = InspectionRoutePlanned(
        title=command.title,
        checklist=command.checklist,
        programme=found.title,
        kind=found.kind,
        planned_on=command.planned_on,
        schools=command.schools,
        inspections=stops,
        inspectors=command.inspectors,
        bodies=command.bodies,
        planned_by=by.person,
    )
    sends = [
        Send(inspections, inspection, stop_of(command, school, by, stop))
        for stop, (inspection, school) in enumerate(zip(stops, command.schools, strict=True), 1)
    ]
    return [planned, *sends]


def stop_of(command: PlanInspectionRoute, school: UUID, by: By, stop: int) -> SetInspection:
    """The inspection at one stop."""
    return SetInspection(
        organisation=school,
        checklist=command.checklist,
        planned_on=command.planned_on,
        inspectors=command.inspectors,
        bodies=command.bodies,
        basis=InspectionBasis.ROUTE,
        origin=by.id,
        stop=stop,
    )


class InspectionRouteRow(View):
    id: UUID
    organisation: UUID
    title: str
    checklist: UUID
    programme: str
    kind: ProgrammeKind
    planned_on: date
    schools: tuple[UUID, ...]
    inspections: tuple[UUID, ...]
    inspectors: tuple[str, ...]
    bodies: tuple[str, ...]
    planned_by: str
    changed_at: datetime


@inspection_routes.view(
    "/inspection-routes",
    allow=READERS,
    filters=("kind", "checklist", "planned_on"),
    sorts=("planned_on", "title"),
    search=("title", "programme"),
)
def inspection_route_register(state: InspectionRoute, recorded: Recorded) -> InspectionRouteRow:
    return InspectionRouteRow(
        id=recorded.stream,
        organisation=recorded.organisation,
        changed_at=recorded.recorded_at,
        **msgspec.structs.asdict(state.planned),
    )
