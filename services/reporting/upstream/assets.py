"""What is read of assets: cards, transfers, loans, damage, repairs."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import ClassVar
from uuid import UUID

import msgspec

from shared.kernel import Foreign


class AssetTotal(msgspec.Struct, frozen=True, kw_only=True):
    """What a list adds up to, by category and the word its pieces are counted in."""

    category: str
    measure_unit: str
    cards: int
    quantity: int
    gross_cny: Decimal


class CardRegistered(Foreign):
    source: ClassVar[str] = "assets"
    category: str
    asset_class: str
    measure_unit: str
    quantity: int
    gross_cny: Decimal
    acquired_on: date
    fund: str


class CardReclassified(Foreign):
    source: ClassVar[str] = "assets"
    asset_class: str
    previous_class: str
    holder: UUID
    quantity: int
    gross_cny: Decimal
    accumulated_cny: Decimal


class CardRevalued(Foreign):
    source: ClassVar[str] = "assets"
    asset_class: str
    holder: UUID
    gross_cny: Decimal
    previous_cny: Decimal


class AssetDepreciated(Foreign):
    source: ClassVar[str] = "assets"
    asset_class: str
    holder: UUID
    amount_cny: Decimal


class DepreciationReversed(Foreign):
    source: ClassVar[str] = "assets"
    asset_class: str
    holder: UUID
    amount_cny: Decimal


class CardMoved(Foreign):
    source: ClassVar[str] = "assets"
    from_unit: UUID
    to_unit: UUID
    asset_class: str
    quantity: int
    gross_cny: Decimal
    accumulated_cny: Decimal


class AssetLost(Foreign):
    source: ClassVar[str] = "assets"
    asset_class: str
    holder: UUID
    quantity: int
    gross_cny: Decimal
    accumulated_cny: Decimal


class AssetFound(Foreign):
    source: ClassVar[str] = "assets"
    asset_class: str
    holder: UUID
    quantity: int
    gross_cny: Decimal
    accumulated_cny: Decimal


class TransferSent(Foreign):
    source: ClassVar[str] = "assets"


class TransferReceived(Foreign):
    source: ClassVar[str] = "assets"
    to_unit: UUID
    totals: tuple[AssetTotal, ...]


class TransferCancelled(Foreign):
    source: ClassVar[str] = "assets"


class TransferOverdue(Foreign):
    source: ClassVar[str] = "assets"
    level: int


class AssetsLent(Foreign):
    source: ClassVar[str] = "assets"
    totals: tuple[AssetTotal, ...]


class LoanReturned(Foreign):
    source: ClassVar[str] = "assets"
    cards: tuple[UUID, ...]


class LoanWrittenOff(Foreign):
    source: ClassVar[str] = "assets"


class LoanOverdue(Foreign):
    source: ClassVar[str] = "assets"
    level: int


class AssetDamaged(Foreign):
    source: ClassVar[str] = "assets"
    item: str
    quantity: int
    cause: str
    wilful: bool
    replacement_cost_cny: Decimal
    happened_on: date
    place: str


class CompensationCharged(Foreign):
    source: ClassVar[str] = "assets"
    cause: str
    amount_cny: Decimal


class CompensationWaived(Foreign):
    source: ClassVar[str] = "assets"
    cause: str
    amount_cny: Decimal


class CompensationPaid(Foreign):
    source: ClassVar[str] = "assets"
    cause: str
    amount_cny: Decimal


class RepairReported(Foreign):
    source: ClassVar[str] = "assets"
    kind: str
    urgency: str


class RepairReopened(Foreign):
    source: ClassVar[str] = "assets"
    kind: str


class RepairSigned(Foreign):
    source: ClassVar[str] = "assets"
    kind: str
    quantity: int
    urgency: str
    cost_cny: Decimal
    response_minutes: int
    finish_minutes: int
    responded_in_time: bool
    finished_in_time: bool


class RepairOverdue(Foreign):
    source: ClassVar[str] = "assets"
    stage: str
    level: int
    urgency: str
