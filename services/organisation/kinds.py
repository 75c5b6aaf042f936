"""What units are (办学类型, 学段) and how their codes are written.

Codes: GB/T 2260 for province, city and county (six digits), township nine, village twelve; a
school's ten-digit identification code is type(2) + province(2) + serial(6), without a check digit.
Campuses and classes have no official code, so theirs extend the school's.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import ClassVar

from shared.kernel import Policy, Refused
from shared.organisation import Level


class UnitKind(StrEnum):
    """What kind of unit; a campus or class is of its school's kind."""

    BUREAU = "bureau"
    KINDERGARTEN = "kindergarten"
    PRIMARY = "primary"
    TEACHING_POINT = "teaching_point"
    JUNIOR = "junior"
    NINE_YEAR = "nine_year"
    SENIOR = "senior"
    COMPLETE = "complete"
    TWELVE_YEAR = "twelve_year"
    VOCATIONAL = "vocational"
    SPECIAL = "special"


class Stage(StrEnum):
    """The stage of schooling that a unit teaches."""

    PRESCHOOL = "preschool"
    PRIMARY = "primary"
    JUNIOR = "junior"
    SENIOR = "senior"
    SEVERAL = "several"


STAGES = {
    UnitKind.KINDERGARTEN: Stage.PRESCHOOL,
    UnitKind.PRIMARY: Stage.PRIMARY,
    UnitKind.TEACHING_POINT: Stage.PRIMARY,
    UnitKind.JUNIOR: Stage.JUNIOR,
    UnitKind.SENIOR: Stage.SENIOR,
    UnitKind.VOCATIONAL: Stage.SENIOR,
}
"""The stage where nobody says another; every other kind teaches several."""

CODES = {
    Level.PROVINCE: r"[1-9]\d(0000)?",
    Level.CITY: r"[1-9]\d(?!00)\d\d00",
    Level.COUNTY: r"[1-9]\d{3}(?!00)\d\d",
    Level.TOWNSHIP: r"[1-9]\d{8}(\d{3})?",
    Level.SCHOOL: r"\d{10}",
    Level.CAMPUS: r"(?P<above>\d{10})-\d{2}",
    Level.CLASS: r"(?P<above>\d{10}(-\d{2})?)-\d{4}-\d{2}",
}
"""How a unit's code is written; `above` is the code of the school or campus that it extends."""

DIVISION = re.compile(r"[1-9]\d(\d{4}(\d{3}(\d{3})?)?)?", re.ASCII)
"""A division code: province 2, or 6, 9 or 12 digits."""


class CodesPolicy(Policy):
    """Which school types (first two digits of the school code) there are."""

    slug: ClassVar[str] = "organisation.codes"

    school_types: dict[str, UnitKind]


def refuse_malformed(level: Level, code: str, policy: CodesPolicy) -> None:
    """Refuses a code that no unit of that level can have."""
    if not re.fullmatch(CODES[level], code, re.ASCII):
        raise Refused("unit_code_malformed", field="code", code=code, level=level)
    if level >= Level.SCHOOL and code[:2] not in policy.school_types:
        known = "、".join(sorted(policy.school_types))
        raise Refused("school_type_unknown", field="code", type=code[:2], known=known)


def refuse_malformed_division(code: str) -> None:
    """Refuses what is no division code."""
    if not DIVISION.fullmatch(code):
        raise Refused("division_code_malformed", field="division_code", code=code)


def extends(code: str, level: Level, parent_code: str) -> bool:
    """Whether a campus's or class's code is built on its parent's code, or on its school's."""
    found = re.fullmatch(CODES[level], code, re.ASCII)
    above = found["above"] if found else None
    return above is not None and (parent_code == above or parent_code.startswith(f"{above}-"))
