"""Who inspects which school is drawn, not chosen: both from a seed that anybody may check.

双随机. The draw is arithmetic on published things: the candidates, the seed and where it comes
from stand in the event, so the same draw can be made again by anybody. One draw per checklist and
day: a result that does not please is not drawn away. Rule: random inspection, results made public.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from hashlib import sha256
from typing import Annotated
from uuid import UUID

import msgspec
from pydantic import Field

from services.safety.checklist import Checklist, version_to_judge
from services.safety.inspection import InspectionBasis, inspections
from services.safety.inspection.schedule import (
    BodyNames,
    ChecklistId,
    SetInspection,
    refuse_past_day,
)
from services.safety.programme import BUREAU_INSPECTORS, ProgrammeKind, refuse_not_below
from shared.fields import Name, Subject, UnitId
from shared.kernel import (
    Aggregate,
    By,
    Creation,
    Event,
    From,
    Part,
    Recorded,
    Refused,
    Send,
    State,
    View,
)  # fmt: skip
from shared.organisation import READERS, Unit

METHOD = "sha256-rank-1"
"""Schools in order of sha256("seed:school:<id>"); for each in turn the inspectors with the fewest
inspections so far, among them in order of sha256("seed:<school>:<inspector>"), never his own.
"""


class DrawnInspector(msgspec.Struct, frozen=True, kw_only=True):
    """A candidate, his unit, and which of the schools is his own, where he is never sent."""

    person: str
    unit: UUID
    own_school: UUID | None


class DrawnInspection(msgspec.Struct, frozen=True, kw_only=True):
    """What came out for one school."""

    school: UUID
    inspectors: tuple[str, ...]
    inspection: UUID


class InspectionsDrawn(Event):
    """Everything that is needed to make the same draw again."""

    checklist: UUID
    programme: str
    kind: ProgrammeKind
    planned_on: date
    schools: tuple[UUID, ...]
    inspectors: tuple[DrawnInspector, ...]
    schools_count: int
    inspectors_each: int
    seed: str
    seed_source: str
    method: str
    drawn: tuple[DrawnInspection, ...]
    drawn_by: str


class InspectionDraw(State):
    drawn: InspectionsDrawn


def evolve(state: InspectionDraw | None, event: InspectionsDrawn) -> InspectionDraw:
    """A draw is made once."""
    return InspectionDraw(drawn=event)


inspection_draws = Aggregate(
    "inspection_draw",
    events=InspectionsDrawn,
    state=InspectionDraw,
    evolve=evolve,
    key=lambda command: f"{command.organisation}:{command.checklist}:{command.planned_on}",
)


class InspectorCandidate(Part):
    """Somebody who may be drawn as inspector; `unit`: where he works."""

    person: Subject
    unit: UnitId


class DrawInspections(Creation):
    """`seed`: a published number that nobody chose; `seed_source`: where it was published."""

    checklist: ChecklistId
    planned_on: date
    schools: Annotated[tuple[UnitId, ...], Field(min_length=1, max_length=1000)]
    inspectors: Annotated[tuple[InspectorCandidate, ...], Field(min_length=1, max_length=200)]
    schools_count: Annotated[int, Field(ge=1, le=100)]
    inspectors_each: Annotated[int, Field(ge=1, le=10)]
    seed: Annotated[str, Field(min_length=4, max_length=200)]
    seed_source: Name
    bodies: BodyNames = ()


@inspection_draws.post("/inspection-draws", allow=BUREAU_INSPECTORS)
def draw_inspections(
    state: InspectionDraw | None,
    command: DrawInspections,
    by: By,
    *,
    unit: Unit,
    schools: Annotated[dict[UUID, Unit], From("schools")],
    homes: Annotated[
        dict[UUID, Unit],
        From(lambda command, _, __: dict.fromkeys(one.unit for one in command.inspectors)),
    ],
    checklist: Annotated[Checklist | None, From("checklist")],
) -> list[Event | Send] | None:
    if state is not None:
        if drawn_from(state.drawn) == drawn_from(command):
            return None
        raise Refused("drawn_already", field="planned_on", planned_on=command.planned_on)
    refuse_past_day(command.planned_on, by)
    found, _ = version_to_judge(checklist, None)
    refuse_not_below(unit, command.schools, schools, command.planned_on)
    if command.schools_count > len(command.schools):
        raise Refused("too_few_schools", field="schools", schools_count=command.schools_count)
    candidates = candidates_of(command, homes)
    result = draw(
        seed=command.seed,
        schools=command.schools,
        inspectors=candidates,
        schools_count=command.schools_count,
        inspectors_each=command.inspectors_each,
    )
    drawn = tuple(
        DrawnInspection(
            school=school, inspectors=team, inspection=inspections.id_of("draw", by.id, school)
        )
        for school, team in result
    )
    made = InspectionsDrawn(
        checklist=command.checklist,
        programme=found.title,
        kind=found.kind,
        planned_on=command.planned_on,
        schools=command.schools,
        inspectors=candidates,
        schools_count=command.schools_count,
        inspectors_each=command.inspectors_each,
        seed=command.seed,
        seed_source=command.seed_source,
        method=METHOD,
        drawn=drawn,
        drawn_by=by.person,
    )
    return [made, *(inspection_of(command, one, by, stop) for stop, one in enumerate(drawn, 1))]


def drawn_from(source: DrawInspections | InspectionsDrawn) -> tuple[object, ...]:
    """What a draw depends on, the same for a command and for its event."""
    people = tuple((one.person, one.unit) for one in source.inspectors)
    return source.seed, source.schools, people, source.schools_count, source.inspectors_each


def candidates_of(
    command: DrawInspections, homes: Mapping[UUID, Unit]
) -> tuple[DrawnInspector, ...]:
    """The inspectors as the event keeps them; refuses the same one twice and an unknown unit."""
    people = [one.person for one in command.inspectors]
    if len(set(people)) < len(people):
        raise Refused("inspector_twice", field="inspectors")
    candidates: list[DrawnInspector] = []
    for one in command.inspectors:
        if one.unit not in homes:
            raise Refused("inspector_unit_unknown", field="inspectors", person=one.person)
        own = next((id_ for id_ in command.schools if homes[one.unit].under(id_)), None)
        candidates.append(DrawnInspector(person=one.person, unit=one.unit, own_school=own))
    return tuple(candidates)


def draw(
    *,
    seed: str,
    schools: Iterable[UUID],
    inspectors: Sequence[DrawnInspector],
    schools_count: int,
    inspectors_each: int,
) -> list[tuple[UUID, tuple[str, ...]]]:
    """The schools drawn, each with its inspectors; the same whatever the order of candidates."""
    load = {one.person: 0 for one in inspectors}
    own = {one.person: one.own_school for one in inspectors}
    drawn: list[tuple[UUID, tuple[str, ...]]] = []
    for school in sorted(schools, key=lambda id_: _lot(seed, "school", id_))[:schools_count]:
        lots = sorted(
            (load[person], _lot(seed, school, person), person)
            for person in load
            if own[person] != school
        )
        if len(lots) < inspectors_each:
            raise Refused("too_few_inspectors", field="inspectors", school=school)
        team = tuple(person for _, _, person in lots[:inspectors_each])
        for person in team:
            load[person] += 1
        drawn.append((school, team))
    return drawn


def _lot(*parts: object) -> str:
    return sha256(":".join(map(str, parts)).encode()).hexdigest()


def inspection_of(command: DrawInspections, drawn: DrawnInspection, by: By, stop: int) -> Send:
    """The inspection that a drawn school gets."""
    wanted = SetInspection(
        organisation=drawn.school,
        checklist=command.checklist,
        planned_on=command.planned_on,
        inspectors=drawn.inspectors,
        bodies=command.bodies,
        basis=InspectionBasis.DRAW,
        origin=by.id,
        stop=stop,
    )
    return Send(inspections, drawn.inspection, wanted)


class InspectionDrawRow(View):
    """With all that is needed to check it: candidates, seed, method, result."""

    id: UUID
    organisation: UUID
    checklist: UUID
    programme: str
    kind: ProgrammeKind
    planned_on: date
    seed: str
    seed_source: str
    method: str
    schools: tuple[UUID, ...]
    inspectors: tuple[DrawnInspector, ...]
    schools_count: int
    inspectors_each: int
    drawn: tuple[DrawnInspection, ...]
    drawn_by: str
    drawn_at: datetime


@inspection_draws.view(
    "/inspection-draws",
    allow=READERS,
    filters=("kind", "checklist"),
    sorts=("planned_on", "drawn_at"),
    search=("programme", "seed"),
)
def inspection_draw_register(state: InspectionDraw, recorded: Recorded) -> InspectionDrawRow:
    return InspectionDrawRow(
        id=recorded.stream,
        organisation=recorded.organisation,
        drawn_at=recorded.occurred_at,
        **msgspec.structs.asdict(state.drawn),
    )
