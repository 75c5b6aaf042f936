"""What is read of procurement: budgets and requisitions."""

from __future__ import annotations

from decimal import Decimal
from typing import ClassVar
from uuid import UUID

import msgspec

from shared.kernel import Foreign


class BudgetLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line as adopted."""

    fund: str
    amount_cny: Decimal


class BudgetAdopted(Foreign):
    source: ClassVar[str] = "procurement"
    lines: tuple[BudgetLine, ...]


class BudgetAmended(Foreign):
    source: ClassVar[str] = "procurement"
    amount_cny: Decimal
    previous_cny: Decimal


class BudgetCommitted(Foreign):
    source: ClassVar[str] = "procurement"
    amount_cny: Decimal


class BudgetReleased(Foreign):
    source: ClassVar[str] = "procurement"
    amount_cny: Decimal


class BudgetSpent(Foreign):
    source: ClassVar[str] = "procurement"
    fund: str
    amount_cny: Decimal
    committed_cny: Decimal


class RequisitionSubmitted(Foreign):
    source: ClassVar[str] = "procurement"
    category: str
    amount_cny: Decimal


class RequisitionStepApproved(Foreign):
    source: ClassVar[str] = "procurement"
    role: str
    waited_minutes: int


class PurchaseApproved(Foreign):
    source: ClassVar[str] = "procurement"
    category: str
    fund: str
    amount_cny: Decimal
    days: int


class RequisitionRejected(Foreign):
    source: ClassVar[str] = "procurement"
    category: str
    amount_cny: Decimal


class RequisitionWithdrawn(Foreign):
    source: ClassVar[str] = "procurement"
    category: str
    amount_cny: Decimal
    withdrawn_from: str


class SplitSuspected(Foreign):
    source: ClassVar[str] = "procurement"
    requisitions: tuple[UUID, ...]
    numbers: tuple[str, ...]
    category: str
    total_cny: Decimal
    threshold_cny: Decimal
    days: int
