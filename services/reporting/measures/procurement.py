"""Figures of purchasing: budgets and how they are used, requisitions and how long they take.

预算执行、请购审批.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from services.reporting.measure import Fact
from services.reporting.measuring import measures
from services.reporting.upstream.procurement import (
    BudgetAdopted,
    BudgetAmended,
    BudgetCommitted,
    BudgetReleased,
    BudgetSpent,
    PurchaseApproved,
    RequisitionRejected,
    RequisitionStepApproved,
    RequisitionSubmitted,
    RequisitionWithdrawn,
    SplitSuspected,
)  # fmt: skip
from shared.kernel import Recorded


@measures.measure(
    "procurement.budget_adopted", on=(BudgetAdopted, BudgetAmended), unit="CNY", shows="amount"
)
def budget_adopted(event: BudgetAdopted | BudgetAmended, recorded: Recorded) -> Iterable[Fact]:
    if isinstance(event, BudgetAmended):
        return [Fact(count=0, amount=event.amount_cny - event.previous_cny)]
    return [Fact(amount=sum((line.amount_cny for line in event.lines), Decimal(0)))]


@measures.measure(
    "procurement.budget_committed", on=(BudgetCommitted, BudgetReleased, BudgetSpent), unit="CNY",
    shows="amount", balance=True,
)  # fmt: skip
def budget_committed(
    event: BudgetCommitted | BudgetReleased | BudgetSpent, recorded: Recorded
) -> Iterable[Fact]:
    """What is bound and not yet spent: every commitment ends in spending or release."""
    match event:
        case BudgetCommitted(amount_cny=amount):
            return [Fact(amount=amount)]
        case BudgetReleased(amount_cny=amount) | BudgetSpent(committed_cny=amount):
            return [Fact(count=-1, amount=-amount)]


@measures.measure(
    "procurement.budget_spent", on=BudgetSpent, unit="CNY", dims={"fund": "Fund"}, shows="amount"
)
def budget_spent(event: BudgetSpent, recorded: Recorded) -> Iterable[Fact]:
    return [Fact(amount=event.amount_cny, dims={"fund": event.fund})]


@measures.measure(
    "procurement.requisitions_submitted", on=RequisitionSubmitted, dims={"category": "Category"}
)
def requisitions_submitted(event: RequisitionSubmitted, recorded: Recorded) -> Iterable[Fact]:
    return [Fact(amount=event.amount_cny, dims={"category": event.category})]


@measures.measure(
    "procurement.purchases_approved",
    on=PurchaseApproved,
    dims={"category": "Category", "fund": "Fund"},
)
def purchases_approved(event: PurchaseApproved, recorded: Recorded) -> Iterable[Fact]:
    """Its quantity: days from submission to approval."""
    dims = {"category": event.category, "fund": event.fund}
    return [Fact(amount=event.amount_cny, quantity=Decimal(event.days), dims=dims)]


@measures.measure(
    "procurement.requisitions_withdrawn", on=RequisitionWithdrawn, dims={"category": "Category"}
)
def requisitions_withdrawn(event: RequisitionWithdrawn, recorded: Recorded) -> Iterable[Fact]:
    """While waiting for approval; a draft was never asked for, an approved one was bought."""
    if event.withdrawn_from != "submitted":
        return []
    return [Fact(amount=event.amount_cny, dims={"category": event.category})]


@measures.measure(
    "procurement.requisitions_rejected", on=RequisitionRejected, dims={"category": "Category"}
)
def requisitions_rejected(event: RequisitionRejected, recorded: Recorded) -> Iterable[Fact]:
    return [Fact(amount=event.amount_cny, dims={"category": event.category})]


@measures.measure("procurement.steps_taken", on=RequisitionStepApproved, dims={"role": "Role"})
def steps_taken(event: RequisitionStepApproved, recorded: Recorded) -> Iterable[Fact]:
    """Its quantity: minutes for which the step had waited."""
    return [Fact(quantity=Decimal(event.waited_minutes), dims={"role": event.role})]


@measures.measure("procurement.splits_suspected", on=SplitSuspected, dims={"category": "Category"})
def splits_suspected(event: SplitSuspected, recorded: Recorded) -> Iterable[Fact]:
    return [Fact(amount=event.total_cny, dims={"category": event.category})]


measures.derived(
    "procurement.purchases_approved_amount", "procurement.purchases_approved", unit="CNY",
    shows="amount",
)  # fmt: skip
measures.derived(
    "procurement.approval_days", "procurement.purchases_approved", unit="day", shows="quantity"
)
measures.derived(
    "procurement.step_minutes", "procurement.steps_taken", unit="minute", shows="quantity"
)
measures.derived(
    "procurement.requisitions_pending", "procurement.requisitions_submitted",
    minus=[
        "procurement.purchases_approved", "procurement.requisitions_rejected",
        "procurement.requisitions_withdrawn",
    ],
    balance=True,
)  # fmt: skip
measures.ratio(
    "procurement.budget_execution_rate",
    numerator="procurement.budget_spent",
    denominator="procurement.budget_adopted",
)
measures.ratio(
    "procurement.approval_days_mean",
    numerator="procurement.approval_days",
    denominator="procurement.purchases_approved",
    unit="day",
)
measures.ratio(
    "procurement.step_minutes_mean",
    numerator="procurement.step_minutes",
    denominator="procurement.steps_taken",
    unit="minute",
)
