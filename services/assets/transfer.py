"""A school or campus sends a list of things to another; they count there once the receiver has
counted them, and what did not arrive stays with the sender.

调拨. The transfer belongs to the sending unit; each card guards itself against being sent twice.
Rule: 账物相符, things and books agree at both ends.
"""

from __future__ import annotations

from copy import replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, ClassVar
from uuid import UUID

import msgspec
from pydantic import Field

from services.assets.card import Card, cards
from services.assets.card.move import (
    AssetTotal,
    CardLine,
    EndTransit,
    MoveCard,
    PutInTransit,
    lines_of,
    totals_of,
)
from services.assets.climbing import check_order, next_alarm
from services.assets.terms import CardId, Line
from shared.fields import Reason, UnitId
from shared.kernel import (
    Aggregate,
    By,
    Command,
    Creation,
    Event,
    From,
    Part,
    Policy,
    Recorded,
    Refused,
    Send,
    State,
    View,
)  # fmt: skip
from shared.organisation import READERS, Role, Unit


class TransferStatus(StrEnum):
    """How far a transfer has come."""

    IN_TRANSIT = "in_transit"
    OVERDUE = "overdue"
    RECEIVED = "received"
    CANCELLED = "cancelled"


class MissingItem(msgspec.Struct, frozen=True, kw_only=True):
    """A card on the list that did not arrive."""

    card: UUID
    note: str


class TransferSent(Event):
    from_unit: UUID
    to_unit: UUID
    lines: tuple[CardLine, ...]
    totals: tuple[AssetTotal, ...]
    reason: str
    document: str
    sender: str
    sent_at: datetime
    receive_by: datetime


class TransferReceived(Event):
    """`totals` is what arrived; `missing_totals` what did not."""

    from_unit: UUID
    to_unit: UUID
    totals: tuple[AssetTotal, ...]
    missing: tuple[MissingItem, ...]
    missing_totals: tuple[AssetTotal, ...]
    receiver: str
    note: str


class TransferCancelled(Event):
    from_unit: UUID
    to_unit: UUID
    reason: str


class TransferOverdue(Event):
    from_unit: UUID
    to_unit: UUID
    level: int
    totals: tuple[AssetTotal, ...]
    receive_by: datetime
    next_alarm_at: datetime | None


type TransferEvent = TransferSent | TransferReceived | TransferCancelled | TransferOverdue


class Transfer(State):
    from_unit: UUID
    to_unit: UUID
    lines: tuple[CardLine, ...]
    reason: str
    document: str
    sender: str
    sent_at: datetime
    receive_by: datetime
    alarm_at: datetime | None
    level: int = 0
    status: TransferStatus = TransferStatus.IN_TRANSIT
    receiver: str = ""
    missing: tuple[MissingItem, ...] = ()

    @property
    def under_way(self) -> bool:
        """Whether it waits for its receiver."""
        return self.status in (TransferStatus.IN_TRANSIT, TransferStatus.OVERDUE)


def evolve(state: Transfer | None, event: TransferEvent) -> Transfer:
    """The transfer after one more event."""
    if isinstance(event, TransferSent):
        return Transfer(
            from_unit=event.from_unit,
            to_unit=event.to_unit,
            lines=event.lines,
            reason=event.reason,
            document=event.document,
            sender=event.sender,
            sent_at=event.sent_at,
            receive_by=event.receive_by,
            alarm_at=event.receive_by,
        )
    assert state is not None, "a transfer starts by being sent"
    match event:
        case TransferReceived():
            return replace(
                state,
                status=TransferStatus.RECEIVED,
                receiver=event.receiver,
                missing=event.missing,
                alarm_at=None,
            )
        case TransferCancelled():
            return replace(state, status=TransferStatus.CANCELLED, alarm_at=None)
        case TransferOverdue():
            return replace(
                state,
                status=TransferStatus.OVERDUE,
                level=event.level,
                alarm_at=event.next_alarm_at,
            )


transfers = Aggregate("transfer", events=TransferEvent, state=Transfer, evolve=evolve)


class TransferPolicy(Policy):
    """Days until the receiver must have confirmed, and between climbs."""

    slug: ClassVar[str] = "assets.transfer"
    receive_days: int
    climb_days: int
    climbs: int


class SendTransfer(Creation):
    """`organisation` is the sending unit: every card on the list must be held there."""

    to_unit: UnitId
    cards: Annotated[tuple[CardId, ...], Field(min_length=1, max_length=500)]
    reason: Reason
    document: Line = ""


@transfers.post(
    "/transfers", allow=(Role.LOGISTICS_DIRECTOR, Role.STOREKEEPER, Role.BUREAU_OFFICER)
)
def send(
    state: Transfer | None,
    command: SendTransfer,
    by: By,
    *,
    policy: TransferPolicy,
    known: Annotated[dict[UUID, Card], From("cards")],
    receiver: Annotated[Unit | None, From("to_unit")],
) -> list[TransferSent | Send] | None:
    if state is not None:
        same = tuple(line.card for line in state.lines) == command.cards
        if same and state.to_unit == command.to_unit:
            return None
        raise Refused("transfer_exists", field="id")
    check_other_unit(command.to_unit, receiver, by)
    lines = lines_of(known, command.cards, command.organisation)
    put = PutInTransit(transfer=by.id, from_unit=command.organisation, to_unit=command.to_unit)
    return [
        TransferSent(
            from_unit=command.organisation,
            to_unit=command.to_unit,
            lines=tuple(lines),
            totals=totals_of(lines),
            reason=command.reason,
            document=command.document,
            sender=by.person,
            sent_at=by.at,
            receive_by=by.at + timedelta(days=policy.receive_days),
        ),
        *(Send(cards, card, put) for card in command.cards),
    ]


def check_other_unit(wanted: UUID, unit: Unit | None, by: By) -> None:
    """Refuses a unit that is unknown, closed, or the sending one itself."""
    if wanted == by.unit:
        raise Refused("same_unit", field="to_unit")
    if unit is None:
        raise Refused("to_unit_unknown", field="to_unit")
    if unit.closed_on is not None and unit.closed_on <= by.day:
        raise Refused("to_unit_closed", field="to_unit", name=unit.name)


class ItemMissing(Part):
    """A card that did not arrive, and what is known of it."""

    card: CardId
    note: Reason


class ReceiveTransfer(Command):
    """All that is not named as missing has arrived and been counted."""

    missing: Annotated[tuple[ItemMissing, ...], Field(max_length=500)] = ()
    place: Line = ""
    keeper: Line = ""
    note: Line = ""


@transfers.post(
    "/transfers/{id}/receive", allow=(Role.LOGISTICS_DIRECTOR, Role.STOREKEEPER), at="to_unit"
)
def receive(
    state: Transfer, command: ReceiveTransfer, by: By
) -> list[TransferReceived | Send] | None:
    missing = tuple(MissingItem(card=item.card, note=item.note) for item in command.missing)
    if state.status is TransferStatus.RECEIVED and state.missing == missing:
        return None
    if not state.under_way:
        raise Refused("transfer_closed", field="id")
    if by.person == state.sender:
        raise Refused("receiver_is_sender", field="id")
    check_order(by, state.sent_at)
    absent = {item.card for item in missing}
    if not absent <= {line.card for line in state.lines}:
        raise Refused("card_not_on_list", field="missing")
    arrived = [line for line in state.lines if line.card not in absent]
    move = MoveCard(
        transfer=by.id, to_unit=state.to_unit, place=command.place, keeper=command.keeper
    )
    return [
        TransferReceived(
            from_unit=state.from_unit,
            to_unit=state.to_unit,
            totals=totals_of(arrived),
            missing=missing,
            missing_totals=totals_of(line for line in state.lines if line.card in absent),
            receiver=by.person,
            note=command.note,
        ),
        *(Send(cards, line.card, move) for line in arrived),
        *(Send(cards, item.card, EndTransit(transfer=by.id)) for item in missing),
    ]


class CancelTransfer(Command):
    reason: Reason


@transfers.post(
    "/transfers/{id}/cancel",
    allow=(Role.LOGISTICS_DIRECTOR, Role.STOREKEEPER, Role.BUREAU_OFFICER),
)
def cancel(
    state: Transfer, command: CancelTransfer, by: By
) -> list[TransferCancelled | Send] | None:
    if state.status is TransferStatus.CANCELLED:
        return None
    if not state.under_way:
        raise Refused("transfer_closed", field="id")
    return [
        TransferCancelled(from_unit=state.from_unit, to_unit=state.to_unit, reason=command.reason),
        *(Send(cards, line.card, EndTransit(transfer=by.id)) for line in state.lines),
    ]


class RemindOfTransfer(Command):
    """Due while the receiver has not confirmed."""


@transfers.when_due(lambda state: state.alarm_at)
def remind(
    state: Transfer, command: RemindOfTransfer, by: By, policy: TransferPolicy
) -> TransferOverdue | None:
    if not state.under_way or state.alarm_at is None or by.now < state.alarm_at:
        return None
    level = state.level + 1
    return TransferOverdue(
        from_unit=state.from_unit,
        to_unit=state.to_unit,
        level=level,
        totals=totals_of(state.lines),
        receive_by=state.receive_by,
        next_alarm_at=next_alarm(level, policy.climbs, by, timedelta(days=policy.climb_days)),
    )


class TransferRow(View):
    id: UUID
    organisation: UUID
    incoming: bool
    from_unit: UUID
    to_unit: UUID
    status: TransferStatus
    quantity: int
    totals: tuple[AssetTotal, ...]
    lines: tuple[CardLine, ...]
    missing: tuple[MissingItem, ...]
    reason: str
    document: str
    sender: str
    receiver: str
    sent_at: datetime
    receive_by: datetime
    changed_at: datetime


@transfers.view(
    "/transfers",
    allow=READERS,
    filters=("status", "incoming", "from_unit", "to_unit"),
    sorts=("sent_at", "receive_by"),
    search=("reason", "document"),
)
def asset_transfers(state: Transfer, recorded: Recorded) -> dict[str, TransferRow]:
    """One row at the sender, one at the receiver."""

    def row(unit: UUID, *, incoming: bool) -> TransferRow:
        return TransferRow(
            id=recorded.stream,
            organisation=unit,
            incoming=incoming,
            from_unit=state.from_unit,
            to_unit=state.to_unit,
            status=state.status,
            quantity=sum(line.quantity for line in state.lines),
            totals=totals_of(state.lines),
            lines=state.lines,
            missing=state.missing,
            reason=state.reason,
            document=state.document,
            sender=state.sender,
            receiver=state.receiver,
            sent_at=state.sent_at,
            receive_by=state.receive_by,
            changed_at=recorded.recorded_at,
        )

    return {
        "sent": row(state.from_unit, incoming=False),
        "received": row(state.to_unit, incoming=True),
    }
