"""Somebody asks for goods or work; step by step those who answer for the money agree or refuse.

请购. The approval chain is fixed into the submission, so a rule changed later never changes a
running approval; the last step commits the budget in the same transaction. Rule: segregation of
incompatible duties (不相容岗位) in the internal control of public institutions; who approves what
is a dated policy.
"""

from __future__ import annotations

from copy import replace
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

import msgspec

from services.procurement.budget import Fund
from services.procurement.category import Category
from shared.kernel import Aggregate, Event, State
from shared.organisation import Level, Role


class RequisitionStatus(StrEnum):
    """How far a requisition has come."""

    DRAFT = "draft"
    SUBMITTED = "submitted"
    APPROVED = "approved"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"


class RequisitionLine(msgspec.Struct, frozen=True, kw_only=True):
    """One thing asked for; the estimated price is for one `measure_unit`."""

    item: str
    specification: str
    quantity: Decimal
    measure_unit: str
    estimated_price_cny: Decimal
    amount_cny: Decimal


class ApprovalStep(msgspec.Struct, frozen=True, kw_only=True):
    """Who must agree: a role, held by a post at a unit of that level at or above the school."""

    role: Role
    level: Level


class StepTaken(msgspec.Struct, frozen=True, kw_only=True):
    """Who agreed to a step, in whose place if the post was lent, and how long it had waited."""

    role: Role
    level: Level
    approved_by: str
    on_behalf_of: str | None
    approved_at: datetime
    waited_minutes: int


class Split(msgspec.Struct, frozen=True, kw_only=True):
    """The suspicion that one need was cut up: pieces that together reach a threshold."""

    requisitions: tuple[UUID, ...]
    total_cny: Decimal
    threshold_cny: Decimal


class Asked(Event):
    """What every event of a requisition says of it, so that a figure needs no look-up."""

    requested_by: str
    category: Category
    fund: Fund
    amount_cny: Decimal


class Need(Asked):
    """The whole content of a requisition."""

    budget: UUID
    budget_line: str
    needed_by: date
    purpose: str
    lines: tuple[RequisitionLine, ...]


class RequisitionRaised(Need):
    """`school`: whose need it is (a campus's school), under whom pieces of one need add up."""

    school: UUID


class RequisitionChanged(Need):
    changed_by: str


class RequisitionSubmitted(Asked):
    number: str
    steps: tuple[ApprovalStep, ...]
    submitted_by: str
    submitted_at: datetime
    split: Split | None = None


class RequisitionFlagged(Asked):
    """A later submission showed that this one may be a piece of a need cut up."""

    split: Split


class RequisitionStepApproved(Asked):
    step: int
    steps_count: int
    role: Role
    level: Level
    approved_by: str
    on_behalf_of: str | None
    approved_at: datetime
    waited_minutes: int
    note: str = ""


class PurchaseApproved(Need):
    """The last step agreed and the budget is committed; `days` from submission to approval."""

    number: str
    approved_by: tuple[str, ...]
    steps: tuple[StepTaken, ...]
    submitted_at: datetime
    days: int
    split: Split | None = None


class RequisitionRejected(Asked):
    step: int
    role: Role
    level: Level
    rejected_by: str
    on_behalf_of: str | None
    waited_minutes: int
    reason: str


class RequisitionReturned(Asked):
    """Back to whoever asked, to be corrected and submitted again."""

    step: int
    role: Role
    level: Level
    returned_by: str
    on_behalf_of: str | None
    waited_minutes: int
    reason: str


class RequisitionWithdrawn(Asked):
    """`withdrawn_from`: the status in which it stood; an approved one frees its budget."""

    withdrawn_from: RequisitionStatus
    withdrawn_by: str
    reason: str


type RequisitionEvent = (
    RequisitionRaised
    | RequisitionChanged
    | RequisitionSubmitted
    | RequisitionFlagged
    | RequisitionStepApproved
    | PurchaseApproved
    | RequisitionRejected
    | RequisitionReturned
    | RequisitionWithdrawn
)


class Requisition(State):
    """`hands`: everybody who wrote it; none of them may approve it."""

    status: RequisitionStatus
    school: UUID
    requested_by: str
    hands: tuple[str, ...]
    category: Category
    fund: Fund
    amount_cny: Decimal
    budget: UUID
    budget_line: str
    needed_by: date
    purpose: str
    lines: tuple[RequisitionLine, ...]
    number: str = ""
    steps: tuple[ApprovalStep, ...] = ()
    taken: tuple[StepTaken, ...] = ()
    submitted_at: datetime | None = None
    split: Split | None = None
    return_reason: str = ""
    closing_reason: str = ""

    @property
    def waiting(self) -> ApprovalStep | None:
        """The step that waits for somebody, or None."""
        if self.status is not RequisitionStatus.SUBMITTED:
            return None
        return self.steps[len(self.taken)]

    @property
    def waiting_since(self) -> datetime | None:
        """Since when the waiting step could be taken."""
        return self.taken[-1].approved_at if self.taken else self.submitted_at

    @property
    def approvers(self) -> tuple[str, ...]:
        """Everybody who agreed or in whose place it was done."""
        people = (name for step in self.taken for name in (step.approved_by, step.on_behalf_of))
        return tuple(name for name in people if name is not None)


def evolve(state: Requisition | None, event: RequisitionEvent) -> Requisition:
    """The requisition after one more event."""
    if isinstance(event, RequisitionRaised):
        return Requisition(
            status=RequisitionStatus.DRAFT,
            school=event.school,
            hands=(event.requested_by,),
            **content(event),
        )
    assert state is not None, "a requisition starts by being raised"
    match event:
        case RequisitionChanged(changed_by=person):
            return replace(state, hands=_joined(state.hands, person), **content(event))
        case RequisitionSubmitted(submitted_by=person):
            return replace(
                state,
                status=RequisitionStatus.SUBMITTED,
                hands=_joined(state.hands, person),
                number=event.number,
                steps=event.steps,
                submitted_at=event.submitted_at,
                split=event.split,
                return_reason="",
            )
        case RequisitionFlagged(split=split):
            return replace(state, split=split)
        case RequisitionStepApproved():
            taken = StepTaken(
                role=event.role,
                level=event.level,
                approved_by=event.approved_by,
                on_behalf_of=event.on_behalf_of,
                approved_at=event.approved_at,
                waited_minutes=event.waited_minutes,
            )
            return replace(state, taken=(*state.taken, taken))
        case PurchaseApproved():
            return replace(state, status=RequisitionStatus.APPROVED)
        case RequisitionRejected(reason=reason):
            return replace(state, status=RequisitionStatus.REJECTED, closing_reason=reason)
        case RequisitionReturned(reason=reason):
            return replace(
                state,
                status=RequisitionStatus.DRAFT,
                steps=(),
                taken=(),
                submitted_at=None,
                split=None,
                return_reason=reason,
            )
        case RequisitionWithdrawn(reason=reason):
            return replace(state, status=RequisitionStatus.WITHDRAWN, closing_reason=reason)


def _joined(people: tuple[str, ...], person: str) -> tuple[str, ...]:
    return people if person in people else (*people, person)


ASKED = ("requested_by", "category", "fund", "amount_cny")
NEED = (*ASKED, "budget", "budget_line", "needed_by", "purpose", "lines")


def asked(state: Requisition) -> dict[str, Any]:
    """The fields of `Asked`, for an event about this requisition."""
    return {name: getattr(state, name) for name in ASKED}


def content(source: Requisition | Need) -> dict[str, Any]:
    """The fields of `Need`, from a requisition or from an event that carries them."""
    return {name: getattr(source, name) for name in NEED}


requisitions = Aggregate("requisition", events=RequisitionEvent, state=Requisition, evolve=evolve)

# The capabilities record themselves on `requisitions`.
from services.procurement.requisition import approval, draft, views  # noqa: E402, F401
