"""Eating: the dishes a canteen can cook, by weight and age, and the week's menu it publishes."""

from services.nutrition.dish import dishes
from services.nutrition.dish.writing import AllergenPolicy, ForbiddenPolicy
from services.nutrition.menu import menus
from services.nutrition.menu.check import MenuPolicy
from shared.kernel import Service

nutrition = Service(
    "nutrition", [dishes, menus], policies=[ForbiddenPolicy, AllergenPolicy, MenuPolicy]
)
