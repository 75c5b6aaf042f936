"""Checking, publishing and superseding: what parents see was checked, and is never changed."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Annotated
from uuid import UUID

from services.nutrition.dish import Dish
from services.nutrition.dish.writing import WRITERS, ForbiddenPolicy
from services.nutrition.menu import (
    Finding,
    FindingKind,
    Menu,
    MenuChecked,
    MenuPublished,
    MenuStatus,
    MenuSuperseded,
    MenuVersion,
    menus,
)
from services.nutrition.menu.check import MenuPolicy, findings_of
from services.nutrition.menu.plan import (
    AgeGroups,
    DaysPlanned,
    ids_in,
    in_order,
    next_version,
    planned,
    refreshed,
)
from shared.fields import Reason
from shared.kernel import By, Command, Event, From, Refused
from shared.organisation import MANAGERS

WEEKS_BACK = 4
"""How many weeks are loaded to look for repeats: no cycle of menus is longer."""


def draft_dishes(command: Command, state: Menu, by: By) -> tuple[UUID, ...]:
    """The dishes of the draft."""
    return dishes_of(state.draft)


def weeks_before(command: Command, state: Menu, by: By) -> tuple[UUID, ...]:
    """The same canteen's menus of the weeks before."""
    return tuple(
        menus.id_of(by.unit, state.week - timedelta(weeks=weeks), state.canteen)
        for weeks in range(1, WEEKS_BACK + 1)
    )


class CheckMenu(Command):
    pass


@menus.post("/menus/{id}/check", allow=(*WRITERS, *MANAGERS))
def check(
    state: Menu,
    command: CheckMenu,
    by: By,
    *,
    policy: MenuPolicy,
    forbidden: ForbiddenPolicy,
    dishes: Annotated[dict[UUID, Dish], From(draft_dishes)],
    earlier: Annotated[dict[UUID, Menu], From(weeks_before)],
) -> MenuChecked | None:
    draft = state.draft
    if draft is None:
        raise Refused("menu_without_draft")
    findings = findings_of(
        refreshed(draft, dishes),
        draft.age_groups,
        dishes=dishes,
        earlier=earlier.values(),
        policy=policy,
        forbidden=forbidden,
    )
    if draft.checked and draft.findings == findings:
        return None
    return MenuChecked(
        week=state.week,
        canteen=state.canteen,
        version=draft.version,
        passed=not any(finding.blocking for finding in findings),
        findings=findings,
    )


class PublishMenu(Command):
    pass


@menus.post("/menus/{id}/publish", allow=MANAGERS, weighty=True)
def publish(
    state: Menu,
    command: PublishMenu,
    by: By,
    *,
    policy: MenuPolicy,
    forbidden: ForbiddenPolicy,
    dishes: Annotated[dict[UUID, Dish], From(draft_dishes)],
    earlier: Annotated[dict[UUID, Menu], From(weeks_before)],
) -> MenuPublished | None:
    draft = state.draft
    if draft is None:
        return None
    if state.published is not None:
        raise Refused("menu_published_already", version=state.published.version)
    ready = MenuVersion(
        version=draft.version,
        status=draft.status,
        age_groups=draft.age_groups,
        days=refreshed(draft, dishes),
    )
    return published(
        state,
        ready,
        by,
        dishes=dishes,
        earlier=earlier.values(),
        policy=policy,
        forbidden=forbidden,
    )


def corrected_dishes(command: SupersedeMenu, state: Menu, by: By) -> tuple[UUID, ...]:
    """The dishes of the correction: those sent along, else the draft's."""
    return ids_in(command.days) if command.days is not None else dishes_of(state.draft)


class SupersedeMenu(Command):
    """A new version in place of the published one: `days`, or else the draft prepared for it.
    `reason` is published with the old one.
    """

    reason: Reason
    days: DaysPlanned | None = None
    age_groups: AgeGroups | None = None


@menus.post("/menus/{id}/supersede", allow=MANAGERS, weighty=True)
def supersede(
    state: Menu,
    command: SupersedeMenu,
    by: By,
    *,
    policy: MenuPolicy,
    forbidden: ForbiddenPolicy,
    dishes: Annotated[dict[UUID, Dish], From(corrected_dishes)],
    earlier: Annotated[dict[UUID, Menu], From(weeks_before)],
) -> list[Event] | None:
    standing, draft = state.published, state.draft
    if standing is None:
        raise Refused("menu_not_published")
    if command.days is None and draft is None:
        raise Refused("menu_without_draft", field="days")
    ready = correction(state, command, dishes)
    if (ready.days, ready.age_groups) == (standing.days, standing.age_groups):
        return None
    new = published(
        state,
        ready,
        by,
        dishes=dishes,
        earlier=earlier.values(),
        policy=policy,
        forbidden=forbidden,
    )
    old = MenuSuperseded(
        week=state.week,
        canteen=state.canteen,
        version=standing.version,
        superseded_by=ready.version,
        superseded_on=by.day,
        reason=command.reason,
    )
    return [old, new]


def correction(state: Menu, command: SupersedeMenu, dishes: dict[UUID, Dish]) -> MenuVersion:
    """The version that is to stand instead of the published one."""
    basis = state.draft or state.published
    assert basis is not None, "something stands published"
    days = (
        refreshed(basis, dishes)
        if command.days is None
        else planned(command.days, state.week, dishes)
    )
    return MenuVersion(
        version=next_version(state),
        status=MenuStatus.DRAFT,
        age_groups=basis.age_groups if command.age_groups is None else in_order(command.age_groups),
        days=days,
    )


def published(
    state: Menu,
    ready: MenuVersion,
    by: By,
    *,
    dishes: dict[UUID, Dish],
    earlier: Iterable[Menu],
    policy: MenuPolicy,
    forbidden: ForbiddenPolicy,
) -> MenuPublished:
    """The publication of `ready` with its warnings; refuses what fails the check."""
    findings = findings_of(
        ready.days,
        ready.age_groups,
        dishes=dishes,
        earlier=earlier,
        policy=policy,
        forbidden=forbidden,
    )
    refuse_failing(findings)
    ahead = (state.week - by.day).days
    return MenuPublished(
        week=state.week,
        canteen=state.canteen,
        age_groups=ready.age_groups,
        days=ready.days,
        version=ready.version,
        warnings=findings,
        published_on=by.day,
        days_ahead=ahead,
        late=ahead < policy.publish_days_ahead,
    )


def refuse_failing(findings: Iterable[Finding]) -> None:
    """Refuses with the first finding that keeps a menu from being published."""
    for one in findings:
        where = {"day": one.day, "meal": one.meal}
        match one.kind:
            case FindingKind.TOO_FEW:
                raise Refused(
                    "menu_lacks_dishes",
                    field="days",
                    kind=one.dish_kinds[0],
                    wanted=one.wanted,
                    found=one.found,
                    **where,
                )
            case FindingKind.LITTLE_MEAT:
                raise Refused(
                    "menu_meat_share_low",
                    field="days",
                    dish=one.dish,
                    wanted=one.wanted,
                    found=one.found,
                    **where,
                )
            case FindingKind.FORBIDDEN:
                raise Refused(
                    "menu_dish_forbidden", field="days", dish=one.dish, food=one.subject, **where
                )
            case FindingKind.REPEATED | FindingKind.NO_RECIPE:
                continue


def dishes_of(version: MenuVersion | None) -> tuple[UUID, ...]:
    """Every dish of a version, once."""
    days = version.days if version else ()
    return tuple(
        dict.fromkeys(dish.dish for day in days for meal in day.meals for dish in meal.dishes)
    )
