"""Appointing to a post, re-engaging for another school year, ending a post."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Annotated
from uuid import UUID, uuid5

from pydantic import Field

from services.organisation.posts import (
    APPOINTERS,
    PostsPolicy,
    SegregationPolicy,
    conflicting,
    refuse_other_appointers,
    refuse_unfit_post,
)
from services.organisation.spans import after, last_day_of, overlap
from services.organisation.staff import (
    DelegationEnded,
    Post,
    PostEnded,
    PostReturned,
    Staff,
    StaffAppointed,
    StaffNamed,
    StaffReengaged,
    staff,
)
from services.organisation.unit import TreeUnit
from shared.fields import Name, Reason, Subject, Text
from shared.kernel import By, Command, Creation, Event, From, Refused, Send
from shared.organisation import Role


class AppointStaff(Creation):
    """Without a last day the post has no end yet. `full_name`: what the person is called, where
    that is not known here or has changed.
    """

    person: Subject
    full_name: Name | None = None
    role: Role
    since: date | None = None
    last_day: date | None = None


@staff.post("/staff", allow=APPOINTERS, weighty=True)
def appoint(
    state: Staff | None,
    command: AppointStaff,
    by: By,
    unit: Annotated[TreeUnit | None, From("organisation")],
    posts: PostsPolicy,
    segregation: SegregationPolicy,
) -> list[Event]:
    since, until = command.since or by.day, after(command.last_day)
    known = list(state.posts.values()) if state else []
    naming = named(state, command.person, command.full_name)
    if any((post.role, post.since, post.until) == (command.role, since, until) for post in known):
        return naming
    if unit is None:
        raise Refused("unit_unknown", field="organisation", unit=command.organisation)
    if unit.closed(since) or since < unit.since:
        raise Refused("unit_not_there", field="since", name=unit.name, day=since)
    rule = refuse_unfit_post(command.role, unit, posts)
    refuse_other_appointers(command.role, posts, by)
    if by.person == command.person and not by.holds(Role.ADMINISTRATOR):
        raise Refused("appoints_himself", field="person")
    if until is not None and until <= since:
        raise Refused("last_day_before_first", field="last_day", since=since)
    refuse_overlap(known, command.role, since, until)
    held = state.roles_in(since, until) if state else []
    other = conflicting(command.role, held, segregation)
    if other is not None:
        raise Refused("duties_in_one_hand", field="role", role=command.role, held=other)
    due_on = since + timedelta(days=posts.contract_days_max) if rule.contract else None
    appointed = StaffAppointed(
        post=next_id(by, len(known)),
        person=command.person,
        unit=by.unit,
        role=command.role,
        since=since,
        until=until,
        contract_due_on=due_on,
    )
    return [appointed, *naming]


def named(state: Staff | None, person: str, name: str | None) -> list[Event]:
    """What a person is called from now on, where that is something else than before."""
    known = state.full_name if state else ""
    return [StaffNamed(person=person, full_name=name)] if name and name != known else []


class NameStaff(Command):
    """The name under which a person is known at the unit, written as in their papers."""

    full_name: Name


@staff.post("/staff/{id}/name", allow=APPOINTERS)
def name_staff(state: Staff, command: NameStaff, by: By) -> list[Event]:
    return named(state, state.person, command.full_name)


def refuse_overlap(known: list[Post], role: Role, since: date, until: date | None) -> None:
    """Nobody holds the same post twice at once."""
    for post in known:
        if post.role is role and overlap(post.since, post.until, since, until):
            raise Refused("post_held_already", field="since", role=role, since=post.since)


def next_id(by: By, count: int) -> UUID:
    """The id of a person's next post at the unit."""
    return uuid5(by.id, f"post:{count}")


class ReengageStaff(Command):
    """For a school year (named by the year in which it begins); a post with an end goes on after it
    to the new last day.
    """

    post: UUID
    school_year: Annotated[int, Field(ge=2000, le=2100)]
    last_day: date | None = None


@staff.post("/staff/{id}/reengage", allow=APPOINTERS, weighty=True)
def reengage(
    state: Staff, command: ReengageStaff, by: By, posts: PostsPolicy, segregation: SegregationPolicy
) -> list[Event] | None:
    post = post_of(state, command.post)
    if post.reengaged_for == command.school_year:
        return None
    refuse_other_appointers(post.role, posts, by)
    if by.person == state.person and not by.holds(Role.ADMINISTRATOR):
        raise Refused("appoints_himself", field="post")
    if post.reengaged_for > command.school_year or not post.held:
        raise Refused("reengaged_out_of_order", field="school_year", year=post.reengaged_for)
    year = command.school_year
    if post.until is None:
        return [reengaged(state, post, year, None)]
    since, until = post.until, after(command.last_day)
    if until is None or until <= since:
        raise Refused("reengaged_until_when", field="last_day", since=since)
    refuse_overlap(list(state.posts.values()), post.role, since, until)
    other = conflicting(post.role, state.roles_in(since, until), segregation)
    if other is not None:
        raise Refused("duties_in_one_hand", field="post", role=post.role, held=other)
    continued = StaffAppointed(
        post=next_id(by, len(state.posts)),
        person=state.person,
        unit=by.unit,
        role=post.role,
        since=since,
        until=until,
        contract_due_on=post.contract_due_on and since,
        renews=post.post,
    )
    return [continued, reengaged(state, post, year, continued.post)]


def reengaged(state: Staff, post: Post, year: int, next_post: UUID | None) -> StaffReengaged:
    """The re-engagement for a school year, as an event."""
    return StaffReengaged(
        post=post.post, person=state.person, role=post.role, school_year=year, next_post=next_post
    )


class EndPost(Command):
    """Without a last day the post ends at once."""

    post: UUID
    last_day: date | None = None
    reason: Reason


@staff.post("/staff/{id}/end-post", allow=APPOINTERS)
def end_post(
    state: Staff, command: EndPost, by: By, posts: PostsPolicy
) -> list[Event | Send] | None:
    post = post_of(state, command.post)
    refuse_other_appointers(post.role, posts, by)
    until = after(command.last_day) or by.day
    if command.last_day is not None and command.last_day < post.since:
        raise Refused("last_day_before_first", field="last_day", since=post.since)
    if post.until is not None and until >= post.until:
        if command.last_day is None or until == post.until:
            return None
        raise Refused("post_ends_before", field="last_day", last_day=last_day_of(post.until))
    return ending(state, post, until, command.reason, by)


class VacatePost(Command):
    """The unit is closed: its posts end with it. Never refused."""

    post: UUID
    until: date
    reason: Text = ""


@staff.decision
def vacate(state: Staff, command: VacatePost, by: By) -> list[Event | Send] | None:
    post = state.posts.get(command.post)
    if post is None or (post.until is not None and post.until <= command.until):
        return None
    return ending(state, post, command.until, command.reason, by)


def post_of(state: Staff, post: UUID) -> Post:
    """One of the person's own posts; refuses any other."""
    if post not in state.posts:
        raise Refused("post_unknown", field="post", person=state.person)
    return state.posts[post]


def ending(state: Staff, post: Post, until: date, reason: str, by: By) -> list[Event | Send]:
    """The post's end, and that of every delegation that would outlive it."""
    outcome: list[Event | Send] = [
        PostEnded(
            post=post.post,
            person=state.person,
            until=until,
            role=post.role,
            reason=reason,
            contract_was_missing=state.missing_since is not None
            and all(other.post == post.post for other in state.needing_contract),
        )
    ]
    for lent in state.delegations.values():
        if lent.post == post.post and lent.until > until and lent.until > lent.since:
            outcome += delegation_ending(by, lent.delegation, lent.to, until)
    return outcome


class ReturnPost(Command):
    delegation: UUID
    until: date


@staff.decision
def give_back(state: Staff, command: ReturnPost, by: By) -> PostReturned | None:
    borrowed = state.borrowed[command.delegation]
    if borrowed.until <= command.until:
        return None
    return PostReturned(delegation=command.delegation, until=command.until)


def delegation_ending(by: By, delegation: UUID, to: str, until: date) -> list[Event | Send]:
    """A delegation's end at both persons."""
    returned = ReturnPost(delegation=delegation, until=until)
    return [
        DelegationEnded(delegation=delegation, until=until),
        Send(staff, staff.id_of(by.unit, to), returned),
    ]
