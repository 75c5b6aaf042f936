"""One person at one unit: the posts held there from-to, posts lent and borrowed, the contract.

人员与岗位. Rights all over the platform follow from these posts, so the stream of a person at a
unit is where duties are kept apart: cash, books and goods (钱账物) never in one hand, nor buying,
accepting and reviewing. Source: internal control of public institutions (不相容岗位相互分离),
labour contract law.
"""

from __future__ import annotations

from copy import replace
from datetime import date
from typing import Annotated, Any
from uuid import UUID

import msgspec

from services.organisation.spans import after, overlap
from shared.fields import personal
from shared.kernel import Aggregate, Event, State
from shared.organisation import Role


class StaffAppointed(Event):
    """Held from `since` until the day before `until`. `renews`: the post that this one continues
    for another year; `contract_due_on`: from when on a labour contract must be there (None: none
    is needed).
    """

    post: UUID
    person: str
    unit: UUID
    role: Role
    since: date
    until: date | None
    contract_due_on: date | None = None
    renews: UUID | None = None


class StaffNamed(Event):
    """What the person is called (姓名), for those who work with them; gone with the key."""

    person: str
    full_name: Annotated[str, personal("person")]


class PostEnded(Event):
    """`until` is the first day without it; one not after its beginning: it was never held."""

    post: UUID
    person: str
    until: date
    role: Role | None = None
    reason: Annotated[str, personal("person")] = ""
    contract_was_missing: bool = False


class StaffReengaged(Event):
    """The yearly re-engagement; `next_post` continues a post that would have ended."""

    post: UUID
    person: str
    role: Role
    school_year: int
    next_post: UUID | None


class PostDelegated(Event):
    """`person` lends the post to `to` from `since` until the day before `until`."""

    delegation: UUID
    post: UUID
    person: str
    to: str
    unit: UUID
    role: Role
    since: date
    until: date
    reason: Annotated[str, personal("person")] = ""


class DelegationEnded(Event):
    delegation: UUID
    until: date


class PostBorrowed(Event):
    """The other end of a delegation: what `person` now holds for `lender`."""

    delegation: UUID
    person: str
    lender: str
    role: Role
    since: date
    until: date


class PostReturned(Event):
    delegation: UUID
    until: date


class LabourContractSigned(Event):
    """`was_missing`: it ends a time in which a needed contract was not there."""

    contract: UUID
    person: str
    number: Annotated[str, personal("person")]
    signed_on: date
    first_day: date
    last_day: date | None
    was_missing: bool
    document: str | None = None


class LabourContractEnded(Event):
    contract: UUID
    person: str
    ended_on: date
    reason: Annotated[str, personal("person")]


class LabourContractMissed(Event):
    """From `since` on the person works in `roles` without the contract that they need."""

    person: str
    roles: tuple[Role, ...]
    since: date


type StaffEvent = (
    StaffAppointed
    | StaffNamed
    | PostEnded
    | StaffReengaged
    | PostDelegated
    | DelegationEnded
    | PostBorrowed
    | PostReturned
    | LabourContractSigned
    | LabourContractEnded
    | LabourContractMissed
)


class Post(msgspec.Struct, frozen=True, kw_only=True):
    """A post from-to; `reengaged_for`: the latest school year it was confirmed for, or 0."""

    post: UUID
    role: Role
    since: date
    until: date | None
    contract_due_on: date | None
    reengaged_for: int = 0

    @property
    def held(self) -> bool:
        """Whether it was held for at least a day."""
        return self.until is None or self.until > self.since


class Delegation(msgspec.Struct, frozen=True, kw_only=True):
    """A post lent to `to`."""

    delegation: UUID
    post: UUID
    to: str
    role: Role
    since: date
    until: date
    reason: str


class Borrowed(msgspec.Struct, frozen=True, kw_only=True):
    """A post held for `lender`."""

    delegation: UUID
    lender: str
    role: Role
    since: date
    until: date


class Contract(msgspec.Struct, frozen=True, kw_only=True):
    """A labour contract; `ended_on` cuts it short."""

    contract: UUID
    number: str
    signed_on: date
    first_day: date
    last_day: date | None
    document: str | None
    ended_on: date | None = None

    @property
    def until(self) -> date | None:
        """The first day on which it no longer holds."""
        return after(self.ended_on or self.last_day)


class Staff(State):
    """`missing_since`: a needed contract has been found missing from that day on;
    `contract_from`: before that day nobody asks for a contract any more.
    """

    person: str
    full_name: str = ""
    posts: dict[UUID, Post] = {}
    delegations: dict[UUID, Delegation] = {}
    borrowed: dict[UUID, Borrowed] = {}
    contracts: dict[UUID, Contract] = {}
    missing_since: date | None = None
    contract_from: date = date.min

    def roles_in(self, since: date, until: date | None) -> list[Role]:
        """Own and borrowed roles that meet the span."""
        spans: list[Post | Borrowed] = [*self.posts.values(), *self.borrowed.values()]
        return [span.role for span in spans if overlap(span.since, span.until, since, until)]

    @property
    def needing_contract(self) -> list[Post]:
        """The posts that need a contract."""
        return [post for post in self.posts.values() if post.contract_due_on and post.held]

    @property
    def contract_missing_on(self) -> date | None:
        """The first day on which a post is held without the contract that it needs, or None."""
        days = (self.uncovered_on(post) for post in self.needing_contract)
        return min((day for day in days if day), default=None)

    def uncovered_on(self, post: Post) -> date | None:
        """The first day on which that post is held without the contract that it needs, or None."""
        assert post.contract_due_on is not None, "only asked of posts that need a contract"
        day = max(post.contract_due_on, self.contract_from)
        for signed in sorted(self.contracts.values(), key=lambda one: one.first_day):
            if signed.first_day <= day < (signed.until or date.max):
                if signed.until is None:
                    return None
                day = signed.until
        return None if post.until and day >= post.until else day


def evolve(state: Staff | None, event: StaffEvent) -> Staff:  # noqa: C901 - one flat table
    """The person after one more event."""
    if isinstance(event, StaffAppointed):
        staff = state or Staff(person=event.person)
        post = Post(
            post=event.post,
            role=event.role,
            since=event.since,
            until=event.until,
            contract_due_on=event.contract_due_on,
        )
        return replace(staff, posts={**staff.posts, event.post: post})
    if isinstance(event, PostBorrowed):
        staff = state or Staff(person=event.person)
        borrowed = Borrowed(
            delegation=event.delegation,
            lender=event.lender,
            role=event.role,
            since=event.since,
            until=event.until,
        )
        return replace(staff, borrowed={**staff.borrowed, event.delegation: borrowed})
    assert state is not None, "a person starts by being appointed or by borrowing a post"
    match event:
        case StaffNamed(full_name=name):
            return replace(state, full_name=name)
        case PostEnded(post=post_id, until=until):
            ended = _with_post(state, post_id, until=until)
            still = any(post.until is None or post.until > until for post in ended.needing_contract)
            return ended if still else replace(ended, missing_since=None)
        case StaffReengaged(post=post_id, next_post=next_post, school_year=year):
            engaged = _with_post(state, post_id, reengaged_for=year)
            return _with_post(engaged, next_post, reengaged_for=year) if next_post else engaged
        case PostDelegated():
            lent = Delegation(
                delegation=event.delegation,
                post=event.post,
                to=event.to,
                role=event.role,
                since=event.since,
                until=event.until,
                reason=event.reason,
            )
            return replace(state, delegations={**state.delegations, event.delegation: lent})
        case DelegationEnded(delegation=id_, until=until):
            shortened = replace(state.delegations[id_], until=until)
            return replace(state, delegations={**state.delegations, id_: shortened})
        case PostReturned(delegation=id_, until=until):
            returned = replace(state.borrowed[id_], until=until)
            return replace(state, borrowed={**state.borrowed, id_: returned})
        case LabourContractSigned():
            signed = Contract(
                contract=event.contract,
                number=event.number,
                signed_on=event.signed_on,
                first_day=event.first_day,
                last_day=event.last_day,
                document=event.document,
            )
            from_ = event.first_day if event.was_missing else state.contract_from
            contracts = {**state.contracts, event.contract: signed}
            return replace(state, contracts=contracts, missing_since=None, contract_from=from_)
        case LabourContractEnded(contract=id_, ended_on=ended_on):
            cut = replace(state.contracts[id_], ended_on=ended_on)
            return replace(state, contracts={**state.contracts, id_: cut})
        case LabourContractMissed(since=since):
            return replace(state, missing_since=since)


def _with_post(state: Staff, post: UUID, **changes: Any) -> Staff:
    return replace(state, posts={**state.posts, post: replace(state.posts[post], **changes)})


staff = Aggregate(
    "staff",
    events=StaffEvent,
    state=Staff,
    evolve=evolve,
    key=lambda command: f"{command.organisation}:{command.person}",
)

# The capabilities record themselves on `staff`.
from services.organisation.staff import appoint, contract, delegate, views  # noqa: E402, F401
