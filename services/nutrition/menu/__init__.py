"""A canteen drafts the week's menu, has it checked, and publishes it before the week begins.

带量食谱公示. What is published is never changed: a correction is a new version that supersedes it,
with a reason. Rule: disclosure of menus under the management of food safety in schools; two meat
dishes, two vegetables and a soup (两荤两素一汤) is local practice, kept as dated data.
"""

from __future__ import annotations

from copy import replace
from datetime import date
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

import msgspec

from services.nutrition.dish import AgeGroup, DishKind
from shared.kernel import Aggregate, Event, State


class Meal(StrEnum):
    """The meals of a day."""

    BREAKFAST = "breakfast"
    LUNCH = "lunch"
    DINNER = "dinner"
    SNACK = "snack"


class MenuDish(msgspec.Struct, frozen=True, kw_only=True):
    """A dish as it stood when it was put on the menu."""

    dish: UUID
    name: str
    kind: DishKind
    meat_share: Decimal
    allergens: tuple[str, ...]
    recipe_version: int


class MenuMeal(msgspec.Struct, frozen=True, kw_only=True):
    """What is served at one meal."""

    meal: Meal
    dishes: tuple[MenuDish, ...]


class MenuDay(msgspec.Struct, frozen=True, kw_only=True):
    """The meals of one day."""

    day: date
    meals: tuple[MenuMeal, ...]


class FindingKind(StrEnum):
    """What the check finds; the first three keep a menu from being published."""

    TOO_FEW = "too_few"
    LITTLE_MEAT = "little_meat"
    FORBIDDEN = "forbidden"
    REPEATED = "repeated"
    NO_RECIPE = "no_recipe"


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing the check found; `blocking` refuses publication, the others are warnings."""

    kind: FindingKind
    blocking: bool
    day: date
    meal: Meal
    dish: str = ""
    dish_kinds: tuple[DishKind, ...] = ()
    wanted: Decimal | None = None
    found: Decimal | None = None
    subject: str = ""


class MenuDrafted(Event):
    """`week` is its Monday; `canteen` tells apart the canteens of one school."""

    week: date
    canteen: str
    age_groups: tuple[AgeGroup, ...]
    days: tuple[MenuDay, ...]
    version: int
    copied_from: UUID | None = None


class MenuChanged(Event):
    """The draft is another now; after a publication it is the draft of the next version."""

    week: date
    canteen: str
    age_groups: tuple[AgeGroup, ...]
    days: tuple[MenuDay, ...]
    version: int


class MenuChecked(Event):
    week: date
    canteen: str
    version: int
    passed: bool
    findings: tuple[Finding, ...]


class MenuPublished(Event):
    """`days_ahead`: from publication to the week's Monday, negative once it has begun."""

    week: date
    canteen: str
    age_groups: tuple[AgeGroup, ...]
    days: tuple[MenuDay, ...]
    version: int
    warnings: tuple[Finding, ...]
    published_on: date
    days_ahead: int
    late: bool


class MenuSuperseded(Event):
    """Version `version` no longer stands, `superseded_by` does."""

    week: date
    canteen: str
    version: int
    superseded_by: int
    superseded_on: date
    reason: str


type MenuEvent = MenuDrafted | MenuChanged | MenuChecked | MenuPublished | MenuSuperseded


class MenuStatus(StrEnum):
    """How a version stands."""

    DRAFT = "draft"
    PUBLISHED = "published"
    SUPERSEDED = "superseded"


class MenuVersion(msgspec.Struct, frozen=True, kw_only=True):
    """One version; `findings` are the last check's, or the warnings it was published with."""

    version: int
    status: MenuStatus
    age_groups: tuple[AgeGroup, ...]
    days: tuple[MenuDay, ...]
    findings: tuple[Finding, ...] = ()
    checked: bool = False
    published_on: date | None = None
    days_ahead: int | None = None
    late: bool = False
    superseded_on: date | None = None
    reason: str = ""


class Menu(State):
    """Every version, the oldest first. At most one is a draft, at most one stands published."""

    week: date
    canteen: str
    versions: tuple[MenuVersion, ...]

    def last(self, status: MenuStatus) -> MenuVersion | None:
        """The version that stands so, or the latest of them."""
        return next((v for v in reversed(self.versions) if v.status is status), None)

    @property
    def draft(self) -> MenuVersion | None:
        """The version being prepared."""
        return self.last(MenuStatus.DRAFT)

    @property
    def published(self) -> MenuVersion | None:
        """The version that stands."""
        return self.last(MenuStatus.PUBLISHED)


def evolve(state: Menu | None, event: MenuEvent) -> Menu:
    """The menu after one more event."""
    menu = state or Menu(week=event.week, canteen=event.canteen, versions=())
    match event:
        case MenuDrafted() | MenuChanged():
            draft = MenuVersion(
                version=event.version,
                status=MenuStatus.DRAFT,
                age_groups=event.age_groups,
                days=event.days,
            )
            return _with(menu, draft)
        case MenuChecked(version=version, findings=findings):
            return replace(
                menu,
                versions=tuple(
                    replace(v, findings=findings, checked=True) if v.version == version else v
                    for v in menu.versions
                ),
            )
        case MenuPublished():
            published = MenuVersion(
                version=event.version,
                status=MenuStatus.PUBLISHED,
                age_groups=event.age_groups,
                days=event.days,
                findings=event.warnings,
                checked=True,
                published_on=event.published_on,
                days_ahead=event.days_ahead,
                late=event.late,
            )
            return _with(menu, published)
        case MenuSuperseded(version=version, superseded_on=day, reason=reason):
            return replace(
                menu,
                versions=tuple(
                    replace(v, status=MenuStatus.SUPERSEDED, superseded_on=day, reason=reason)
                    if v.version == version
                    else v
                    for v in menu.versions
                ),
            )


def _with(menu: Menu, version: MenuVersion) -> Menu:
    others = (v for v in menu.versions if v.version != version.version)
    return replace(menu, versions=tuple(sorted((*others, version), key=lambda v: v.version)))


menus = Aggregate(
    "menu",
    events=MenuEvent,
    state=Menu,
    evolve=evolve,
    key=lambda command: f"{command.organisation}:{command.week}:{command.canteen}",
)

# The capabilities record themselves on `menus`.
from services.nutrition.menu import plan, publication, views  # noqa: E402, F401
