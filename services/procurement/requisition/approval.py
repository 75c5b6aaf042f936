"""Approving step by step, rejecting, withdrawing: who may, and what becomes of the money."""

from __future__ import annotations

from datetime import timedelta

from services.procurement.budget import CommitBudget, ReleaseBudget, budgets
from services.procurement.requisition import (
    PurchaseApproved,
    Requisition,
    RequisitionRejected,
    RequisitionReturned,
    RequisitionStatus,
    RequisitionStepApproved,
    RequisitionWithdrawn,
    StepTaken,
    asked,
    content,
    requisitions,
)
from services.procurement.requisition.draft import REQUESTERS, watch_of
from services.procurement.spending_watch import ForgetSpending, spending_watches
from shared.fields import Count, Reason, Text, business_day
from shared.kernel import By, Command, Event, Refused, Send
from shared.organisation import HeldPost, Role

APPROVERS = (
    Role.PRINCIPAL,
    Role.LOGISTICS_DIRECTOR,
    Role.CANTEEN_MANAGER,
    Role.ACCOUNTANT,
    Role.BUREAU_OFFICER,
    Role.SUPERVISOR,
    Role.FINANCE_OFFICER,
)
"""The roles that a step may name; which of them a requisition waits for, its chain says."""


class ApproveRequisition(Command):
    """`step`: the number of the step that the approver saw waiting; a stale screen is refused."""

    step: Count | None = None
    note: Text = ""


@requisitions.post("/requisitions/{id}/approve", allow=APPROVERS, weighty=True)
def approve(state: Requisition, command: ApproveRequisition, by: By) -> list[Event | Send] | None:
    if agreed_already(state, command.step, by.person):
        return None
    post = post_for_waiting_step(state, command.step, by)
    taken = StepTaken(
        role=post.role,
        level=post.level,
        approved_by=by.person,
        on_behalf_of=post.delegated_by,
        approved_at=by.at,
        waited_minutes=waited_minutes(state, by),
    )
    steps = (*state.taken, taken)
    approved = RequisitionStepApproved(
        step=len(steps),
        steps_count=len(state.steps),
        role=taken.role,
        level=taken.level,
        approved_by=taken.approved_by,
        on_behalf_of=taken.on_behalf_of,
        approved_at=taken.approved_at,
        waited_minutes=taken.waited_minutes,
        note=command.note,
        **asked(state),
    )
    if len(steps) < len(state.steps):
        return [approved]
    commitment = CommitBudget(line=state.budget_line, purpose=by.id, amount_cny=state.amount_cny)
    return [approved, purchase(state, steps, by), Send(budgets, state.budget, commitment)]


class RejectRequisition(Command):
    """`step`: as in approving."""

    step: Count | None = None
    reason: Reason


@requisitions.post("/requisitions/{id}/reject", allow=APPROVERS, weighty=True)
def reject(state: Requisition, command: RejectRequisition, by: By) -> list[Event | Send] | None:
    if state.status is RequisitionStatus.REJECTED:
        return None
    post = post_for_waiting_step(state, command.step, by)
    rejected = RequisitionRejected(
        step=len(state.taken) + 1,
        role=post.role,
        level=post.level,
        rejected_by=by.person,
        on_behalf_of=post.delegated_by,
        waited_minutes=waited_minutes(state, by),
        reason=command.reason,
        **asked(state),
    )
    return [rejected, forgotten(state, by)]


class ReturnRequisition(Command):
    """`step`: as in approving."""

    step: Count | None = None
    reason: Reason


@requisitions.post("/requisitions/{id}/return", allow=APPROVERS)
def return_for_correction(
    state: Requisition, command: ReturnRequisition, by: By
) -> list[Event | Send] | None:
    if state.status is RequisitionStatus.DRAFT and state.return_reason == command.reason:
        return None
    if state.status is not RequisitionStatus.SUBMITTED:
        raise Refused("nothing_to_return", status=state.status)
    post = post_for_waiting_step(state, command.step, by)
    returned = RequisitionReturned(
        step=len(state.taken) + 1,
        role=post.role,
        level=post.level,
        returned_by=by.person,
        on_behalf_of=post.delegated_by,
        waited_minutes=waited_minutes(state, by),
        reason=command.reason,
        **asked(state),
    )
    return [returned, forgotten(state, by)]


class WithdrawRequisition(Command):
    reason: Reason


@requisitions.post("/requisitions/{id}/withdraw", allow=REQUESTERS)
def withdraw(state: Requisition, command: WithdrawRequisition, by: By) -> list[Event | Send] | None:
    if state.status is RequisitionStatus.WITHDRAWN:
        return None
    if state.status is RequisitionStatus.REJECTED:
        raise Refused("requisition_rejected_already", reason=state.closing_reason)
    if by.person not in state.hands and not by.holds(Role.PRINCIPAL):
        raise Refused("withdrawal_not_yours", requested_by=state.requested_by)
    withdrawn = RequisitionWithdrawn(
        withdrawn_from=state.status,
        withdrawn_by=by.person,
        reason=command.reason,
        **asked(state),
    )
    match state.status:
        case RequisitionStatus.DRAFT:
            return [withdrawn]
        case RequisitionStatus.SUBMITTED:
            return [withdrawn, forgotten(state, by)]
        case RequisitionStatus.APPROVED:
            freed = ReleaseBudget(purpose=by.id, reason=command.reason)
            return [withdrawn, forgotten(state, by), Send(budgets, state.budget, freed)]


def agreed_already(state: Requisition, step: int | None, person: str) -> bool:
    """Whether the command asks for what the person has done before."""
    if state.status is RequisitionStatus.APPROVED and step is None:
        return any(taken.approved_by == person for taken in state.taken)
    return (
        step is not None
        and step <= len(state.taken)
        and state.taken[step - 1].approved_by == person
    )


def post_for_waiting_step(state: Requisition, number: int | None, by: By) -> HeldPost:
    """The post under which the caller takes the waiting step; refuses whoever may not.

    Nobody takes part in his own, in person or through a post lent by or to him, nor in two steps.
    """
    step, since = state.waiting, state.waiting_since
    if step is None or since is None:
        raise Refused("requisition_not_submitted", status=state.status)
    if number is not None and number != len(state.taken) + 1:
        raise Refused("step_not_waiting", field="step", waiting=len(state.taken) + 1)
    if by.at < since:
        raise Refused("before_step_waited", field="occurred_at", since=since)
    posts = [post for post in by.posts if (post.role, post.level) == (step.role, step.level)]
    if not posts:
        raise Refused("not_your_step", role=step.role, level=step.level)
    if by.person in state.hands:
        raise Refused("approves_own")
    if by.person in state.approvers:
        raise Refused("approves_twice")
    fit = [post for post in posts if post.delegated_by not in (*state.hands, *state.approvers)]
    if fit:
        return min(fit, key=lambda post: post.delegated_by is not None)
    if any(post.delegated_by in state.hands for post in posts):
        raise Refused("approves_own")
    raise Refused("approves_twice")


def waited_minutes(state: Requisition, by: By) -> int:
    """How long the waiting step has waited."""
    since = state.waiting_since
    assert since is not None, "a step waits only after submission"
    return (by.at - since) // timedelta(minutes=1)


def purchase(state: Requisition, steps: tuple[StepTaken, ...], by: By) -> PurchaseApproved:
    """The approval as the other services and the figures read it."""
    submitted_at = state.submitted_at
    assert submitted_at is not None, "only what was submitted is approved"
    return PurchaseApproved(
        number=state.number,
        approved_by=tuple(step.approved_by for step in steps),
        steps=steps,
        submitted_at=submitted_at,
        days=(by.day - business_day(submitted_at)).days,
        split=state.split,
        **content(state),
    )


def forgotten(state: Requisition, by: By) -> Send:
    """What is not bought does not count against the next purchase."""
    return Send(spending_watches, watch_of(state), ForgetSpending(requisition=by.id))
