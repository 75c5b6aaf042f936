"""Raising, changing and submitting a requisition: what is asked for, and by which chain."""

from __future__ import annotations

from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from typing import Annotated, Any
from uuid import UUID

from pydantic import Field

from services.procurement.budget import Budget, Fund, budgets, line_of
from services.procurement.category import Category
from services.procurement.requisition import (
    ASKED,
    NEED,
    Requisition,
    RequisitionChanged,
    RequisitionLine,
    RequisitionRaised,
    RequisitionStatus,
    RequisitionSubmitted,
    Split,
    asked,
    content,
    requisitions,
)
from services.procurement.requisition.chain import ApprovalPolicy, chain_of
from services.procurement.spending_watch import (
    Noted,
    NoteSpending,
    SpendingWatch,
    SplitPolicy,
    Suspicion,
    next_number,
    spending_watches,
    suspect,
)
from shared.fields import Name, PositiveMoney, Quantity, Reason, Text
from shared.kernel import By, Command, Creation, Event, From, Part, Refused, Send
from shared.organisation import SCHOOL_STAFF, Level, Role, Unit

REQUESTERS = (*SCHOOL_STAFF, Role.BUREAU_OFFICER, Role.FINANCE_OFFICER)
"""Anybody employed may ask; a bureau also buys for itself and for its schools."""

AMOUNT_MAX_CNY = Decimal(10) ** 12
"""What an amount of money can hold (see `Money`)."""


class LineWanted(Part):
    """One thing to ask for; the price is for one `measure_unit`."""

    item: Name
    specification: Text = ""
    quantity: Quantity
    measure_unit: Name
    estimated_price_cny: PositiveMoney


class WantedContent(Command):
    """What a requisition says."""

    category: Category
    fund: Fund
    budget: Annotated[UUID, Field(json_schema_extra={"x-ref": "budget"})]
    budget_line: Name
    needed_by: date
    purpose: Reason
    lines: Annotated[tuple[LineWanted, ...], Field(min_length=1, max_length=200)]


class RaiseRequisition(Creation, WantedContent):
    pass


@requisitions.post("/requisitions", allow=REQUESTERS)
def raise_requisition(
    state: Requisition | None, command: RaiseRequisition, by: By, unit: Unit
) -> RequisitionRaised | None:
    raised = RequisitionRaised(
        school=school_of(unit), requested_by=by.person, **wanted(command, by)
    )
    if state is None:
        return raised
    if content(state) == content(raised):
        return None
    raise Refused("requisition_exists", field="id")


class ChangeRequisition(WantedContent):
    pass


@requisitions.post("/requisitions/{id}/change", allow=REQUESTERS)
def change(state: Requisition, command: ChangeRequisition, by: By) -> RequisitionChanged | None:
    refuse_unless_draft(state)
    changed = RequisitionChanged(
        requested_by=state.requested_by, changed_by=by.person, **wanted(command, by)
    )
    return None if content(state) == content(changed) else changed


class SubmitRequisition(Command):
    pass


@requisitions.post("/requisitions/{id}/submit", allow=REQUESTERS)
def submit(
    state: Requisition,
    command: SubmitRequisition,
    by: By,
    *,
    unit: Unit,
    policy: ApprovalPolicy,
    split_policy: SplitPolicy,
    budget: Annotated[Budget | None, From("budget")],
    watch: Annotated[SpendingWatch | None, From(lambda _, state, __: watch_of(state))],
) -> list[Event | Send] | None:
    if state.status is RequisitionStatus.SUBMITTED:
        return None
    refuse_unless_draft(state)
    refuse_past(state.needed_by, by)
    refuse_foreign_budget(state, unit, budget)
    number = next_number(watch, state.category, by.day)
    piece = Noted(requisition=by.id, number=number, amount_cny=state.amount_cny, day=by.day)
    suspicion = suspect(watch, piece, state.category, split_policy)
    steps = chain_of(
        policy,
        amount_cny=suspicion.total_cny if suspicion else state.amount_cny,
        category=state.category,
        fund=state.fund,
        level=unit.level,
        posts=by.posts,
    )
    submitted = RequisitionSubmitted(
        number=number,
        steps=steps,
        submitted_by=by.person,
        submitted_at=by.at,
        split=split_of(suspicion) if suspicion else None,
        **asked(state),
    )
    spending = NoteSpending(
        organisation=state.school,
        category=state.category,
        requisition=by.id,
        number=number,
        amount_cny=state.amount_cny,
    )
    return [submitted, Send(spending_watches, watch_of(state), spending)]


def wanted(command: WantedContent, by: By) -> dict[str, Any]:
    """The content of an event from what a command says, with every amount worked out."""
    refuse_past(command.needed_by, by)
    lines = tuple(RequisitionLine(**dict(line), amount_cny=_amount(line)) for line in command.lines)
    amount = sum((line.amount_cny for line in lines), Decimal(0))
    if not 0 < amount < AMOUNT_MAX_CNY:
        raise Refused("amount_not_plausible", field="lines", amount_cny=amount)
    given = {name: getattr(command, name) for name in NEED if name not in (*ASKED, "lines")}
    return {
        **given,
        "category": command.category,
        "fund": command.fund,
        "amount_cny": amount,
        "lines": lines,
    }


def _amount(line: LineWanted) -> Decimal:
    amount = line.quantity * line.estimated_price_cny
    return amount.quantize(Decimal("0.01"), ROUND_HALF_UP)


def split_of(suspicion: Suspicion) -> Split:
    """The mark that a requisition carries."""
    return Split(
        requisitions=suspicion.requisitions,
        total_cny=suspicion.total_cny,
        threshold_cny=suspicion.threshold_cny,
    )


def school_of(unit: Unit) -> UUID:
    """The school of a campus or class; every other unit stands for itself."""
    return unit.parent if unit.level > Level.SCHOOL and unit.parent else unit.id


def watch_of(state: Requisition) -> UUID:
    """The stream in which the school's purchases of this category add up."""
    return spending_watches.id_of(state.school, state.category)


def refuse_unless_draft(state: Requisition) -> None:
    """What has been submitted stands as it was submitted."""
    if state.status is not RequisitionStatus.DRAFT:
        raise Refused("requisition_not_draft", status=state.status)


def refuse_past(needed_by: date, by: By) -> None:
    """Nothing can be needed before it is asked for."""
    if needed_by < by.day:
        raise Refused("needed_in_the_past", field="needed_by", today=by.day)


def refuse_foreign_budget(state: Requisition, unit: Unit, budget: Budget | None) -> None:
    """The line must lie in a budget of this unit or its school, and be of the fund asked for."""
    if budget is None:
        raise Refused("budget_unknown", field="budget")
    owners = (unit.id, state.school)
    if state.budget not in [budgets.id_of(owner, budget.year) for owner in owners]:
        raise Refused("budget_of_another_unit", field="budget")
    line = line_of(budget, state.budget_line).line
    if line.fund is not state.fund:
        raise Refused("fund_not_of_line", field="fund", line=line.code, fund=line.fund)
