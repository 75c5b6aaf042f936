"""Field types that several aggregates of this service share."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from pydantic import Field, StringConstraints

type Tag = Annotated[str, StringConstraints(min_length=1, max_length=40, pattern=r"^\S+$")]
"""The number on a thing's label, unique within the unit that registered it."""

type MeasureUnit = Annotated[
    str, StringConstraints(min_length=1, max_length=10, strip_whitespace=True)
]
"""The word that pieces are counted in: 台, 套, 张."""

type Category = Annotated[
    str,
    StringConstraints(pattern=r"^A\d{8}$"),
    Field(json_schema_extra={"x-codes": "GB/T 14885-2022"}),
]
"""A code of GB/T 14885-2022: the letter A and eight digits."""

type Line = Annotated[str, StringConstraints(max_length=200)]
"""One line of text, which may be empty."""

type CardId = Annotated[UUID, Field(json_schema_extra={"x-ref": "card"})]
"""The id of an asset card; its QR code carries it."""
