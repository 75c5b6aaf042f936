"""Checklists: a draft becomes a version, and a published version never changes."""

from copy import replace
from decimal import Decimal
from typing import Any

from services.safety.checklist import (
    ChecklistDrafted,
    ChecklistItem,
    ChecklistPublished,
    ChecklistRevised,
    ChecklistWithdrawn,
    DraftChecklist,
    ItemDrafted,
    PublishChecklist,
    ReviseChecklist,
    WithdrawChecklist,
    checklist_items,
    checklist_register,
    checklists,
)
from services.safety.grades import HazardCategory, HazardGrade
from services.safety.inspection import InspectionScheduled, inspections
from services.safety.inspection.schedule import ScheduleInspection
from services.safety.programme import InspectionPolicy, ProgrammeKind
from shared.kernel import By, Recorded
from shared.organisation import Level, Role
from shared.testing import COUNTY, SCHOOL, STREAM, by, given

EXIT = ChecklistItem(
    code="X1", text_zh="安全出口畅通", text_en="exits free", points=Decimal(60), veto=True,
    severity=HazardGrade.MAJOR, category=HazardCategory.FIRE,
)  # fmt: skip
LAMP = ChecklistItem(
    code="X2", text_zh="应急灯完好", text_en="", points=Decimal("39.5"), veto=False,
    severity=HazardGrade.GENERAL, category=HazardCategory.OTHER,
)  # fmt: skip
DRAFTED = ChecklistDrafted(title="大排查", kind=ProgrammeKind.FULL_SCHOOL, items=(EXIT,))
PUBLISHED = ChecklistPublished(
    title="大排查", kind=ProgrammeKind.FULL_SCHOOL, checklist_version=1, items=(EXIT,),
    full=Decimal(60),
)  # fmt: skip
REVISED = ChecklistRevised(items=(EXIT, LAMP), revision_of=1, reason="增加应急灯")
RANDOM = replace(DRAFTED, kind=ProgrammeKind.RANDOM)
OFFICER = by("officer", Role.SAFETY_OFFICER)
INSPECTOR = by("inspector", Role.INSPECTOR, unit=COUNTY, level=Level.COUNTY)
EXIT_WANTED = ItemDrafted(
    code="X1", text_zh="安全出口畅通", text_en="exits free", points=Decimal(60), veto=True,
    severity=HazardGrade.MAJOR, category=HazardCategory.FIRE,
)  # fmt: skip
LAMP_WANTED = ItemDrafted(code="X2", text_zh="应急灯完好", points=Decimal("39.5"))


def draft(*items: ItemDrafted, kind: ProgrammeKind = ProgrammeKind.FULL_SCHOOL) -> DraftChecklist:
    return DraftChecklist(organisation=SCHOOL, title="大排查", kind=kind, items=items)


def revise(*items: ItemDrafted) -> ReviseChecklist:
    return ReviseChecklist(items=items, reason="增加应急灯")


def test_drafts_publishes_revises_and_publishes_anew() -> None:
    drafted = given(checklists).when(draft(EXIT_WANTED), by=OFFICER).then(DRAFTED)
    drafted.when(draft(EXIT_WANTED), by=OFFICER).then()
    published = drafted.when(PublishChecklist(), by=OFFICER).then(PUBLISHED)
    published.when(PublishChecklist(), by=OFFICER).then()
    revised = published.when(revise(EXIT_WANTED, LAMP_WANTED), by=OFFICER).then(REVISED)
    assert revised.state.versions == ((EXIT,),)
    revised.when(revise(EXIT_WANTED, LAMP_WANTED), by=OFFICER).then()
    again = revised.when(PublishChecklist(), by=OFFICER).then(
        replace(PUBLISHED, checklist_version=2, items=(EXIT, LAMP), full=Decimal("99.5"))
    )
    assert (again.state.items(1).keys(), again.state.items(2).keys()) == ({"X1"}, {"X1", "X2"})
    again.when(revise(EXIT_WANTED, LAMP_WANTED), by=OFFICER).then()


def test_a_draft_is_changed_before_it_is_published() -> None:
    changed = given(checklists, DRAFTED).when(revise(LAMP_WANTED), by=OFFICER).then(
        ChecklistRevised(items=(LAMP,), revision_of=0, reason="增加应急灯")
    )  # fmt: skip
    assert changed.state.draft == (LAMP,)


def test_refuses_a_list_that_cannot_be_judged_by() -> None:
    given(checklists).when(draft(EXIT_WANTED, EXIT_WANTED), by=OFFICER).refused(
        "checklist_item_twice", field="items"
    )
    worthless = LAMP_WANTED.model_copy(update={"points": Decimal(0)})
    given(checklists).when(draft(worthless), by=OFFICER).refused("checklist_without_points")
    given(checklists, DRAFTED, PUBLISHED).when(revise(worthless), by=OFFICER).refused(
        "checklist_without_points"
    )
    given(checklists, DRAFTED).when(draft(LAMP_WANTED), by=OFFICER).refused(
        "checklist_exists", field="id"
    )


def test_a_school_does_not_write_the_bureau_s_list() -> None:
    wanted = draft(EXIT_WANTED, kind=ProgrammeKind.RANDOM)
    given(checklists).when(wanted, by=OFFICER).refused("programme_of_bureau", field="kind")
    given(checklists).when(wanted, by=INSPECTOR).then(RANDOM)
    bureau = given(checklists, RANDOM)
    bureau.when(revise(LAMP_WANTED), by=OFFICER).refused("programme_of_bureau")
    bureau.when(PublishChecklist(), by=OFFICER).refused("programme_of_bureau")
    bureau.when(WithdrawChecklist(reason="过时"), by=OFFICER).refused("programme_of_bureau")


def test_refuses_a_kind_without_a_rule() -> None:
    nothing = InspectionPolicy(programmes={})
    given(checklists).when(draft(EXIT_WANTED), by=OFFICER, policy=nothing).refused(
        "programme_not_in_force", field="kind"
    )


def test_a_withdrawn_list_serves_nobody() -> None:
    withdraw = WithdrawChecklist(reason="过时")
    withdrawn = given(checklists, DRAFTED, PUBLISHED).when(withdraw, by=OFFICER).then(
        ChecklistWithdrawn(checklist_version=1, reason="过时")
    )  # fmt: skip
    withdrawn.when(withdraw, by=OFFICER).then()
    withdrawn.when(revise(LAMP_WANTED), by=OFFICER).refused("checklist_withdrawn")
    withdrawn.when(PublishChecklist(), by=OFFICER).refused("checklist_withdrawn")
    schedule(withdrawn.state).refused("checklist_withdrawn", field="checklist")


def schedule(checklist: Any, caller: By = OFFICER) -> Any:
    command = ScheduleInspection(
        organisation=SCHOOL, checklist=STREAM, planned_on=caller.day, inspectors=("officer",)
    )
    return given(inspections).when(command, by=caller, checklist=checklist)


def test_only_a_published_list_is_inspected_by_and_by_its_latest_version() -> None:
    schedule(None).refused("checklist_unknown", field="checklist")
    schedule(given(checklists, DRAFTED).state).refused("checklist_not_published")
    twice = replace(PUBLISHED, checklist_version=2)
    (scheduled,) = schedule(given(checklists, DRAFTED, PUBLISHED, REVISED, twice).state).outcome()
    assert isinstance(scheduled, InspectionScheduled)
    assert scheduled.checklist_version == 2


RECORDED = Recorded(
    id=STREAM, stream=STREAM, version=1, organisation=SCHOOL, actor="officer",
    occurred_at=OFFICER.at, recorded_at=OFFICER.now,
)  # fmt: skip


def test_the_phone_sees_the_version_in_force_until_it_is_withdrawn() -> None:
    assert checklist_items(given(checklists, DRAFTED).state, RECORDED) == {}
    revised = given(checklists, DRAFTED, PUBLISHED, REVISED).state
    assert {code: row.points for code, row in checklist_items(revised, RECORDED).items()} == {
        "X1": Decimal(60)
    }
    gone = ChecklistWithdrawn(checklist_version=1, reason="过时")
    assert checklist_items(given(checklists, DRAFTED, PUBLISHED, gone).state, RECORDED) == {}
    row = checklist_register(revised, RECORDED)
    assert (row.latest_version, row.items_count, row.full_points, row.drafting) == (
        1, 1, Decimal(60), True,
    )  # fmt: skip
    draft_row = checklist_register(given(checklists, DRAFTED).state, RECORDED)
    assert (draft_row.latest_version, draft_row.items_count) == (0, 1)
