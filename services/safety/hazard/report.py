"""Reporting a hazard: by anybody, out of a check, or by itself for every failed item."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any
from uuid import UUID

from pydantic import Field

from services.safety.grades import HazardCategory, HazardGrade
from services.safety.hazard import (
    GRADERS,
    Hazard,
    HazardFound,
    HazardPolicy,
    HazardSource,
    hazards,
)
from services.safety.inspection import InspectionFailed, InspectionPassed, InspectionResult
from services.safety.programme import ProgrammeKind
from shared.fields import Name, Photo, Reason
from shared.kernel import By, Creation, Recorded, Refused, Send
from shared.organisation import BUREAU, SCHOOL_STAFF, Role

REPORTERS = (*SCHOOL_STAFF, *BUREAU, Role.PARENTS_COMMITTEE, Role.ADMINISTRATOR)
"""Everybody may say that something is dangerous."""

type HazardPhotos = Annotated[tuple[Photo, ...], Field(max_length=20)]


class ReportHazard(Creation):
    """`grade` may be given at once by who may grade; `source` says in what check it was seen."""

    place: Name
    what: Reason
    category: HazardCategory
    source: HazardSource = HazardSource.REPORT
    grade: HazardGrade | None = None
    photos: HazardPhotos = ()


@hazards.post("/hazards", allow=REPORTERS)
def report(
    state: Hazard | None, command: ReportHazard, by: By, policy: HazardPolicy
) -> HazardFound | None:
    if state is not None:
        if (state.place, state.what, state.photos) == (command.place, command.what, command.photos):
            return None
        raise Refused("hazard_exists", field="id")
    if command.source is HazardSource.INSPECTION:
        raise Refused("source_needs_inspection", field="source")
    refuse_grading(command.grade, by)
    return found(policy, by, found_by=by.person, **_content(command))


class OpenHazard(Creation):
    """What a check or an inspection found."""

    place: Name
    what: Reason
    category: HazardCategory
    source: HazardSource
    grade: HazardGrade | None = None
    photos: HazardPhotos = ()
    found_by: Name
    programme: ProgrammeKind
    inspection: UUID | None = None
    item: Name | None = None
    check: UUID | None = None


@hazards.decision
def open_hazard(
    state: Hazard | None, command: OpenHazard, by: By, policy: HazardPolicy
) -> HazardFound | None:
    if state is not None:
        return None
    return found(
        policy,
        by,
        found_by=command.found_by,
        programme=command.programme,
        inspection=command.inspection,
        item=command.item,
        check=command.check,
        **_content(command),
    )


def _content(command: ReportHazard | OpenHazard) -> dict[str, Any]:
    names = ("place", "what", "category", "source", "grade", "photos")
    return {name: getattr(command, name) for name in names}


def found(
    policy: HazardPolicy,
    by: By,
    *,
    grade: HazardGrade | None,
    programme: ProgrammeKind | None = None,
    inspection: UUID | None = None,
    item: str | None = None,
    check: UUID | None = None,
    **content: Any,
) -> HazardFound:
    """The event, with the deadline of its grade, or by when it must have one."""
    hours = policy.terms(grade).deadline_hours if grade else policy.grading_hours
    return HazardFound(
        grade=grade,
        programme=programme,
        inspection=inspection,
        item=item,
        check=check,
        found_at=by.at,
        due_at=by.at + timedelta(hours=hours),
        **content,
    )


def refuse_grading(grade: HazardGrade | None, by: By) -> None:
    """Whoever sees it may leave the grade open; setting it takes a post."""
    if grade is not None and not by.holds(*GRADERS):
        raise Refused("grading_not_yours", field="grade")


@hazards.on(InspectionFailed)
def open_for_failed_inspection(event: InspectionFailed, recorded: Recorded) -> list[Send]:
    return of_failed_items(event, recorded)


@hazards.on(InspectionPassed)
def open_for_passed_inspection(event: InspectionPassed, recorded: Recorded) -> list[Send]:
    return of_failed_items(event, recorded)


def of_failed_items(event: InspectionResult, recorded: Recorded) -> list[Send]:
    """One hazard per failed item, whether the whole passed or not."""
    return [
        Send(
            hazards,
            hazards.id_of(recorded.stream, failed.code),
            OpenHazard(
                organisation=recorded.organisation,
                occurred_at=recorded.occurred_at,
                place=failed.place or event.programme,
                what=_described(failed.text, failed.note),
                category=failed.category,
                source=HazardSource.INSPECTION,
                grade=failed.severity,
                photos=failed.photos,
                found_by=event.concluded_by,
                programme=event.kind,
                inspection=recorded.stream,
                item=failed.code,
            ),
        )
        for failed in event.failed_items
    ]


def _described(text: str, note: str) -> str:
    return f"{text}：{note}"[:1000]
