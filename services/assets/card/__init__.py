"""Every thing of lasting value has one card from its first day to its last: what it is, what it
cost, where it stands, who keeps it, what is left of its value.

资产卡片. One tag one thing: a tag is unique within the unit that registered it, because every
school has long numbered its own things from 0001; the QR code carries the card's id, which is
unique everywhere. The stream stays with that unit for ever; `holder` says who has the thing now.
Rule: basic classification and codes of assets GB/T 14885-2022; government accounting standard on
fixed assets (straight line, no residual value, from the month of entry).
"""

from __future__ import annotations

from copy import replace
from datetime import date
from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal
from uuid import UUID

import msgspec

from services.assets.card.events import (
    AssetClass,
    AssetDepreciated,
    AssetFound,
    AssetLost,
    CardEvent,
    CardLent,
    CardMoved,
    CardPlaced,
    CardPutInTransit,
    CardReclassified,
    CardRegistered,
    CardRepaired,
    CardReturned,
    CardRevalued,
    CardSeparated,
    CardSplit,
    CardStatus,
    CardTransitEnded,
    DepreciationReversed,
    LossCause,
    PartsSalvaged,
    ReplacementSuggested,
    SalvagedPart,
    SalvagedPartUsed,
)
from services.assets.months import month_after, month_of
from shared.kernel import Aggregate, State

CENT = Decimal("0.01")


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Straight line from `month` on: `months` times `monthly_cny` above the `opening_cny` charged
    before; the last month takes the rest. `charged` months are done.
    """

    month: date
    months: int
    monthly_cny: Decimal
    opening_cny: Decimal
    charged: int = 0

    @property
    def next_month(self) -> date:
        """The first month not charged yet."""
        return month_after(self.month, self.charged)

    @property
    def months_left(self) -> int:
        """Months of useful life not charged yet."""
        return self.months - self.charged

    def accumulated_cny(self, gross_cny: Decimal, charged: int) -> Decimal:
        """All that is charged after `charged` months."""
        if charged >= self.months:
            return gross_cny if self.months else self.opening_cny
        return self.opening_cny + self.monthly_cny * charged


class Loss(msgspec.Struct, frozen=True, kw_only=True):
    """Pieces that are gone, kept so that they can be found again."""

    cause: LossCause
    quantity: int
    gross_cny: Decimal
    accumulated_cny: Decimal


class Card(State):
    entry: CardRegistered
    category: str
    asset_class: AssetClass
    quantity: int
    gross_cny: Decimal
    holder: UUID
    place: str
    keeper: str
    accumulated_cny: Decimal = Decimal(0)
    plan: Plan | None = None
    origin: UUID | None = None
    status: CardStatus = CardStatus.IN_USE
    bound_to: UUID | None = None
    to_unit: UUID | None = None
    borrower: str = ""
    due_on: date | None = None
    last_transfer: UUID | None = None
    repairs: tuple[UUID, ...] = ()
    repair_cost_cny: Decimal = Decimal(0)
    replacement_suggested: bool = False
    parts: dict[UUID, tuple[str, int]] = {}
    losses: dict[UUID, Loss] = {}
    slips: dict[str, tuple[SalvagedPart, ...]] = {}
    uses: tuple[SalvagedPartUsed, ...] = ()

    @property
    def net_cny(self) -> Decimal:
        """What is left of the value."""
        return self.gross_cny - self.accumulated_cny

    @property
    def gone(self) -> bool:
        """Whether it is lost, stolen or destroyed as a whole."""
        return self.status in (CardStatus.LOST, CardStatus.STOLEN, CardStatus.DESTROYED)


def planned(
    gross_cny: Decimal, accumulated_cny: Decimal, month: date | None, months: int
) -> Plan | None:
    """The plan by which what is left is charged over `months` from `month` on."""
    if month is None:
        return None
    net = gross_cny - accumulated_cny
    monthly = (net / months).quantize(CENT, ROUND_DOWN) if months > 0 else Decimal(0)
    return Plan(month=month, months=months, monthly_cny=monthly, opening_cny=accumulated_cny)


def portion(card: Card, quantity: int) -> tuple[Decimal, Decimal]:
    """Gross and accumulated depreciation of `quantity` of the card's pieces."""
    share = Decimal(quantity) / card.quantity
    gross = (card.gross_cny * share).quantize(CENT, ROUND_HALF_UP)
    return gross, min(gross, (card.accumulated_cny * share).quantize(CENT, ROUND_HALF_UP))


def evolve(state: Card | None, event: CardEvent) -> Card:
    """The card after one more event."""
    if isinstance(event, CardRegistered):
        months = event.useful_months
        month = month_of(event.acquired_on) if months else None
        return _opened(event, Decimal(0), month, months)
    if isinstance(event, CardSeparated):
        opened = _opened(
            event.entry, event.accumulated_cny, event.depreciate_from, event.months_left
        )
        return replace(opened, origin=event.origin)
    assert state is not None, "a card starts by being registered"
    match event:
        case CardPlaced():
            return replace(state, place=event.place, keeper=event.keeper)
        case (
            CardSplit()
            | CardReclassified()
            | CardRevalued()
            | AssetDepreciated()
            | DepreciationReversed()
            | AssetLost()
            | AssetFound()
        ):
            return _valued(state, event)
        case CardPutInTransit() | CardTransitEnded() | CardMoved() | CardLent() | CardReturned():
            return _moved(state, event)
        case CardRepaired():
            return replace(
                state,
                repairs=(*state.repairs, event.repair),
                repair_cost_cny=state.repair_cost_cny + event.cost_cny,
            )
        case ReplacementSuggested():
            return replace(state, replacement_suggested=True)
        case PartsSalvaged():
            return replace(state, slips={**state.slips, event.slip: event.parts})
        case SalvagedPartUsed():
            return replace(state, uses=(*state.uses, event))


def _opened(
    entry: CardRegistered, accumulated_cny: Decimal, month: date | None, months: int
) -> Card:
    return Card(
        entry=entry,
        category=entry.category,
        asset_class=entry.asset_class,
        quantity=entry.quantity,
        gross_cny=entry.gross_cny,
        accumulated_cny=accumulated_cny,
        holder=entry.holder,
        place=entry.place,
        keeper=entry.keeper,
        plan=planned(entry.gross_cny, accumulated_cny, month, months),
    )


def _valued(
    state: Card,
    event: CardSplit
    | CardReclassified
    | CardRevalued
    | AssetDepreciated
    | DepreciationReversed
    | AssetLost
    | AssetFound,
) -> Card:
    match event:
        case AssetDepreciated():
            return _charged(state, event.accumulated_cny, event.months)
        case DepreciationReversed():
            return _charged(state, event.accumulated_cny, -event.months)
        case CardRevalued():
            return _replanned(replace(state, gross_cny=event.gross_cny), event.months_left)
        case CardReclassified():
            plan = planned(
                state.gross_cny, state.accumulated_cny, event.depreciate_from, event.months_left
            )
            return replace(state, category=event.category, asset_class=event.asset_class, plan=plan)
        case CardSplit():
            parts = {**state.parts, event.part: (event.tag, event.quantity)}
            return replace(_less(state, event), parts=parts)
        case AssetLost():
            losses = {**state.losses, event.damage: _loss(event)}
            left = replace(_less(state, event), losses=losses)
            if left.quantity > 0:
                return left
            return _freed(replace(left, status=CardStatus(event.cause.value)))
        case AssetFound():
            found = replace(
                state,
                quantity=state.quantity + event.quantity,
                gross_cny=state.gross_cny + event.gross_cny,
                accumulated_cny=state.accumulated_cny + event.accumulated_cny,
                status=CardStatus.IN_USE if state.gone else state.status,
                losses={key: loss for key, loss in state.losses.items() if key != event.damage},
            )
            return _replanned(found, found.plan.months_left if found.plan else 0)


def _moved(
    state: Card,
    event: CardPutInTransit | CardTransitEnded | CardMoved | CardLent | CardReturned,
) -> Card:
    match event:
        case CardPutInTransit():
            return replace(
                state,
                status=CardStatus.IN_TRANSIT,
                bound_to=event.transfer,
                to_unit=event.to_unit,
            )
        case CardMoved():
            return replace(
                _freed(state),
                status=CardStatus.IN_USE,
                holder=event.to_unit,
                place=event.place,
                keeper=event.keeper,
                last_transfer=event.transfer,
            )
        case CardLent():
            return replace(
                state,
                status=CardStatus.ON_LOAN,
                bound_to=event.loan,
                to_unit=event.to_unit,
                borrower=event.borrower,
                due_on=event.due_on,
            )
        case CardTransitEnded() | CardReturned():
            return replace(_freed(state), status=CardStatus.IN_USE)


def _freed(state: Card) -> Card:
    return replace(state, bound_to=None, to_unit=None, borrower="", due_on=None)


def _less(state: Card, event: CardSplit | AssetLost) -> Card:
    less = replace(
        state,
        quantity=state.quantity - event.quantity,
        gross_cny=state.gross_cny - event.gross_cny,
        accumulated_cny=state.accumulated_cny - event.accumulated_cny,
    )
    return _replanned(less, less.plan.months_left if less.plan else 0)


def _charged(state: Card, accumulated_cny: Decimal, months: int) -> Card:
    plan = state.plan and replace(state.plan, charged=state.plan.charged + months)
    return replace(state, accumulated_cny=accumulated_cny, plan=plan)


def _replanned(state: Card, months: int) -> Card:
    month = state.plan.next_month if state.plan else None
    return replace(state, plan=planned(state.gross_cny, state.accumulated_cny, month, months))


def _loss(event: AssetLost) -> Loss:
    return Loss(
        cause=event.cause,
        quantity=event.quantity,
        gross_cny=event.gross_cny,
        accumulated_cny=event.accumulated_cny,
    )


cards = Aggregate(
    "card",
    events=CardEvent,
    state=Card,
    evolve=evolve,
    key=lambda command: f"{command.organisation}:{command.tag}",
)

# The capabilities declare themselves on the handle.
from services.assets.card import depreciate, loss, move, register, views, wear  # noqa: E402, F401
