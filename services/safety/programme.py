"""The programmes under which schools are checked, and what each asks for.

检查类别. Some kinds a school carries out by itself, others only somebody from above may; pass
scores, the number of inspectors and whether a checklist is needed are dated data.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import ClassVar
from uuid import UUID

import msgspec

from shared.kernel import By, Policy, Refused
from shared.organisation import Level, Role, Unit

BUREAU_INSPECTORS = (Role.INSPECTOR, Role.SUPERVISOR, Role.BUREAU_OFFICER)
"""Who inspects on behalf of a bureau."""

SELF_INSPECTORS = (Role.PRINCIPAL, Role.SAFETY_OFFICER, Role.LOGISTICS_DIRECTOR)
"""Who inspects his own school, and who answers for it when others do."""

INSPECTORS = (*BUREAU_INSPECTORS, *SELF_INSPECTORS)


class ProgrammeKind(StrEnum):
    """What sort of check it is."""

    DAILY = "daily"
    ROUTINE = "routine"
    FULL_SCHOOL = "full_school"
    SAFETY_CHECK = "safety_check"
    FOOD_SAFETY = "food_safety"
    FIRE = "fire"
    BAD_WEATHER = "bad_weather"
    TERM_OPENING = "term_opening"
    SPECIAL = "special"
    RANDOM = "random"
    SUPERVISION = "supervision"


class ProgrammeTerms(msgspec.Struct, frozen=True, kw_only=True):
    """`pass_share` of the full points passes; `self_check`: own staff may; `any_staff`: whoever
    works there may; `needs_checklist`: it counts only as an inspection with a checklist.
    """

    pass_share: Decimal
    inspectors_min: int
    self_check: bool
    any_staff: bool
    needs_checklist: bool


class InspectionPolicy(Policy):
    slug: ClassVar[str] = "safety.inspection"

    programmes: dict[ProgrammeKind, ProgrammeTerms]


def terms_of(policy: InspectionPolicy, kind: ProgrammeKind) -> ProgrammeTerms:
    """The terms of a kind; refuses one that the rule in force does not know."""
    if kind not in policy.programmes:
        raise Refused("programme_not_in_force", field="kind", kind=kind)
    return policy.programmes[kind]


def refuse_own_staff(terms: ProgrammeTerms, kind: ProgrammeKind, by: By) -> None:
    """Only kinds meant as self-checks may be done by people of the inspected school."""
    if terms.self_check:
        return
    own = any(post.unit == by.unit or post.level >= Level.SCHOOL for post in by.posts)
    if own or not by.holds(*BUREAU_INSPECTORS):
        raise Refused("inspector_of_own_unit", kind=kind)


def refuse_not_below(
    unit: Unit, wanted: Iterable[UUID], known: Mapping[UUID, Unit], day: date
) -> None:
    """A bureau sends inspectors to its own schools: each below it, open on that day, named once."""
    seen: set[UUID] = set()
    for id_ in wanted:
        if id_ in seen:
            raise Refused("school_twice", field="schools", school=id_)
        seen.add(id_)
        school = known.get(id_)
        if school is None or school.id == unit.id or not school.under(unit.id):
            raise Refused("school_not_below", field="schools", school=id_)
        if school.closed_on is not None and school.closed_on <= day:
            raise Refused("school_closed", field="schools", school=school.name)
