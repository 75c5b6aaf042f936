"""What is bought, in the kinds by which purchasing rules and figures tell purchases apart."""

from __future__ import annotations

from enum import StrEnum


class Category(StrEnum):
    """The kind of a purchase (采购品类)."""

    FOOD = "food"
    CANTEEN = "canteen"
    CONSUMABLES = "consumables"
    EQUIPMENT = "equipment"
    FURNITURE = "furniture"
    BOOKS = "books"
    REPAIR = "repair"
    WORKS = "works"
    SERVICES = "services"
    OTHER = "other"
