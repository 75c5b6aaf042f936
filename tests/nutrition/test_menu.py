"""Menu: checked, published, never changed; a correction is a new version with a reason."""

from copy import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from services.nutrition.dish import (
    AgeGroup,
    CookingMethod,
    Dish,
    DishKind,
    DishStatus,
    FoodGroup,
    Ingredient,
    Recipe,
)  # fmt: skip
from services.nutrition.menu import (
    Finding,
    FindingKind,
    Meal,
    Menu,
    MenuChanged,
    MenuChecked,
    MenuDay,
    MenuDish,
    MenuDrafted,
    MenuMeal,
    MenuPublished,
    MenuStatus,
    MenuSuperseded,
    menus,
)  # fmt: skip
from services.nutrition.menu.plan import (
    ChangeMenu,
    CopyMenu,
    DayPlanned,
    DraftMenu,
    MealPlanned,
    ids_in,
)  # fmt: skip
from services.nutrition.menu.publication import (
    CheckMenu,
    PublishMenu,
    SupersedeMenu,
    corrected_dishes,
    draft_dishes,
    weeks_before,
)  # fmt: skip
from services.nutrition.menu.views import (
    menu_board,
    menu_findings,
    menu_versions,
    published_menus,
)
from shared.kernel import Recorded
from shared.testing import SCHOOL, STREAM, Result, by, given

WEEK = date(2026, 9, 7)
AGES = (AgeGroup.AGE_6_8, AgeGroup.AGE_9_11)
BEFORE = by("zhao", at="2026-09-04T16:00:00+08:00")
PORK, FISH, GREENS, TOFU, SOUP, RICE, CUCUMBER = (UUID(int=n) for n in range(201, 208))


def dish(name: str, kind: DishKind, share: str = "0", **changed: Any) -> Dish:
    part = Ingredient(name=name, group=FoodGroup.VEGETABLE, weight_g=Decimal(1))
    known: dict[str, Any] = {
        "name": name, "kind": kind, "method": CookingMethod.STIR_FRY,
        "recipes": tuple(
            Recipe(age_group=age, ingredients=(part,), yield_g=Decimal(1)) for age in AGES
        ),
        "allergens": (), "meat_share": Decimal(share), "preparation": "", "version": 1,
    }  # fmt: skip
    return Dish(**(known | changed))


DISHES = {
    PORK: dish("红烧肉", DishKind.MEAT, "0.80"),
    FISH: dish("清蒸鱼", DishKind.MEAT, "0.50", allergens=("fish",)),
    GREENS: dish("炒青菜", DishKind.VEGETABLE),
    TOFU: dish("麻婆豆腐", DishKind.VEGETABLE, allergens=("soy",)),
    SOUP: dish("紫菜汤", DishKind.SOUP),
    RICE: dish("米饭", DishKind.STAPLE),
    CUCUMBER: dish("炒黄瓜", DishKind.VEGETABLE),
}
LUNCH = (PORK, FISH, GREENS, TOFU, SOUP, RICE)


def day(number: int, *ids: UUID, meal: Meal = Meal.LUNCH) -> DayPlanned:
    return DayPlanned(
        day=WEEK + timedelta(days=number), meals=(MealPlanned(meal=meal, dishes=ids),)
    )


def on_menu(id_: UUID) -> MenuDish:
    one = DISHES[id_]
    return MenuDish(
        dish=id_, name=one.name, kind=one.kind, meat_share=one.meat_share,
        allergens=one.allergens, recipe_version=1,
    )  # fmt: skip


def menu_day(number: int, *ids: UUID, meal: Meal = Meal.LUNCH) -> MenuDay:
    meals = (MenuMeal(meal=meal, dishes=tuple(on_menu(id_) for id_ in ids)),)
    return MenuDay(day=WEEK + timedelta(days=number), meals=meals)


MONDAY = menu_day(0, *LUNCH)
OTHER_MONDAY = menu_day(0, PORK, FISH, GREENS, CUCUMBER, SOUP, RICE)
OF: dict[str, Any] = {"week": WEEK, "canteen": ""}
DRAFTED = MenuDrafted(**OF, age_groups=AGES, days=(MONDAY,), version=1)


def publication(version: int = 1, *days: MenuDay, **changed: Any) -> MenuPublished:
    known: dict[str, Any] = {
        "age_groups": AGES, "days": days or (MONDAY,), "version": version, "warnings": (),
        "published_on": date(2026, 9, 4), "days_ahead": 3, "late": False,
    }  # fmt: skip
    return MenuPublished(**OF, **(known | changed))


PUBLISHED = publication()


def draft_command(*days: DayPlanned, **changed: Any) -> DraftMenu:
    known: dict[str, Any] = {"age_groups": AGES, "days": days or (day(0, *LUNCH),), "week": WEEK}
    return DraftMenu(organisation=SCHOOL, **(known | changed))


def drafting(*past: Any, command: DraftMenu | ChangeMenu, **facts: Any) -> Result:
    return given(menus, *past).when(command, **({"dishes": DISHES} | facts))


def publishing(*past: Any, command: Any = None, **facts: Any) -> Result:
    known: dict[str, Any] = {"by": BEFORE, "dishes": DISHES, "earlier": {}} | facts
    return given(menus, *past).when(command or PublishMenu(), **known)


def with_dish(id_: UUID, **changed: Any) -> dict[UUID, Dish]:
    return DISHES | {id_: replace(DISHES[id_], **changed)}


def drafted(*days: MenuDay) -> MenuDrafted:
    return replace(DRAFTED, days=days)


# Drafting


def test_drafts_a_week_with_its_dishes_as_they_are() -> None:
    drafting(command=draft_command()).then(DRAFTED)
    drafting(DRAFTED, command=draft_command()).then()
    reversed_ages = draft_command(age_groups=(*reversed(AGES), AGES[0]))
    drafting(command=reversed_ages).then(DRAFTED)


def test_days_come_in_order() -> None:
    command = draft_command(day(2, *LUNCH), day(0, *LUNCH))
    drafting(command=command).then(drafted(MONDAY, menu_day(2, *LUNCH)))


def test_there_is_one_menu_of_a_week_and_canteen() -> None:
    assert menus.key is not None
    assert menus.id_of(menus.key(draft_command())) != menus.id_of(
        menus.key(draft_command(canteen="二食堂"))
    )
    drafting(DRAFTED, command=draft_command(day(1, *LUNCH))).refused("menu_exists", field="week")


def test_refuses_what_does_not_fit_into_the_week() -> None:
    def refused(command: DraftMenu, slug: str, field: str = "days") -> None:
        drafting(command=command).refused(slug, field=field)

    refused(draft_command(week=date(2026, 9, 8)), "week_not_monday", "week")
    refused(draft_command(day(7, *LUNCH)), "day_outside_week")
    refused(draft_command(day(-1, *LUNCH)), "day_outside_week")
    refused(draft_command(day(0, *LUNCH), day(0, *LUNCH)), "day_twice")
    twice = MealPlanned(meal=Meal.LUNCH, dishes=LUNCH)
    refused(draft_command(DayPlanned(day=WEEK, meals=(twice, twice))), "meal_twice")
    refused(draft_command(day(0, PORK, PORK)), "dish_twice")
    assert drafting(command=draft_command(day(6, *LUNCH))).outcome()


def test_refuses_unknown_and_retired_dishes_by_name() -> None:
    drafting(command=draft_command(), dishes={}).refused("dish_unknown", field="days")
    retired = with_dish(FISH, status=DishStatus.RETIRED)
    drafting(command=draft_command(), dishes=retired).refused("dish_retired", field="days")
    publishing(DRAFTED, dishes=retired).refused("dish_retired")
    publishing(DRAFTED, dishes={}).refused("dish_unknown")


def test_changes_the_draft() -> None:
    command = ChangeMenu(age_groups=AGES, days=(day(0, PORK, FISH, GREENS, CUCUMBER, SOUP, RICE),))
    changed = MenuChanged(**OF, age_groups=AGES, days=(OTHER_MONDAY,), version=1)
    drafting(DRAFTED, command=command).then(changed)
    drafting(DRAFTED, changed, command=command).then()
    same = ChangeMenu(age_groups=AGES, days=(day(0, *LUNCH),))
    drafting(DRAFTED, command=same).then()


@pytest.mark.parametrize(
    ("days", "slug"),
    [
        ((day(7, *LUNCH),), "day_outside_week"),
        ((day(0, *LUNCH), day(0, *LUNCH)), "day_twice"),
        ((day(0, PORK, PORK),), "dish_twice"),
        ((day(0, UUID(int=9)),), "dish_unknown"),
        (
            (DayPlanned(day=WEEK, meals=(MealPlanned(meal=Meal.LUNCH, dishes=(PORK,)),) * 2),),
            "meal_twice",
        ),
    ],
)
def test_a_change_is_held_to_the_same_rules(days: tuple[DayPlanned, ...], slug: str) -> None:
    drafting(DRAFTED, command=ChangeMenu(age_groups=AGES, days=days)).refused(slug, field="days")
    retired = {id_: replace(one, status=DishStatus.RETIRED) for id_, one in DISHES.items()}
    command = ChangeMenu(age_groups=AGES, days=(day(0, *LUNCH),))
    drafting(DRAFTED, command=command, dishes=retired).refused("dish_retired")


def test_a_change_after_publication_is_the_next_versions_draft() -> None:
    command = ChangeMenu(age_groups=AGES, days=(day(0, PORK, FISH, GREENS, CUCUMBER, SOUP, RICE),))
    changed = MenuChanged(**OF, age_groups=AGES, days=(OTHER_MONDAY,), version=2)
    after = drafting(DRAFTED, PUBLISHED, command=command).then(changed)
    assert [(v.version, v.status) for v in after.state.versions] == [
        (1, MenuStatus.PUBLISHED), (2, MenuStatus.DRAFT),
    ]  # fmt: skip
    assert after.state.published.days == (MONDAY,), "published is never changed"
    drafting(DRAFTED, PUBLISHED, changed, command=command).then()


def test_copies_a_week() -> None:
    original = given(menus, DRAFTED).state
    week = date(2026, 9, 21)
    command = CopyMenu(organisation=SCHOOL, week=week, source=STREAM)
    copied = MenuDrafted(
        week=week, canteen="", age_groups=AGES, days=(replace(MONDAY, day=week),), version=1,
        copied_from=STREAM,
    )  # fmt: skip
    given(menus).when(command, original=original).then(copied)
    given(menus, copied).when(command, original=original).then()
    given(menus, drafted(OTHER_MONDAY)).when(command, original=original).refused("menu_exists")


def test_copies_what_stands_rather_than_a_draft() -> None:
    changed = MenuChanged(**OF, age_groups=AGES, days=(OTHER_MONDAY,), version=2)
    original = given(menus, DRAFTED, PUBLISHED, changed).state
    command = CopyMenu(organisation=SCHOOL, week=date(2026, 9, 14), source=STREAM)
    copied = given(menus).when(command, original=original).outcome()[0]
    assert isinstance(copied, MenuDrafted)
    assert copied.days[0].meals == MONDAY.meals


def test_refuses_to_copy_nothing_or_to_a_broken_week() -> None:
    command = CopyMenu(organisation=SCHOOL, week=date(2026, 9, 14), source=STREAM)
    given(menus).when(command, original=None).refused("menu_unknown", field="source")
    tuesday = command.model_copy(update={"week": date(2026, 9, 15)})
    given(menus).when(tuesday, original=given(menus, DRAFTED).state).refused("week_not_monday")


# Checking


def finding(kind: FindingKind, **values: Any) -> Finding:
    blocking = kind in (FindingKind.TOO_FEW, FindingKind.LITTLE_MEAT, FindingKind.FORBIDDEN)
    return Finding(kind=kind, blocking=blocking, day=WEEK, meal=Meal.LUNCH, **values)


def checking(*past: Any, **facts: Any) -> Result:
    return publishing(*past, command=CheckMenu(), **facts)


def test_a_good_menu_passes_the_check() -> None:
    passed = MenuChecked(**OF, version=1, passed=True, findings=())
    checking(DRAFTED).then(passed)
    checking(DRAFTED, passed).then()
    checking(DRAFTED, PUBLISHED).refused("menu_without_draft")
    changed = MenuChanged(**OF, age_groups=AGES, days=(OTHER_MONDAY,), version=1)
    checking(DRAFTED, passed, changed).then(passed)


def test_the_check_finds_everything_at_once() -> None:
    past = drafted(menu_day(0, PORK, GREENS))
    few = (
        finding(FindingKind.TOO_FEW, dish_kinds=(kind,), wanted=Decimal(wanted), found=Decimal(n))
        for kind, wanted, n in (
            (DishKind.MEAT, 2, 1), (DishKind.VEGETABLE, 2, 1), (DishKind.SOUP, 1, 0),
        )
    )  # fmt: skip
    little = finding(
        FindingKind.LITTLE_MEAT, dish="红烧肉", wanted=Decimal("0.50"), found=Decimal("0.49")
    )
    dishes = with_dish(PORK, meat_share=Decimal("0.49"))
    checking(past, dishes=dishes).then(
        MenuChecked(**OF, version=1, passed=False, findings=(*few, little))
    )


def test_the_check_refuses_dishes_that_are_gone() -> None:
    checking(DRAFTED, dishes={}).refused("dish_unknown")
    checking(DRAFTED, dishes=with_dish(SOUP, status=DishStatus.RETIRED)).refused("dish_retired")


def test_a_kindergarten_needs_less_and_breakfast_nothing() -> None:
    small = replace(
        DRAFTED, age_groups=(AgeGroup.KINDERGARTEN,), days=(menu_day(0, PORK, GREENS, RICE),)
    )
    assert publishing(small).outcome()
    breakfast = drafted(menu_day(0, RICE, meal=Meal.BREAKFAST))
    assert publishing(breakfast).outcome()


# Publishing


def test_publishes_once_with_the_dishes_as_they_are_now() -> None:
    publishing(DRAFTED).then(PUBLISHED)
    publishing(DRAFTED, PUBLISHED).then()
    revised = with_dish(FISH, version=2, allergens=("fish", "soy"))
    event = publishing(DRAFTED, dishes=revised).outcome()[0]
    assert isinstance(event, MenuPublished)
    fish = event.days[0].meals[0].dishes[1]
    assert (fish.recipe_version, fish.allergens) == (2, ("fish", "soy"))


def test_late_publication_is_seen() -> None:
    monday = by("zhao", at="2026-09-07T07:00:00+08:00")
    publishing(DRAFTED, by=monday).then(publication(published_on=WEEK, days_ahead=0, late=True))
    sunday = by("zhao", at="2026-09-06T23:00:00+08:00")
    publishing(DRAFTED, by=sunday).then(
        publication(published_on=date(2026, 9, 6), days_ahead=1, late=False)
    )


@pytest.mark.parametrize(
    "ids",
    [
        (PORK, GREENS, TOFU, SOUP),
        (PORK, FISH, GREENS, SOUP),
        (PORK, FISH, GREENS, TOFU),
    ],
)
def test_refuses_a_lunch_without_two_meat_two_vegetables_and_a_soup(ids: tuple[UUID, ...]) -> None:
    publishing(drafted(menu_day(0, *ids))).refused("menu_lacks_dishes", field="days")


def test_half_a_meat_dish_is_none() -> None:
    dishes = with_dish(FISH, kind=DishKind.HALF_MEAT)
    publishing(DRAFTED, dishes=dishes).refused("menu_lacks_dishes")


def test_refuses_a_meat_dish_with_little_meat() -> None:
    dishes = with_dish(FISH, meat_share=Decimal("0.4999"))
    publishing(DRAFTED, dishes=dishes).refused("menu_meat_share_low", field="days")
    half = with_dish(TOFU, kind=DishKind.HALF_MEAT, meat_share=Decimal("0.1"))
    event = publishing(drafted(menu_day(0, *LUNCH, CUCUMBER)), dishes=half).outcome()[0]
    assert isinstance(event, MenuPublished), "a half-meat dish has no minimum"


def test_refuses_a_dish_forbidden_since_it_was_written() -> None:
    publishing(DRAFTED, dishes=with_dish(TOFU, name="干煸四季豆")).refused("menu_dish_forbidden")
    cold = with_dish(TOFU, method=CookingMethod.COLD_DISH)
    publishing(DRAFTED, dishes=cold).refused("menu_dish_forbidden", field="days")


def earlier(days_ago: int) -> dict[UUID, Menu]:
    past = replace(MONDAY, day=WEEK - timedelta(days=days_ago))
    monday = WEEK - timedelta(weeks=1)
    return {
        STREAM: given(
            menus, replace(PUBLISHED, week=monday, days=(past,))
        ).state
    }  # fmt: skip


def test_repeats_within_the_cycle_are_warned_of_not_refused() -> None:
    event = publishing(drafted(MONDAY, menu_day(2, *LUNCH))).outcome()[0]
    assert isinstance(event, MenuPublished)
    assert [(w.kind, w.dish, w.found, w.day) for w in event.warnings] == [
        (FindingKind.REPEATED, name, Decimal(2), date(2026, 9, 9))
        for name in ("红烧肉", "清蒸鱼", "炒青菜", "麻婆豆腐")
    ]  # soup and rice may come every day


@pytest.mark.parametrize(("days_ago", "warned"), [(6, 4), (7, 0)])
def test_repeats_of_the_weeks_before_count_within_the_cycle(days_ago: int, warned: int) -> None:
    event = publishing(DRAFTED, earlier=earlier(days_ago)).outcome()[0]
    assert isinstance(event, MenuPublished)
    assert len(event.warnings) == warned


def test_an_earlier_week_never_published_does_not_count() -> None:
    unpublished = given(menus, drafted(replace(MONDAY, day=WEEK - timedelta(days=3)))).state
    event = publishing(DRAFTED, earlier={STREAM: unpublished}).outcome()[0]
    assert isinstance(event, MenuPublished)
    assert event.warnings == ()


def test_a_dish_not_weighed_for_an_age_is_warned_of() -> None:
    older = replace(DRAFTED, age_groups=(*AGES, AgeGroup.AGE_12_14), days=(menu_day(0, *LUNCH),))
    event = publishing(older).outcome()[0]
    assert isinstance(event, MenuPublished)
    assert {(w.kind, w.subject) for w in event.warnings} == {
        (FindingKind.NO_RECIPE, AgeGroup.AGE_12_14)
    }
    assert len(event.warnings) == len(LUNCH)


# Superseding

NEW_DAYS = (day(0, PORK, FISH, GREENS, CUCUMBER, SOUP, RICE),)
SUPERSEDED = MenuSuperseded(
    **OF, version=1, superseded_by=2, superseded_on=date(2026, 9, 4), reason="豆腐未到货"
)
SUPERSEDE = SupersedeMenu(reason="豆腐未到货", days=NEW_DAYS)


def test_a_correction_is_a_new_version_with_a_reason() -> None:
    second = publication(2, OTHER_MONDAY)
    after = publishing(DRAFTED, PUBLISHED, command=SUPERSEDE).then(SUPERSEDED, second)
    assert [(v.version, v.status, v.reason) for v in after.state.versions] == [
        (1, MenuStatus.SUPERSEDED, "豆腐未到货"), (2, MenuStatus.PUBLISHED, ""),
    ]  # fmt: skip
    assert after.state.versions[0].days == (MONDAY,)
    publishing(DRAFTED, PUBLISHED, SUPERSEDED, second, command=SUPERSEDE).then()


def test_a_prepared_draft_supersedes_and_is_not_published_without_a_reason() -> None:
    changed = MenuChanged(**OF, age_groups=AGES, days=(OTHER_MONDAY,), version=2)
    past = (DRAFTED, PUBLISHED, changed)
    publishing(*past).refused("menu_published_already")
    prepared = SupersedeMenu(reason="豆腐未到货")
    second = publication(2, OTHER_MONDAY)
    publishing(*past, command=prepared).then(SUPERSEDED, second)
    publishing(*past, SUPERSEDED, second, command=prepared).refused("menu_without_draft")


def test_ages_alone_can_be_corrected() -> None:
    command = SupersedeMenu(
        reason="高年级也在本食堂就餐", days=(day(0, *LUNCH),), age_groups=(AgeGroup.AGE_9_11,)
    )
    new = publishing(DRAFTED, PUBLISHED, command=command).outcome()[1]
    assert isinstance(new, MenuPublished)
    assert (new.version, new.age_groups) == (2, (AgeGroup.AGE_9_11,))


def test_only_what_is_published_is_superseded() -> None:
    publishing(DRAFTED, command=SUPERSEDE).refused("menu_not_published")
    publishing(DRAFTED, PUBLISHED, command=SupersedeMenu(reason="没有草稿")).refused(
        "menu_without_draft", field="days"
    )


@pytest.mark.parametrize(
    ("days", "dishes", "slug"),
    [
        ((day(0, PORK, GREENS, TOFU, SOUP),), DISHES, "menu_lacks_dishes"),
        (NEW_DAYS, with_dish(PORK, meat_share=Decimal("0.1")), "menu_meat_share_low"),
        (NEW_DAYS, with_dish(SOUP, name="野生菌汤"), "menu_dish_forbidden"),
        (NEW_DAYS, with_dish(SOUP, status=DishStatus.RETIRED), "dish_retired"),
        (NEW_DAYS, {}, "dish_unknown"),
        ((day(9, *LUNCH),), DISHES, "day_outside_week"),
        ((*NEW_DAYS, *NEW_DAYS), DISHES, "day_twice"),
        ((day(0, PORK, PORK),), DISHES, "dish_twice"),
        (
            (DayPlanned(day=WEEK, meals=(MealPlanned(meal=Meal.LUNCH, dishes=(PORK,)),) * 2),),
            DISHES,
            "meal_twice",
        ),
    ],
)
def test_a_correction_is_checked_like_a_first_version(
    days: tuple[DayPlanned, ...], dishes: dict[UUID, Dish], slug: str
) -> None:
    command = SupersedeMenu(reason="豆腐未到货", days=days)
    publishing(DRAFTED, PUBLISHED, command=command, dishes=dishes).refused(slug, field="days")


# Facts and views


def test_the_facts_that_are_looked_for() -> None:
    state = given(menus, DRAFTED).state
    assert draft_dishes(CheckMenu(), state, BEFORE) == LUNCH
    assert corrected_dishes(SUPERSEDE, state, BEFORE) == ids_in(NEW_DAYS)
    assert corrected_dishes(SupersedeMenu(reason="更正"), state, BEFORE) == LUNCH
    assert draft_dishes(CheckMenu(), given(menus, DRAFTED, PUBLISHED).state, BEFORE) == ()
    weeks = weeks_before(CheckMenu(), state, BEFORE)
    assert menus.key is not None
    last = draft_command(week=WEEK - timedelta(weeks=1))
    assert weeks[0] == menus.id_of(menus.key(last))
    assert len(weeks) == 4


MOMENT = datetime(2026, 9, 4, tzinfo=UTC)
RECORDED = Recorded(
    id=UUID(int=1), stream=STREAM, version=2, organisation=SCHOOL, actor="zhao",
    occurred_at=MOMENT, recorded_at=MOMENT,
)  # fmt: skip


def test_every_version_is_listed_and_the_board_shows_what_stands_and_what_is_planned() -> None:
    changed = MenuChanged(**OF, age_groups=AGES, days=(menu_day(1, RICE),), version=3)
    second = publication(2, OTHER_MONDAY, late=True, days_ahead=-1)
    state = given(menus, DRAFTED, PUBLISHED, SUPERSEDED, second, changed).state
    versions = menu_versions(state, RECORDED)
    assert [(row.menu_version, row.status, row.late) for row in versions.values()] == [
        (1, MenuStatus.SUPERSEDED, False), (2, MenuStatus.PUBLISHED, True),
        (3, MenuStatus.DRAFT, False),
    ]  # fmt: skip
    assert (versions["002"].days_count, versions["002"].dishes_count) == (1, 6)
    board = menu_board(state, RECORDED)
    assert [row.dish_name for row in board.values()] == [
        "红烧肉", "清蒸鱼", "炒青菜", "炒黄瓜", "紫菜汤", "米饭", "米饭",
    ]  # fmt: skip
    assert board["003:2026-09-08:lunch:01"].status is MenuStatus.DRAFT


def test_findings_are_listed_and_counted() -> None:
    few = finding(FindingKind.TOO_FEW, wanted=Decimal(2), found=Decimal(1))
    again = finding(FindingKind.REPEATED, dish="红烧肉", wanted=Decimal(1), found=Decimal(2))
    checked = MenuChecked(**OF, version=1, passed=False, findings=(few, again))
    state = given(menus, DRAFTED, checked).state
    row = menu_versions(state, RECORDED)["001"]
    assert (row.checked, row.problems_count, row.warnings_count) == (True, 1, 1)
    rows = menu_findings(state, RECORDED)
    assert [(one.finding, one.blocking) for one in rows.values()] == [
        (FindingKind.TOO_FEW, True), (FindingKind.REPEATED, False),
    ]  # fmt: skip


def test_parents_read_what_was_published_and_why_it_was_superseded() -> None:
    drafted = given(menus, DRAFTED).state
    assert published_menus(drafted, RECORDED) == {}
    changed = MenuChanged(**OF, age_groups=AGES, days=(menu_day(1, RICE),), version=3)
    second = publication(2, OTHER_MONDAY)
    state = given(menus, DRAFTED, PUBLISHED, SUPERSEDED, second, changed).state
    rows = published_menus(state, RECORDED)
    assert {key: row.status for key, row in rows.items()} == {
        "001": MenuStatus.SUPERSEDED, "002": MenuStatus.PUBLISHED,
    }  # fmt: skip
    assert rows["001"].reason and rows["001"].superseded_on and not rows["002"].reason
    (lunch,) = rows["002"].meals
    assert (lunch.day, lunch.meal) == (WEEK, Meal.LUNCH)
    assert lunch.dishes == ("红烧肉", "清蒸鱼", "炒青菜", "炒黄瓜", "紫菜汤", "米饭")
    assert lunch.allergens == ("fish",)
