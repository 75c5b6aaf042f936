"""Writing, revising and retiring a dish: what may be cooked, and what its weights make of it."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Annotated, Any, ClassVar
from uuid import UUID

import msgspec
from pydantic import Field

from services.nutrition.dish import (
    AgeGroup,
    CookingMethod,
    Dish,
    DishDefined,
    DishKind,
    DishRetired,
    DishRevised,
    DishStatus,
    FoodGroup,
    Ingredient,
    Recipe,
    content,
    dishes,
)
from shared.fields import Name, Reason, Text, Weight
from shared.kernel import By, Command, Creation, Part, Policy, Refused
from shared.organisation import Role

WRITERS = (Role.NUTRITIONIST, Role.CANTEEN_MANAGER)
"""Who writes recipes and drafts menus."""


class ForbiddenFood(msgspec.Struct, frozen=True, kw_only=True):
    """A food that is not served, under all its names; `allowed` names only sound like it."""

    name: str
    synonyms: tuple[str, ...] = ()
    allowed: tuple[str, ...] = ()

    def found_in(self, text: str) -> bool:
        """Whether a dish's or ingredient's name speaks of this food."""
        rest = plain(text)
        for name in self.allowed:
            rest = rest.replace(plain(name), "")
        return any(plain(name) in rest for name in (self.name, *self.synonyms))


class ForbiddenPolicy(Policy):
    """What a school canteen must neither use nor do."""

    slug: ClassVar[str] = "nutrition.forbidden"

    foods: tuple[ForbiddenFood, ...]
    methods: tuple[CookingMethod, ...]


class Allergen(msgspec.Struct, frozen=True, kw_only=True):
    """One allergen: its code, its names, and words in an ingredient's name that betray it."""

    code: str
    name_zh: str
    name_en: str
    found_in: tuple[str, ...]
    not_in: tuple[str, ...] = ()

    def betrayed_by(self, text: str) -> bool:
        """Whether an ingredient of that name contains the allergen."""
        rest = plain(text)
        for name in self.not_in:
            rest = rest.replace(plain(name), "")
        return any(plain(name) in rest for name in self.found_in)


class AllergenPolicy(Policy):
    """The allergens that a dish declares."""

    slug: ClassVar[str] = "nutrition.allergens"

    allergens: tuple[Allergen, ...]


class IngredientWeighed(Part):
    """Raw edible grams per head."""

    name: Name
    group: FoodGroup
    weight_g: Weight
    food: UUID | None = None


class RecipeWeighed(Part):
    """One portion for one age group; `yield_g` is what it weighs cooked."""

    age_group: AgeGroup
    ingredients: Annotated[tuple[IngredientWeighed, ...], Field(min_length=1, max_length=60)]
    yield_g: Weight


class DishWritten(Command):
    """What a dish says. Allergens are codes; those found in the ingredients need no mention."""

    name: Name
    kind: DishKind
    method: CookingMethod
    recipes: Annotated[tuple[RecipeWeighed, ...], Field(min_length=1, max_length=5)]
    allergens: Annotated[tuple[Name, ...], Field(max_length=30)] = ()
    preparation: Text = ""


class DefineDish(Creation, DishWritten):
    pass


@dishes.post("/dishes", allow=WRITERS)
def define(
    state: Dish | None,
    command: DefineDish,
    by: By,
    forbidden: ForbiddenPolicy,
    allergens: AllergenPolicy,
) -> DishDefined | None:
    defined = DishDefined(**written(command, forbidden, allergens), version=1)
    if state is None:
        return defined
    if content(state) == content(defined):
        return None
    raise Refused("dish_exists", field="id", dish=state.name)


class ReviseDish(DishWritten):
    reason: Reason


@dishes.post("/dishes/{id}/revise", allow=WRITERS)
def revise(
    state: Dish, command: ReviseDish, by: By, forbidden: ForbiddenPolicy, allergens: AllergenPolicy
) -> DishRevised | None:
    if state.status is DishStatus.RETIRED:
        raise Refused("dish_retired", dish=state.name)
    revised = DishRevised(
        **written(command, forbidden, allergens), version=state.version + 1, reason=command.reason
    )
    return None if content(state) == content(revised) else revised


class RetireDish(Command):
    reason: Reason


@dishes.post("/dishes/{id}/retire", allow=WRITERS)
def retire(state: Dish, command: RetireDish, by: By) -> DishRetired | None:
    if state.status is DishStatus.RETIRED:
        return None
    return DishRetired(
        name=state.name, kind=state.kind, version=state.version, reason=command.reason
    )


def written(
    command: DishWritten, forbidden: ForbiddenPolicy, allergens: AllergenPolicy
) -> dict[str, Any]:
    """The content of an event from what a command says; refuses what may not be served."""
    recipes = tuple(
        Recipe(
            age_group=recipe.age_group,
            ingredients=tuple(Ingredient(**dict(part)) for part in recipe.ingredients),
            yield_g=recipe.yield_g,
        )
        for recipe in command.recipes
    )
    refuse_double_entries(recipes)
    if command.method in forbidden.methods:
        raise Refused("method_forbidden", field="method", method=command.method)
    if food := forbidden_food(forbidden, command.name, recipes):
        raise Refused("food_forbidden", field="recipes", food=food)
    refuse_wrong_kind(command.kind, recipes)
    known = {allergen.code for allergen in allergens.allergens}
    for code in command.allergens:
        if code not in known:
            raise Refused("allergen_unknown", field="allergens", allergen=code)
    found = allergens_in(allergens, recipes)
    return {
        "name": command.name,
        "kind": command.kind,
        "method": command.method,
        "recipes": recipes,
        "allergens": tuple(sorted({*command.allergens, *found})),
        "meat_share": min(meat_share_of(recipe) for recipe in recipes),
        "preparation": command.preparation,
    }


def refuse_double_entries(recipes: Iterable[Recipe]) -> None:
    """One recipe per age group, one weight per ingredient."""
    ages: set[AgeGroup] = set()
    for recipe in recipes:
        if recipe.age_group in ages:
            raise Refused("age_group_twice", field="recipes", age_group=recipe.age_group)
        ages.add(recipe.age_group)
        names: set[str] = set()
        for part in recipe.ingredients:
            if part.name in names:
                raise Refused("ingredient_twice", field="recipes", ingredient=part.name)
            names.add(part.name)


MEATS = (FoodGroup.MEAT, FoodGroup.FISH)
"""What makes a dish a meat dish; an egg makes it half a one."""


def refuse_wrong_kind(kind: DishKind, recipes: Iterable[Recipe]) -> None:
    """Every recipe must hold what the dish's kind promises."""
    for recipe in recipes:
        groups = {part.group for part in recipe.ingredients}
        has_meat = not groups.isdisjoint(MEATS)
        if kind is DishKind.MEAT and not has_meat:
            raise Refused("meat_dish_without_meat", field="kind", age_group=recipe.age_group)
        if kind is DishKind.HALF_MEAT and groups.isdisjoint((*MEATS, FoodGroup.EGG)):
            raise Refused("meat_dish_without_meat", field="kind", age_group=recipe.age_group)
        if kind is DishKind.VEGETABLE and has_meat:
            raise Refused("vegetable_dish_with_meat", field="kind", age_group=recipe.age_group)


NOT_WEIGHED = (FoodGroup.OIL, FoodGroup.SALT, FoodGroup.SEASONING, FoodGroup.WATER)
"""What the meat share (含肉量) leaves out: it compares meat with the other solid ingredients."""


def meat_share_of(recipe: Recipe) -> Decimal:
    """Raw meat and fish among the raw solid ingredients, 0 to 1, four decimals."""
    solid = sum(
        (part.weight_g for part in recipe.ingredients if part.group not in NOT_WEIGHED), Decimal(0)
    )
    meat = sum((part.weight_g for part in recipe.ingredients if part.group in MEATS), Decimal(0))
    return (meat / solid if solid else Decimal(0)).quantize(Decimal("0.0001"))


def forbidden_food(policy: ForbiddenPolicy, name: str, recipes: Iterable[Recipe]) -> str | None:
    """The first forbidden food that the dish's name or an ingredient speaks of."""
    texts = [name, *(part.name for recipe in recipes for part in recipe.ingredients)]
    return next(
        (food.name for food in policy.foods if any(food.found_in(text) for text in texts)), None
    )


def allergens_in(policy: AllergenPolicy, recipes: Iterable[Recipe]) -> set[str]:
    """Codes of the allergens that the ingredients' names betray."""
    names = {part.name for recipe in recipes for part in recipe.ingredients}
    return {
        allergen.code
        for allergen in policy.allergens
        if any(allergen.betrayed_by(name) for name in names)
    }


def plain(text: str) -> str:
    """A name without spaces and case, for comparing."""
    return "".join(text.split()).casefold()
