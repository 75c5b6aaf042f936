"""Closing a unit, alone or by merging it into another; its history stays."""

from __future__ import annotations

from datetime import date
from typing import Annotated

from services.organisation.unit import TreeUnit, UnitClosed, units
from services.organisation.unit.change import refuse_out_of_reach
from services.organisation.unit.register import (
    REGISTRARS,
    LeaveParent,
    refuse_beyond_principal,
)
from shared.fields import UnitId
from shared.kernel import By, Command, Event, From, Refused, Send
from shared.organisation import Unit


class CloseUnit(Command):
    """`closed_on` is the first day on which the unit no longer exists."""

    closed_on: date | None = None
    merged_into: UnitId | None = None


@units.post("/units/{id}/close", allow=REGISTRARS, at="above", weighty=True)
def close(
    state: TreeUnit,
    command: CloseUnit,
    by: By,
    heir: Annotated[TreeUnit | None, From("merged_into")],
    heir_place: Annotated[Unit | None, From("merged_into")],
) -> list[Event | Send] | None:
    closed_on = command.closed_on or by.day
    if state.closed_on is not None:
        if state.merged_into == command.merged_into and command.closed_on in (
            None,
            state.closed_on,
        ):
            return None
        raise Refused("unit_closed", name=state.name, closed_on=state.closed_on)
    refuse_beyond_principal(state.level, by)
    if closed_on < state.places[-1].since:
        raise Refused("before_last_place", field="closed_on", since=state.places[-1].since)
    children = state.children_on(closed_on)
    if children:
        raise Refused("children_still_open", field="closed_on", children_count=len(children))
    if command.merged_into is not None:
        if heir is None or heir_place is None:
            raise Refused("unit_unknown", field="merged_into", unit=command.merged_into)
        refuse_unfit_heir(state, heir, closed_on)
        refuse_out_of_reach(heir_place, by, field="merged_into")
    closed = UnitClosed(closed_on=closed_on, merged_into=command.merged_into)
    if state.above is None:
        return [closed]
    return [closed, Send(units, state.above, LeaveParent(child=by.id, left_on=closed_on))]


def refuse_unfit_heir(state: TreeUnit, heir: TreeUnit, day: date) -> None:
    """A unit is merged into another one of its level that is there on that day."""
    if heir.code == state.code:
        raise Refused("merged_into_itself", field="merged_into")
    if heir.level is not state.level:
        raise Refused("merged_across_levels", field="merged_into", level=state.level)
    if day < heir.since or heir.closed(day):
        raise Refused("heir_not_there", field="merged_into", name=heir.name)
