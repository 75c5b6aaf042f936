"""What can happen to a card, and the words in which it is said."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

import msgspec

from shared.kernel import Event


class AssetClass(StrEnum):
    """The first level of GB/T 14885-2022."""

    BUILDINGS = "A01"
    EQUIPMENT = "A02"
    RELICS = "A03"
    BOOKS = "A04"
    FURNITURE = "A05"
    LIVING = "A06"
    SUPPLIES = "A07"
    INTANGIBLE = "A08"


class AssetSource(StrEnum):
    """How a thing came to the unit."""

    PURCHASE = "purchase"
    ALLOCATION = "allocation"
    DONATION = "donation"
    BUILT = "built"
    EXCHANGE = "exchange"
    SURPLUS_FOUND = "surplus_found"
    OTHER = "other"


class AssetFund(StrEnum):
    """The money it was paid from."""

    PUBLIC = "public"
    PROJECT = "project"
    CANTEEN = "canteen"
    SUBSIDY = "subsidy"
    DONATED = "donated"
    OTHER = "other"


class CardStatus(StrEnum):
    """Where a thing is in its life."""

    IN_USE = "in_use"
    IN_TRANSIT = "in_transit"
    ON_LOAN = "on_loan"
    LOST = "lost"
    STOLEN = "stolen"
    DESTROYED = "destroyed"


class LossCause(StrEnum):
    """Why a thing is no longer there."""

    LOST = "lost"
    STOLEN = "stolen"
    DESTROYED = "destroyed"


class SalvagedPart(msgspec.Struct, frozen=True, kw_only=True):
    """A part taken from an old thing for later use."""

    item: str
    quantity: Decimal
    measure_unit: str


class CardRegistered(Event):
    """`gross_cny` is the value of all `quantity` pieces; `useful_months` 0: not depreciated."""

    tag: str
    name: str
    category: str
    asset_class: AssetClass
    measure_unit: str
    quantity: int
    gross_cny: Decimal
    acquired_on: date
    source: AssetSource
    fund: AssetFund
    holder: UUID
    capitalised: bool
    useful_months: int
    specification: str = ""
    place: str = ""
    keeper: str = ""
    supplier: str = ""
    document: str = ""


class CardSeparated(Event):
    """A card made from a part of another: neither an addition nor a change of the sum."""

    origin: UUID
    entry: CardRegistered
    accumulated_cny: Decimal
    depreciate_from: date | None
    months_left: int


class CardSplit(Event):
    part: UUID
    tag: str
    quantity: int
    gross_cny: Decimal
    accumulated_cny: Decimal
    reason: str


class CardPlaced(Event):
    place: str
    keeper: str
    previous_place: str
    previous_keeper: str


class CardReclassified(Event):
    category: str
    asset_class: AssetClass
    previous_class: AssetClass
    holder: UUID
    quantity: int
    gross_cny: Decimal
    accumulated_cny: Decimal
    depreciate_from: date | None
    months_left: int
    reason: str


class CardRevalued(Event):
    asset_class: AssetClass
    holder: UUID
    gross_cny: Decimal
    previous_cny: Decimal
    accumulated_cny: Decimal
    months_left: int
    reason: str
    document: str


class AssetDepreciated(Event):
    """`months` months at once, from–to (first days). Each is `monthly_cny`, except the last of
    them, which is what remains of `amount_cny`.
    """

    asset_class: AssetClass
    holder: UUID
    from_month: date
    to_month: date
    months: int
    monthly_cny: Decimal
    amount_cny: Decimal
    accumulated_cny: Decimal
    net_cny: Decimal


class DepreciationReversed(Event):
    """Months charged too far, because what changed the card is recorded late."""

    asset_class: AssetClass
    holder: UUID
    from_month: date
    to_month: date
    months: int
    monthly_cny: Decimal
    amount_cny: Decimal
    accumulated_cny: Decimal
    net_cny: Decimal


class CardPutInTransit(Event):
    transfer: UUID
    from_unit: UUID
    to_unit: UUID


class CardTransitEnded(Event):
    transfer: UUID
    from_unit: UUID


class CardMoved(Event):
    transfer: UUID
    from_unit: UUID
    to_unit: UUID
    category: str
    asset_class: AssetClass
    measure_unit: str
    quantity: int
    gross_cny: Decimal
    accumulated_cny: Decimal
    place: str = ""
    keeper: str = ""


class CardLent(Event):
    loan: UUID
    due_on: date
    borrower: str = ""
    to_unit: UUID | None = None


class CardReturned(Event):
    loan: UUID


class AssetLost(Event):
    """A thing (or `quantity` pieces of it) lost, stolen or destroyed, by the damage case."""

    damage: UUID
    cause: LossCause
    category: str
    asset_class: AssetClass
    holder: UUID
    measure_unit: str
    quantity: int
    remaining: int
    gross_cny: Decimal
    accumulated_cny: Decimal
    net_cny: Decimal
    loan: UUID | None = None


class AssetFound(Event):
    damage: UUID
    cause: LossCause
    asset_class: AssetClass
    holder: UUID
    quantity: int
    gross_cny: Decimal
    accumulated_cny: Decimal
    document: str


class CardRepaired(Event):
    repair: UUID
    times: int
    cost_cny: Decimal


class ReplacementSuggested(Event):
    asset_class: AssetClass
    holder: UUID
    repairs: int
    repair_cost_cny: Decimal
    gross_cny: Decimal
    net_cny: Decimal


class PartsSalvaged(Event):
    slip: str
    parts: tuple[SalvagedPart, ...]


class SalvagedPartUsed(Event):
    repair: UUID
    slip: str
    item: str
    quantity: Decimal


type CardEvent = (
    CardRegistered
    | CardSeparated
    | CardSplit
    | CardPlaced
    | CardReclassified
    | CardRevalued
    | AssetDepreciated
    | DepreciationReversed
    | CardPutInTransit
    | CardTransitEnded
    | CardMoved
    | CardLent
    | CardReturned
    | AssetLost
    | AssetFound
    | CardRepaired
    | ReplacementSuggested
    | PartsSalvaged
    | SalvagedPartUsed
)
