"""Reporting what is broken, and taking a report back."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated
from uuid import UUID

from pydantic import Field

from services.assets.card import Card
from services.assets.repair import (
    Repair,
    RepairCancelled,
    RepairKind,
    RepairPolicy,
    RepairReported,
    RepairStatus,
    Urgency,
    repairs,
)
from services.assets.terms import CardId, Line
from shared.fields import Count, Photo, Reason, Text
from shared.kernel import By, Command, Creation, From, Refused
from shared.organisation import MANAGERS, SCHOOL_STAFF


class ReportRepair(Creation):
    """By scanning a thing's QR code (`card`, held by `organisation`) or by naming the place.

    `round`: the planned round that found it.
    """

    kind: RepairKind
    place: Line = ""
    card: CardId | None = None
    quantity: Count = 1
    measure_unit: Line = ""
    urgency: Urgency = Urgency.NORMAL
    description: Text = ""
    photos: Annotated[tuple[Photo, ...], Field(max_length=9)] = ()
    round: UUID | None = None


@repairs.post("/repairs", allow=SCHOOL_STAFF)
def report(
    state: Repair | None,
    command: ReportRepair,
    by: By,
    *,
    policy: RepairPolicy,
    card: Annotated[Card | None, From("card")],
) -> RepairReported | None:
    if command.card is None and not command.place.strip():
        raise Refused("repair_where_missing", field="place")
    if command.card is not None:
        check_thing(card, command)
    if state is not None:
        if same_report(state.report, command, by):
            return None
        raise Refused("repair_exists", field="id")
    return RepairReported(
        kind=command.kind,
        quantity=command.quantity,
        measure_unit=command.measure_unit or (card.entry.measure_unit if card else ""),
        place=command.place or (card.place if card else ""),
        urgency=command.urgency,
        description=command.description,
        photos=command.photos,
        reporter=by.person,
        reported_at=by.at,
        respond_by=by.at + timedelta(hours=policy.response_hours[command.urgency]),
        finish_by=by.at + timedelta(hours=policy.finish_hours[command.urgency]),
        card=command.card,
        tag=card.entry.tag if card else "",
        category=card.category if card else "",
        round=command.round,
    )


def check_thing(card: Card | None, command: ReportRepair) -> None:
    """Refuses a card that the unit does not hold."""
    if card is None:
        raise Refused("card_unknown", field="card", card=command.card)
    if card.gone:
        raise Refused("card_gone", field="card", tag=card.entry.tag)
    if card.holder != command.organisation:
        raise Refused("card_elsewhere", field="card", tag=card.entry.tag)


def same_report(report: RepairReported, command: ReportRepair, by: By) -> bool:
    """Whether the command says again what was reported."""
    return (report.reporter, report.kind, report.card, report.quantity, report.description) == (
        by.person,
        command.kind,
        command.card,
        command.quantity,
        command.description,
    )


class CancelRepair(Command):
    """Reported by mistake, twice, or gone by itself."""

    reason: Reason


@repairs.post("/repairs/{id}/cancel", allow=SCHOOL_STAFF)
def cancel(state: Repair, command: CancelRepair, by: By) -> RepairCancelled | None:
    if state.status is RepairStatus.CANCELLED:
        return None
    if by.person != state.report.reporter and not by.holds(*MANAGERS):
        raise Refused("not_your_report", field="id")
    if state.status not in (RepairStatus.REPORTED, RepairStatus.DISPATCHED) or state.started_at:
        raise Refused("repair_under_way", field="id")
    return RepairCancelled(kind=state.report.kind, reason=command.reason)
