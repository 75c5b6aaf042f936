"""Required and unfilled posts, and what in the tree and among people changes them."""

from __future__ import annotations

from uuid import UUID

from services.organisation.establishment import Establishment, establishments
from services.organisation.establishment.keep import (
    CloseEstablishment,
    EstablishByRule,
    NoteAppointment,
    NotePostEnd,
)
from services.organisation.staff import PostEnded, StaffAppointed
from services.organisation.unit import UnitClosed, UnitRegistered
from shared.kernel import Recorded, Send, View
from shared.organisation import READERS, Level, Role


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
