"""A canteen writes down a dish with its weighed recipe per age group; a change is a new version.

带量菜品. Forbidden foods and ways of cooking are refused at the door, allergens found in the
ingredients are added to those declared. Rule: management of food safety and nutrition in schools
(学校食品安全与营养健康管理规定); weights per head after the nutrition guide for school meals.
"""

from __future__ import annotations

from copy import replace
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

import msgspec

from shared.kernel import Aggregate, Event, State


class AgeGroup(StrEnum):
    """Ages that eat alike; the school ones are those of the nutrition guide."""

    KINDERGARTEN = "kindergarten"
    AGE_6_8 = "age_6_8"
    AGE_9_11 = "age_9_11"
    AGE_12_14 = "age_12_14"
    AGE_15_17 = "age_15_17"


class DishKind(StrEnum):
    """What a dish counts as on a menu."""

    MEAT = "meat"
    HALF_MEAT = "half_meat"
    VEGETABLE = "vegetable"
    SOUP = "soup"
    STAPLE = "staple"
    FRUIT = "fruit"
    MILK = "milk"
    SNACK = "snack"


class CookingMethod(StrEnum):
    """How a dish is made; some ways are forbidden in schools."""

    STIR_FRY = "stir_fry"
    BRAISE = "braise"
    STEW = "stew"
    STEAM = "steam"
    BOIL = "boil"
    BLANCH = "blanch"
    DEEP_FRY = "deep_fry"
    ROAST = "roast"
    BAKE = "bake"
    AS_BOUGHT = "as_bought"
    COLD_DISH = "cold_dish"
    RAW = "raw"
    DECORATED_CAKE = "decorated_cake"


class FoodGroup(StrEnum):
    """What an ingredient counts as, in the groups of the nutrition guide."""

    GRAIN = "grain"
    VEGETABLE = "vegetable"
    FRUIT = "fruit"
    MEAT = "meat"
    FISH = "fish"
    EGG = "egg"
    MILK = "milk"
    SOY_NUTS = "soy_nuts"
    OIL = "oil"
    SALT = "salt"
    SEASONING = "seasoning"
    WATER = "water"


class Ingredient(msgspec.Struct, frozen=True, kw_only=True):
    """Raw edible grams per head; `food` is its row in the food composition table, if known."""

    name: str
    group: FoodGroup
    weight_g: Decimal
    food: UUID | None = None


class Recipe(msgspec.Struct, frozen=True, kw_only=True):
    """One portion for one age group; `yield_g` is what it weighs cooked."""

    age_group: AgeGroup
    ingredients: tuple[Ingredient, ...]
    yield_g: Decimal


class DishContent(Event):
    """A dish as written; `meat_share` is the lowest of its recipes, see `meat_share_of`."""

    name: str
    kind: DishKind
    method: CookingMethod
    recipes: tuple[Recipe, ...]
    allergens: tuple[str, ...]
    meat_share: Decimal
    preparation: str
    version: int


class DishDefined(DishContent):
    pass


class DishRevised(DishContent):
    reason: str


class DishRetired(Event):
    name: str
    kind: DishKind
    version: int
    reason: str


type DishEvent = DishDefined | DishRevised | DishRetired


class DishStatus(StrEnum):
    """Whether a dish may be put on a menu."""

    IN_USE = "in_use"
    RETIRED = "retired"


class Dish(State):
    name: str
    kind: DishKind
    method: CookingMethod
    recipes: tuple[Recipe, ...]
    allergens: tuple[str, ...]
    meat_share: Decimal
    preparation: str
    version: int
    status: DishStatus = DishStatus.IN_USE


def evolve(state: Dish | None, event: DishEvent) -> Dish:
    """The dish after one more event."""
    match event:
        case DishDefined() | DishRevised():
            return Dish(**content(event), version=event.version)
        case DishRetired():
            assert state is not None, "a dish starts by being defined"
            return replace(state, status=DishStatus.RETIRED)


def content(source: Dish | DishContent) -> dict[str, Any]:
    """What a dish says, without its version."""
    names = ("name", "kind", "method", "recipes", "allergens", "meat_share", "preparation")
    return {name: getattr(source, name) for name in names}


dishes = Aggregate("dish", events=DishEvent, state=Dish, evolve=evolve)

# The capabilities record themselves on `dishes`.
from services.nutrition.dish import views, writing  # noqa: E402, F401
