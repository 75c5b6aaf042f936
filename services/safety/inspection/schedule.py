"""Planning an inspection: by plan, by draw or along a route; moving it, calling it off."""

from __future__ import annotations

from datetime import date
from typing import Annotated
from uuid import UUID

from pydantic import Field

from services.safety.checklist import Checklist, version_to_judge
from services.safety.inspection import (
    Inspection,
    InspectionBasis,
    InspectionCancelled,
    InspectionRescheduled,
    InspectionScheduled,
    InspectionStatus,
    InspectorCapacity,
    OutsideInspectors,
    inspections,
    refuse_unless_pending,
)
from services.safety.programme import (
    INSPECTORS,
    InspectionPolicy,
    ProgrammeTerms,
    refuse_own_staff,
    terms_of,
)
from shared.fields import Count, Name, Reason, Subject
from shared.kernel import By, Command, Creation, From, Part, Refused

type ChecklistId = Annotated[UUID, Field(json_schema_extra={"x-ref": "checklist"})]
type InspectorNames = Annotated[tuple[Subject, ...], Field(min_length=1, max_length=20)]
type BodyNames = Annotated[tuple[Name, ...], Field(max_length=20)]


class OutsidersInvited(Part):
    """People from outside who take part."""

    capacity: InspectorCapacity
    count: Count


type Outsiders = Annotated[tuple[OutsidersInvited, ...], Field(max_length=10)]


class ScheduleInspection(Creation):
    """`organisation`: who is inspected; `bodies`: other bodies that take part (police, fire)."""

    checklist: ChecklistId
    planned_on: date
    inspectors: InspectorNames
    bodies: BodyNames = ()
    outsiders: Outsiders = ()


@inspections.post("/inspections", allow=INSPECTORS)
def schedule(
    state: Inspection | None,
    command: ScheduleInspection,
    by: By,
    policy: InspectionPolicy,
    checklist: Annotated[Checklist | None, From("checklist")],
) -> InspectionScheduled | None:
    if state is not None:
        wanted = (command.checklist, command.planned_on, command.inspectors)
        if (state.checklist, state.planned_on, state.inspectors) == wanted:
            return None
        raise Refused("inspection_exists", field="id")
    refuse_past_day(command.planned_on, by)
    found, version = version_to_judge(checklist, None)
    terms = terms_of(policy, found.kind)
    refuse_own_staff(terms, found.kind, by)
    refuse_too_few(terms, command.inspectors)
    return InspectionScheduled(
        checklist=command.checklist,
        checklist_version=version,
        programme=found.title,
        kind=found.kind,
        planned_on=command.planned_on,
        inspectors=command.inspectors,
        bodies=command.bodies,
        outsiders=invited(command.outsiders),
        basis=InspectionBasis.PLAN,
        origin=None,
        stop=None,
    )


class SetInspection(Creation):
    """What a draw or a route makes of one of its schools."""

    checklist: UUID
    planned_on: date
    inspectors: InspectorNames
    bodies: BodyNames = ()
    basis: InspectionBasis
    origin: UUID
    stop: Count


@inspections.decision
def set_inspection(
    state: Inspection | None,
    command: SetInspection,
    by: By,
    policy: InspectionPolicy,
    checklist: Annotated[Checklist | None, From("checklist")],
) -> InspectionScheduled | None:
    if state is not None:
        return None
    found, version = version_to_judge(checklist, None)
    refuse_too_few(terms_of(policy, found.kind), command.inspectors)
    return InspectionScheduled(
        checklist=command.checklist,
        checklist_version=version,
        programme=found.title,
        kind=found.kind,
        planned_on=command.planned_on,
        inspectors=command.inspectors,
        bodies=command.bodies,
        outsiders=(),
        basis=command.basis,
        origin=command.origin,
        stop=command.stop,
    )


class RescheduleInspection(Command):
    planned_on: date
    reason: Reason


@inspections.post("/inspections/{id}/reschedule", allow=INSPECTORS)
def reschedule(
    state: Inspection, command: RescheduleInspection, by: By, policy: InspectionPolicy
) -> InspectionRescheduled | None:
    if state.planned_on == command.planned_on:
        return None
    refuse_unless_pending(state)
    refuse_own_staff(terms_of(policy, state.kind), state.kind, by)
    refuse_past_day(command.planned_on, by)
    return InspectionRescheduled(
        kind=state.kind,
        planned_on=command.planned_on,
        previous_on=state.planned_on,
        reason=command.reason,
    )


class CancelInspection(Command):
    reason: Reason


@inspections.post("/inspections/{id}/cancel", allow=INSPECTORS)
def cancel(
    state: Inspection, command: CancelInspection, by: By, policy: InspectionPolicy
) -> InspectionCancelled | None:
    if state.status is InspectionStatus.CANCELLED:
        return None
    refuse_unless_pending(state)
    refuse_own_staff(terms_of(policy, state.kind), state.kind, by)
    return InspectionCancelled(
        kind=state.kind, basis=state.basis, planned_on=state.planned_on, reason=command.reason
    )


def invited(outsiders: tuple[OutsidersInvited, ...]) -> tuple[OutsideInspectors, ...]:
    """Outsiders as an event keeps them."""
    return tuple(OutsideInspectors(**dict(outsider)) for outsider in outsiders)


def refuse_past_day(planned_on: date, by: By) -> None:
    """A plan looks ahead; what has taken place is recorded as carried out."""
    if planned_on < by.day:
        raise Refused("planned_in_the_past", field="planned_on", today=by.day)


def refuse_too_few(terms: ProgrammeTerms, inspectors: tuple[str, ...]) -> None:
    """Some programmes need two people, and the same one twice is one."""
    if len(set(inspectors)) < len(inspectors):
        raise Refused("inspector_twice", field="inspectors")
    if len(inspectors) < terms.inspectors_min:
        raise Refused("inspectors_too_few", field="inspectors", inspectors_min=terms.inspectors_min)
