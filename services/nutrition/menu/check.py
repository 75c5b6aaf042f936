"""What a menu is checked for: enough dishes of each kind, enough meat, nothing forbidden."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import date, timedelta
from decimal import Decimal
from typing import ClassVar
from uuid import UUID

import msgspec

from services.nutrition.dish import AgeGroup, Dish, DishKind
from services.nutrition.dish.writing import ForbiddenPolicy, forbidden_food
from services.nutrition.menu import (
    Finding,
    FindingKind,
    Meal,
    Menu,
    MenuDay,
    MenuDish,
    MenuMeal,
)
from shared.kernel import Policy


class Demand(msgspec.Struct, frozen=True, kw_only=True):
    """A meal for one of `ages` (empty: any) must offer so many dishes of these kinds."""

    meal: Meal
    kinds: tuple[DishKind, ...]
    at_least: int
    ages: tuple[AgeGroup, ...] = ()


class MenuPolicy(Policy):
    """What a menu must offer, what is warned of, and how many days ahead it is published.

    The meat share is held against dishes of kind meat. A dish of `repeat_kinds` may come
    `repeats_max` times within `cycle_days`; more is warned of.
    """

    slug: ClassVar[str] = "nutrition.menu"

    demands: tuple[Demand, ...]
    meat_share_min: Decimal
    repeat_kinds: tuple[DishKind, ...]
    repeats_max: int
    cycle_days: int
    publish_days_ahead: int


def findings_of(
    days: Iterable[MenuDay],
    age_groups: Iterable[AgeGroup],
    *,
    dishes: Mapping[UUID, Dish],
    earlier: Iterable[Menu],
    policy: MenuPolicy,
    forbidden: ForbiddenPolicy,
) -> tuple[Finding, ...]:
    """Everything the check finds, day by day."""
    ages = frozenset(age_groups)
    served = [*_standing(earlier), *_served(days)]
    found: list[Finding] = []
    for day in days:
        for meal in day.meals:
            found.extend(_missing(day, meal, ages, policy))
            for planned in meal.dishes:
                dish = dishes[planned.dish]
                found.extend(_wrong(day, meal, planned, dish, policy=policy, forbidden=forbidden))
                found.extend(_worth_a_word(day, meal, planned, dish, ages))
            found.extend(_repeated(day, meal, served, policy))
    return tuple(found)


def _missing(
    day: MenuDay, meal: MenuMeal, ages: frozenset[AgeGroup], policy: MenuPolicy
) -> Iterator[Finding]:
    for demand in policy.demands:
        if demand.meal is not meal.meal or (demand.ages and ages.isdisjoint(demand.ages)):
            continue
        count = sum(planned.kind in demand.kinds for planned in meal.dishes)
        if count < demand.at_least:
            yield Finding(
                kind=FindingKind.TOO_FEW,
                blocking=True,
                day=day.day,
                meal=meal.meal,
                dish_kinds=demand.kinds,
                wanted=Decimal(demand.at_least),
                found=Decimal(count),
            )


def _wrong(
    day: MenuDay,
    meal: MenuMeal,
    planned: MenuDish,
    dish: Dish,
    *,
    policy: MenuPolicy,
    forbidden: ForbiddenPolicy,
) -> Iterator[Finding]:
    """A dish may have been written before the rule that forbids it."""
    food = forbidden_food(forbidden, dish.name, dish.recipes)
    if food is not None or dish.method in forbidden.methods:
        yield Finding(
            kind=FindingKind.FORBIDDEN,
            blocking=True,
            day=day.day,
            meal=meal.meal,
            dish=planned.name,
            subject=food or dish.method,
        )
    if planned.kind is DishKind.MEAT and planned.meat_share < policy.meat_share_min:
        yield Finding(
            kind=FindingKind.LITTLE_MEAT,
            blocking=True,
            day=day.day,
            meal=meal.meal,
            dish=planned.name,
            wanted=policy.meat_share_min,
            found=planned.meat_share,
        )


def _worth_a_word(
    day: MenuDay, meal: MenuMeal, planned: MenuDish, dish: Dish, ages: frozenset[AgeGroup]
) -> Iterator[Finding]:
    missing = ages - {recipe.age_group for recipe in dish.recipes}
    for age in (age for age in AgeGroup if age in missing):
        yield Finding(
            kind=FindingKind.NO_RECIPE,
            blocking=False,
            day=day.day,
            meal=meal.meal,
            dish=planned.name,
            subject=age,
        )


def _repeated(
    day: MenuDay, meal: MenuMeal, served: list[tuple[date, UUID]], policy: MenuPolicy
) -> Iterator[Finding]:
    begin = day.day - timedelta(days=policy.cycle_days)
    for planned in meal.dishes:
        if planned.kind not in policy.repeat_kinds:
            continue
        times = sum(dish == planned.dish and begin < on <= day.day for on, dish in served)
        if times > policy.repeats_max:
            yield Finding(
                kind=FindingKind.REPEATED,
                blocking=False,
                day=day.day,
                meal=meal.meal,
                dish=planned.name,
                wanted=Decimal(policy.repeats_max),
                found=Decimal(times),
            )


def _standing(earlier: Iterable[Menu]) -> Iterator[tuple[date, UUID]]:
    for menu in earlier:
        if menu.published is not None:
            yield from _served(menu.published.days)


def _served(days: Iterable[MenuDay]) -> Iterator[tuple[date, UUID]]:
    for day in days:
        for meal in day.meals:
            for planned in meal.dishes:
                yield day.day, planned.dish
