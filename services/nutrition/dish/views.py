"""What people see of dishes: the list, and every weighed ingredient."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from uuid import UUID

from services.nutrition.dish import (
    AgeGroup,
    CookingMethod,
    Dish,
    DishKind,
    DishStatus,
    FoodGroup,
    dishes,
)
from shared.kernel import Recorded, View
from shared.organisation import READERS


class DishRow(View):
    id: UUID
    organisation: UUID
    name: str
    kind: DishKind
    method: CookingMethod
    status: DishStatus
    age_groups: tuple[AgeGroup, ...]
    allergens: tuple[str, ...]
    ingredients: str
    meat_share: Decimal
    recipe_version: int
    changed_at: datetime


@dishes.view(
    "/dishes",
    allow=READERS,
    filters=("kind", "method", "status"),
    sorts=("name", "meat_share", "changed_at"),
    search=("name", "ingredients"),
)
def dish_list(state: Dish, recorded: Recorded) -> DishRow:
    names = dict.fromkeys(part.name for recipe in state.recipes for part in recipe.ingredients)
    return DishRow(
        id=recorded.stream,
        organisation=recorded.organisation,
        name=state.name,
        kind=state.kind,
        method=state.method,
        status=state.status,
        age_groups=tuple(recipe.age_group for recipe in state.recipes),
        allergens=state.allergens,
        ingredients="、".join(names),
        meat_share=state.meat_share,
        recipe_version=state.version,
        changed_at=recorded.recorded_at,
    )


class DishIngredientRow(View):
    id: UUID
    organisation: UUID
    dish_name: str
    age_group: AgeGroup
    ingredient: str
    food_group: FoodGroup
    weight_g: Decimal
    yield_g: Decimal
    recipe_version: int


@dishes.view(
    "/dish-ingredients",
    allow=READERS,
    filters=("age_group", "food_group", "ingredient"),
    sorts=("dish_name", "ingredient", "weight_g"),
    search=("dish_name", "ingredient"),
)
def dish_ingredients(state: Dish, recorded: Recorded) -> dict[str, DishIngredientRow]:
    return {
        f"{recipe.age_group}:{part.name}": DishIngredientRow(
            id=recorded.stream,
            organisation=recorded.organisation,
            dish_name=state.name,
            age_group=recipe.age_group,
            ingredient=part.name,
            food_group=part.group,
            weight_g=part.weight_g,
            yield_g=recipe.yield_g,
            recipe_version=state.version,
        )
        for recipe in state.recipes
        for part in recipe.ingredients
    }
