"""What people see of the tree: units as they are, where they stood, and their numbers by term.

A row belongs to the unit itself, not to the parent that registered it, so that it follows a move.
"""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID

from services.organisation.kinds import Stage, UnitKind
from services.organisation.spans import last_day_of
from services.organisation.unit import TreeUnit, UnitStatus, units
from shared.kernel import Recorded, View
from shared.organisation import READERS, Level


class UnitRow(View):
    """`term`, `pupils`, `boarders`, `staff`: the latest numbers."""

    id: UUID
    organisation: UUID
    code: str
    name: str
    level: Level
    kind: UnitKind
    stage: Stage
    boarding: bool
    division_code: str
    parent: UUID | None
    since: date
    status: UnitStatus
    closed_on: date | None
    merged_into: UUID | None
    term: str
    pupils: int | None
    boarders: int | None
    staff: int | None
    changed_at: datetime


@units.view(
    "/units",
    allow=READERS,
    filters=("code", "level", "kind", "stage", "boarding", "parent", "status"),
    sorts=("code", "name", "level", "pupils", "since"),
    search=("name", "code"),
)
def unit_list(state: TreeUnit, recorded: Recorded) -> UnitRow:
    term = max(state.numbers, default="")
    latest = state.numbers.get(term)
    return UnitRow(
        id=recorded.stream,
        organisation=recorded.stream,
        code=state.code,
        name=state.name,
        level=state.level,
        kind=state.kind,
        stage=state.stage,
        boarding=state.boarding,
        division_code=state.division_code,
        parent=state.above,
        since=state.since,
        status=UnitStatus.OPEN if state.closed_on is None else UnitStatus.CLOSED,
        closed_on=state.closed_on,
        merged_into=state.merged_into,
        term=term,
        pupils=latest.pupils if latest else None,
        boarders=latest.boarders if latest else None,
        staff=latest.staff if latest else None,
        changed_at=recorded.recorded_at,
    )


class UnitPlaceRow(View):
    """Under which parent a unit stands from `since` to `last_day` (None: still)."""

    id: UUID
    organisation: UUID
    code: str
    name: str
    level: Level
    parent: UUID | None
    since: date
    last_day: date | None


@units.view(
    "/unit-places",
    allow=READERS,
    filters=("code", "level", "parent"),
    sorts=("code", "since"),
    search=("name", "code"),
)
def unit_places(state: TreeUnit, recorded: Recorded) -> dict[str, UnitPlaceRow]:
    ends = [place.since for place in state.places[1:]] + [state.closed_on]
    return {
        place.since.isoformat(): UnitPlaceRow(
            id=recorded.stream,
            organisation=recorded.stream,
            code=state.code,
            name=state.name,
            level=state.level,
            parent=place.parent,
            since=place.since,
            last_day=last_day_of(end),
        )
        for place, end in zip(state.places, ends, strict=True)
    }


class UnitNumbersRow(View):
    id: UUID
    organisation: UUID
    code: str
    name: str
    level: Level
    term: str
    pupils: int
    boarders: int
    staff: int


@units.view(
    "/unit-numbers",
    allow=READERS,
    filters=("code", "level", "term"),
    sorts=("code", "term", "pupils", "boarders", "staff"),
    search=("name", "code"),
)
def unit_numbers(state: TreeUnit, recorded: Recorded) -> dict[str, UnitNumbersRow]:
    return {
        term: UnitNumbersRow(
            id=recorded.stream,
            organisation=recorded.stream,
            code=state.code,
            name=state.name,
            level=state.level,
            term=term,
            pupils=counted.pupils,
            boarders=counted.boarders,
            staff=counted.staff,
        )
        for term, counted in state.numbers.items()
    }
