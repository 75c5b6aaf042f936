"""What is read of organisation beyond the local copy: numbers, posts, contracts, visits."""

from __future__ import annotations

from datetime import date
from typing import ClassVar
from uuid import UUID

from shared.kernel import Foreign


class PostsEstablished(Foreign):
    source: ClassVar[str] = "organisation"
    unfilled_change: int


class PostFilled(Foreign):
    source: ClassVar[str] = "organisation"
    unfilled_change: int


class PostVacated(Foreign):
    source: ClassVar[str] = "organisation"
    unfilled_change: int


class EstablishmentClosed(Foreign):
    source: ClassVar[str] = "organisation"
    unfilled_change: int


class LabourContractSigned(Foreign):
    source: ClassVar[str] = "organisation"
    person: str
    was_missing: bool


class LabourContractMissed(Foreign):
    source: ClassVar[str] = "organisation"
    person: str


class PostEnded(Foreign):
    source: ClassVar[str] = "organisation"
    role: str | None = None
    contract_was_missing: bool = False


class StaffAppointed(Foreign):
    source: ClassVar[str] = "organisation"
    role: str


class SchoolVisited(Foreign):
    source: ClassVar[str] = "organisation"
    school: UUID
    visits: int


class SchoolVisitMissed(Foreign):
    source: ClassVar[str] = "organisation"
    school: UUID


class ComplaintFiled(Foreign):
    source: ClassVar[str] = "organisation"
    kind: str
    topic: str


class ComplaintAnswered(Foreign):
    source: ClassVar[str] = "organisation"
    topic: str
    in_time: bool


class ComplaintOverdue(Foreign):
    source: ClassVar[str] = "organisation"
    topic: str
    due_on: date
