"""What people see of menus: every version, the board of dishes, what the check found, and what is
published to parents 食谱公示.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from uuid import UUID

import msgspec

from services.nutrition.dish import AgeGroup, DishKind
from services.nutrition.menu import FindingKind, Meal, Menu, MenuStatus, MenuVersion, menus
from shared.kernel import Recorded, View
from shared.organisation import READERS, Role

EATERS = (*READERS, Role.PARENTS_COMMITTEE)
"""A menu is there to be read, by parents too."""


class MenuVersionRow(View):
    """One version; `days_ahead` below 0 means that it was published when the week had begun."""

    id: UUID
    organisation: UUID
    week: date
    canteen: str
    menu_version: int
    status: MenuStatus
    age_groups: tuple[AgeGroup, ...]
    days_count: int
    dishes_count: int
    checked: bool
    problems_count: int
    warnings_count: int
    published_on: date | None
    days_ahead: int | None
    late: bool
    superseded_on: date | None
    reason: str


@menus.view(
    "/menus",
    allow=EATERS,
    filters=("week", "status", "late", "canteen"),
    sorts=("week", "published_on", "days_ahead"),
)
def menu_versions(state: Menu, recorded: Recorded) -> dict[str, MenuVersionRow]:
    return {
        f"{version.version:03}": MenuVersionRow(
            id=recorded.stream,
            organisation=recorded.organisation,
            week=state.week,
            canteen=state.canteen,
            menu_version=version.version,
            status=version.status,
            age_groups=version.age_groups,
            days_count=len(version.days),
            dishes_count=sum(len(meal.dishes) for day in version.days for meal in day.meals),
            checked=version.checked,
            problems_count=sum(finding.blocking for finding in version.findings),
            warnings_count=sum(not finding.blocking for finding in version.findings),
            published_on=version.published_on,
            days_ahead=version.days_ahead,
            late=version.late,
            superseded_on=version.superseded_on,
            reason=version.reason,
        )
        for version in state.versions
    }


class MenuBoardRow(View):
    """One dish of one meal, of the version that stands and of the draft."""

    id: UUID
    organisation: UUID
    week: date
    canteen: str
    menu_version: int
    status: MenuStatus
    day: date
    meal: Meal
    dish: UUID
    dish_name: str
    dish_kind: DishKind
    meat_share: Decimal
    allergens: tuple[str, ...]


@menus.view(
    "/menu-board",
    allow=EATERS,
    filters=("week", "day", "meal", "status", "canteen", "dish_kind", "dish"),
    sorts=("day", "dish_name"),
    search=("dish_name",),
)
def menu_board(state: Menu, recorded: Recorded) -> dict[str, MenuBoardRow]:
    return {
        f"{version.version:03}:{day.day}:{meal.meal}:{place:02}": MenuBoardRow(
            id=recorded.stream,
            organisation=recorded.organisation,
            week=state.week,
            canteen=state.canteen,
            menu_version=version.version,
            status=version.status,
            day=day.day,
            meal=meal.meal,
            dish=planned.dish,
            dish_name=planned.name,
            dish_kind=planned.kind,
            meat_share=planned.meat_share,
            allergens=planned.allergens,
        )
        for version in state.versions
        if version.status is not MenuStatus.SUPERSEDED
        for day in version.days
        for meal in day.meals
        for place, planned in enumerate(meal.dishes, 1)
    }


class MenuFindingRow(View):
    """One thing the check found; `blocking` keeps the menu from being published."""

    id: UUID
    organisation: UUID
    week: date
    canteen: str
    menu_version: int
    status: MenuStatus
    finding: FindingKind
    blocking: bool
    day: date
    meal: Meal
    dish_name: str
    dish_kinds: tuple[DishKind, ...]
    wanted: Decimal | None
    found: Decimal | None
    subject: str


@menus.view(
    "/menu-findings",
    allow=READERS,
    filters=("week", "day", "status", "finding", "blocking", "canteen"),
    sorts=("day", "dish_name"),
    search=("dish_name",),
)
def menu_findings(state: Menu, recorded: Recorded) -> dict[str, MenuFindingRow]:
    return {
        f"{version.version:03}:{place:03}": MenuFindingRow(
            id=recorded.stream,
            organisation=recorded.organisation,
            week=state.week,
            canteen=state.canteen,
            menu_version=version.version,
            status=version.status,
            finding=finding.kind,
            blocking=finding.blocking,
            day=finding.day,
            meal=finding.meal,
            dish_name=finding.dish,
            dish_kinds=finding.dish_kinds,
            wanted=finding.wanted,
            found=finding.found,
            subject=finding.subject,
        )
        for version in state.versions
        if version.status is not MenuStatus.SUPERSEDED
        for place, finding in enumerate(version.findings, 1)
    }


class PublishedMeal(msgspec.Struct, frozen=True, kw_only=True):
    """What is served at one meal of one day."""

    day: date
    meal: Meal
    dishes: tuple[str, ...]
    allergens: tuple[str, ...]


class PublishedMenuRow(View):
    """A version as it was published; one that was superseded says when and why."""

    id: UUID
    organisation: UUID
    week: date
    canteen: str
    menu_version: int
    status: MenuStatus
    published_on: date | None
    superseded_on: date | None
    reason: str
    age_groups: tuple[AgeGroup, ...]
    meals: tuple[PublishedMeal, ...]


@menus.view(
    "/published-menus", allow=EATERS, filters=("week", "status", "canteen"), sorts=("week",),
    public=True,
)  # fmt: skip
def published_menus(state: Menu, recorded: Recorded) -> dict[str, PublishedMenuRow]:
    return {
        f"{version.version:03}": PublishedMenuRow(
            id=recorded.stream,
            organisation=recorded.organisation,
            week=state.week,
            canteen=state.canteen,
            menu_version=version.version,
            status=version.status,
            published_on=version.published_on,
            superseded_on=version.superseded_on,
            reason=version.reason,
            age_groups=version.age_groups,
            meals=meals_of(version),
        )
        for version in state.versions
        if version.status is not MenuStatus.DRAFT
    }


def meals_of(version: MenuVersion) -> tuple[PublishedMeal, ...]:
    """Every meal in its order, each allergen named once."""
    return tuple(
        PublishedMeal(
            day=day.day,
            meal=meal.meal,
            dishes=tuple(dish.name for dish in meal.dishes),
            allergens=tuple(dict.fromkeys(one for dish in meal.dishes for one in dish.allergens)),
        )
        for day in version.days
        for meal in day.meals
    )
