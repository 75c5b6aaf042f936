"""What people see of requisitions, and the flag that a later submission puts on earlier ones."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from services.procurement.budget import Fund
from services.procurement.category import Category
from services.procurement.requisition import (
    Requisition,
    RequisitionFlagged,
    RequisitionStatus,
    Split,
    asked,
    requisitions,
)
from services.procurement.spending_watch import SplitSuspected
from shared.fields import PositiveMoney
from shared.kernel import By, Command, Recorded, Send, View
from shared.organisation import READERS, Level, Role


class RequisitionRow(View):
    """`waiting_role` at `waiting_level` must act next; `split_total_cny` marks a suspicion."""

    id: UUID
    organisation: UUID
    number: str
    status: RequisitionStatus
    purpose: str
    items: str
    category: Category
    fund: Fund
    amount_cny: Decimal
    requested_by: str
    needed_by: date
    budget: UUID
    budget_line: str
    step: int
    steps_count: int
    waiting_role: Role | None
    waiting_level: Level | None
    waiting_since: datetime | None
    split_total_cny: Decimal | None
    split_with: tuple[UUID, ...]
    return_reason: str
    closing_reason: str
    submitted_at: datetime | None
    changed_at: datetime


@requisitions.view(
    "/requisitions",
    allow=READERS,
    filters=(
        "status",
        "category",
        "fund",
        "requested_by",
        "waiting_role",
        "waiting_level",
        "needed_by",
    ),
    sorts=("number", "amount_cny", "needed_by", "submitted_at", "waiting_since", "changed_at"),
    search=("number", "purpose", "items"),
)
def requisition_list(state: Requisition, recorded: Recorded) -> RequisitionRow:
    waiting = state.waiting
    return RequisitionRow(
        id=recorded.stream,
        organisation=recorded.organisation,
        number=state.number,
        status=state.status,
        purpose=state.purpose,
        items="、".join(line.item for line in state.lines),
        category=state.category,
        fund=state.fund,
        amount_cny=state.amount_cny,
        requested_by=state.requested_by,
        needed_by=state.needed_by,
        budget=state.budget,
        budget_line=state.budget_line,
        step=len(state.taken) + 1 if waiting else len(state.taken),
        steps_count=len(state.steps),
        waiting_role=waiting.role if waiting else None,
        waiting_level=waiting.level if waiting else None,
        waiting_since=state.waiting_since if waiting else None,
        split_total_cny=state.split.total_cny if state.split else None,
        split_with=state.split.requisitions if state.split else (),
        return_reason=state.return_reason,
        closing_reason=state.closing_reason,
        submitted_at=state.submitted_at,
        changed_at=recorded.recorded_at,
    )


class RequisitionLineRow(View):
    id: UUID
    organisation: UUID
    number: str
    status: RequisitionStatus
    category: Category
    item: str
    specification: str
    quantity: Decimal
    measure_unit: str
    estimated_price_cny: Decimal
    amount_cny: Decimal
    needed_by: date


@requisitions.view(
    "/requisition-lines",
    allow=READERS,
    filters=("status", "category", "item"),
    sorts=("item", "needed_by", "amount_cny"),
    search=("item", "specification", "number"),
)
def requisition_lines(state: Requisition, recorded: Recorded) -> dict[str, RequisitionLineRow]:
    return {
        f"{place:03}": RequisitionLineRow(
            id=recorded.stream,
            organisation=recorded.organisation,
            number=state.number,
            status=state.status,
            category=state.category,
            item=line.item,
            specification=line.specification,
            quantity=line.quantity,
            measure_unit=line.measure_unit,
            estimated_price_cny=line.estimated_price_cny,
            amount_cny=line.amount_cny,
            needed_by=state.needed_by,
        )
        for place, line in enumerate(state.lines, 1)
    }


class StepStatus(StrEnum):
    """What has become of one step of a chain."""

    TAKEN = "taken"
    WAITING = "waiting"
    AHEAD = "ahead"
    DROPPED = "dropped"


class ApprovalStepRow(View):
    """One step of one requisition; the waiting ones are what an approver has to do."""

    id: UUID
    organisation: UUID
    number: str
    step: int
    role: Role
    level: Level
    status: StepStatus
    purpose: str
    category: Category
    amount_cny: Decimal
    requested_by: str
    approved_by: str | None
    on_behalf_of: str | None
    approved_at: datetime | None
    waiting_since: datetime | None
    waited_minutes: int | None


@requisitions.view(
    "/approval-steps",
    allow=READERS,
    filters=("status", "role", "level", "category", "approved_by"),
    sorts=("waiting_since", "amount_cny", "approved_at", "waited_minutes"),
    search=("number", "purpose"),
)
def approval_steps(state: Requisition, recorded: Recorded) -> dict[str, ApprovalStepRow]:
    rows: dict[str, ApprovalStepRow] = {}
    for place, step in enumerate(state.steps):
        taken = state.taken[place] if place < len(state.taken) else None
        status = step_status(state, place)
        rows[f"{place + 1:02}"] = ApprovalStepRow(
            id=recorded.stream,
            organisation=recorded.organisation,
            number=state.number,
            step=place + 1,
            role=step.role,
            level=step.level,
            status=status,
            purpose=state.purpose,
            category=state.category,
            amount_cny=state.amount_cny,
            requested_by=state.requested_by,
            approved_by=taken.approved_by if taken else None,
            on_behalf_of=taken.on_behalf_of if taken else None,
            approved_at=taken.approved_at if taken else None,
            waiting_since=state.waiting_since if status is StepStatus.WAITING else None,
            waited_minutes=taken.waited_minutes if taken else None,
        )
    return rows


def step_status(state: Requisition, place: int) -> StepStatus:
    """What has become of the step at `place` (from 0)."""
    if place < len(state.taken):
        return StepStatus.TAKEN
    if state.status is not RequisitionStatus.SUBMITTED:
        return StepStatus.DROPPED
    return StepStatus.WAITING if place == len(state.taken) else StepStatus.AHEAD


class FlagRequisition(Command):
    requisitions: tuple[UUID, ...]
    total_cny: PositiveMoney
    threshold_cny: PositiveMoney


@requisitions.decision
def flag(state: Requisition, command: FlagRequisition, by: By) -> RequisitionFlagged | None:
    if state.split is not None and state.split.total_cny >= command.total_cny:
        return None
    split = Split(
        requisitions=command.requisitions,
        total_cny=command.total_cny,
        threshold_cny=command.threshold_cny,
    )
    return RequisitionFlagged(split=split, **asked(state))


@requisitions.on(SplitSuspected)
def flag_pieces(event: SplitSuspected, recorded: Recorded) -> list[Send]:
    """The crossing requisition carries its mark already; the earlier pieces get theirs here."""
    mark = FlagRequisition(
        requisitions=event.requisitions,
        total_cny=event.total_cny,
        threshold_cny=event.threshold_cny,
    )
    return [Send(requisitions, piece, mark) for piece in event.requisitions[:-1]]
