"""What people see of persons and posts: who holds what, what is lent, whose contract is missing."""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from services.organisation.spans import last_day_of, overlap
from services.organisation.staff import Post, Staff, staff
from shared.fields import personal
from shared.kernel import Recorded, View
from shared.organisation import READERS, Role


class ContractStatus(StrEnum):
    """How a post stands with the labour contract that it may need."""

    NOT_NEEDED = "not_needed"
    SIGNED = "signed"
    MISSING = "missing"


class PostRow(View):
    """`lent_to`: the latest borrower, to `lent_last_day`."""

    id: UUID
    organisation: UUID
    post: UUID
    person: str
    full_name: Annotated[str, personal("person")]
    role: Role
    since: date
    last_day: date | None
    contract_status: ContractStatus
    contract_due_on: date | None
    contract_last_day: date | None
    reengaged_for: int | None
    lent_to: str
    lent_last_day: date | None


@staff.view(
    "/posts",
    allow=READERS,
    filters=("person", "role", "contract_status", "reengaged_for"),
    sorts=("person", "role", "since", "last_day", "contract_last_day", "contract_due_on"),
    search=("person",),
)
def post_list(state: Staff, recorded: Recorded) -> dict[str, PostRow]:
    rows: dict[str, PostRow] = {}
    latest = max(state.contracts.values(), key=lambda contract: contract.first_day, default=None)
    for post in state.posts.values():
        lent = [one for one in state.delegations.values() if one.post == post.post]
        now = max(lent, key=lambda one: one.since, default=None)
        rows[str(post.post)] = PostRow(
            id=recorded.stream,
            organisation=recorded.organisation,
            post=post.post,
            person=state.person,
            full_name=state.full_name,
            role=post.role,
            since=post.since,
            last_day=last_day_of(post.until),
            contract_status=contract_status(state, post),
            contract_due_on=post.contract_due_on,
            contract_last_day=last_day_of(latest.until) if latest else None,
            reengaged_for=post.reengaged_for or None,
            lent_to=now.to if now else "",
            lent_last_day=last_day_of(now.until) if now else None,
        )
    return rows


def contract_status(state: Staff, post: Post) -> ContractStatus:
    """Missing as soon as a post stands there without any contract, not only when it is due."""
    if post.contract_due_on is None or not post.held:
        return ContractStatus.NOT_NEEDED
    signed = any(
        overlap(contract.first_day, contract.until, post.since, post.until)
        for contract in state.contracts.values()
    )
    missing = state.missing_since is not None and (
        post.until is None or post.until > state.missing_since
    )
    return ContractStatus.SIGNED if signed and not missing else ContractStatus.MISSING


class DelegationRow(View):
    """A post lent by `person` to `borrower`."""

    id: UUID
    organisation: UUID
    delegation: UUID
    post: UUID
    person: str
    borrower: str
    role: Role
    since: date
    last_day: date | None
    reason: Annotated[str, personal("person")]


@staff.view(
    "/delegations",
    allow=READERS,
    filters=("person", "borrower", "role"),
    sorts=("since", "last_day", "person", "borrower"),
    search=("person", "borrower"),
)
def delegation_list(state: Staff, recorded: Recorded) -> dict[str, DelegationRow]:
    return {
        str(lent.delegation): DelegationRow(
            id=recorded.stream,
            organisation=recorded.organisation,
            delegation=lent.delegation,
            post=lent.post,
            person=state.person,
            borrower=lent.to,
            role=lent.role,
            since=lent.since,
            last_day=last_day_of(lent.until),
            reason=lent.reason,
        )
        for lent in state.delegations.values()
    }


class BorrowedPostRow(View):
    """A post that `person` holds for `lender`."""

    id: UUID
    organisation: UUID
    delegation: UUID
    person: str
    lender: str
    role: Role
    since: date
    last_day: date | None


@staff.view(
    "/borrowed-posts",
    allow=READERS,
    filters=("person", "lender", "role"),
    sorts=("since", "last_day", "person"),
    search=("person", "lender"),
)
def borrowed_posts(state: Staff, recorded: Recorded) -> dict[str, BorrowedPostRow]:
    return {
        str(borrowed.delegation): BorrowedPostRow(
            id=recorded.stream,
            organisation=recorded.organisation,
            delegation=borrowed.delegation,
            person=state.person,
            lender=borrowed.lender,
            role=borrowed.role,
            since=borrowed.since,
            last_day=last_day_of(borrowed.until),
        )
        for borrowed in state.borrowed.values()
    }


class LabourContractRow(View):
    """`holds_to`: the last day on which the contract holds, cut short or not."""

    id: UUID
    organisation: UUID
    contract: UUID
    person: str
    number: Annotated[str, personal("person")]
    signed_on: date
    first_day: date
    last_day: date | None
    ended_on: date | None
    holds_to: date | None
    document: str | None


@staff.view(
    "/labour-contracts",
    allow=READERS,
    filters=("person",),
    sorts=("holds_to", "signed_on", "first_day", "person"),
    search=("person",),
)
def labour_contracts(state: Staff, recorded: Recorded) -> dict[str, LabourContractRow]:
    return {
        str(contract.contract): LabourContractRow(
            id=recorded.stream,
            organisation=recorded.organisation,
            contract=contract.contract,
            person=state.person,
            number=contract.number,
            signed_on=contract.signed_on,
            first_day=contract.first_day,
            last_day=contract.last_day,
            ended_on=contract.ended_on,
            holds_to=last_day_of(contract.until),
            document=contract.document,
        )
        for contract in state.contracts.values()
    }
