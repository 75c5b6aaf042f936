"""What is read of safety: hazards, inspections, checks."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import ClassVar

import msgspec

from shared.kernel import Foreign


class FailedItem(msgspec.Struct, frozen=True, kw_only=True):
    """An item of a checklist that was not met."""

    code: str
    text: str
    veto: bool


class HazardFound(Foreign):
    source: ClassVar[str] = "safety"
    category: str


class HazardDismissed(Foreign):
    source: ClassVar[str] = "safety"
    category: str
    found_at: datetime


class HazardClosed(Foreign):
    source: ClassVar[str] = "safety"
    category: str
    found_at: datetime
    rectified_in_minutes: int
    on_time: bool


class HazardOverdue(Foreign):
    source: ClassVar[str] = "safety"
    category: str
    grade: str | None
    place: str
    what: str
    level: int
    awaiting: str
    due_at: datetime
    hours_overdue: int


class InspectionPassed(Foreign):
    source: ClassVar[str] = "safety"
    kind: str
    score: Decimal
    full: Decimal


class InspectionFailed(Foreign):
    source: ClassVar[str] = "safety"
    programme: str
    kind: str
    score: Decimal
    full: Decimal
    pass_score: Decimal
    failed_items: tuple[FailedItem, ...]
    veto: bool


class SafetyCheckDone(Foreign):
    source: ClassVar[str] = "safety"
    kind: str
