"""The register of inspections 检查台账, and what they found item by item."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

from services.safety.grades import HazardCategory, HazardGrade
from services.safety.inspection import (
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
    filters=("status", "kind", "checklist", "basis", "origin", "answer", "veto"),
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
