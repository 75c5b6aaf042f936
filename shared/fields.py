"""Field types of commands: what a value means, its unit and its bounds, said once.

Every type carries `x-` hints in its JSON Schema (unit, scale, reference), from which forms,
templates and documentation are drawn.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field, StringConstraints

SHANGHAI = ZoneInfo("Asia/Shanghai")
"""Business days are days in this zone."""


def _decimal(value: Any) -> Any:
    """Money and weights never pass through a binary float: 0.1 + 0.2 must stay 0.3."""
    if isinstance(value, Decimal):
        return value
    if isinstance(value, str | int) and not isinstance(value, bool):
        try:
            return Decimal(value)
        except InvalidOperation:
            pass
    raise ValueError("decimal_as_text")


Exact = Annotated[Decimal, BeforeValidator(_decimal)]
"""A decimal as it was written: a string or an integer, never a float."""

Yuan = Annotated[Exact, Field(max_digits=14, decimal_places=2, json_schema_extra={"x-unit": "CNY"})]
"""Money in yuan and fen."""


def _not_blank(value: str) -> str:
    if not value.strip():
        raise ValueError("blank")
    return value


type Money = Annotated[Yuan, Field(ge=0)]
"""An amount in yuan, at least 0, two decimals."""

type PositiveMoney = Annotated[Yuan, Field(gt=0)]
"""An amount in yuan above 0."""

type Quantity = Annotated[Exact, Field(gt=0, max_digits=14, decimal_places=3)]
"""A quantity above 0 in the unit named beside it, three decimals."""

type Count = Annotated[int, Field(ge=1, le=1_000_000)]
"""A number of pieces, at least 1."""

type Weight = Annotated[
    Exact, Field(gt=0, max_digits=12, decimal_places=1, json_schema_extra={"x-unit": "g"})
]
"""A weight in grams, above 0."""

type Name = Annotated[
    str, StringConstraints(min_length=1, max_length=200), AfterValidator(_not_blank)
]
"""A short text that must not be blank."""

type Text = Annotated[str, StringConstraints(max_length=4000)]
"""A longer text, which may be empty."""

type Reason = Annotated[
    str, StringConstraints(min_length=2, max_length=1000), AfterValidator(_not_blank)
]
"""Why somebody does what they do: never blank."""

type Subject = Annotated[
    str, StringConstraints(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9._@-]+$")
]
"""A person's sign-in name (the token's `sub`); no personal name."""

type UnitId = Annotated[UUID, Field(json_schema_extra={"x-ref": "unit"})]
"""The id of a unit of the organisation tree."""

FILE_KINDS = ("photo", "signature", "document")
_SHA256 = StringConstraints(pattern=r"^[0-9a-f]{64}$")

type Photo = Annotated[str, _SHA256, Field(json_schema_extra={"x-ref": "photo"})]
"""A stored picture, named by its SHA-256."""

type Signature = Annotated[str, _SHA256, Field(json_schema_extra={"x-ref": "signature"})]
"""A stored picture of somebody's signature, named by its SHA-256."""

type Document = Annotated[str, _SHA256, Field(json_schema_extra={"x-ref": "document"})]
"""A stored scan (a picture or PDF: contract, certificate), named by its SHA-256."""

type Moment = AwareDatetime
"""A moment with its time zone."""


def personal(of: str | None = None) -> msgspec.Meta:
    """Marks a text of an event or row as somebody's own, so that it is kept sealed.

    `reason: Annotated[str, personal("person")]` concerns whom the field `person` beside it names
    (without one: the stream). Destroying the key of that subject erases it everywhere.
    """
    return msgspec.Meta(
        extra={"personal": of or ""}, extra_json_schema={"x-personal": of or "stream"}
    )


def business_day(moment: datetime) -> Any:
    """The calendar day of `moment` in Asia/Shanghai, as a `date`."""
    return moment.astimezone(SHANGHAI).date()
