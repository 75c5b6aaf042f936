"""A card in the hands of a transfer or a loan: each takes it, and gives it back or on.

These guards stand on the card's own stream, so two transfers can never both have it.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from uuid import UUID

import msgspec

from services.assets.card import Card, cards
from services.assets.card.depreciate import settled
from services.assets.card.events import (
    AssetDepreciated,
    CardLent,
    CardMoved,
    CardPutInTransit,
    CardReturned,
    CardStatus,
    CardTransitEnded,
    DepreciationReversed,
)
from services.assets.terms import Line
from shared.fields import UnitId
from shared.kernel import By, Command, Refused


class CardLine(msgspec.Struct, frozen=True, kw_only=True):
    """A card on a list as it was when the list was made."""

    card: UUID
    tag: str
    category: str
    measure_unit: str
    quantity: int
    gross_cny: Decimal


class AssetTotal(msgspec.Struct, frozen=True, kw_only=True):
    """What a list adds up to, by category and measure unit."""

    category: str
    measure_unit: str
    cards: int
    quantity: int
    gross_cny: Decimal


def lines_of(known: dict[UUID, Card], wanted: tuple[UUID, ...], unit: UUID) -> list[CardLine]:
    """The list's lines; refuses unknown cards, the same card twice, and what is not free."""
    if len(set(wanted)) < len(wanted):
        raise Refused("card_twice", field="cards")
    for card in wanted:
        if card not in known:
            raise Refused("card_unknown", field="cards", card=card)
        check_free(known[card], unit)
    return [_line(card, known[card]) for card in wanted]


def _line(card: UUID, state: Card) -> CardLine:
    return CardLine(
        card=card,
        tag=state.entry.tag,
        category=state.category,
        measure_unit=state.entry.measure_unit,
        quantity=state.quantity,
        gross_cny=state.gross_cny,
    )


def totals_of(lines: Iterable[CardLine]) -> tuple[AssetTotal, ...]:
    """What the lines add up to, in the order of category and measure unit."""
    groups: dict[tuple[str, str], list[CardLine]] = {}
    for line in lines:
        groups.setdefault((line.category, line.measure_unit), []).append(line)
    return tuple(
        AssetTotal(
            category=category,
            measure_unit=measure_unit,
            cards=len(group),
            quantity=sum(line.quantity for line in group),
            gross_cny=sum((line.gross_cny for line in group), Decimal(0)),
        )
        for (category, measure_unit), group in sorted(groups.items())
    )


def check_free(card: Card, unit: UUID) -> None:
    """Refuses a card that `unit` does not have at hand."""
    tag = card.entry.tag
    if card.gone:
        raise Refused("card_gone", field="cards", tag=tag)
    if card.status is CardStatus.IN_TRANSIT:
        raise Refused("card_in_transit", field="cards", tag=tag)
    if card.status is CardStatus.ON_LOAN:
        raise Refused("card_on_loan", field="cards", tag=tag)
    if card.holder != unit:
        raise Refused("card_elsewhere", field="cards", tag=tag)


class PutInTransit(Command):
    transfer: UUID
    from_unit: UnitId
    to_unit: UnitId


@cards.decision
def put_in_transit(state: Card, command: PutInTransit, by: By) -> CardPutInTransit | None:
    if state.bound_to == command.transfer:
        return None
    check_free(state, command.from_unit)
    return CardPutInTransit(
        transfer=command.transfer, from_unit=command.from_unit, to_unit=command.to_unit
    )


class EndTransit(Command):
    """The card has not arrived or was not sent: its sender answers for it as before."""

    transfer: UUID


@cards.decision
def end_transit(state: Card, command: EndTransit, by: By) -> CardTransitEnded | None:
    if state.bound_to != command.transfer:
        return None
    return CardTransitEnded(transfer=command.transfer, from_unit=state.holder)


class MoveCard(Command):
    """The receiver has it: from this month on it counts there."""

    transfer: UUID
    to_unit: UnitId
    place: Line = ""
    keeper: Line = ""


@cards.decision
def move(
    state: Card, command: MoveCard, by: By
) -> list[AssetDepreciated | DepreciationReversed | CardMoved] | None:
    if state.last_transfer == command.transfer:
        return None
    if state.bound_to != command.transfer:
        raise Refused("card_not_in_transit", field="id", tag=state.entry.tag)
    settling, card = settled(state, by)
    return [
        *settling,
        CardMoved(
            transfer=command.transfer,
            from_unit=card.holder,
            to_unit=command.to_unit,
            category=card.category,
            asset_class=card.asset_class,
            measure_unit=card.entry.measure_unit,
            quantity=card.quantity,
            gross_cny=card.gross_cny,
            accumulated_cny=card.accumulated_cny,
            place=command.place,
            keeper=command.keeper,
        ),
    ]


class PutOnLoan(Command):
    loan: UUID
    lender: UnitId
    due_on: date
    borrower: Line = ""
    to_unit: UnitId | None = None


@cards.decision
def put_on_loan(state: Card, command: PutOnLoan, by: By) -> CardLent | None:
    """Lends the card, or says the new due date of a loan that has it already."""
    if state.bound_to != command.loan:
        check_free(state, command.lender)
    elif state.due_on == command.due_on:
        return None
    return CardLent(
        loan=command.loan,
        due_on=command.due_on,
        borrower=command.borrower,
        to_unit=command.to_unit,
    )


class TakeBackCard(Command):
    loan: UUID


@cards.decision
def take_back(state: Card, command: TakeBackCard, by: By) -> CardReturned | None:
    if state.bound_to != command.loan:
        return None
    return CardReturned(loan=command.loan)
