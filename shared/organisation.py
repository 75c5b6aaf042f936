"""Units, levels and roles: the words in which every service says *where* and *who may*."""

from __future__ import annotations

from datetime import date
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING
from uuid import UUID

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable


class Level(IntEnum):
    """Height of a unit in the tree; a parent is always strictly higher (a smaller number)."""

    COUNTRY = 0
    PROVINCE = 1
    CITY = 2
    COUNTY = 3
    TOWNSHIP = 4
    SCHOOL = 5
    CAMPUS = 6
    CLASS = 7


class Role(StrEnum):
    """A post's role. Rights follow from posts (role at a unit, from-to), never from claims."""

    ADMINISTRATOR = "administrator"
    PRINCIPAL = "principal"
    LOGISTICS_DIRECTOR = "logistics_director"
    BUYER = "buyer"
    STOREKEEPER = "storekeeper"
    CASHIER = "cashier"
    ACCOUNTANT = "accountant"
    CANTEEN_MANAGER = "canteen_manager"
    NUTRITIONIST = "nutritionist"
    COOK = "cook"
    SAFETY_OFFICER = "safety_officer"
    NURSE = "nurse"
    CLASS_TEACHER = "class_teacher"
    TEACHER = "teacher"
    DORM_HEAD = "dorm_head"
    GUARD = "guard"
    REPAIRER = "repairer"
    PARENTS_COMMITTEE = "parents_committee"
    BUREAU_OFFICER = "bureau_officer"
    INSPECTOR = "inspector"
    SUPERVISOR = "supervisor"
    FINANCE_OFFICER = "finance_officer"


SCHOOL_STAFF = (
    Role.PRINCIPAL,
    Role.LOGISTICS_DIRECTOR,
    Role.BUYER,
    Role.STOREKEEPER,
    Role.CASHIER,
    Role.ACCOUNTANT,
    Role.CANTEEN_MANAGER,
    Role.NUTRITIONIST,
    Role.COOK,
    Role.SAFETY_OFFICER,
    Role.NURSE,
    Role.CLASS_TEACHER,
    Role.TEACHER,
    Role.DORM_HEAD,
    Role.GUARD,
    Role.REPAIRER,
)
"""Everybody employed at a school."""

BUREAU = (Role.BUREAU_OFFICER, Role.INSPECTOR, Role.SUPERVISOR, Role.FINANCE_OFFICER)
"""Everybody at a bureau (township centre, county, city, province)."""

READERS = (Role.ADMINISTRATOR, *SCHOOL_STAFF, *BUREAU)
"""Who may read the ordinary lists of a unit."""

MANAGERS = (Role.PRINCIPAL, Role.LOGISTICS_DIRECTOR)
"""Who runs a school's logistics."""


class Unit(msgspec.Struct, frozen=True, kw_only=True):
    """A unit as a service's local copy knows it.

    `path` holds the ids from the root down to the unit itself; `closed_on` is the first day on
    which it no longer exists.
    """

    id: UUID
    code: str
    name: str
    level: Level
    path: tuple[UUID, ...]
    kind: str = ""
    division_code: str = ""
    closed_on: date | None = None

    @property
    def parent(self) -> UUID | None:
        """The unit above, or None for a root."""
        return self.path[-2] if len(self.path) > 1 else None

    def under(self, other: UUID) -> bool:
        """Whether this unit is `other` or lies below it."""
        return other in self.path


class HeldPost(msgspec.Struct, frozen=True, kw_only=True):
    """A post that somebody holds at a moment; `delegated_by` names whose post it is, if lent."""

    role: Role
    unit: UUID
    level: Level
    delegated_by: str | None = None


def allowed(posts: Iterable[HeldPost], roles: Iterable[Role], unit: Unit) -> bool:
    """Whether one of `posts` carries one of `roles` at `unit` or above it."""
    wanted = frozenset(roles)
    return any(post.role in wanted and post.unit in unit.path for post in posts)
