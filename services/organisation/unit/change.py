"""Renaming, describing, counting and moving a unit."""

from __future__ import annotations

from datetime import date
from typing import Annotated

from pydantic import Field, StringConstraints

from services.organisation.kinds import Stage, UnitKind, refuse_malformed_division
from services.organisation.unit import (
    Numbers,
    TreeUnit,
    UnitCounted,
    UnitDescribed,
    UnitMoved,
    UnitRenamed,
    units,
)
from services.organisation.unit.register import (
    REGISTRARS,
    Code,
    JoinChild,
    LeaveParent,
    refuse_beyond_principal,
    refuse_unfit_parent,
)
from shared.fields import Name, UnitId
from shared.kernel import By, Command, Event, From, Refused, Send
from shared.organisation import Level, Role, Unit

type Term = Annotated[str, StringConstraints(pattern=r"^\d{4}-[12]$")]
"""A term: the year in which the school year began, and 1 or 2."""

type Heads = Annotated[int, Field(ge=0, le=1_000_000)]
"""A number of people."""


class RenameUnit(Command):
    name: Name


@units.post("/units/{id}/rename", allow=REGISTRARS, at="above")
def rename(state: TreeUnit, command: RenameUnit, by: By) -> UnitRenamed | None:
    refuse_beyond_principal(state.level, by)
    refuse_closed(state, by.day)
    return None if state.name == command.name else UnitRenamed(name=command.name)


class DescribeUnit(Command):
    """What is left out stays as it is."""

    kind: UnitKind | None = None
    stage: Stage | None = None
    boarding: bool | None = None
    division_code: Code | None = None


@units.post("/units/{id}/describe", allow=REGISTRARS, at="above")
def describe(state: TreeUnit, command: DescribeUnit, by: By) -> UnitDescribed | None:
    refuse_beyond_principal(state.level, by)
    refuse_closed(state, by.day)
    if command.division_code is not None:
        refuse_malformed_division(command.division_code)
    described = UnitDescribed(
        kind=command.kind or state.kind,
        stage=command.stage or state.stage,
        boarding=state.boarding if command.boarding is None else command.boarding,
        division_code=command.division_code or state.division_code,
    )
    now = (state.kind, state.stage, state.boarding, state.division_code)
    wanted = (described.kind, described.stage, described.boarding, described.division_code)
    return None if now == wanted else described


class CountUnit(Command):
    """Pupils (boarders among them) and staff in a term."""

    term: Term
    pupils: Heads
    boarders: Heads = 0
    staff: Heads


@units.post(
    "/units/{id}/count",
    allow=(Role.ADMINISTRATOR, Role.BUREAU_OFFICER, Role.PRINCIPAL, Role.LOGISTICS_DIRECTOR),
    at="unit",
)
def count(state: TreeUnit, command: CountUnit, by: By) -> UnitCounted | None:
    refuse_closed(state, by.day)
    if state.level < Level.SCHOOL:
        raise Refused("counted_at_schools", level=state.level)
    if command.boarders > command.pupils:
        raise Refused("boarders_beyond_pupils", field="boarders", pupils=command.pupils)
    counted = Numbers(pupils=command.pupils, boarders=command.boarders, staff=command.staff)
    if state.numbers.get(command.term) == counted:
        return None
    return UnitCounted(
        term=command.term,
        pupils=command.pupils,
        boarders=command.boarders,
        staff=command.staff,
        level=state.level,
    )


class MoveUnit(Command):
    """Under another parent from a day on; figures before that day stay with the old one."""

    parent: UnitId
    since: date | None = None


@units.post("/units/{id}/move", allow=REGISTRARS, at="above", weighty=True)
def move(
    state: TreeUnit,
    command: MoveUnit,
    by: By,
    target: Annotated[TreeUnit | None, From("parent")],
    place: Annotated[Unit | None, From("parent")],
) -> list[Event | Send] | None:
    since, last = command.since or by.day, state.places[-1]
    if last.parent == command.parent:
        return None
    refuse_beyond_principal(state.level, by)
    refuse_closed(state, date.max)
    if target is None or place is None:
        raise Refused("unit_unknown", field="parent", unit=command.parent)
    if by.id in place.path:
        raise Refused("moves_under_itself", field="parent", name=target.name)
    refuse_unfit_parent(state.level, target, since, field="parent")
    refuse_out_of_reach(place, by, field="parent")
    if since < last.since:
        raise Refused("before_last_place", field="since", since=last.since)
    moved = UnitMoved(parent=command.parent, since=since, previous=last.parent)
    joins = Send(units, command.parent, JoinChild(child=by.id))
    if last.parent is None:
        return [moved, joins]
    return [moved, joins, Send(units, last.parent, LeaveParent(child=by.id, left_on=since))]


def refuse_closed(state: TreeUnit, day: date) -> None:
    """Nothing happens to a unit that no longer exists."""
    if state.closed(day):
        raise Refused("unit_closed", name=state.name, closed_on=state.closed_on)


def refuse_out_of_reach(place: Unit, by: By, *, field: str) -> None:
    """The caller answers for both ends: one of the posts must stand above the other unit too."""
    for post in by.posts:
        covers = post.unit in place.path or post.level is Level.COUNTRY
        if post.role in REGISTRARS and covers:
            return
    raise Refused("other_end_out_of_reach", field=field, name=place.name)
