"""Inspections: scored by their checklist, signed by inspectors, answered by the inspected."""

from copy import replace
from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from services.safety.checklist import (
    Checklist,
    ChecklistDrafted,
    ChecklistItem,
    ChecklistPublished,
    checklists,
)
from services.safety.cycle import NoteSafetyCheck, cycle_of, safety_cycles
from services.safety.grades import HazardCategory, HazardGrade
from services.safety.inspection import (
    FailedItem,
    Inspection,
    InspectionAcknowledged,
    InspectionBasis,
    InspectionCancelled,
    InspectionDisputed,
    InspectionEvent,
    InspectionFailed,
    InspectionItemsJudged,
    InspectionPassed,
    InspectionRescheduled,
    InspectionScheduled,
    InspectionSigned,
    InspectionStatus,
    InspectorCapacity,
    ItemResult,
    Judgement,
    OutsideInspectors,
    UnitAnswer,
    inspections,
)
from services.safety.inspection.answer import AcknowledgeInspection, DisputeInspection
from services.safety.inspection.carry_out import (
    CarryOutInspection,
    ConcludeInspection,
    JudgeItems,
    SignInspection,
)
from services.safety.inspection.schedule import (
    CancelInspection,
    OutsidersInvited,
    RescheduleInspection,
    ScheduleInspection,
    SetInspection,
)
from services.safety.inspection.score import ItemJudged
from services.safety.inspection.views import (
    inspection_findings,
    inspection_register,
    published_inspections,
)
from services.safety.programme import InspectionPolicy, ProgrammeKind
from shared.kernel import By, Recorded, Send
from shared.organisation import HeldPost, Level, Role
from shared.testing import COUNTY, SCHOOL, STREAM, Given, by, given

LIST = UUID(int=77)
PHOTO = "a" * 64
DAY = date(2026, 9, 7)


def item(code: str, points: int, **more: Any) -> ChecklistItem:
    usual: dict[str, Any] = {
        "text_zh": f"项目{code}", "text_en": "", "veto": False,
        "severity": HazardGrade.GENERAL, "category": HazardCategory.FIRE,
    }  # fmt: skip
    return ChecklistItem(code=code, points=Decimal(points), **usual | more)


ITEMS = (item("A", 50), item("B", 30), item("C", 20, veto=True, severity=HazardGrade.CRITICAL))


def checklist_of(kind: ProgrammeKind, items: tuple[ChecklistItem, ...] = ITEMS) -> Checklist:
    drafted = ChecklistDrafted(title="检查表", kind=kind, items=items)
    published = ChecklistPublished(
        title="检查表", kind=kind, checklist_version=1, items=items, full=Decimal(100)
    )
    newer = replace(published, checklist_version=2, items=(*items, item("D", 10)))
    state: Checklist = given(checklists, drafted, published, newer).state
    return state


OWN = checklist_of(ProgrammeKind.FULL_SCHOOL)
BUREAU = checklist_of(ProgrammeKind.RANDOM)
SCHEDULED = InspectionScheduled(
    checklist=LIST, checklist_version=1, programme="检查表", kind=ProgrammeKind.RANDOM,
    planned_on=DAY, inspectors=("zhao", "qian"), bodies=("消防大队",), outsiders=(),
    basis=InspectionBasis.DRAW, origin=UUID(int=5), stop=1,
)  # fmt: skip
SELF = replace(
    SCHEDULED, kind=ProgrammeKind.FULL_SCHOOL, inspectors=("officer",), bodies=(),
    basis=InspectionBasis.PLAN, origin=None, stop=None,
)  # fmt: skip


def zhao(person: str = "zhao") -> By:
    return above(person, Role.INSPECTOR)


def above(person: str, role: Role, unit: UUID = COUNTY, level: Level = Level.COUNTY) -> By:
    """Somebody whose post lies above the inspected school (or, by `unit`, in it)."""
    return replace(by(person), posts=(HeldPost(role=role, unit=unit, level=level),))


OFFICER = by("officer", Role.SAFETY_OFFICER)
PRINCIPAL = by("principal", Role.PRINCIPAL)


def met(code: str) -> ItemJudged:
    return ItemJudged(code=code, judgement=Judgement.MET)


def failed(code: str, points: str | None = None, **more: Any) -> ItemJudged:
    given_points = None if points is None else Decimal(points)
    return ItemJudged(
        code=code, judgement=Judgement.NOT_MET, points=given_points, note="不到位", **more
    )


def absent(code: str) -> ItemJudged:
    return ItemJudged(code=code, judgement=Judgement.NOT_APPLICABLE, note="没有")


def result(code: str, judgement: Judgement, points: str, note: str = "") -> ItemResult:
    return ItemResult(
        code=code, judgement=judgement, points=Decimal(points), note=note, place="", photos=()
    )


ALL_MET = (met("A"), met("B"), met("C"))
JUDGED = InspectionItemsJudged(
    results=(
        result("A", Judgement.MET, "50"), result("B", Judgement.MET, "30"),
        result("C", Judgement.MET, "20"),
    ),
    judged_by="zhao",
)  # fmt: skip
PASSED = InspectionPassed(
    programme="检查表", kind=ProgrammeKind.RANDOM, checklist=LIST, checklist_version=1,
    basis=InspectionBasis.DRAW, score=Decimal(100), full=Decimal(100), pass_score=Decimal(80),
    failed_items=(), items_judged=3, veto=False, bodies=("消防大队",),
    inspectors=("zhao", "qian"), outsiders=(), concluded_by="zhao", signature=None,
)  # fmt: skip
DONE = (SCHEDULED, JUDGED, PASSED)


def noted(kind: ProgrammeKind, findings: int) -> Send:
    command = NoteSafetyCheck(
        organisation=SCHOOL, subject=STREAM, kind=kind, day=DAY, findings=findings
    )
    return Send(safety_cycles, cycle_of(SCHOOL, DAY), command)


def conclude(
    *results: ItemJudged, past: tuple[InspectionEvent, ...] = (SCHEDULED,), **more: Any
) -> Any:
    command = ConcludeInspection(results=results, **more)
    return given(inspections, *past).when(command, by=zhao(), checklist=BUREAU)


def schedule(**more: Any) -> ScheduleInspection:
    content: dict[str, Any] = {
        "organisation": SCHOOL, "checklist": LIST, "planned_on": DAY, "inspectors": ("officer",),
    }  # fmt: skip
    return ScheduleInspection(**content | more)


def test_a_school_schedules_its_own_inspection() -> None:
    wanted = schedule(
        bodies=("派出所",),
        outsiders=(OutsidersInvited(capacity=InspectorCapacity.PARENT, count=2),),
    )
    scheduled = given(inspections).when(wanted, by=OFFICER, checklist=OWN).then(
        replace(
            SELF, checklist_version=2, bodies=("派出所",),
            outsiders=(OutsideInspectors(capacity=InspectorCapacity.PARENT, count=2),),
        )
    )  # fmt: skip
    scheduled.when(wanted, by=OFFICER, checklist=OWN).then()
    scheduled.when(schedule(inspectors=("li",)), by=OFFICER, checklist=OWN).refused(
        "inspection_exists", field="id"
    )


def test_a_bureau_s_programme_is_never_the_school_s_own() -> None:
    wanted = schedule(inspectors=("zhao", "qian"))
    given(inspections).when(wanted, by=OFFICER, checklist=BUREAU).refused("inspector_of_own_unit")
    given(inspections).when(wanted, by=zhao(), checklist=BUREAU).outcome()
    both = replace(
        zhao(), posts=(*zhao().posts, HeldPost(role=Role.TEACHER, unit=SCHOOL, level=Level.SCHOOL))
    )
    given(inspections).when(wanted, by=both, checklist=BUREAU).refused("inspector_of_own_unit")
    centre = above("zhao", Role.INSPECTOR, SCHOOL, Level.TOWNSHIP)
    given(inspections).when(wanted, by=centre, checklist=BUREAU).refused("inspector_of_own_unit")


def test_refuses_plans_in_the_past_with_too_few_or_the_same_people_or_of_no_known_kind() -> None:
    past = schedule(planned_on=date(2026, 9, 6))
    given(inspections).when(past, by=OFFICER, checklist=OWN).refused("planned_in_the_past")
    alone = schedule(inspectors=("zhao",))
    given(inspections).when(alone, by=zhao(), checklist=BUREAU).refused("inspectors_too_few")
    twice = schedule(inspectors=("zhao", "zhao"))
    given(inspections).when(twice, by=zhao(), checklist=BUREAU).refused("inspector_twice")
    nothing = InspectionPolicy(programmes={})
    given(inspections).when(schedule(), by=OFFICER, checklist=OWN, policy=nothing).refused(
        "programme_not_in_force"
    )


def test_a_draw_or_route_sets_its_inspections() -> None:
    command = SetInspection(
        organisation=SCHOOL, checklist=LIST, planned_on=DAY, inspectors=("zhao", "qian"),
        bodies=("消防大队",), basis=InspectionBasis.DRAW, origin=UUID(int=5), stop=1,
    )  # fmt: skip
    wanted = replace(SCHEDULED, checklist_version=2)
    made = given(inspections).when(command, by=zhao("sun"), checklist=BUREAU).then(wanted)
    made.when(command, by=zhao("sun"), checklist=BUREAU).then()
    alone = command.model_copy(update={"inspectors": ("zhao",)})
    given(inspections).when(alone, by=zhao("sun"), checklist=BUREAU).refused("inspectors_too_few")
    twice = command.model_copy(update={"inspectors": ("zhao", "zhao")})
    given(inspections).when(twice, by=zhao("sun"), checklist=BUREAU).refused("inspector_twice")
    given(inspections).when(command, by=zhao("sun"), checklist=None).refused("checklist_unknown")


def test_is_moved_and_called_off() -> None:
    move = RescheduleInspection(planned_on=date(2026, 9, 9), reason="台风")
    moved = given(inspections, SCHEDULED).when(move, by=zhao()).then(
        InspectionRescheduled(
            kind=ProgrammeKind.RANDOM, planned_on=date(2026, 9, 9), previous_on=DAY, reason="台风"
        )
    )  # fmt: skip
    moved.when(move, by=zhao()).then()
    off = CancelInspection(reason="停课")
    cancelled = given(inspections, SCHEDULED).when(off, by=zhao()).then(
        InspectionCancelled(
            kind=ProgrammeKind.RANDOM, basis=InspectionBasis.DRAW, planned_on=DAY, reason="停课"
        )
    )  # fmt: skip
    cancelled.when(off, by=zhao()).then()
    cancelled.when(move, by=zhao()).refused("inspection_cancelled")


def test_refuses_to_move_or_call_off_what_is_done_or_another_s() -> None:
    move = RescheduleInspection(planned_on=date(2026, 9, 9), reason="台风")
    off = CancelInspection(reason="停课")
    given(inspections, *DONE).when(move, by=zhao()).refused("inspection_concluded")
    given(inspections, *DONE).when(off, by=zhao()).refused("inspection_concluded")
    given(inspections, SCHEDULED).when(move, by=OFFICER).refused("inspector_of_own_unit")
    given(inspections, SCHEDULED).when(off, by=OFFICER).refused("inspector_of_own_unit")
    past = RescheduleInspection(planned_on=date(2026, 9, 1), reason="台风")
    given(inspections, SCHEDULED).when(past, by=zhao()).refused("planned_in_the_past")


def test_items_are_judged_one_by_one_and_anew() -> None:
    command = JudgeItems(results=(met("A"), failed("B", "10", place="二楼", photos=(PHOTO,))))
    wanted = ItemResult(
        code="B", judgement=Judgement.NOT_MET, points=Decimal(10), note="不到位", place="二楼",
        photos=(PHOTO,),
    )  # fmt: skip
    begun = given(inspections, SCHEDULED).when(command, by=zhao(), checklist=BUREAU).then(
        InspectionItemsJudged(
            results=(result("A", Judgement.MET, "50"), wanted), judged_by="zhao"
        )
    )  # fmt: skip
    assert begun.state.status is InspectionStatus.UNDER_WAY
    begun.when(command, by=zhao(), checklist=BUREAU).then()
    again = JudgeItems(results=(met("A"), failed("B")))
    begun.when(again, by=zhao("qian"), checklist=BUREAU).then(
        InspectionItemsJudged(
            results=(result("B", Judgement.NOT_MET, "0", "不到位"),), judged_by="qian"
        )
    )


@pytest.mark.parametrize(
    ("judged", "slug"),
    [
        ((met("D"),), "item_unknown"),
        ((met("A"), met("A")), "item_judged_twice"),
        ((ItemJudged(code="A", judgement=Judgement.NOT_MET, note=" "),), "judgement_without_note"),
        ((ItemJudged(code="A", judgement=Judgement.NOT_APPLICABLE),), "judgement_without_note"),
        ((failed("A", "50"),), "points_contradict"),
        ((failed("A", "51"),), "points_contradict"),
        ((met("A").model_copy(update={"points": Decimal(49)}),), "points_contradict"),
        ((absent("A").model_copy(update={"points": Decimal(1)}),), "points_contradict"),
    ],
)
def test_refuses_judgements_that_do_not_fit(judged: tuple[ItemJudged, ...], slug: str) -> None:
    given(inspections, SCHEDULED).when(
        JudgeItems(results=judged), by=zhao(), checklist=BUREAU
    ).refused(slug, field="results")
    conclude(*judged).refused(slug)


def test_only_named_inspectors_judge_conclude_and_sign() -> None:
    judge = JudgeItems(results=(met("A"),))
    past = given(inspections, SCHEDULED)
    past.when(judge, by=zhao("sun"), checklist=BUREAU).refused("inspection_not_yours")
    all_met = ConcludeInspection(results=ALL_MET)
    past.when(all_met, by=zhao("sun"), checklist=BUREAU).refused("inspection_not_yours")
    done = given(inspections, *DONE)
    done.when(SignInspection(), by=zhao("sun")).refused("inspection_not_yours")
    done.when(judge, by=zhao(), checklist=BUREAU).refused("inspection_concluded")
    done.when(all_met, by=zhao("qian"), checklist=BUREAU).refused("inspection_concluded")
    own = by("zhao", Role.PRINCIPAL)
    past.when(judge, by=own, checklist=BUREAU).refused("inspector_of_own_unit")
    past.when(all_met, by=own, checklist=BUREAU).refused("inspector_of_own_unit")
    done.when(SignInspection(), by=by("qian", Role.PRINCIPAL)).refused("inspector_of_own_unit")


def test_passes_with_enough_points_and_counts_in_the_month() -> None:
    done = conclude(*ALL_MET).then(JUDGED, PASSED, noted(ProgrammeKind.RANDOM, 0))
    assert (done.state.status, done.state.signed) == (InspectionStatus.PASSED, ("zhao",))
    done.when(ConcludeInspection(), by=zhao(), checklist=BUREAU).then()
    conclude(past=(SCHEDULED, JUDGED)).then(PASSED, noted(ProgrammeKind.RANDOM, 0))


def outcome(*judged: ItemJudged) -> InspectionPassed | InspectionFailed:
    events = conclude(*judged).outcome()
    assert isinstance(events[1], InspectionPassed | InspectionFailed)
    return events[1]


def test_the_pass_score_is_reached_or_missed_by_a_tenth() -> None:
    enough = outcome(met("A"), failed("B", "10"), met("C"))
    assert isinstance(enough, InspectionPassed)
    assert (enough.score, [one.code for one in enough.failed_items]) == (Decimal(80), ["B"])
    short = outcome(met("A"), failed("B", "9.9"), met("C"))
    assert isinstance(short, InspectionFailed)
    assert (short.score, short.veto) == (Decimal("79.9"), False)


def test_a_veto_item_fails_the_whole_whatever_the_score() -> None:
    failure = outcome(met("A"), met("B"), failed("C", "19.9"))
    assert isinstance(failure, InspectionFailed)
    assert (failure.score, failure.veto) == (Decimal("99.9"), True)
    assert failure.failed_items == (
        FailedItem(
            code="C", text="项目C", veto=True, note="不到位", severity=HazardGrade.CRITICAL,
            category=HazardCategory.FIRE, place="", points_lost=Decimal("0.1"), photos=(),
        ),
    )  # fmt: skip


def test_what_does_not_apply_is_left_out_of_the_full_points() -> None:
    passed = outcome(absent("A"), met("B"), met("C"))
    assert isinstance(passed, InspectionPassed)
    assert [passed.score, passed.full, passed.pass_score] == [50, 50, 40]
    assert passed.items_judged == 3


def test_refuses_to_conclude_while_items_are_left_or_nothing_applies() -> None:
    conclude(met("A"), met("B")).refused("items_not_judged", field="results")
    conclude(absent("A"), absent("B"), absent("C")).refused("nothing_applicable")
    off = InspectionCancelled(
        kind=ProgrammeKind.RANDOM, basis=InspectionBasis.DRAW, planned_on=DAY, reason="停课"
    )
    conclude(*ALL_MET, past=(SCHEDULED, off)).refused("inspection_cancelled")


def test_who_really_came_is_said_at_the_end() -> None:
    came = (OutsidersInvited(capacity=InspectorCapacity.DEPUTY, count=1),)
    events = conclude(*ALL_MET, bodies=(), outsiders=came, signature=PHOTO).outcome()
    assert isinstance(events[1], InspectionPassed)
    assert (events[1].bodies, events[1].signature) == ((), PHOTO)
    assert events[1].outsiders == (OutsideInspectors(capacity=InspectorCapacity.DEPUTY, count=1),)


def carry_out(**more: Any) -> CarryOutInspection:
    content: dict[str, Any] = {
        "organisation": SCHOOL, "checklist": LIST, "checklist_version": 1,
        "inspectors": ("officer",), "results": (met("A"), failed("B"), met("C")),
    }  # fmt: skip
    return CarryOutInspection(**content | more)


def test_an_offline_phone_sends_the_whole_inspection_by_the_version_it_carried() -> None:
    result_ = given(inspections).when(carry_out(), by=OFFICER, checklist=OWN)
    scheduled, judged, failure, told = result_.outcome()
    assert scheduled == replace(SELF, basis=InspectionBasis.ON_THE_SPOT)
    assert isinstance(judged, InspectionItemsJudged)
    assert isinstance(failure, InspectionFailed)
    assert (failure.score, failure.basis) == (Decimal(70), InspectionBasis.ON_THE_SPOT)
    assert told == noted(ProgrammeKind.FULL_SCHOOL, 1)
    done = result_.then(scheduled, judged, failure, told)
    done.when(carry_out(), by=OFFICER, checklist=OWN).then()
    done.when(carry_out(), by=by("li", Role.PRINCIPAL), checklist=OWN).refused("inspection_exists")


def test_refuses_a_whole_inspection_that_could_not_be_planned_either() -> None:
    begin = given(inspections)
    latest = carry_out(checklist_version=None)
    begin.when(latest, by=OFFICER, checklist=OWN).refused("items_not_judged")
    begin.when(carry_out(checklist_version=3), by=OFFICER, checklist=OWN).refused(
        "checklist_version_unknown"
    )
    begin.when(carry_out(), by=PRINCIPAL, checklist=OWN).refused("inspection_not_yours")
    begin.when(carry_out(), by=OFFICER, checklist=None).refused("checklist_unknown")
    two = carry_out(inspectors=("officer", "li"))
    begin.when(carry_out(), by=zhao("officer"), checklist=BUREAU).refused("inspectors_too_few")
    begin.when(two, by=OFFICER, checklist=BUREAU).refused("inspector_of_own_unit")


def test_the_second_inspector_signs_what_is_concluded() -> None:
    signed = given(inspections, *DONE).when(SignInspection(), by=zhao("qian")).then(
        InspectionSigned(kind=ProgrammeKind.RANDOM, signed_by="qian", signature=None)
    )  # fmt: skip
    assert signed.state.signed == ("zhao", "qian")
    signed.when(SignInspection(), by=zhao("qian")).then()
    given(inspections, *DONE).when(SignInspection(), by=zhao()).then()
    given(inspections, SCHEDULED).when(SignInspection(), by=zhao()).refused(
        "inspection_not_concluded"
    )


ACKNOWLEDGED = InspectionAcknowledged(
    kind=ProgrammeKind.RANDOM, passed=True, acknowledged_by="principal", after_dispute=False,
    note="", signature=None,
)  # fmt: skip
DISPUTED = InspectionDisputed(
    kind=ProgrammeKind.RANDOM, passed=True, disputed_by="principal", reason="评分有误", photos=()
)


def test_the_unit_signs_the_result() -> None:
    signed = given(inspections, *DONE).when(AcknowledgeInspection(), by=PRINCIPAL).then(
        ACKNOWLEDGED
    )  # fmt: skip
    assert signed.state.answer is UnitAnswer.ACKNOWLEDGED
    signed.when(AcknowledgeInspection(), by=PRINCIPAL).then()
    signed.when(DisputeInspection(reason="评分有误"), by=PRINCIPAL).refused(
        "inspection_acknowledged"
    )


def test_the_unit_refuses_on_record_and_may_sign_later() -> None:
    command = DisputeInspection(reason="评分有误")
    disputed = given(inspections, *DONE).when(command, by=PRINCIPAL).then(DISPUTED)
    assert (disputed.state.answer, disputed.state.objection) == (UnitAnswer.DISPUTED, "评分有误")
    disputed.when(command, by=PRINCIPAL).then()
    disputed.when(AcknowledgeInspection(), by=PRINCIPAL).then(
        replace(ACKNOWLEDGED, after_dispute=True)
    )


@pytest.mark.parametrize("command", [AcknowledgeInspection(), DisputeInspection(reason="有误")])
def test_only_the_unit_s_own_heads_who_did_not_inspect_answer(command: Any) -> None:
    done = given(inspections, *DONE)
    done.when(command, by=by("zhao", Role.PRINCIPAL)).refused("inspector_answers_himself")
    centre = above("feng", Role.PRINCIPAL, level=Level.TOWNSHIP)
    done.when(command, by=centre).refused("answers_for_another_unit")
    given(inspections, SCHEDULED).when(command, by=PRINCIPAL).refused("inspection_not_concluded")


def test_the_registers_show_results_and_findings() -> None:
    recorded = Recorded(
        id=STREAM, stream=STREAM, version=3, organisation=SCHOOL, actor="zhao",
        occurred_at=OFFICER.at, recorded_at=OFFICER.now,
    )  # fmt: skip
    planned: Inspection = given(inspections, SCHEDULED).state
    row = inspection_register(planned, recorded)
    assert (row.status, row.score, row.failed_count) == (InspectionStatus.SCHEDULED, None, None)
    assert inspection_findings(planned, recorded) == {}
    events = conclude(met("A"), failed("B"), met("C")).outcome()
    done: Given = given(inspections, SCHEDULED, *[e for e in events if not isinstance(e, Send)])
    row = inspection_register(done.state, recorded)
    assert (row.status, row.failed_count) == (InspectionStatus.FAILED, 1)
    assert row.score == Decimal(70)
    findings = inspection_findings(done.state, recorded)
    assert {code: one.points_lost for code, one in findings.items()} == {"B": Decimal(30)}


def test_a_result_is_published_without_who_inspected_and_without_a_way_in() -> None:
    recorded = Recorded(
        id=STREAM, stream=STREAM, version=3, organisation=SCHOOL, actor="zhao",
        occurred_at=OFFICER.at, recorded_at=OFFICER.now,
    )  # fmt: skip
    assert published_inspections(given(inspections, SCHEDULED).state, recorded) is None
    items = (*ITEMS, item("E", 10, category=HazardCategory.SECURITY))
    command = ConcludeInspection(results=(met("A"), failed("B"), met("C"), failed("E")))
    events = given(inspections, SCHEDULED).when(
        command, by=zhao(), checklist=checklist_of(ProgrammeKind.RANDOM, items)
    ).outcome()  # fmt: skip
    done = given(inspections, SCHEDULED, *[e for e in events if not isinstance(e, Send)]).state
    row = published_inspections(done, recorded)
    assert row is not None
    assert (row.status, row.score, row.answer) == (
        InspectionStatus.FAILED, Decimal(70), UnitAnswer.NONE,
    )  # fmt: skip
    assert [(one.code, one.text) for one in row.failed_items] == [("B", "项目B"), ("E", "")]
    assert "zhao" not in str(row) and "不到位" not in str(row)
