"""The register of inspections 检查台账, what they found item by item, and what is published of it
检查结果公示: the result, never who inspected. Rule: results of inspections at random are public
(双随机、一公开).
"""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

import msgspec

from services.safety.grades import HazardCategory, HazardGrade
from services.safety.inspection import (
    FailedItem,
    Inspection,
    InspectionBasis,
    InspectionStatus,
    OutsideInspectors,
    UnitAnswer,
    inspections,
)
from services.safety.programme import ProgrammeKind
from shared.kernel import Recorded, View
from shared.organisation import READERS


class InspectionRow(View):
    id: UUID
    organisation: UUID
    status: InspectionStatus
    kind: ProgrammeKind
    programme: str
    checklist: UUID
    checklist_version: int
    planned_on: date
    basis: InspectionBasis
    origin: UUID | None
    stop: int | None
    inspectors: tuple[str, ...]
    bodies: tuple[str, ...]
    outsiders: tuple[OutsideInspectors, ...]
    judged_count: int
    score: Decimal | None
    full_points: Decimal | None
    pass_score: Decimal | None
    veto: bool | None
    failed_count: int | None
    signed: tuple[str, ...]
    answer: UnitAnswer
    answered_by: str
    objection: str
    changed_at: datetime


@inspections.view(
    "/inspections",
    allow=READERS,
    filters=("status", "kind", "checklist", "basis", "origin", "answer", "veto", "planned_on"),
    sorts=("planned_on", "score", "failed_count", "changed_at"),
    search=("programme",),
)
def inspection_register(state: Inspection, recorded: Recorded) -> InspectionRow:
    result = state.result
    return InspectionRow(
        id=recorded.stream,
        organisation=recorded.organisation,
        status=state.status,
        kind=state.kind,
        programme=state.programme,
        checklist=state.checklist,
        checklist_version=state.checklist_version,
        planned_on=state.planned_on,
        basis=state.basis,
        origin=state.origin,
        stop=state.stop,
        inspectors=state.inspectors,
        bodies=state.bodies,
        outsiders=state.outsiders,
        judged_count=len(state.results),
        score=result.score if result else None,
        full_points=result.full if result else None,
        pass_score=result.pass_score if result else None,
        veto=result.veto if result else None,
        failed_count=len(result.failed_items) if result else None,
        signed=state.signed,
        answer=state.answer,
        answered_by=state.answered_by,
        objection=state.objection,
        changed_at=recorded.recorded_at,
    )


class InspectionFindingRow(View):
    id: UUID
    organisation: UUID
    kind: ProgrammeKind
    programme: str
    status: InspectionStatus
    planned_on: date
    code: str
    text: str
    veto: bool
    note: str
    place: str
    severity: HazardGrade
    category: HazardCategory
    points_lost: Decimal
    photos: tuple[str, ...]


@inspections.view(
    "/inspection-findings",
    allow=READERS,
    filters=("kind", "code", "veto", "severity", "category"),
    sorts=("planned_on", "points_lost", "code"),
    search=("text", "note", "place"),
)
def inspection_findings(state: Inspection, recorded: Recorded) -> dict[str, InspectionFindingRow]:
    if state.result is None:
        return {}
    return {
        failed.code: InspectionFindingRow(
            id=recorded.stream,
            organisation=recorded.organisation,
            kind=state.kind,
            programme=state.programme,
            status=state.status,
            planned_on=state.planned_on,
            code=failed.code,
            text=failed.text,
            veto=failed.veto,
            note=failed.note,
            place=failed.place,
            severity=failed.severity,
            category=failed.category,
            points_lost=failed.points_lost,
            photos=failed.photos,
        )
        for failed in state.result.failed_items
    }


class PublishedFailing(msgspec.Struct, frozen=True, kw_only=True):
    """An item that was not met. Place, photos and note stay inside, and so does the text of what
    concerns security: nobody is to learn here where a school can be entered.
    """

    code: str
    text: str
    category: HazardCategory
    severity: HazardGrade
    points_lost: Decimal


class PublishedInspectionRow(View):
    """A result as it was concluded, and whether the school accepts it."""

    id: UUID
    organisation: UUID
    programme: str
    kind: ProgrammeKind
    planned_on: date
    status: InspectionStatus
    score: Decimal
    full_points: Decimal
    pass_score: Decimal
    veto: bool
    answer: UnitAnswer
    failed_items: tuple[PublishedFailing, ...]


@inspections.view(
    "/published-inspections", allow=READERS, filters=("status", "kind"), sorts=("planned_on",),
    search=("programme",), public=True,
)  # fmt: skip
def published_inspections(state: Inspection, recorded: Recorded) -> PublishedInspectionRow | None:
    result = state.result
    if result is None:
        return None
    return PublishedInspectionRow(
        id=recorded.stream,
        organisation=recorded.organisation,
        programme=state.programme,
        kind=state.kind,
        planned_on=state.planned_on,
        status=state.status,
        score=result.score,
        full_points=result.full,
        pass_score=result.pass_score,
        veto=result.veto,
        answer=state.answer,
        failed_items=tuple(map(failing, result.failed_items)),
    )


def failing(item: FailedItem) -> PublishedFailing:
    """An item as it is published."""
    return PublishedFailing(
        code=item.code,
        text="" if item.category is HazardCategory.SECURITY else item.text,
        category=item.category,
        severity=item.severity,
        points_lost=item.points_lost,
    )
