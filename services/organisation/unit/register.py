"""Registering a unit under its parent, alone or row by row from a file, parents before children."""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import StringConstraints

from services.organisation.kinds import (
    STAGES,
    CodesPolicy,
    Stage,
    UnitKind,
    extends,
    refuse_malformed,
    refuse_malformed_division,
)
from services.organisation.unit import (
    ChildUnitJoined,
    ChildUnitLeft,
    TreeUnit,
    UnitRegistered,
    units,
)
from shared.fields import Name
from shared.kernel import By, Command, Creation, Event, From, Refused, Send
from shared.organisation import Level, Role

REGISTRARS = (Role.ADMINISTRATOR, Role.BUREAU_OFFICER, Role.PRINCIPAL)
"""Who keeps the tree; a principal only the campuses and classes of the school."""

type Code = Annotated[str, StringConstraints(pattern=r"^[0-9-]{2,40}$")]


class UnitLevel(StrEnum):
    """A unit's level in words."""

    PROVINCE = "province"
    CITY = "city"
    COUNTY = "county"
    TOWNSHIP = "township"
    SCHOOL = "school"
    CAMPUS = "campus"
    CLASS = "class"

    @property
    def height(self) -> Level:
        """The level as a height in the tree."""
        return Level[self.name]


class RegisterUnit(Creation):
    """`organisation` is the parent's id, for a root the unit's own; `parent_code` says the parent
    by its code. What is left out follows from the code and the parent.
    """

    code: Code
    name: Name
    level: UnitLevel
    parent_code: Code | None = None
    kind: UnitKind | None = None
    stage: Stage | None = None
    boarding: bool = False
    division_code: Code | None = None
    since: date | None = None


def parent_of(command: RegisterUnit, state: TreeUnit | None, by: By) -> UUID | None:
    """The id of the parent that the command names, or None for a root."""
    if command.parent_code:
        return units.id_of(command.parent_code)
    return None if command.organisation == by.id else command.organisation


@units.post("/units", allow=REGISTRARS)
def register(
    state: TreeUnit | None,
    command: RegisterUnit,
    by: By,
    parent: Annotated[TreeUnit | None, From(parent_of)],
    codes: CodesPolicy,
) -> list[Event | Send] | None:
    level, since = command.level.height, command.since or by.day
    refuse_malformed(level, command.code, codes)
    refuse_beyond_principal(level, by)
    above = parent_of(command, state, by)
    if command.organisation != (above or by.id):
        raise Refused("organisation_not_parent", field="organisation")
    if above is not None and parent is None:
        raise Refused("parent_unknown", field="parent_code", code=command.parent_code or above)
    refuse_unfit_parent(level, parent, since, field="parent_code")
    if parent and level > Level.SCHOOL and not extends(command.code, level, parent.code):
        raise Refused("code_not_of_parent", field="code", code=command.code, parent=parent.code)
    kind = command.kind or kind_of(command, parent, codes)
    registered = UnitRegistered(
        code=command.code,
        name=command.name,
        level=level,
        parent=above,
        kind=kind,
        division_code=division_of(command, parent),
        since=since,
        boarding=command.boarding,
        stage=command.stage or STAGES.get(kind, Stage.SEVERAL),
    )
    if state is not None:
        if same(state, registered, dated=command.since is not None):
            return None
        raise Refused("unit_exists", field="code", code=command.code, name=state.name)
    joined = [] if above is None else [Send(units, above, JoinChild(child=by.id))]
    return [registered, *joined]


def refuse_beyond_principal(level: Level, by: By) -> None:
    """Schools and what is above them are the bureau's business."""
    if level <= Level.SCHOOL and not by.holds(Role.ADMINISTRATOR, Role.BUREAU_OFFICER):
        raise Refused("schools_kept_by_bureau", level=level)


def refuse_unfit_parent(level: Level, parent: TreeUnit | None, since: date, *, field: str) -> None:
    """Refuses a parent that is not higher, not a school where one is needed, or not there."""
    if parent is None:
        if level > Level.SCHOOL:
            raise Refused("unit_needs_school", field=field, level=level)
        return
    if parent.level >= level:
        raise Refused("parent_not_higher", field=field, name=parent.name, level=parent.level)
    if level > Level.SCHOOL > parent.level:
        raise Refused("unit_needs_school", field=field, level=level)
    if since < parent.since:
        raise Refused("since_before_parent", field="since", name=parent.name, since=parent.since)
    if parent.closed(since):
        raise Refused("parent_closed", field=field, name=parent.name, closed_on=parent.closed_on)


def kind_of(command: RegisterUnit, parent: TreeUnit | None, codes: CodesPolicy) -> UnitKind:
    """The kind that follows from the level, the parent, or a school's code."""
    if command.level.height < Level.SCHOOL:
        return UnitKind.BUREAU
    if parent is not None and parent.level >= Level.SCHOOL:
        return parent.kind
    return codes.school_types[command.code[:2]]


def division_of(command: RegisterUnit, parent: TreeUnit | None) -> str:
    """The division code given, or the unit's own code down to townships, or the parent's."""
    if command.division_code is not None:
        refuse_malformed_division(command.division_code)
        return command.division_code
    if command.level.height < Level.SCHOOL:
        return command.code
    return parent.division_code if parent else ""


def same(state: TreeUnit, registered: UnitRegistered, *, dated: bool) -> bool:
    """Whether the unit stands as it would be registered."""
    return (
        (state.name, state.level, state.above, state.kind, state.stage, state.boarding)
        == (
            registered.name, registered.level, registered.parent, registered.kind,
            registered.stage, registered.boarding,
        )
        and state.division_code == registered.division_code
        and (not dated or state.since == registered.since)
    )  # fmt: skip


class JoinChild(Command):
    child: UUID


@units.decision
def join(state: TreeUnit, command: JoinChild, by: By) -> ChildUnitJoined | None:
    if command.child in state.children and state.children[command.child] is None:
        return None
    return ChildUnitJoined(child=command.child)


class LeaveParent(Command):
    child: UUID
    left_on: date


@units.decision
def leave(state: TreeUnit, command: LeaveParent, by: By) -> ChildUnitLeft | None:
    if state.children.get(command.child) == command.left_on:
        return None
    return ChildUnitLeft(child=command.child, left_on=command.left_on)
