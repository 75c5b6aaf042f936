"""A school with a nutritionist, a head and dishes, for whoever plans a menu in the browser."""

from __future__ import annotations

from tests.world import TOWN, World, unit

COOK, HEAD = "user-8", "user-9"

DISHES = (
    ("红烧肉", "meat", [("五花肉", "meat", 75), ("土豆", "grain", 30)]),
    ("清蒸草鱼", "meat", [("草鱼", "fish", 80), ("大葱", "vegetable", 10)]),
    ("炒小白菜", "vegetable", [("小白菜", "vegetable", 120)]),
    ("家常豆腐", "vegetable", [("豆腐", "soy_nuts", 60), ("青椒", "vegetable", 40)]),
    ("番茄汤", "soup", [("番茄", "vegetable", 40)]),
    ("板栗烧鸡", "meat", [("鸡腿肉", "meat", 75), ("板栗", "soy_nuts", 20)]),
)


async def equipped(world: World) -> dict[str, str]:
    """What the journeys are told: who cooks, who heads, and where."""
    code = await world.new_school(TOWN, (COOK, "nutritionist"), (HEAD, "principal"))
    for name, kind, ingredients in DISHES:
        recipe = {
            "age_group": "age_6_8", "yield_g": "100",
            "ingredients": [
                {"name": part, "group": group, "weight_g": str(weight)}
                for part, group, weight in ingredients
            ],
        }  # fmt: skip
        body = {
            "organisation": str(unit(code)), "name": name, "kind": kind, "method": "stew",
            "recipes": [recipe],
        }  # fmt: skip
        await world.api.do(COOK, "/nutrition/dishes", body)
    school = await world.api.read(COOK, f"/organisation/units/{unit(code)}", after="organisation")
    return {"HOUQIN_COOK": COOK, "HOUQIN_HEAD": HEAD, "HOUQIN_KITCHEN": school["name"]}
