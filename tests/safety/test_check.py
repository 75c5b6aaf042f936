"""Safety checks: one command; no finding is a record too; every finding opens a hazard."""

from typing import Any

import pytest

from services.safety.check import (
    CheckFinding,
    FindingMade,
    RecordCheck,
    SafetyCheckDone,
    safety_check_register,
    safety_checks,
    source_of,
)
from services.safety.cycle import NoteSafetyCheck, cycle_of, safety_cycles
from services.safety.grades import HazardCategory, HazardGrade
from services.safety.hazard import HazardSource, hazards
from services.safety.hazard.report import OpenHazard
from services.safety.programme import InspectionPolicy, ProgrammeKind, ProgrammeTerms
from shared.kernel import Recorded, Send
from shared.organisation import Level, Role
from shared.rules import RuleBook, shipped
from shared.testing import COUNTY, SCHOOL, STREAM, by, given, school

PHOTO = "a" * 64
OFFICER = by("officer", Role.SAFETY_OFFICER)
TEACHER = by("teacher", Role.TEACHER)


def record(*findings: FindingMade, kind: ProgrammeKind = ProgrammeKind.FIRE) -> RecordCheck:
    return RecordCheck(
        organisation=SCHOOL, kind=kind, place="全校", checked=("灭火器", "疏散通道"),
        findings=findings, bodies=("派出所",), photos=(PHOTO,),
    )  # fmt: skip


def done(*findings: CheckFinding, kind: ProgrammeKind = ProgrammeKind.FIRE) -> SafetyCheckDone:
    return SafetyCheckDone(
        kind=kind, place="全校", checked=("灭火器", "疏散通道"), findings=findings,
        bodies=("派出所",), checked_by="officer", photos=(PHOTO,), note="",
    )  # fmt: skip


def noted(findings: int) -> Send:
    command = NoteSafetyCheck(
        organisation=SCHOOL, subject=STREAM, kind=ProgrammeKind.FIRE, day=OFFICER.day,
        findings=findings,
    )  # fmt: skip
    return Send(safety_cycles, cycle_of(SCHOOL, OFFICER.day), command)


FINDING = FindingMade(
    place="三楼", what="灭火器压力不足", category=HazardCategory.FIRE, grade=HazardGrade.MAJOR,
    photos=(PHOTO,),
)  # fmt: skip


def test_no_finding_is_still_a_record() -> None:
    checked = given(safety_checks).when(record(), by=OFFICER).then(done(), noted(0))
    checked.when(record(), by=OFFICER).then()


def test_every_finding_opens_a_hazard_in_the_same_transaction() -> None:
    second = FINDING.model_copy(update={"place": "四楼", "grade": None})
    ids = [hazards.id_of(STREAM, 1), hazards.id_of(STREAM, 2)]
    kept = [
        CheckFinding(
            hazard=id_, place=one.place, what=one.what, category=one.category, grade=one.grade
        )
        for id_, one in zip(ids, (FINDING, second), strict=True)
    ]
    opened = [
        Send(
            hazards, id_,
            OpenHazard(
                organisation=SCHOOL, place=one.place, what=one.what, category=one.category,
                source=HazardSource.MONTHLY_CHECK, grade=one.grade, photos=(PHOTO,),
                found_by="officer", programme=ProgrammeKind.FIRE, check=STREAM,
            ),
        )
        for id_, one in zip(ids, (FINDING, second), strict=True)
    ]  # fmt: skip
    checked = given(safety_checks).when(record(FINDING, second), by=OFFICER).then(
        done(*kept), *opened, noted(2)
    )  # fmt: skip
    checked.when(record(FINDING, second), by=OFFICER).then()
    checked.when(record(FINDING), by=OFFICER).refused("check_exists", field="id")


def test_anybody_records_a_daily_check_but_not_a_fire_check_nor_a_grade() -> None:
    daily = record(kind=ProgrammeKind.DAILY)
    assert len(given(safety_checks).when(daily, by=TEACHER).outcome()) == 2
    given(safety_checks).when(record(), by=TEACHER).refused("check_not_yours", field="kind")
    graded = record(FINDING, kind=ProgrammeKind.DAILY)
    given(safety_checks).when(graded, by=TEACHER).refused("grading_not_yours")
    inspector = by("zhao", Role.INSPECTOR, unit=COUNTY, level=Level.COUNTY)
    given(safety_checks).when(record(), by=inspector).outcome()


def test_what_needs_a_checklist_is_an_inspection() -> None:
    for kind in (ProgrammeKind.FULL_SCHOOL, ProgrammeKind.RANDOM, ProgrammeKind.TERM_OPENING):
        given(safety_checks).when(record(kind=kind), by=OFFICER).refused(
            "programme_needs_checklist", field="kind"
        )


def policy(**more: Any) -> InspectionPolicy:
    shipped_ = RuleBook(shipped("safety")).in_force(InspectionPolicy, school, OFFICER.day)
    usual = shipped_.programmes[ProgrammeKind.FIRE]
    terms = ProgrammeTerms(
        pass_share=usual.pass_share, inspectors_min=1, any_staff=False, needs_checklist=False,
        **more,
    )  # fmt: skip
    return InspectionPolicy(programmes={ProgrammeKind.FIRE: terms})


def test_the_rule_in_force_says_which_kinds_there_are_and_who_may() -> None:
    outside_only = policy(self_check=False)
    given(safety_checks).when(record(), by=OFFICER, policy=outside_only).refused(
        "inspector_of_own_unit"
    )
    given(safety_checks).when(
        record(kind=ProgrammeKind.DAILY), by=OFFICER, policy=policy(self_check=True)
    ).refused("programme_not_in_force", field="kind")


@pytest.mark.parametrize(
    ("kind", "source"),
    [
        (ProgrammeKind.DAILY, HazardSource.DAILY_CHECK),
        (ProgrammeKind.ROUTINE, HazardSource.WEEKLY_CHECK),
        (ProgrammeKind.FOOD_SAFETY, HazardSource.MONTHLY_CHECK),
        (ProgrammeKind.BAD_WEATHER, HazardSource.SPECIAL_CHECK),
    ],
)
def test_a_hazard_knows_the_rhythm_it_was_found_in(
    kind: ProgrammeKind, source: HazardSource
) -> None:
    assert source_of(kind) is source


def test_the_register_counts_findings_and_shows_when_it_was_done() -> None:
    finding = CheckFinding(
        hazard=hazards.id_of(STREAM, 1), place="三楼", what="灭火器压力不足",
        category=HazardCategory.FIRE, grade=None,
    )  # fmt: skip
    recorded = Recorded(
        id=STREAM, stream=STREAM, version=1, organisation=SCHOOL, actor="officer",
        occurred_at=OFFICER.at, recorded_at=by(at="2026-09-10T08:00:00+08:00").at,
    )  # fmt: skip
    row = safety_check_register(given(safety_checks, done(finding)).state, recorded)
    assert (row.findings_count, row.checked_at) == (1, OFFICER.at)
