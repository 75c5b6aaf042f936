"""The inspected unit's word: it signs the result, or refuses on record with its reason."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from services.safety.inspection import (
    Inspection,
    InspectionAcknowledged,
    InspectionDisputed,
    InspectionStatus,
    UnitAnswer,
    inspections,
)
from services.safety.programme import SELF_INSPECTORS
from shared.fields import Photo, Reason, Signature, Text
from shared.kernel import By, Command, Refused
from shared.organisation import Level


class AcknowledgeInspection(Command):
    note: Text = ""
    signature: Signature | None = None


@inspections.post("/inspections/{id}/acknowledge", allow=SELF_INSPECTORS)
def acknowledge(
    state: Inspection, command: AcknowledgeInspection, by: By
) -> InspectionAcknowledged | None:
    if state.answer is UnitAnswer.ACKNOWLEDGED:
        return None
    refuse_answer(state, by)
    return InspectionAcknowledged(
        kind=state.kind,
        passed=state.status is InspectionStatus.PASSED,
        acknowledged_by=by.person,
        after_dispute=state.answer is UnitAnswer.DISPUTED,
        note=command.note,
        signature=command.signature,
    )


class DisputeInspection(Command):
    reason: Reason
    photos: Annotated[tuple[Photo, ...], Field(max_length=20)] = ()


@inspections.post("/inspections/{id}/dispute", allow=SELF_INSPECTORS)
def dispute(state: Inspection, command: DisputeInspection, by: By) -> InspectionDisputed | None:
    if state.answer is UnitAnswer.DISPUTED and state.objection == command.reason:
        return None
    if state.answer is UnitAnswer.ACKNOWLEDGED:
        raise Refused("inspection_acknowledged", person=state.answered_by)
    refuse_answer(state, by)
    return InspectionDisputed(
        kind=state.kind,
        passed=state.status is InspectionStatus.PASSED,
        disputed_by=by.person,
        reason=command.reason,
        photos=command.photos,
    )


def refuse_answer(state: Inspection, by: By) -> None:
    """The unit answers through somebody of its own who did not inspect it."""
    if state.result is None:
        raise Refused("inspection_not_concluded", status=state.status)
    if by.person in state.inspectors:
        raise Refused("inspector_answers_himself")
    own = [
        post
        for post in by.posts
        if post.role in SELF_INSPECTORS and (post.unit == by.unit or post.level >= Level.SCHOOL)
    ]
    if not own:
        raise Refused("answers_for_another_unit")
