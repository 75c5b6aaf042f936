"""Dispatching, and the repairer's work: begin, use parts, finish."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Annotated

from pydantic import Field

from services.assets.card import cards
from services.assets.card.wear import UseSalvagedPart
from services.assets.climbing import check_order
from services.assets.repair import (
    PartUsed,
    Repair,
    RepairDispatched,
    RepairFinished,
    RepairPartsUsed,
    RepairPolicy,
    RepairStarted,
    RepairStatus,
    repairs,
)
from services.assets.terms import CardId, Line, MeasureUnit
from shared.fields import Money, Name, Photo, Quantity, Reason, Subject
from shared.kernel import By, Command, Part, Refused, Send
from shared.organisation import Role

OPEN = (RepairStatus.REPORTED, RepairStatus.DISPATCHED, RepairStatus.STARTED)


class DispatchRepair(Command):
    """Gives the work to a repairer, or from one to another."""

    repairer: Subject
    note: Line = ""


@repairs.post("/repairs/{id}/dispatch", allow=(Role.LOGISTICS_DIRECTOR,))
def dispatch(state: Repair, command: DispatchRepair, by: By) -> RepairDispatched | None:
    if state.repairer == command.repairer:
        return None
    if state.status not in OPEN:
        raise Refused("repair_over", field="id")
    return RepairDispatched(
        repairer=command.repairer,
        previous=state.repairer,
        kind=state.report.kind,
        urgency=state.report.urgency,
        note=command.note,
    )


class StartRepair(Command):
    """The repairer is at the place and begins."""


@repairs.post("/repairs/{id}/start", allow=(Role.REPAIRER,))
def start(state: Repair, command: StartRepair, by: By) -> RepairStarted | None:
    check_repairer(state, by)
    if state.status is RepairStatus.STARTED:
        return None
    if state.status is not RepairStatus.DISPATCHED:
        raise Refused("repair_over", field="id")
    check_order(by, state.report.reported_at, state.finished_at)
    first = state.started_at or by.at
    return RepairStarted(
        started_at=by.at,
        kind=state.report.kind,
        response_minutes=int((first - state.report.reported_at).total_seconds() // 60),
    )


def check_repairer(state: Repair, by: By) -> None:
    """Refuses anybody but the one to whom the work was given."""
    if not state.repairer:
        raise Refused("repair_not_dispatched", field="id")
    if by.person != state.repairer:
        raise Refused("not_your_repair", field="id")


class PartLine(Part):
    """A part built in; `salvaged_from`: the card of the old thing that it came out of."""

    item: Name
    quantity: Quantity
    measure_unit: MeasureUnit
    cost_cny: Money = Decimal(0)
    salvaged_from: CardId | None = None


class UseParts(Command):
    """Parts taken against a numbered slip (领料单)."""

    slip: Name
    parts: Annotated[tuple[PartLine, ...], Field(min_length=1, max_length=50)]


@repairs.post("/repairs/{id}/parts", allow=(Role.REPAIRER,))
def use_parts(state: Repair, command: UseParts, by: By) -> list[RepairPartsUsed | Send] | None:
    parts = tuple(PartUsed(**dict(line)) for line in command.parts)
    if command.slip in state.slips:
        if state.slips[command.slip] == parts:
            return None
        raise Refused("slip_used", field="slip", slip=command.slip)
    check_repairer(state, by)
    if state.status is not RepairStatus.STARTED:
        raise Refused("repair_not_started", field="id")
    keys = [(part.salvaged_from, part.item) for part in parts]
    if len(set(keys)) < len(keys):
        raise Refused("part_twice", field="parts")
    return [
        RepairPartsUsed(
            slip=command.slip,
            parts=parts,
            cost_cny=sum((part.cost_cny for part in parts), Decimal(0)),
        ),
        *(
            Send(
                cards,
                part.salvaged_from,
                UseSalvagedPart(
                    repair=by.id, slip=command.slip, item=part.item, quantity=part.quantity
                ),
            )
            for part in parts
            if part.salvaged_from is not None
        ),
    ]


class FinishRepair(Command):
    """What was done; from now on it waits for the signature of the one who reported it."""

    work: Reason
    labour_cny: Money = Decimal(0)
    photos: Annotated[tuple[Photo, ...], Field(max_length=9)] = ()


@repairs.post("/repairs/{id}/finish", allow=(Role.REPAIRER,))
def finish(
    state: Repair, command: FinishRepair, by: By, policy: RepairPolicy
) -> RepairFinished | None:
    check_repairer(state, by)
    if state.status is RepairStatus.FINISHED:
        return None
    if state.status is not RepairStatus.STARTED:
        raise Refused("repair_not_started", field="id")
    check_order(by, state.restarted_at)
    return RepairFinished(
        work=command.work,
        labour_cny=command.labour_cny,
        finished_at=by.at,
        sign_by=by.at + timedelta(days=policy.sign_days),
        photos=command.photos,
    )
