"""The tree of units: bureaux, township centres, schools, campuses, classes, each under its parent.

组织机构. Units are registered, renamed, counted, moved from a date on, merged and closed; nothing
is ever deleted, so every figure can be formed along the tree as it stood on its day. Source: school
identification codes and statistical division codes of the education authorities.
"""

from __future__ import annotations

from copy import replace
from datetime import date
from enum import StrEnum
from uuid import UUID

import msgspec

from services.organisation.kinds import Stage, UnitKind
from shared.kernel import Aggregate, Event, State
from shared.organisation import Level


class UnitRegistered(Event):
    """The stream's id is the unit's id; `parent` is None for a root."""

    code: str
    name: str
    level: Level
    parent: UUID | None
    kind: UnitKind
    division_code: str
    since: date
    boarding: bool = False
    stage: Stage = Stage.SEVERAL


class UnitRenamed(Event):
    name: str


class UnitDescribed(Event):
    """What a unit is has been corrected or has changed; its code stays."""

    kind: UnitKind
    stage: Stage
    boarding: bool
    division_code: str


class UnitMoved(Event):
    parent: UUID
    since: date
    previous: UUID | None = None


class UnitClosed(Event):
    """`closed_on` is the first day on which the unit no longer exists."""

    closed_on: date
    merged_into: UUID | None = None


class UnitCounted(Event):
    """Numbers of one term (such as 2026-1); `boarders` are part of `pupils`."""

    term: str
    pupils: int
    boarders: int
    staff: int
    level: Level = Level.SCHOOL


class ChildUnitJoined(Event):
    child: UUID


class ChildUnitLeft(Event):
    """`left_on` is the first day on which the child is elsewhere or no more."""

    child: UUID
    left_on: date


type UnitEvent = (
    UnitRegistered
    | UnitRenamed
    | UnitDescribed
    | UnitMoved
    | UnitClosed
    | UnitCounted
    | ChildUnitJoined
    | ChildUnitLeft
)


class UnitStatus(StrEnum):
    """Whether a unit's closing has been recorded."""

    OPEN = "open"
    CLOSED = "closed"


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Under which parent a unit stands from a day on."""

    parent: UUID | None
    since: date


class Numbers(msgspec.Struct, frozen=True, kw_only=True):
    """Pupils, boarders among them, and staff of one term."""

    pupils: int
    boarders: int
    staff: int


class TreeUnit(State):
    """`children`: every child, with the first day on which it is gone (None: it stays)."""

    code: str
    name: str
    level: Level
    kind: UnitKind
    stage: Stage
    boarding: bool
    division_code: str
    places: tuple[Place, ...]
    children: dict[UUID, date | None] = {}
    numbers: dict[str, Numbers] = {}
    closed_on: date | None = None
    merged_into: UUID | None = None

    @property
    def unit(self) -> UUID:
        """The unit's id."""
        return units.id_of(self.code)

    @property
    def since(self) -> date:
        """Since when it exists."""
        return self.places[0].since

    @property
    def above(self) -> UUID | None:
        """The latest parent, or None for a root."""
        return self.places[-1].parent

    def closed(self, day: date) -> bool:
        """Whether it no longer exists on `day`."""
        return self.closed_on is not None and day >= self.closed_on

    def children_on(self, day: date) -> list[UUID]:
        """The children that are still there on `day`."""
        return [child for child, left_on in self.children.items() if not left_on or left_on > day]


def evolve(state: TreeUnit | None, event: UnitEvent) -> TreeUnit:
    """The unit after one more event."""
    if isinstance(event, UnitRegistered):
        return TreeUnit(
            code=event.code,
            name=event.name,
            level=event.level,
            kind=event.kind,
            stage=event.stage,
            boarding=event.boarding,
            division_code=event.division_code,
            places=(Place(parent=event.parent, since=event.since),),
        )
    assert state is not None, "a unit starts by being registered"
    match event:
        case UnitRenamed(name=name):
            return replace(state, name=name)
        case UnitDescribed():
            return replace(
                state,
                kind=event.kind,
                stage=event.stage,
                boarding=event.boarding,
                division_code=event.division_code,
            )
        case UnitMoved(parent=parent, since=since):
            kept = tuple(place for place in state.places if place.since < since)
            return replace(state, places=(*kept, Place(parent=parent, since=since)))
        case UnitClosed(closed_on=closed_on, merged_into=heir):
            return replace(state, closed_on=closed_on, merged_into=heir)
        case UnitCounted(term=term):
            counted = Numbers(pupils=event.pupils, boarders=event.boarders, staff=event.staff)
            return replace(state, numbers={**state.numbers, term: counted})
        case ChildUnitJoined(child=child):
            return replace(state, children={**state.children, child: None})
        case ChildUnitLeft(child=child, left_on=left_on):
            return replace(state, children={**state.children, child: left_on})


units = Aggregate(
    "unit",
    events=UnitEvent,
    state=TreeUnit,
    evolve=evolve,
    key=lambda command: command.code,
)

# The capabilities record themselves on `units`.
from services.organisation.unit import change, close, register, views  # noqa: E402, F401
