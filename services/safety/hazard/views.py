"""The register of hazards 隐患台账, and what is published of them 整改情况公示: how far each
finding of an inspection is put right.
"""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from uuid import UUID

from services.safety.grades import HazardCategory, HazardGrade
from services.safety.hazard import Hazard, HazardSource, HazardStatus, hazards
from services.safety.programme import ProgrammeKind
from shared.fields import business_day
from shared.kernel import Recorded, View
from shared.organisation import READERS, Level


class HazardRow(View):
    """`on_time`: put right by its deadline (none yet: null); `alarm_level`: how far lateness has
    climbed.
    """

    id: UUID
    organisation: UUID
    status: HazardStatus
    place: str
    what: str
    category: HazardCategory
    grade: HazardGrade | None
    source: HazardSource
    programme: ProgrammeKind | None
    inspection: UUID | None
    item: str | None
    check_id: UUID | None
    found_by: str
    found_at: datetime
    due_at: datetime
    overdue: bool
    alarm_level: Level | None
    rectifier: str | None
    rectified_at: datetime | None
    on_time: bool | None
    rounds: int
    extension_until: datetime | None
    extensions: int
    verified_by: str
    photos: tuple[str, ...]
    after_photos: tuple[str, ...]
    done: str
    changed_at: datetime


@hazards.view(
    "/hazards",
    allow=READERS,
    filters=(
        "status",
        "category",
        "grade",
        "source",
        "programme",
        "inspection",
        "rectifier",
        "overdue",
        "alarm_level",
        "on_time",
    ),
    sorts=("found_at", "due_at", "rectified_at", "changed_at"),
    search=("place", "what"),
)
def hazard_register(state: Hazard, recorded: Recorded) -> HazardRow:
    rectified = state.rectified_at if not state.open else None
    return HazardRow(
        id=recorded.stream,
        organisation=recorded.organisation,
        status=state.status,
        place=state.place,
        what=state.what,
        category=state.category,
        grade=state.grade,
        source=state.source,
        programme=state.programme,
        inspection=state.inspection,
        item=state.item,
        check_id=state.check,
        found_by=state.found_by,
        found_at=state.found_at,
        due_at=state.due_at,
        overdue=state.open and state.alarm_level is not None,
        alarm_level=state.alarm_level if state.open else None,
        rectifier=state.rectifier,
        rectified_at=rectified,
        on_time=rectified <= state.due_at if rectified else None,
        rounds=state.rounds,
        extension_until=state.extension.until if state.extension else None,
        extensions=state.extensions,
        verified_by=state.verified_by,
        photos=state.photos,
        after_photos=state.after_photos,
        done=state.done,
        changed_at=recorded.recorded_at,
    )


class Correction(StrEnum):
    """How far a finding is put right, as people outside are told."""

    UNDER_WAY = "under_way"
    RECTIFIED = "rectified"
    VERIFIED = "verified"
    UNFOUNDED = "unfounded"


CORRECTIONS = {
    HazardStatus.FOUND: Correction.UNDER_WAY,
    HazardStatus.GRADED: Correction.UNDER_WAY,
    HazardStatus.ASSIGNED: Correction.UNDER_WAY,
    HazardStatus.RECTIFIED: Correction.RECTIFIED,
    HazardStatus.VERIFIED: Correction.VERIFIED,
    HazardStatus.CLOSED: Correction.VERIFIED,
    HazardStatus.DISMISSED: Correction.UNFOUNDED,
}


class PublishedCorrectionRow(View):
    """One finding of an inspection, by its item; neither where it is nor whose work it is."""

    id: UUID
    organisation: UUID
    inspection: UUID
    item: str
    category: HazardCategory
    grade: HazardGrade | None
    status: Correction
    found_on: date
    due_on: date
    rectified_on: date | None
    verified_on: date | None


@hazards.view(
    "/published-corrections", allow=READERS, filters=("inspection", "status"),
    sorts=("found_on",), public=True,
)  # fmt: skip
def published_corrections(state: Hazard, recorded: Recorded) -> PublishedCorrectionRow | None:
    if state.inspection is None:
        return None
    status = CORRECTIONS[state.status]
    rectified = state.rectified_at if not state.open else None
    verified = state.verified_at if status is Correction.VERIFIED else None
    return PublishedCorrectionRow(
        id=recorded.stream,
        organisation=recorded.organisation,
        inspection=state.inspection,
        item=state.item or "",
        category=state.category,
        grade=state.grade,
        status=status,
        found_on=business_day(state.found_at),
        due_on=business_day(state.due_at),
        rectified_on=business_day(rectified) if rectified else None,
        verified_on=business_day(verified) if verified else None,
    )
