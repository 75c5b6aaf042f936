"""Which posts a unit must have, and which of them nobody holds.

岗位设置, 缺岗. The stream of a unit counts holders as posts begin and end, by itself on the day;
every event says how much is now missing, so that a post without a holder shows. What a school must
have at least is a dated rule until the bureau says otherwise.
"""

from __future__ import annotations

from copy import replace
from datetime import date
from typing import Annotated, ClassVar
from uuid import UUID

import msgspec
from pydantic import Field

from services.organisation.spans import midnight
from services.organisation.staff import PostEnded, StaffAppointed, staff
from services.organisation.staff.appoint import VacatePost
from services.organisation.unit import UnitClosed, UnitRegistered
from shared.fields import Subject
from shared.kernel import (
    Aggregate,
    By,
    Command,
    Creation,
    Event,
    Part,
    Policy,
    Recorded,
    Refused,
    Send,
    State,
    View,
)  # fmt: skip
from shared.organisation import READERS, Level, Role


class PostsEstablished(Event):
    """`unfilled`: posts without a holder now; `unfilled_change`: against before.

    `by_rule`: nobody has said so, the rule in force has.
    """

    required: dict[Role, int]
    unfilled: int
    unfilled_change: int
    by_rule: bool


class PostAwaited(Event):
    """Somebody has been appointed who will hold the post only from `since` on."""

    post: UUID
    role: Role
    person: str
    since: date
    until: date | None


class PostFilled(Event):
    """Held until the day before `until`. `required` and `held` count that role at the unit."""

    post: UUID
    role: Role
    person: str
    since: date
    until: date | None
    required: int
    held: int
    unfilled_change: int


class PostVacated(Event):
    """`vacant_on`: the first day without this holder. Counts as in `PostFilled`."""

    post: UUID
    role: Role
    person: str
    vacant_on: date
    required: int
    held: int
    unfilled_change: int


class HoldingChanged(Event):
    """A post that is held, or awaited, will end on another day than was known."""

    post: UUID
    until: date


class EstablishmentClosed(Event):
    """The unit is closed: nothing is required of it any more."""

    closed_on: date
    unfilled_change: int


type EstablishmentEvent = (
    PostsEstablished | PostAwaited | PostFilled | PostVacated | HoldingChanged | EstablishmentClosed
)


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """Who holds a post, or will: from `since` until the day before `until`."""

    role: Role
    person: str
    since: date
    until: date | None


class Establishment(State):
    required: dict[Role, int] = {}
    by_rule: bool = True
    holders: dict[UUID, Holder] = {}
    awaited: dict[UUID, Holder] = {}
    closed_on: date | None = None

    def held(self, role: Role) -> int:
        """How many hold the role."""
        return sum(holder.role is role for holder in self.holders.values())

    def missing(self, role: Role, change: int = 0) -> int:
        """How many holders the role lacks, with `change` more of them."""
        return max(0, self.required.get(role, 0) - self.held(role) - change)

    @property
    def unfilled(self) -> int:
        """How many posts nobody holds."""
        return sum(self.missing(role) for role in self.required)

    @property
    def changes_on(self) -> date | None:
        """The next day on which a post begins or ends by itself."""
        days = [holder.since for holder in self.awaited.values()]
        days += [holder.until for holder in self.holders.values() if holder.until]
        return min(days, default=None)


def evolve(state: Establishment | None, event: EstablishmentEvent) -> Establishment:
    """The posts of a unit after one more event."""
    now = state or Establishment()
    match event:
        case PostsEstablished(required=required, by_rule=by_rule):
            return replace(now, required=required, by_rule=by_rule)
        case PostAwaited(post=post, since=since, until=until):
            holder = Holder(role=event.role, person=event.person, since=since, until=until)
            return replace(now, awaited={**now.awaited, post: holder})
        case PostFilled(post=post, since=since, until=until):
            holder = Holder(role=event.role, person=event.person, since=since, until=until)
            return replace(
                now, awaited=_less(now.awaited, post), holders={**now.holders, post: holder}
            )
        case PostVacated(post=post):
            return replace(now, awaited=_less(now.awaited, post), holders=_less(now.holders, post))
        case HoldingChanged(post=post, until=until):
            return replace(
                now,
                awaited=_until(now.awaited, post, until),
                holders=_until(now.holders, post, until),
            )
        case EstablishmentClosed(closed_on=closed_on):
            return replace(now, required={}, closed_on=closed_on)


def _less(holders: dict[UUID, Holder], gone: UUID) -> dict[UUID, Holder]:
    return {post: holder for post, holder in holders.items() if post != gone}


def _until(holders: dict[UUID, Holder], changed: UUID, until: date) -> dict[UUID, Holder]:
    return {
        post: replace(holder, until=until) if post == changed else holder
        for post, holder in holders.items()
    }


establishments = Aggregate(
    "establishment",
    events=EstablishmentEvent,
    state=Establishment,
    evolve=evolve,
    key=lambda command: str(command.organisation),
)


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


class PostsOfRoleRow(View):
    """One role of a unit: how many holders it must have, and who they are."""

    id: UUID
    organisation: UUID
    role: Role
    required: int
    held: int
    unfilled: int
    vacant: bool
    holders: str
    awaited: str
    by_rule: bool


@establishments.view(
    "/establishments",
    allow=READERS,
    filters=("role", "vacant", "by_rule"),
    sorts=("role", "required", "held", "unfilled"),
    search=("holders",),
)
def posts_of_roles(state: Establishment, recorded: Recorded) -> dict[str, PostsOfRoleRow]:
    waiting = state.awaited.values()
    roles = dict.fromkeys(
        [*state.required, *(one.role for one in (*state.holders.values(), *waiting))]
    )
    return {
        role.value: PostsOfRoleRow(
            id=recorded.stream,
            organisation=recorded.organisation,
            role=role,
            required=state.required.get(role, 0),
            held=state.held(role),
            unfilled=state.missing(role),
            vacant=state.missing(role) > 0,
            holders="、".join(one.person for one in state.holders.values() if one.role is role),
            awaited="、".join(one.person for one in waiting if one.role is role),
            by_rule=state.by_rule,
        )
        for role in roles
    }


@establishments.on(UnitRegistered)
def establish_when_registered(event: UnitRegistered, recorded: Recorded) -> list[Send]:
    """A school has its posts from the start, so that the empty ones show."""
    if event.level is not Level.SCHOOL:
        return []
    rule = EstablishByRule(organisation=recorded.stream, boarding=event.boarding)
    return [Send(establishments, establishments.id_of(recorded.stream), rule)]


@establishments.on(StaffAppointed)
def fill_when_appointed(event: StaffAppointed, recorded: Recorded) -> list[Send]:
    noted = NoteAppointment(
        organisation=event.unit,
        post=event.post,
        role=event.role,
        person=event.person,
        since=event.since,
        until=event.until,
    )
    return [Send(establishments, establishments.id_of(event.unit), noted)]


@establishments.on(PostEnded)
def vacate_when_ended(event: PostEnded, recorded: Recorded) -> list[Send]:
    noted = NotePostEnd(organisation=recorded.organisation, post=event.post, until=event.until)
    return [Send(establishments, establishments.id_of(recorded.organisation), noted)]


@establishments.on(UnitClosed)
def close_when_closed(event: UnitClosed, recorded: Recorded) -> list[Send]:
    """The posts of a unit end with it."""
    closing = CloseEstablishment(organisation=recorded.stream, closed_on=event.closed_on)
    return [Send(establishments, establishments.id_of(recorded.stream), closing)]
