"""What is read of nutrition: menus."""

from __future__ import annotations

from datetime import date
from typing import ClassVar

from shared.kernel import Foreign


class MenuPublished(Foreign):
    source: ClassVar[str] = "nutrition"
    canteen: str
    version: int
    published_on: date
    late: bool
