"""How bad a hazard is and what it is about: the words that checklists, checks and hazards share."""

from __future__ import annotations

from enum import StrEnum


class HazardGrade(StrEnum):
    """隐患等级, from light to grave; deadlines and who may verify follow from it."""

    GENERAL = "general"
    MAJOR = "major"
    CRITICAL = "critical"

    @property
    def weight(self) -> int:
        """Larger is graver."""
        return list(HazardGrade).index(self)


class HazardCategory(StrEnum):
    """What could do harm."""

    FIRE = "fire"
    ELECTRICITY = "electricity"
    GAS = "gas"
    FOOD = "food"
    BUILDING = "building"
    SPORTS_EQUIPMENT = "sports_equipment"
    SPECIAL_EQUIPMENT = "special_equipment"
    FURNITURE = "furniture"
    DORMITORY = "dormitory"
    LABORATORY = "laboratory"
    TRAFFIC = "traffic"
    SECURITY = "security"
    HEALTH = "health"
    DROWNING = "drowning"
    DISASTER = "disaster"
    SURROUNDINGS = "surroundings"
    OTHER = "other"
