"""Saying how bad a hazard is, whose work it is, or that it is none."""

from __future__ import annotations

from datetime import datetime, timedelta

from services.safety.grades import HazardGrade
from services.safety.hazard import (
    ASSIGNERS,
    GRADERS,
    Hazard,
    HazardAssigned,
    HazardDismissed,
    HazardGraded,
    HazardPolicy,
    HazardSource,
    HazardStatus,
    about,
    hazards,
    refuse_earlier,
    refuse_lower,
    refuse_own,
    refuse_unless_open,
)
from shared.fields import Reason, Subject, Text
from shared.kernel import By, Command, Refused


class GradeHazard(Command):
    """`reason`: needed to change a grade."""

    grade: HazardGrade
    reason: Text = ""


@hazards.post("/hazards/{id}/grade", allow=GRADERS)
def grade_hazard(
    state: Hazard, command: GradeHazard, by: By, policy: HazardPolicy
) -> HazardGraded | None:
    if state.grade is command.grade:
        return None
    refuse_unless_open(state)
    refuse_earlier(by, state.found_at)
    if state.grade is not None and not command.reason.strip():
        raise Refused("regrading_without_reason", field="reason")
    if state.grade is not None and command.grade.weight < state.grade.weight:
        refuse_lower(by, GRADERS, policy.terms(state.grade).decided_at_level)
        refuse_own(state, by, GRADERS)
    return HazardGraded(
        **about(state) | {"grade": command.grade},
        previous=state.grade,
        graded_by=by.person,
        graded_at=by.at,
        due_at=deadline(state, command.grade, by, policy),
        reason=command.reason,
    )


def deadline(state: Hazard, grade: HazardGrade, by: By, policy: HazardPolicy) -> datetime:
    """Counted from the first grading, so that grading again wins no time; a graver grade gives
    its own hours from now, but never more than were left.
    """
    hours = timedelta(hours=policy.terms(grade).deadline_hours)
    if state.grade is None or state.graded_at is None:
        return by.at + hours
    if grade.weight > state.grade.weight:
        return min(state.due_at, by.at + hours)
    return state.graded_at + hours


class AssignHazard(Command):
    """`rectifier`: who is to put it right."""

    rectifier: Subject


@hazards.post("/hazards/{id}/assign", allow=ASSIGNERS)
def assign(state: Hazard, command: AssignHazard, by: By) -> HazardAssigned | None:
    if state.rectifier == command.rectifier and state.status is HazardStatus.ASSIGNED:
        return None
    refuse_unless_open(state)
    refuse_earlier(by, state.found_at)
    if state.grade is None:
        raise Refused("hazard_not_graded")
    return HazardAssigned(
        **about(state),
        rectifier=command.rectifier,
        previous=state.rectifier,
        assigned_by=by.person,
        due_at=state.due_at,
    )


class DismissHazard(Command):
    reason: Reason


@hazards.post("/hazards/{id}/dismiss", allow=GRADERS)
def dismiss(
    state: Hazard, command: DismissHazard, by: By, policy: HazardPolicy
) -> HazardDismissed | None:
    if state.status is HazardStatus.DISMISSED:
        return None
    refuse_unless_open(state)
    refuse_earlier(by, state.found_at)
    if state.source is HazardSource.INSPECTION:
        raise Refused("finding_of_inspection_stands")
    refuse_lower(by, GRADERS, policy.terms(state.grade).decided_at_level)
    refuse_own(state, by, GRADERS)
    return HazardDismissed(**about(state), reason=command.reason, dismissed_by=by.person)
