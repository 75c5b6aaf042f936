"""Drafting a week, changing the draft, copying another week: what is served when, dish by dish."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import replace
from datetime import date, timedelta
from typing import Annotated
from uuid import UUID

from pydantic import Field, StringConstraints

from services.nutrition.dish import AgeGroup, Dish, DishStatus
from services.nutrition.dish.writing import WRITERS
from services.nutrition.menu import (
    Meal,
    Menu,
    MenuChanged,
    MenuDay,
    MenuDish,
    MenuDrafted,
    MenuMeal,
    MenuVersion,
    menus,
)
from shared.kernel import By, Command, Creation, From, Part, Refused

type Canteen = Annotated[str, StringConstraints(max_length=100)]
"""Which canteen or serving line of a school, where it has several; else empty."""

type AgeGroups = Annotated[tuple[AgeGroup, ...], Field(min_length=1, max_length=5)]


class MealPlanned(Part):
    """The dishes of one meal."""

    meal: Meal
    dishes: Annotated[
        tuple[Annotated[UUID, Field(json_schema_extra={"x-ref": "dish"})], ...],
        Field(min_length=1, max_length=20),
    ]


class DayPlanned(Part):
    """The meals of one day."""

    day: date
    meals: Annotated[tuple[MealPlanned, ...], Field(min_length=1, max_length=4)]


type DaysPlanned = Annotated[tuple[DayPlanned, ...], Field(min_length=1, max_length=7)]


class DraftMenu(Creation):
    """`week` is its Monday."""

    week: date
    canteen: Canteen = ""
    age_groups: AgeGroups
    days: DaysPlanned


@menus.post("/menus", allow=WRITERS)
def draft(
    state: Menu | None,
    command: DraftMenu,
    by: By,
    dishes: Annotated[dict[UUID, Dish], From(lambda command, _, __: ids_in(command.days))],
) -> MenuDrafted | None:
    refuse_unless_monday(command.week)
    days = planned(command.days, command.week, dishes)
    ages = in_order(command.age_groups)
    if is_so_already(state, days, ages):
        return None
    return MenuDrafted(
        week=command.week, canteen=command.canteen, age_groups=ages, days=days, version=1
    )


class ChangeMenu(Command):
    """The whole content of the draft, or of the next version where one stands published."""

    age_groups: AgeGroups
    days: DaysPlanned


@menus.post("/menus/{id}/change", allow=WRITERS)
def change(
    state: Menu,
    command: ChangeMenu,
    by: By,
    dishes: Annotated[dict[UUID, Dish], From(lambda command, _, __: ids_in(command.days))],
) -> MenuChanged | None:
    days = planned(command.days, state.week, dishes)
    ages = in_order(command.age_groups)
    now = state.draft or state.published
    if now is not None and (now.days, now.age_groups) == (days, ages):
        return None
    return MenuChanged(
        week=state.week,
        canteen=state.canteen,
        age_groups=ages,
        days=days,
        version=next_version(state),
    )


class CopyMenu(Creation):
    """Another week's menu as this week's draft; the dishes are looked at again at the check."""

    week: date
    canteen: Canteen = ""
    source: Annotated[UUID, Field(json_schema_extra={"x-ref": "menu"})]


@menus.post("/menus/copy", allow=WRITERS)
def copy_week(
    state: Menu | None,
    command: CopyMenu,
    by: By,
    original: Annotated[Menu | None, From("source")],
) -> MenuDrafted | None:
    refuse_unless_monday(command.week)
    if original is None or (version := original.published or original.draft) is None:
        raise Refused("menu_unknown", field="source")
    moved = command.week - original.week
    days = tuple(replace(day, day=day.day + moved) for day in version.days)
    if is_so_already(state, days, version.age_groups):
        return None
    return MenuDrafted(
        week=command.week,
        canteen=command.canteen,
        age_groups=version.age_groups,
        days=days,
        version=1,
        copied_from=command.source,
    )


def refuse_unless_monday(week: date) -> None:
    """A week is named by its Monday, so that there is one menu of it."""
    if week.weekday() != 0:
        raise Refused("week_not_monday", field="week", monday=week - timedelta(week.weekday()))


def is_so_already(
    state: Menu | None, days: tuple[MenuDay, ...], age_groups: tuple[AgeGroup, ...]
) -> bool:
    """Whether the first draft is the one asked for; refuses to draft a week twice."""
    if state is None:
        return False
    first = state.versions[0]
    if (first.days, first.age_groups) == (days, age_groups):
        return True
    raise Refused("menu_exists", field="week", week=state.week)


def next_version(state: Menu) -> int:
    """The version that a draft has or will have."""
    return state.draft.version if state.draft else state.versions[-1].version + 1


def planned(
    days: Iterable[DayPlanned], week: date, dishes: Mapping[UUID, Dish]
) -> tuple[MenuDay, ...]:
    """The days with their dishes as they are now; refuses what does not fit into the week."""
    made: dict[date, MenuDay] = {}
    for day in days:
        if not week <= day.day <= week + timedelta(days=6):
            raise Refused("day_outside_week", field="days", day=day.day, week=week)
        if day.day in made:
            raise Refused("day_twice", field="days", day=day.day)
        meals: dict[Meal, MenuMeal] = {}
        for meal in day.meals:
            if meal.meal in meals:
                raise Refused("meal_twice", field="days", day=day.day, meal=meal.meal)
            if len(set(meal.dishes)) < len(meal.dishes):
                raise Refused("dish_twice", field="days", day=day.day, meal=meal.meal)
            served = tuple(on_menu(id_, dishes) for id_ in meal.dishes)
            meals[meal.meal] = MenuMeal(meal=meal.meal, dishes=served)
        made[day.day] = MenuDay(day=day.day, meals=tuple(meals.values()))
    return tuple(made[day] for day in sorted(made))


def refreshed(version: MenuVersion, dishes: Mapping[UUID, Dish]) -> tuple[MenuDay, ...]:
    """The version's days with every dish as it is now."""
    return tuple(
        replace(
            day,
            meals=tuple(
                replace(
                    meal,
                    dishes=tuple(on_menu(old.dish, dishes, old.name) for old in meal.dishes),
                )
                for meal in day.meals
            ),
        )
        for day in version.days
    )


def on_menu(id_: UUID, dishes: Mapping[UUID, Dish], name: str = "") -> MenuDish:
    """The dish as it is put on a menu; refuses one that is unknown or retired, by name."""
    dish = dishes.get(id_)
    if dish is None:
        raise Refused("dish_unknown", field="days", dish=name or id_)
    if dish.status is DishStatus.RETIRED:
        raise Refused("dish_retired", field="days", dish=dish.name)
    return MenuDish(
        dish=id_,
        name=dish.name,
        kind=dish.kind,
        meat_share=dish.meat_share,
        allergens=dish.allergens,
        recipe_version=dish.version,
    )


def in_order(age_groups: Iterable[AgeGroup]) -> tuple[AgeGroup, ...]:
    """Each age group once, the youngest first."""
    wanted = set(age_groups)
    return tuple(age for age in AgeGroup if age in wanted)


def ids_in(days: Iterable[DayPlanned]) -> tuple[UUID, ...]:
    """Every dish that is planned, once."""
    return tuple(dict.fromkeys(id_ for day in days for meal in day.meals for id_ in meal.dishes))
