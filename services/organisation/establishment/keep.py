"""Saying which posts there must be, and counting their holders as posts begin and end."""

from __future__ import annotations

from copy import replace
from datetime import date
from typing import Annotated, ClassVar
from uuid import UUID

from pydantic import Field

from services.organisation.establishment import (
    Establishment,
    EstablishmentClosed,
    Holder,
    HoldingChanged,
    PostAwaited,
    PostFilled,
    PostsEstablished,
    PostVacated,
    establishments,
    evolve,
)
from services.organisation.spans import midnight
from services.organisation.staff import staff
from services.organisation.staff.appoint import VacatePost
from shared.fields import Subject
from shared.kernel import By, Command, Creation, Event, Part, Policy, Refused, Send
from shared.organisation import Role


class EstablishmentPolicy(Policy):
    """What a school must have at least, and what more if it boards pupils."""

    slug: ClassVar[str] = "organisation.establishment"

    schools: dict[Role, int]
    boarding: dict[Role, int]


class PostWanted(Part):
    """How many holders of a role the unit must have."""

    role: Role
    required: Annotated[int, Field(ge=0, le=1000)]


class EstablishPosts(Creation):
    posts: Annotated[tuple[PostWanted, ...], Field(min_length=1, max_length=len(Role))]


@establishments.post("/establishments", allow=(Role.ADMINISTRATOR, Role.BUREAU_OFFICER))
def establish(
    state: Establishment | None, command: EstablishPosts, by: By
) -> PostsEstablished | None:
    required = {post.role: post.required for post in command.posts if post.required}
    if len({post.role for post in command.posts}) < len(command.posts):
        raise Refused("role_twice", field="posts")
    if state is not None and state.closed_on is not None:
        raise Refused("unit_closed", name="", closed_on=state.closed_on)
    if state is not None and (state.required, state.by_rule) == (required, False):
        return None
    return established(state, required, by_rule=False)


class EstablishByRule(Creation):
    boarding: bool


@establishments.decision
def establish_by_rule(
    state: Establishment | None, command: EstablishByRule, by: By, policy: EstablishmentPolicy
) -> PostsEstablished | None:
    if state is not None and (state.required or not state.by_rule or state.closed_on):
        return None
    required = dict(policy.schools)
    if command.boarding:
        required |= policy.boarding
    return established(state, required, by_rule=True)


def established(
    state: Establishment | None, required: dict[Role, int], *, by_rule: bool
) -> PostsEstablished:
    """The new requirement and what it leaves unfilled."""
    before = state or Establishment()
    unfilled = replace(before, required=required).unfilled
    return PostsEstablished(
        required=required,
        unfilled=unfilled,
        unfilled_change=unfilled - before.unfilled,
        by_rule=by_rule,
    )


class NoteAppointment(Creation):
    post: UUID
    role: Role
    person: Subject
    since: date
    until: date | None


@establishments.decision
def note_appointment(
    state: Establishment | None, command: NoteAppointment, by: By
) -> PostAwaited | PostFilled | None:
    now = state or Establishment()
    if command.post in now.holders or command.post in now.awaited:
        return None
    holder = Holder(
        role=command.role, person=command.person, since=command.since, until=command.until
    )
    if holder.since > by.day:
        return PostAwaited(
            post=command.post,
            role=holder.role,
            person=holder.person,
            since=holder.since,
            until=holder.until,
        )
    return filled(now, command.post, holder)


class NotePostEnd(Creation):
    post: UUID
    until: date


@establishments.decision
def note_end(
    state: Establishment | None, command: NotePostEnd, by: By
) -> PostVacated | HoldingChanged | None:
    if state is None:
        return None
    holder = state.holders.get(command.post) or state.awaited.get(command.post)
    if holder is None:
        return None
    if command.until <= max(by.day, holder.since):
        return vacated(state, command.post, holder, command.until)
    if holder.until == command.until:
        return None
    return HoldingChanged(post=command.post, until=command.until)


class UpdateHolders(Command):
    pass


@establishments.when_due(
    lambda state: midnight(state.changes_on) if state.changes_on is not None else None
)
def update_holders(state: Establishment, command: UpdateHolders, by: By) -> list[Event]:
    now, events = state, list[Event]()
    for post, holder in state.awaited.items():
        if holder.since <= by.day:
            begun = filled(now, post, holder)
            events, now = [*events, begun], evolve(now, begun)
    for post, holder in now.holders.items():
        if holder.until is not None and holder.until <= by.day:
            ended = vacated(now, post, holder, holder.until)
            events, now = [*events, ended], evolve(now, ended)
    return events


def filled(now: Establishment, post: UUID, holder: Holder) -> PostFilled:
    """The post has a holder from now on."""
    return PostFilled(
        post=post,
        role=holder.role,
        person=holder.person,
        since=holder.since,
        until=holder.until,
        required=now.required.get(holder.role, 0),
        held=now.held(holder.role) + 1,
        unfilled_change=now.missing(holder.role, 1) - now.missing(holder.role),
    )


def vacated(now: Establishment, post: UUID, holder: Holder, on: date) -> PostVacated:
    """The post has lost its holder; one only awaited never filled it."""
    less = 1 if post in now.holders else 0
    return PostVacated(
        post=post,
        role=holder.role,
        person=holder.person,
        vacant_on=on,
        required=now.required.get(holder.role, 0),
        held=now.held(holder.role) - less,
        unfilled_change=now.missing(holder.role, -less) - now.missing(holder.role),
    )


class CloseEstablishment(Creation):
    closed_on: date


@establishments.decision
def close(
    state: Establishment | None, command: CloseEstablishment, by: By
) -> list[Event | Send] | None:
    if state is not None and state.closed_on == command.closed_on:
        return None
    now = state or Establishment()
    closed = EstablishmentClosed(closed_on=command.closed_on, unfilled_change=-now.unfilled)
    posts = {**now.holders, **now.awaited}
    return [
        closed,
        *(
            Send(
                staff,
                staff.id_of(by.unit, holder.person),
                VacatePost(post=post, until=command.closed_on, reason="单位已撤销或并入其他单位"),
            )
            for post, holder in posts.items()
        ),
    ]
