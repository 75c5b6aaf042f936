"""Dish: weighed by age group, nothing forbidden, allergens found, a change is a new version."""

from copy import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from services.nutrition.dish import (
    AgeGroup,
    CookingMethod,
    DishDefined,
    DishKind,
    DishRetired,
    DishRevised,
    DishStatus,
    FoodGroup,
    Ingredient,
    Recipe,
    dishes,
)  # fmt: skip
from services.nutrition.dish.views import dish_ingredients, dish_list
from services.nutrition.dish.writing import (
    AllergenPolicy,
    DefineDish,
    ForbiddenFood,
    ForbiddenPolicy,
    IngredientWeighed,
    RecipeWeighed,
    RetireDish,
    ReviseDish,
    allergens_in,
    forbidden_food,
    meat_share_of,
)  # fmt: skip
from shared.kernel import Recorded
from shared.rules import RuleBook, shipped
from shared.testing import SCHOOL, STREAM, by, given, school

BOOK = RuleBook(shipped("nutrition"))
DAYS = (date(2009, 9, 1), date(2026, 9, 7))


def part(name: str, group: FoodGroup, weight: str | int) -> IngredientWeighed:
    return IngredientWeighed(name=name, group=group, weight_g=Decimal(weight))


PORK = part("猪五花肉", FoodGroup.MEAT, 60)
POTATO = part("土豆", FoodGroup.VEGETABLE, 40)
OIL = part("菜籽油", FoodGroup.OIL, 8)
EGG = part("鸡蛋", FoodGroup.EGG, 40)


def weighed(*parts: IngredientWeighed, age: AgeGroup = AgeGroup.AGE_6_8) -> RecipeWeighed:
    return RecipeWeighed(age_group=age, ingredients=parts, yield_g=Decimal(95))


SMALL = weighed(PORK, POTATO, OIL)
CONTENT: dict[str, Any] = {
    "name": "红烧肉炖土豆", "kind": DishKind.MEAT, "method": CookingMethod.BRAISE,
    "recipes": (SMALL,),
}  # fmt: skip
RECIPE = Recipe(
    age_group=AgeGroup.AGE_6_8,
    ingredients=tuple(Ingredient(**dict(one)) for one in (PORK, POTATO, OIL)),
    yield_g=Decimal(95),
)
WRITTEN: dict[str, Any] = CONTENT | {
    "recipes": (RECIPE,), "allergens": (), "meat_share": Decimal("0.6000"), "preparation": "",
}  # fmt: skip
DEFINED = DishDefined(**WRITTEN, version=1)
RETIRED = DishRetired(name="红烧肉炖土豆", kind=DishKind.MEAT, version=1, reason="学生不爱吃")


def define(**changed: Any) -> DefineDish:
    return DefineDish(organisation=SCHOOL, **(CONTENT | changed))


def revise(**changed: Any) -> ReviseDish:
    return ReviseDish(reason="调整用量", **(CONTENT | changed))


def test_defines_a_dish_with_its_meat_share() -> None:
    given(dishes).when(define()).then(DEFINED)
    given(dishes, DEFINED).when(define()).then()
    given(dishes, DEFINED).when(define(name="别的菜")).refused("dish_exists", field="id")


def test_the_meat_share_leaves_out_oil_and_water_and_is_the_lowest_of_the_recipes() -> None:
    lean = weighed(PORK, part("白萝卜", FoodGroup.VEGETABLE, 90), age=AgeGroup.AGE_9_11)
    defined = given(dishes).when(define(recipes=(SMALL, lean))).outcome()[0]
    assert isinstance(defined, DishDefined)
    assert defined.meat_share == Decimal("0.4000")
    fish = Ingredient(name="草鱼", group=FoodGroup.FISH, weight_g=Decimal(1))
    egg = Ingredient(name="鸡蛋", group=FoodGroup.EGG, weight_g=Decimal(2))
    salt = Ingredient(name="盐", group=FoodGroup.SALT, weight_g=Decimal(9))
    assert meat_share_of(replace(RECIPE, ingredients=(fish, egg, salt))) == Decimal("0.3333")
    assert meat_share_of(replace(RECIPE, ingredients=(salt,))) == 0


def test_refuses_double_entries() -> None:
    given(dishes).when(define(recipes=(SMALL, SMALL))).refused("age_group_twice", field="recipes")
    given(dishes).when(define(recipes=(weighed(PORK, PORK),))).refused(
        "ingredient_twice", field="recipes"
    )


@pytest.mark.parametrize("method", ["cold_dish", "raw", "decorated_cake"])
@pytest.mark.parametrize("day", ["2009-09-01T08:00:00+08:00", "2026-09-07T08:00:00+08:00"])
def test_refuses_forbidden_ways_of_cooking(method: str, day: str) -> None:
    command = define(method=CookingMethod(method))
    given(dishes).when(command, by=by(at=day)).refused("method_forbidden", field="method")


@pytest.mark.parametrize(
    "name",
    ["四季豆", "四季豆（切段）", "油豆角", "鲜 黄花菜", "野生菌", "发芽马铃薯", "Green Beans"],
)
def test_refuses_forbidden_foods_under_all_their_names(name: str) -> None:
    command = define(recipes=(weighed(PORK, part(name, FoodGroup.VEGETABLE, 50)),))
    given(dishes).when(command).refused("food_forbidden", field="recipes")


def test_refuses_a_dish_named_after_a_forbidden_food() -> None:
    given(dishes).when(define(name="干煸四季豆")).refused("food_forbidden")


@pytest.mark.parametrize(
    "name", ["干黄花菜", "黄花菜（干）", "豇豆", "香菇", "平菇", "土豆", "红芸豆"]
)
def test_what_only_sounds_forbidden_is_allowed(name: str) -> None:
    recipe = replace(
        RECIPE,
        ingredients=(Ingredient(name=name, group=FoodGroup.VEGETABLE, weight_g=Decimal(1)),),
    )
    for day in DAYS:
        assert forbidden_food(BOOK.in_force(ForbiddenPolicy, school, day), "炒菜", [recipe]) is None


def test_a_rule_pack_may_name_what_only_sounds_forbidden() -> None:
    food = ForbiddenFood(name="黄花菜", allowed=("干黄花菜", "Dried Daylily"))
    assert food.found_in("黄花菜炒肉")
    assert not food.found_in("干 黄花菜")
    assert food.found_in("干黄花菜和黄花菜")


def test_refuses_a_kind_that_the_recipe_does_not_hold() -> None:
    greens = weighed(part("小白菜", FoodGroup.VEGETABLE, 150))
    egg = weighed(EGG, part("番茄", FoodGroup.VEGETABLE, 100))
    missing = "meat_dish_without_meat"
    given(dishes).when(define(recipes=(egg,))).refused(missing, field="kind")
    half = DishKind.HALF_MEAT
    given(dishes).when(define(kind=half, recipes=(greens,))).refused(missing, field="kind")
    assert given(dishes).when(define(kind=half, recipes=(egg,))).outcome()
    given(dishes).when(define(kind=DishKind.VEGETABLE)).refused(
        "vegetable_dish_with_meat", field="kind"
    )
    assert given(dishes).when(define(kind=DishKind.VEGETABLE, recipes=(greens,))).outcome()


def test_allergens_found_in_the_ingredients_join_those_declared() -> None:
    nuts = part("花生米", FoodGroup.SOY_NUTS, 10)
    command = define(recipes=(weighed(PORK, EGG, nuts),), allergens=("milk", "egg"))
    defined = given(dishes).when(command).outcome()[0]
    assert isinstance(defined, DishDefined)
    assert defined.allergens == ("egg", "milk", "peanut")
    given(dishes).when(define(allergens=("moonlight",))).refused(
        "allergen_unknown", field="allergens"
    )


@pytest.mark.parametrize(
    ("name", "codes"),
    [
        ("草鱼块", {"fish"}), ("鱿鱼", {"mollusc"}), ("鱼香汁", set()), ("虾仁", {"crustacean"}),
        ("面粉", {"gluten"}), ("大米", set()), ("豆腐", {"soy"}), ("血豆腐", set()),
        ("纯牛奶", {"milk"}), ("茄子 eggplant", set()), ("黑芝麻", {"sesame"}),
        ("猪肉", set()), ("核桃仁", {"nuts"}), ("皮蛋", {"egg"}),
    ],
)  # fmt: skip
def test_the_shipped_words_betray_allergens(name: str, codes: set[str]) -> None:
    one = Ingredient(name=name, group=FoodGroup.SEASONING, weight_g=Decimal(1))
    policy = BOOK.in_force(AllergenPolicy, school, DAYS[1])
    assert allergens_in(policy, [replace(RECIPE, ingredients=(one,))]) == codes


def test_a_change_is_a_new_version() -> None:
    revised = DishRevised(
        **(WRITTEN | {"method": CookingMethod.STEW}), version=2, reason="调整用量"
    )
    after = given(dishes, DEFINED).when(revise(method=CookingMethod.STEW)).then(revised)
    assert (after.state.version, after.state.method) == (2, CookingMethod.STEW)
    given(dishes, DEFINED, revised).when(revise(method=CookingMethod.STEW)).then()
    given(dishes, DEFINED).when(revise()).then()


def test_a_revision_is_held_to_the_same_rules() -> None:
    past = given(dishes, DEFINED)
    past.when(revise(method=CookingMethod.RAW)).refused("method_forbidden")
    past.when(revise(name="四季豆烧肉")).refused("food_forbidden")
    past.when(revise(recipes=(SMALL, SMALL))).refused("age_group_twice")
    past.when(revise(recipes=(weighed(PORK, PORK),))).refused("ingredient_twice")
    past.when(revise(kind=DishKind.VEGETABLE)).refused("vegetable_dish_with_meat")
    past.when(revise(recipes=(weighed(POTATO),))).refused("meat_dish_without_meat")
    past.when(revise(allergens=("moonlight",))).refused("allergen_unknown")


def test_retires_once_and_for_all() -> None:
    command = RetireDish(reason="学生不爱吃")
    after = given(dishes, DEFINED).when(command).then(RETIRED)
    assert after.state.status is DishStatus.RETIRED
    given(dishes, DEFINED, RETIRED).when(command).then()
    given(dishes, DEFINED, RETIRED).when(revise(method=CookingMethod.STEW)).refused("dish_retired")


def test_views_show_the_dish_and_every_weight() -> None:
    moment = datetime(2026, 9, 7, tzinfo=UTC)
    recorded = Recorded(
        id=UUID(int=1), stream=STREAM, version=1, organisation=SCHOOL, actor="li",
        occurred_at=moment, recorded_at=moment,
    )  # fmt: skip
    state = given(dishes, DEFINED).state
    row = dish_list(state, recorded)
    assert (row.ingredients, row.age_groups, row.status) == (
        "猪五花肉、土豆、菜籽油", (AgeGroup.AGE_6_8,), DishStatus.IN_USE,
    )  # fmt: skip
    rows = dish_ingredients(state, recorded)
    assert {key: one.weight_g for key, one in rows.items()} == {
        "age_6_8:猪五花肉": 60, "age_6_8:土豆": 40, "age_6_8:菜籽油": 8,
    }  # fmt: skip
