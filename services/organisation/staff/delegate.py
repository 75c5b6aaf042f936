"""Lending a post for some days, and taking it back.

The borrower's own stream agrees in the same transaction, so a delegation can no more join duties
that are kept apart than an appointment can.
"""

from __future__ import annotations

from datetime import date
from uuid import UUID, uuid5

from services.organisation.posts import (
    DelegationPolicy,
    PostsPolicy,
    SegregationPolicy,
    conflicting,
)
from services.organisation.spans import ONE_DAY, after, contains, last_day_of, overlap
from services.organisation.staff import (
    PostBorrowed,
    PostDelegated,
    Staff,
    staff,
)
from services.organisation.staff.appoint import delegation_ending, post_of
from shared.fields import Reason, Subject
from shared.kernel import By, Command, Creation, Event, Refused, Send
from shared.organisation import Role

LENDERS = tuple(role for role in Role if role is not Role.PARENTS_COMMITTEE)
"""Everybody may lend his own post; whoever appoints to it may lend it for him."""


class DelegatePost(Command):
    post: UUID
    to: Subject
    since: date | None = None
    last_day: date
    reason: Reason


@staff.post("/staff/{id}/delegate", allow=LENDERS, weighty=True)
def delegate(
    state: Staff, command: DelegatePost, by: By, posts: PostsPolicy, policy: DelegationPolicy
) -> list[Event | Send] | None:
    post, since = post_of(state, command.post), command.since or by.day
    until = command.last_day + ONE_DAY
    if any(
        (lent.post, lent.to, lent.since, lent.until) == (post.post, command.to, since, until)
        for lent in state.delegations.values()
    ):
        return None
    refuse_strangers(state, post.role, posts, by)
    if command.to in (state.person, by.person):
        raise Refused("delegates_to_himself", field="to")
    if since < by.day:
        raise Refused("delegated_in_the_past", field="since", today=by.day)
    if until <= since:
        raise Refused("last_day_before_first", field="last_day", since=since)
    if not contains(post.since, post.until, since, until):
        raise Refused("delegated_beyond_post", field="last_day", role=post.role)
    if (until - since).days > policy.days_max:
        raise Refused("delegated_too_long", field="last_day", days_max=policy.days_max)
    for lent in state.delegations.values():
        if lent.post == post.post and overlap(lent.since, lent.until, since, until):
            raise Refused("post_lent_already", field="since", to=lent.to, since=lent.since)
    delegation = uuid5(by.id, f"delegation:{len(state.delegations)}")
    lending = PostDelegated(
        delegation=delegation,
        post=post.post,
        person=state.person,
        to=command.to,
        unit=by.unit,
        role=post.role,
        since=since,
        until=until,
        reason=command.reason,
    )
    borrowing = BorrowPost(
        organisation=by.unit,
        person=command.to,
        delegation=delegation,
        lender=state.person,
        role=post.role,
        since=since,
        until=until,
    )
    return [lending, Send(staff, staff.id_of(by.unit, command.to), borrowing)]


def refuse_strangers(state: Staff, role: Role, posts: PostsPolicy, by: By) -> None:
    """A post is lent, and taken back, by its holder or by whoever appoints to it."""
    rule = posts.posts.get(role)
    appointers = (Role.ADMINISTRATOR, *(rule.appointed_by if rule else ()))
    if by.person != state.person and not by.holds(*appointers):
        raise Refused("not_yours_to_lend", field="post", person=state.person)


class BorrowPost(Creation):
    person: Subject
    delegation: UUID
    lender: Subject
    role: Role
    since: date
    until: date


@staff.decision
def borrow(
    state: Staff | None, command: BorrowPost, by: By, segregation: SegregationPolicy
) -> PostBorrowed | None:
    if state and command.delegation in state.borrowed:
        return None
    held = state.roles_in(command.since, command.until) if state else []
    other = conflicting(command.role, held, segregation)
    if other is not None:
        raise Refused("delegation_joins_duties", field="to", role=command.role, held=other)
    return PostBorrowed(
        delegation=command.delegation,
        person=command.person,
        lender=command.lender,
        role=command.role,
        since=command.since,
        until=command.until,
    )


class EndDelegation(Command):
    """Without a last day the delegation ends at once."""

    delegation: UUID
    last_day: date | None = None


@staff.post("/staff/{id}/end-delegation", allow=LENDERS)
def end_delegation(
    state: Staff, command: EndDelegation, by: By, posts: PostsPolicy
) -> list[Event | Send] | None:
    lent = state.delegations.get(command.delegation)
    if lent is None:
        raise Refused("delegation_unknown", field="delegation", person=state.person)
    refuse_strangers(state, lent.role, posts, by)
    until = after(command.last_day) or by.day
    if command.last_day is not None and command.last_day < lent.since:
        raise Refused("last_day_before_first", field="last_day", since=lent.since)
    if until >= lent.until:
        if command.last_day is None or until == lent.until:
            return None
        raise Refused("delegation_ends_before", field="last_day", last_day=last_day_of(lent.until))
    return delegation_ending(by, lent.delegation, lent.to, until)
