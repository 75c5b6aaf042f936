"""A check without a checklist is one tap: what was looked at, and what was found, if anything.

安全排查. No finding is still a record; every finding opens a hazard in the same transaction. Kinds
that need a checklist are inspections instead, so that nothing counts twice.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from pydantic import Field

from services.safety.cycle import noted
from services.safety.grades import HazardCategory, HazardGrade
from services.safety.hazard import HazardSource, hazards
from services.safety.hazard.report import HazardPhotos, OpenHazard, refuse_grading
from services.safety.programme import (
    BUREAU_INSPECTORS,
    INSPECTORS,
    InspectionPolicy,
    ProgrammeKind,
    ProgrammeTerms,
    refuse_own_staff,
    terms_of,
)
from shared.fields import Name, Reason, Text
from shared.kernel import (
    Aggregate,
    By,
    Creation,
    Event,
    Part,
    Recorded,
    Refused,
    Send,
    State,
    View,
)  # fmt: skip
from shared.organisation import READERS, SCHOOL_STAFF

CHECKERS = (*SCHOOL_STAFF, *BUREAU_INSPECTORS)
"""Everybody looks after his own place; which kinds take a post, the rule in force says."""


class CheckFinding(msgspec.Struct, frozen=True, kw_only=True):
    """Something found, with the hazard that it opened."""

    hazard: UUID
    place: str
    what: str
    category: HazardCategory
    grade: HazardGrade | None


class SafetyCheckDone(Event):
    """`checked`: what was looked at; `bodies`: who else took part (police, fire brigade)."""

    kind: ProgrammeKind
    place: str
    checked: tuple[str, ...]
    findings: tuple[CheckFinding, ...]
    bodies: tuple[str, ...]
    checked_by: str
    photos: tuple[str, ...]
    note: str


class SafetyCheck(State):
    done: SafetyCheckDone


def evolve(state: SafetyCheck | None, event: SafetyCheckDone) -> SafetyCheck:
    """A check is recorded once and stays as it is."""
    return SafetyCheck(done=event)


safety_checks = Aggregate("safety_check", events=SafetyCheckDone, state=SafetyCheck, evolve=evolve)


class FindingMade(Part):
    """Something found; `grade` may be given by who may grade."""

    place: Name
    what: Reason
    category: HazardCategory
    grade: HazardGrade | None = None
    photos: HazardPhotos = ()


class RecordCheck(Creation):
    kind: ProgrammeKind
    place: Annotated[str, Field(max_length=200)] = ""
    checked: Annotated[tuple[Name, ...], Field(min_length=1, max_length=100)]
    findings: Annotated[tuple[FindingMade, ...], Field(max_length=50)] = ()
    bodies: Annotated[tuple[Name, ...], Field(max_length=20)] = ()
    photos: HazardPhotos = ()
    note: Text = ""


@safety_checks.post("/checks", allow=CHECKERS)
def record(
    state: SafetyCheck | None, command: RecordCheck, by: By, policy: InspectionPolicy
) -> list[Event | Send] | None:
    found = tuple(
        CheckFinding(
            hazard=hazards.id_of(by.id, number),
            place=finding.place,
            what=finding.what,
            category=finding.category,
            grade=finding.grade,
        )
        for number, finding in enumerate(command.findings, start=1)
    )
    if state is not None:
        same = (state.done.kind, state.done.checked, state.done.findings)
        if same == (command.kind, command.checked, found):
            return None
        raise Refused("check_exists", field="id")
    refuse_checker(terms_of(policy, command.kind), command.kind, by)
    for finding in command.findings:
        refuse_grading(finding.grade, by)
    done = SafetyCheckDone(
        kind=command.kind,
        place=command.place,
        checked=command.checked,
        findings=found,
        bodies=command.bodies,
        checked_by=by.person,
        photos=command.photos,
        note=command.note,
    )
    opened = [
        Send(hazards, kept.hazard, hazard_of(command, finding, by))
        for kept, finding in zip(found, command.findings, strict=True)
    ]
    return [done, *opened, noted(by, command.kind, len(found))]


def refuse_checker(terms: ProgrammeTerms, kind: ProgrammeKind, by: By) -> None:
    """Kinds with a checklist are inspections; others may take a post, or somebody from above."""
    if terms.needs_checklist:
        raise Refused("programme_needs_checklist", field="kind", kind=kind)
    refuse_own_staff(terms, kind, by)
    if not terms.any_staff and not by.holds(*INSPECTORS):
        raise Refused("check_not_yours", field="kind", kind=kind)


def hazard_of(command: RecordCheck, finding: FindingMade, by: By) -> OpenHazard:
    """The hazard that a finding opens."""
    return OpenHazard(
        organisation=command.organisation,
        place=finding.place,
        what=finding.what,
        category=finding.category,
        source=source_of(command.kind),
        grade=finding.grade,
        photos=finding.photos,
        found_by=by.person,
        programme=command.kind,
        check=by.id,
    )


def source_of(kind: ProgrammeKind) -> HazardSource:
    """The rhythm in which a kind of check takes place: 日查, 周结, 月报, or as it happens."""
    match kind:
        case ProgrammeKind.DAILY:
            return HazardSource.DAILY_CHECK
        case ProgrammeKind.ROUTINE:
            return HazardSource.WEEKLY_CHECK
        case ProgrammeKind.FOOD_SAFETY | ProgrammeKind.FIRE:
            return HazardSource.MONTHLY_CHECK
        case _:
            return HazardSource.SPECIAL_CHECK


class SafetyCheckRow(View):
    id: UUID
    organisation: UUID
    kind: ProgrammeKind
    place: str
    checked: tuple[str, ...]
    findings_count: int
    findings: tuple[CheckFinding, ...]
    bodies: tuple[str, ...]
    checked_by: str
    checked_at: datetime
    photos: tuple[str, ...]
    note: str


@safety_checks.view(
    "/checks",
    allow=READERS,
    filters=("kind", "checked_by"),
    sorts=("checked_at", "findings_count"),
    search=("place", "note"),
)
def safety_check_register(state: SafetyCheck, recorded: Recorded) -> SafetyCheckRow:
    done = state.done
    return SafetyCheckRow(
        id=recorded.stream,
        organisation=recorded.organisation,
        kind=done.kind,
        place=done.place,
        checked=done.checked,
        findings_count=len(done.findings),
        findings=done.findings,
        bodies=done.bodies,
        checked_by=done.checked_by,
        checked_at=recorded.occurred_at,
        photos=done.photos,
        note=done.note,
    )
