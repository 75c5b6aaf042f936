"""Requisition: a chain fixed at submission, nobody in his own, money committed at the last step."""

from copy import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from services.procurement.budget import (
    Budget,
    BudgetAdopted,
    BudgetLine,
    CommitBudget,
    Fund,
    ReleaseBudget,
    budgets,
)  # fmt: skip
from services.procurement.category import Category
from services.procurement.requisition import (
    ApprovalStep,
    PurchaseApproved,
    RequisitionChanged,
    RequisitionFlagged,
    RequisitionLine,
    RequisitionRaised,
    RequisitionRejected,
    RequisitionReturned,
    RequisitionStatus,
    RequisitionStepApproved,
    RequisitionSubmitted,
    RequisitionWithdrawn,
    Split,
    StepTaken,
    requisitions,
)  # fmt: skip
from services.procurement.requisition.approval import (
    ApproveRequisition,
    RejectRequisition,
    ReturnRequisition,
    WithdrawRequisition,
)  # fmt: skip
from services.procurement.requisition.chain import ApprovalPolicy, Band, ChainStep, chain_of
from services.procurement.requisition.draft import (
    ChangeRequisition,
    LineWanted,
    RaiseRequisition,
    SubmitRequisition,
)  # fmt: skip
from services.procurement.requisition.views import (
    FlagRequisition,
    StepStatus,
    approval_steps,
    flag_pieces,
    requisition_lines,
    requisition_list,
)  # fmt: skip
from services.procurement.spending_watch import (
    ForgetSpending,
    NoteSpending,
    SpendingNoted,
    SplitSuspected,
    spending_watches,
)  # fmt: skip
from shared.kernel import By, Recorded, Send
from shared.organisation import HeldPost, Level, Role, Unit
from shared.rules import RuleBook, shipped
from shared.testing import COUNTY, SCHOOL, STREAM, by, given, school

BUDGET = budgets.id_of(SCHOOL, 2026)
WATCH = spending_watches.id_of(SCHOOL, "furniture")
OTHER = UUID(int=77)
NEEDED = date(2026, 9, 30)
DESKS = LineWanted(
    item="课桌", specification="60×40", quantity=Decimal(10), measure_unit="张",
    estimated_price_cny=Decimal("120.55"),
)  # fmt: skip
CONTENT: dict[str, Any] = {
    "category": Category.FURNITURE, "fund": Fund.PUBLIC, "budget": BUDGET,
    "budget_line": "31002", "needed_by": NEEDED, "purpose": "一年级新增班级",
}  # fmt: skip
LINES = (RequisitionLine(**dict(DESKS), amount_cny=Decimal("1205.50")),)
ASKED: dict[str, Any] = {
    "requested_by": "wu", "category": Category.FURNITURE, "fund": Fund.PUBLIC,
    "amount_cny": Decimal("1205.50"),
}  # fmt: skip
NEED: dict[str, Any] = CONTENT | ASKED | {"lines": LINES}
RAISED = RequisitionRaised(school=SCHOOL, **NEED)
DIRECTOR = ApprovalStep(role=Role.LOGISTICS_DIRECTOR, level=Level.SCHOOL)
PRINCIPAL = ApprovalStep(role=Role.PRINCIPAL, level=Level.SCHOOL)
AT = datetime(2026, 9, 7, 0, 0, tzinfo=UTC)
SUBMITTED = RequisitionSubmitted(
    number="QG2026-FURNITURE-0001", steps=(DIRECTOR, PRINCIPAL), submitted_by="wu",
    submitted_at=AT, **ASKED,
)  # fmt: skip
STEP_1 = RequisitionStepApproved(
    step=1, steps_count=2, role=Role.LOGISTICS_DIRECTOR, level=Level.SCHOOL, approved_by="lin",
    on_behalf_of=None, approved_at=datetime(2026, 9, 7, 1, 0, tzinfo=UTC), waited_minutes=60,
    **ASKED,
)  # fmt: skip
LIN = by("lin", Role.LOGISTICS_DIRECTOR, at="2026-09-07T09:00:00+08:00")
WANG = by("wang", Role.PRINCIPAL, at="2026-09-09T09:00:00+08:00")
STEP_2 = RequisitionStepApproved(
    step=2, steps_count=2, role=Role.PRINCIPAL, level=Level.SCHOOL, approved_by="wang",
    on_behalf_of=None, approved_at=WANG.at, waited_minutes=2880, **ASKED,
)  # fmt: skip
APPROVED = PurchaseApproved(
    number=SUBMITTED.number, approved_by=("lin", "wang"),
    steps=(
        StepTaken(role=Role.LOGISTICS_DIRECTOR, level=Level.SCHOOL, approved_by="lin",
                  on_behalf_of=None, approved_at=STEP_1.approved_at, waited_minutes=60),
        StepTaken(role=Role.PRINCIPAL, level=Level.SCHOOL, approved_by="wang",
                  on_behalf_of=None, approved_at=WANG.at, waited_minutes=2880),
    ),
    submitted_at=AT, days=2, **NEED,
)  # fmt: skip
COMMIT = Send(
    budgets,
    BUDGET,
    CommitBudget(line="31002", purpose=STREAM, amount_cny=Decimal("1205.50")),
)
FORGET = Send(spending_watches, WATCH, ForgetSpending(requisition=STREAM))
NOTE = Send(
    spending_watches,
    WATCH,
    NoteSpending(
        organisation=SCHOOL, category=Category.FURNITURE, requisition=STREAM,
        number=SUBMITTED.number, amount_cny=Decimal("1205.50"),
    ),
)  # fmt: skip
MOMENT = Recorded(
    id=OTHER, stream=STREAM, version=3, organisation=SCHOOL, actor="wu", occurred_at=AT,
    recorded_at=AT,
)  # fmt: skip


def budget(line: str = "31002", fund: Fund = Fund.PUBLIC, year: int = 2026) -> Budget:
    adopted = BudgetAdopted(
        year=year,
        lines=(BudgetLine(code=line, name="家具", fund=fund, amount_cny=Decimal(99999)),),
    )
    state: Budget = given(budgets, adopted).state
    return state


def raise_command(**changed: Any) -> RaiseRequisition:
    return RaiseRequisition(organisation=SCHOOL, **(CONTENT | {"lines": (DESKS,)} | changed))


def change_command(**changed: Any) -> ChangeRequisition:
    return ChangeRequisition(**(CONTENT | {"lines": (DESKS,)} | changed))


def stand_in(person: str, role: Role, lent_by: str, at: str = "2026-09-09T09:00:00+08:00") -> By:
    return by(person, role, at=at, delegated_by=lent_by)


# Raising and changing


def test_raises_with_every_amount_worked_out() -> None:
    given(requisitions).when(raise_command(), by=by("wu")).then(RAISED)
    given(requisitions, RAISED).when(raise_command(), by=by("wu")).then()


def test_a_campus_asks_for_its_school() -> None:
    campus = Unit(
        id=OTHER, code="x", name="南校区", level=Level.CAMPUS, path=(COUNTY, SCHOOL, OTHER)
    )
    given(requisitions).when(raise_command(), by=by("wu"), unit=campus).then(RAISED)


def test_refuses_another_requisition_under_the_same_id() -> None:
    command = raise_command(purpose="二年级新增班级")
    given(requisitions, RAISED).when(command, by=by("wu")).refused("requisition_exists", field="id")


def test_nothing_is_needed_before_it_is_asked_for() -> None:
    past = date(2026, 9, 6)
    given(requisitions).when(raise_command(needed_by=past)).refused(
        "needed_in_the_past", field="needed_by"
    )
    given(requisitions, RAISED).when(change_command(needed_by=past)).refused("needed_in_the_past")
    today = raise_command(needed_by=date(2026, 9, 7))
    given(requisitions).when(today, by=by("wu")).then(replace(RAISED, needed_by=date(2026, 9, 7)))


@pytest.mark.parametrize(
    ("quantity", "price"), [("0.001", "0.01"), ("99999999999.999", "999999999999.99")]
)
def test_refuses_an_amount_that_is_none(quantity: str, price: str) -> None:
    line = DESKS.model_copy(
        update={"quantity": Decimal(quantity), "estimated_price_cny": Decimal(price)}
    )
    given(requisitions).when(raise_command(lines=(line,))).refused(
        "amount_not_plausible", field="lines"
    )


def test_a_draft_is_changed_and_whoever_changes_it_has_a_hand_in_it() -> None:
    given(requisitions, RAISED).when(change_command(), by=by("lin")).then()
    changed = RequisitionChanged(**(NEED | {"purpose": "换旧课桌"}), changed_by="lin")
    after = given(requisitions, RAISED).when(change_command(purpose="换旧课桌"), by=by("lin"))
    assert after.then(changed).state.hands == ("wu", "lin")


def test_what_is_submitted_is_not_changed() -> None:
    command = change_command(purpose="换旧课桌")
    given(requisitions, RAISED, SUBMITTED).when(command).refused("requisition_not_draft")


# Submitting


def submit(*past: Any, caller: By | None = None, **facts: Any) -> Any:
    known = {"budget": budget(), "watch": None} | facts
    return given(requisitions, *past).when(SubmitRequisition(), by=caller or by("wu"), **known)


def test_submission_fixes_number_and_chain_and_is_noted() -> None:
    submit(RAISED).then(SUBMITTED, NOTE)
    submit(RAISED, SUBMITTED).then()


def test_what_is_closed_is_not_submitted_again() -> None:
    submit(RAISED, SUBMITTED, STEP_1, STEP_2, APPROVED).refused("requisition_not_draft")


def test_refuses_to_submit_a_draft_that_lay_too_long() -> None:
    submit(RAISED, caller=by("wu", at="2026-10-01T08:00:00+08:00")).refused(
        "needed_in_the_past", field="needed_by"
    )


def test_refuses_an_unknown_budget() -> None:
    submit(RAISED, budget=None).refused("budget_unknown", field="budget")


def test_refuses_the_budget_of_another_unit() -> None:
    foreign = replace(RAISED, budget=budgets.id_of(OTHER, 2026))
    submit(foreign).refused("budget_of_another_unit", field="budget")


def test_a_campus_may_use_its_schools_budget() -> None:
    campus = Unit(
        id=OTHER, code="x", name="南校区", level=Level.CAMPUS, path=(COUNTY, SCHOOL, OTHER)
    )
    submit(RAISED, unit=campus).then(SUBMITTED, NOTE)


def test_refuses_a_line_that_the_budget_lacks() -> None:
    submit(RAISED, budget=budget("30201")).refused("budget_line_unknown", field="line")


def test_refuses_a_fund_that_is_not_the_lines() -> None:
    submit(RAISED, budget=budget(fund=Fund.CANTEEN)).refused("fund_not_of_line", field="fund")


def test_refuses_what_no_band_covers() -> None:
    nothing = ApprovalPolicy(bands=())
    empty = ApprovalPolicy(bands=(Band(from_cny=Decimal(0), steps=()),))
    submit(RAISED, policy=nothing).refused("no_approval_chain")
    submit(RAISED, policy=empty).refused("no_approval_chain")


def test_the_holder_of_a_post_who_asks_is_approved_above() -> None:
    submitted = submit(RAISED, caller=by("lin", Role.LOGISTICS_DIRECTOR)).outcome()[0]
    assert submitted.steps == (PRINCIPAL,)
    submitted = submit(RAISED, caller=by("wang", Role.PRINCIPAL)).outcome()[0]
    assert submitted.steps == (
        DIRECTOR,
        ApprovalStep(role=Role.BUREAU_OFFICER, level=Level.COUNTY),
    )
    lent = submit(RAISED, caller=stand_in("li", Role.PRINCIPAL, "wang")).outcome()[0]
    assert lent.steps == (DIRECTOR, PRINCIPAL), "the post's owner can still approve"


@pytest.mark.parametrize(
    ("amount", "category", "fund", "level", "roles"),
    [
        ("999.99", "furniture", "public", 5, ["logistics_director"]),
        ("1000", "furniture", "public", 5, ["logistics_director", "principal"]),
        ("50000", "food", "canteen", 6, ["logistics_director", "principal", "finance_officer"]),
        ("100", "food", "project", 5, ["logistics_director", "principal", "finance_officer"]),
        ("19999.99", "works", "public", 5, ["logistics_director", "principal"]),
        ("20000", "works", "public", 5,
         ["logistics_director", "principal", "bureau_officer", "finance_officer"]),
        ("300000", "books", "public", 5,
         ["logistics_director", "principal", "bureau_officer", "finance_officer"]),
        ("10", "books", "public", 3, ["bureau_officer", "finance_officer"]),
    ],
)  # fmt: skip
def test_the_shipped_chain_by_amount_category_fund_and_level(
    amount: str, category: str, fund: str, level: int, roles: list[str]
) -> None:
    book = RuleBook(shipped("procurement"))
    for day in (date(2010, 3, 1), date(2026, 9, 7)):
        steps = chain_of(
            book.in_force(ApprovalPolicy, school, day), amount_cny=Decimal(amount),
            category=Category(category), fund=Fund(fund), level=Level(level), posts=(),
        )  # fmt: skip
        assert [step.role for step in steps] == roles


def test_the_narrowest_band_wins_then_the_highest_amount() -> None:
    def band(role: Role, amount: int, **filters: Any) -> Band:
        step = ChainStep(role=role, level=Level.SCHOOL)
        return Band(from_cny=Decimal(amount), steps=(step,), **filters)

    policy = ApprovalPolicy(
        bands=(
            band(Role.PRINCIPAL, 500),
            band(Role.BUYER, 100, categories=(Category.FOOD,)),
            band(Role.COOK, 0, categories=(Category.FOOD,)),
            band(Role.CASHIER, 0, categories=(Category.FOOD,), funds=(Fund.CANTEEN,)),
        )
    )

    def role(amount: int, category: Category, fund: Fund) -> Role:
        steps = chain_of(
            policy, amount_cny=Decimal(amount), category=category, fund=fund, level=Level.SCHOOL,
            posts=(),
        )  # fmt: skip
        return steps[0].role

    assert role(900, Category.FOOD, Fund.CANTEEN) is Role.CASHIER
    assert role(900, Category.FOOD, Fund.PUBLIC) is Role.BUYER
    assert role(99, Category.FOOD, Fund.PUBLIC) is Role.COOK
    assert role(500, Category.BOOKS, Fund.PUBLIC) is Role.PRINCIPAL


def test_a_piece_of_a_split_need_gets_the_chain_of_the_whole() -> None:
    earlier = SpendingNoted(
        requisition=OTHER, number="QG2026-FURNITURE-0001", category=Category.FURNITURE,
        amount_cny=Decimal(49000), day=date(2026, 9, 1),
    )  # fmt: skip
    watch = given(spending_watches, earlier).state
    submitted = submit(RAISED, watch=watch).outcome()[0]
    assert [step.role for step in submitted.steps] == [
        Role.LOGISTICS_DIRECTOR, Role.PRINCIPAL, Role.FINANCE_OFFICER,
    ]  # fmt: skip
    assert submitted.number == "QG2026-FURNITURE-0002"
    assert submitted.split == Split(
        requisitions=(OTHER, STREAM), total_cny=Decimal("50205.50"), threshold_cny=Decimal(50000)
    )
    assert submitted.amount_cny == Decimal("1205.50")


# Approving


def test_steps_are_taken_in_order_and_the_last_commits_the_budget() -> None:
    past = (RAISED, SUBMITTED)
    given(requisitions, *past).when(ApproveRequisition(), by=LIN).then(STEP_1)
    outcome = given(requisitions, *past, STEP_1).when(ApproveRequisition(step=2), by=WANG)
    after = outcome.then(STEP_2, APPROVED, COMMIT)
    assert after.state.status is RequisitionStatus.APPROVED


def test_the_same_approval_again_changes_nothing() -> None:
    past = (RAISED, SUBMITTED, STEP_1)
    given(requisitions, *past).when(ApproveRequisition(step=1), by=LIN).then()
    done = given(requisitions, *past, STEP_2, APPROVED)
    done.when(ApproveRequisition(), by=WANG).then()
    done.when(ApproveRequisition(step=2), by=WANG).then()
    done.when(ApproveRequisition(), by=by("he", Role.PRINCIPAL)).refused(
        "requisition_not_submitted"
    )


def test_only_what_is_submitted_is_approved() -> None:
    given(requisitions, RAISED).when(ApproveRequisition(), by=LIN).refused(
        "requisition_not_submitted"
    )


def test_steps_cannot_be_skipped() -> None:
    past = given(requisitions, RAISED, SUBMITTED)
    past.when(ApproveRequisition(), by=WANG).refused("not_your_step")
    past.when(ApproveRequisition(step=2), by=WANG).refused("step_not_waiting", field="step")


def test_the_post_must_be_at_the_steps_level() -> None:
    county = by("gao", Role.LOGISTICS_DIRECTOR, unit=COUNTY, level=Level.COUNTY)
    given(requisitions, RAISED, SUBMITTED).when(ApproveRequisition(), by=county).refused(
        "not_your_step"
    )


def test_a_step_is_not_taken_before_it_waited() -> None:
    early = by("lin", Role.LOGISTICS_DIRECTOR, at="2026-09-07T07:59:00+08:00")
    given(requisitions, RAISED, SUBMITTED).when(ApproveRequisition(), by=early).refused(
        "before_step_waited", field="occurred_at"
    )


def test_nobody_approves_his_own_neither_in_person_nor_through_a_lent_post() -> None:
    past = given(requisitions, RAISED, SUBMITTED)
    past.when(ApproveRequisition(), by=by("wu", Role.LOGISTICS_DIRECTOR)).refused("approves_own")
    past.when(
        ApproveRequisition(), by=stand_in("lin", Role.LOGISTICS_DIRECTOR, lent_by="wu")
    ).refused("approves_own")
    past.when(
        ApproveRequisition(), by=stand_in("wu", Role.LOGISTICS_DIRECTOR, lent_by="lin")
    ).refused("approves_own")


def test_who_changed_or_submitted_it_does_not_approve_it() -> None:
    changed = RequisitionChanged(**(NEED | {"purpose": "换旧课桌"}), changed_by="lin")
    given(requisitions, RAISED, changed, SUBMITTED).when(ApproveRequisition(), by=LIN).refused(
        "approves_own"
    )
    by_lin = replace(SUBMITTED, submitted_by="lin")
    given(requisitions, RAISED, by_lin).when(ApproveRequisition(), by=LIN).refused("approves_own")


def test_one_person_takes_one_step_also_through_a_lent_post() -> None:
    past = given(requisitions, RAISED, SUBMITTED, STEP_1)
    past.when(
        ApproveRequisition(), by=by("lin", Role.PRINCIPAL, at="2026-09-09T09:00+08:00")
    ).refused("approves_twice")
    past.when(ApproveRequisition(), by=stand_in("he", Role.PRINCIPAL, lent_by="lin")).refused(
        "approves_twice"
    )
    lent = replace(STEP_1, approved_by="he", on_behalf_of="wang")
    given(requisitions, RAISED, SUBMITTED, lent).when(ApproveRequisition(), by=WANG).refused(
        "approves_twice"
    )


def test_a_stand_in_approves_on_behalf_of_the_posts_holder() -> None:
    event = given(requisitions, RAISED, SUBMITTED, STEP_1).when(
        ApproveRequisition(), by=stand_in("he", Role.PRINCIPAL, lent_by="wang")
    ).outcome()[0]  # fmt: skip
    assert isinstance(event, RequisitionStepApproved)
    assert (event.approved_by, event.on_behalf_of) == ("he", "wang")


def test_an_own_post_goes_before_a_lent_one_and_a_fit_one_before_an_unfit() -> None:
    def post(lent_by: str | None) -> HeldPost:
        return HeldPost(role=Role.PRINCIPAL, unit=SCHOOL, level=Level.SCHOOL, delegated_by=lent_by)

    def behalf(*lenders: str | None) -> str | None:
        caller = replace(WANG, person="he", posts=tuple(post(lender) for lender in lenders))
        past = given(requisitions, RAISED, SUBMITTED, STEP_1)
        event = past.when(ApproveRequisition(), by=caller).outcome()[0]
        assert isinstance(event, RequisitionStepApproved)
        return event.on_behalf_of

    assert behalf("wang", None) is None
    assert behalf("wu", "wang") == "wang"


def test_a_rule_changed_later_does_not_touch_a_running_approval() -> None:
    decision = requisitions.decisions[ApproveRequisition]
    assert decision.facts == (), "the chain comes from the submission alone"


# Rejecting and withdrawing


def test_rejects_the_waiting_step_and_forgets_the_spending() -> None:
    command = RejectRequisition(reason="库存尚足")
    rejected = RequisitionRejected(
        step=2, role=Role.PRINCIPAL, level=Level.SCHOOL, rejected_by="wang", on_behalf_of=None,
        waited_minutes=2880, reason="库存尚足", **ASKED,
    )  # fmt: skip
    past = (RAISED, SUBMITTED, STEP_1)
    given(requisitions, *past).when(command, by=WANG).then(rejected, FORGET)
    given(requisitions, *past, rejected).when(command, by=WANG).then()
    given(requisitions, *past, rejected).when(WithdrawRequisition(reason="不买了")).refused(
        "requisition_rejected_already"
    )


def test_rejecting_follows_the_rules_of_approving() -> None:
    command = RejectRequisition(reason="库存尚足")
    past = given(requisitions, RAISED, SUBMITTED)
    past.when(command, by=WANG).refused("not_your_step")
    past.when(command, by=by("wu", Role.LOGISTICS_DIRECTOR)).refused("approves_own")
    past.when(command.model_copy(update={"step": 2}), by=LIN).refused("step_not_waiting")
    given(requisitions, RAISED).when(command, by=LIN).refused("requisition_not_submitted")


def test_returns_for_correction_and_is_submitted_anew() -> None:
    command = ReturnRequisition(reason="请补规格")
    returned = RequisitionReturned(
        step=2, role=Role.PRINCIPAL, level=Level.SCHOOL, returned_by="wang", on_behalf_of=None,
        waited_minutes=2880, reason="请补规格", **ASKED,
    )  # fmt: skip
    past = (RAISED, SUBMITTED, STEP_1)
    after = given(requisitions, *past).when(command, by=WANG).then(returned, FORGET)
    assert after.state.status is RequisitionStatus.DRAFT
    assert (after.state.taken, after.state.return_reason) == ((), "请补规格")
    given(requisitions, *past, returned).when(command, by=WANG).then()
    again = given(requisitions, *past, returned, SUBMITTED)
    assert (again.state.return_reason, again.state.waiting) == ("", SUBMITTED.steps[0])


def test_returning_follows_the_rules_of_approving() -> None:
    command = ReturnRequisition(reason="请补规格")
    past = given(requisitions, RAISED, SUBMITTED)
    past.when(command, by=WANG).refused("not_your_step")
    past.when(command, by=by("wu", Role.LOGISTICS_DIRECTOR)).refused("approves_own")
    given(requisitions, RAISED).when(command, by=LIN).refused("nothing_to_return")


def withdrawn(status: RequisitionStatus, person: str = "wu") -> RequisitionWithdrawn:
    return RequisitionWithdrawn(
        withdrawn_from=status, withdrawn_by=person, reason="不买了", **ASKED
    )  # fmt: skip


def test_withdraws_before_and_after_approval() -> None:
    command, wu = WithdrawRequisition(reason="不买了"), by("wu")
    release = Send(budgets, BUDGET, ReleaseBudget(purpose=STREAM, reason="不买了"))
    draft = withdrawn(RequisitionStatus.DRAFT)
    given(requisitions, RAISED).when(command, by=wu).then(draft)
    given(requisitions, RAISED, draft).when(command, by=wu).then()
    given(requisitions, RAISED, SUBMITTED, STEP_1).when(command, by=wu).then(
        withdrawn(RequisitionStatus.SUBMITTED), FORGET
    )
    approved = given(requisitions, RAISED, SUBMITTED, STEP_1, STEP_2, APPROVED)
    approved.when(command, by=wu).then(withdrawn(RequisitionStatus.APPROVED), FORGET, release)
    approved.when(command, by=WANG).then(
        withdrawn(RequisitionStatus.APPROVED, "wang"), FORGET, release
    )


def test_only_its_writers_or_the_principal_withdraw_it() -> None:
    given(requisitions, RAISED, SUBMITTED).when(
        WithdrawRequisition(reason="不买了"), by=LIN
    ).refused("withdrawal_not_yours")


# Flags and views


def test_earlier_pieces_are_flagged_when_a_split_is_suspected() -> None:
    event = SplitSuspected(
        requisitions=(STREAM, OTHER), numbers=("1", "2"), category=Category.FURNITURE,
        total_cny=Decimal(60000), threshold_cny=Decimal(50000), days=30, day=date(2026, 9, 7),
    )  # fmt: skip
    mark = FlagRequisition(
        requisitions=(STREAM, OTHER), total_cny=Decimal(60000), threshold_cny=Decimal(50000)
    )
    assert flag_pieces(event, MOMENT) == [Send(requisitions, STREAM, mark)]
    split = Split(
        requisitions=(STREAM, OTHER), total_cny=Decimal(60000), threshold_cny=Decimal(50000)
    )
    flagged = RequisitionFlagged(split=split, **ASKED)
    after = given(requisitions, RAISED, SUBMITTED).when(mark).then(flagged)
    given(requisitions, RAISED, SUBMITTED, flagged).when(mark).then()
    assert after.state.steps == (DIRECTOR, PRINCIPAL), "a running approval keeps its chain"
    row = requisition_list(after.state, MOMENT)
    assert (row.split_total_cny, row.split_with) == (Decimal(60000), (STREAM, OTHER))


def test_the_list_says_whom_a_requisition_waits_for() -> None:
    draft = requisition_list(given(requisitions, RAISED).state, MOMENT)
    assert (draft.step, draft.waiting_role, draft.waiting_since) == (0, None, None)
    running = requisition_list(given(requisitions, RAISED, SUBMITTED, STEP_1).state, MOMENT)
    assert (running.step, running.steps_count, running.waiting_role, running.waiting_level) == (
        2, 2, Role.PRINCIPAL, Level.SCHOOL,
    )  # fmt: skip
    assert running.waiting_since == STEP_1.approved_at
    done = requisition_list(
        given(requisitions, RAISED, SUBMITTED, STEP_1, STEP_2, APPROVED).state, MOMENT
    )
    assert (done.status, done.step, done.waiting_role) == (RequisitionStatus.APPROVED, 2, None)


def test_the_steps_say_who_did_what_and_who_comes_next() -> None:
    past = (RAISED, SUBMITTED)
    fresh = approval_steps(given(requisitions, *past).state, MOMENT)
    assert [row.status for row in fresh.values()] == [StepStatus.WAITING, StepStatus.AHEAD]
    assert fresh["01"].waiting_since == AT
    second = approval_steps(given(requisitions, *past, STEP_1).state, MOMENT)
    assert [row.status for row in second.values()] == [StepStatus.TAKEN, StepStatus.WAITING]
    assert (second["01"].approved_by, second["01"].waited_minutes) == ("lin", 60)
    gone = given(requisitions, *past, withdrawn(RequisitionStatus.SUBMITTED)).state
    assert [row.status for row in approval_steps(gone, MOMENT).values()] == [
        StepStatus.DROPPED, StepStatus.DROPPED,
    ]  # fmt: skip


def test_every_line_is_listed() -> None:
    rows = requisition_lines(given(requisitions, RAISED).state, MOMENT)
    assert [(row.item, row.amount_cny) for row in rows.values()] == [("课桌", Decimal("1205.50"))]
