"""The repair ledger 维修台账: every report with its times, parts and cost."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from uuid import UUID

from services.assets.repair import (
    PartUsed,
    Repair,
    RepairKind,
    RepairStage,
    RepairStatus,
    Urgency,
    repairs,
)
from shared.kernel import Recorded, View
from shared.organisation import READERS


class RepairRow(View):
    """`stage` is what it waits for, `due_at` until when, `level` how high it has climbed."""

    id: UUID
    organisation: UUID
    status: RepairStatus
    kind: RepairKind
    quantity: int
    measure_unit: str
    place: str
    tag: str
    card: UUID | None
    round: UUID | None
    urgency: Urgency
    description: str
    photos: tuple[str, ...]
    reporter: str
    repairer: str
    stage: RepairStage | None
    due_at: datetime | None
    level: int
    reported_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    work: str
    parts: tuple[PartUsed, ...]
    parts_cny: Decimal
    labour_cny: Decimal
    reopened: int
    rating: int | None
    changed_at: datetime


@repairs.view(
    "/repairs",
    allow=READERS,
    filters=("status", "kind", "urgency", "reporter", "repairer", "stage", "card", "round"),
    sorts=("reported_at", "due_at", "level"),
    search=("place", "tag", "description"),
)
def repair_ledger(state: Repair, recorded: Recorded) -> RepairRow:
    report = state.report
    return RepairRow(
        id=recorded.stream,
        organisation=recorded.organisation,
        status=state.status,
        kind=report.kind,
        quantity=report.quantity,
        measure_unit=report.measure_unit,
        place=report.place,
        tag=report.tag,
        card=report.card,
        round=report.round,
        urgency=report.urgency,
        description=report.description,
        photos=report.photos,
        reporter=report.reporter,
        repairer=state.repairer,
        stage=state.stage,
        due_at=state.due_at,
        level=state.level,
        reported_at=report.reported_at,
        started_at=state.started_at,
        finished_at=state.finished_at,
        work=state.work,
        parts=state.parts,
        parts_cny=state.parts_cny,
        labour_cny=state.labour_cny,
        reopened=state.reopened,
        rating=state.rating,
        changed_at=recorded.recorded_at,
    )
