"""A region's own dated rules over those that the platform ships: national < province < county.

规则包. A rule is published with its source in both languages and a mark whether that source has
been confirmed; it reaches every service, and holds there from its day on. What is in force already
is changed or withdrawn only with a reason, which stays in the history.
"""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

import msgspec
from pydantic import JsonValue, StringConstraints

from shared.fields import Name, Text
from shared.kernel import (
    Aggregate,
    By,
    Command,
    Creation,
    Event,
    Recorded,
    Refused,
    State,
    View,
)  # fmt: skip
from shared.organisation import READERS, Role
from shared.rules import shipped

PUBLISHERS = (Role.ADMINISTRATOR, Role.BUREAU_OFFICER)
"""Who sets rules for a region."""

type Slug = Annotated[str, StringConstraints(pattern=r"^[a-z_]+\.[a-z_]+$", max_length=100)]
"""A rule's name: service and rule, such as procurement.approval."""


type Values = dict
"""A JSON object. What is in it, only the service that owns the rule can say."""


class Mark(StrEnum):
    """Whether the source has been seen and found to say so."""

    CONFIRMED = "confirmed"
    TO_BE_CONFIRMED = "to be confirmed"


class RulePublished(Event):
    """`values` are JSON; decimals are texts."""

    slug: str
    region: UUID
    since: date
    values: Values
    source_zh: str
    source_en: str
    mark: Mark
    reason: str = ""


class RuleWithdrawn(Event):
    slug: str
    region: UUID
    since: date
    reason: str = ""


type RulePackEvent = RulePublished | RuleWithdrawn


class PublishedRule(msgspec.Struct, frozen=True, kw_only=True):
    """One dated version of a rule."""

    slug: str
    since: date
    values: Values
    source_zh: str
    source_en: str
    mark: Mark
    reason: str


class RulePack(State):
    """`rules`: by slug and day, as `slug@day`."""

    rules: dict[str, PublishedRule] = {}


def evolve(state: RulePack | None, event: RulePackEvent) -> RulePack:
    """The pack after one more event."""
    known = state.rules if state else {}
    key = key_of(event.slug, event.since)
    match event:
        case RulePublished():
            rule = PublishedRule(
                slug=event.slug,
                since=event.since,
                values=event.values,
                source_zh=event.source_zh,
                source_en=event.source_en,
                mark=event.mark,
                reason=event.reason,
            )
            return RulePack(rules={**known, key: rule})
        case RuleWithdrawn():
            return RulePack(rules={name: rule for name, rule in known.items() if name != key})


def key_of(slug: str, since: date) -> str:
    """What names one dated version of a rule."""
    return f"{slug}@{since}"


rule_packs = Aggregate(
    "rule_pack",
    events=RulePackEvent,
    state=RulePack,
    evolve=evolve,
    key=lambda command: str(command.organisation),
)


class PublishRule(Creation):
    """A whole rule: its values replace all that the wider region says under that name."""

    slug: Slug
    since: date
    values: dict[str, JsonValue]
    source_zh: Name
    source_en: Name
    mark: Mark
    reason: Text = ""


@rule_packs.post("/rules", allow=PUBLISHERS, weighty=True)
def publish(state: RulePack | None, command: PublishRule, by: By) -> RulePublished | None:
    known = state.rules.get(key_of(command.slug, command.since)) if state else None
    wanted = PublishedRule(
        slug=command.slug,
        since=command.since,
        values=dict(command.values),
        source_zh=command.source_zh,
        source_en=command.source_en,
        mark=command.mark,
        reason=known.reason if known else "",
    )
    if known == wanted:
        return None
    refuse_misfit(command.slug, wanted.values)
    if command.since < by.day or (known is not None and command.since == by.day):
        refuse_without_reason(command.reason, command.since)
    return RulePublished(
        slug=wanted.slug,
        region=by.unit,
        since=wanted.since,
        values=wanted.values,
        source_zh=wanted.source_zh,
        source_en=wanted.source_en,
        mark=wanted.mark,
        reason=command.reason,
    )


class WithdrawRule(Command):
    """Then the wider region's rule holds again, also for the days since `since`."""

    slug: Slug
    since: date
    reason: Text = ""


@rule_packs.post("/rules/{id}/withdraw", allow=PUBLISHERS, weighty=True)
def withdraw(state: RulePack, command: WithdrawRule, by: By) -> RuleWithdrawn:
    if key_of(command.slug, command.since) not in state.rules:
        raise Refused("rule_not_published", field="since", rule=command.slug, since=command.since)
    if command.since <= by.day:
        refuse_without_reason(command.reason, command.since)
    return RuleWithdrawn(
        slug=command.slug, region=by.unit, since=command.since, reason=command.reason
    )


def refuse_without_reason(reason: str, since: date) -> None:
    """What was in force has had effects: nobody changes it in silence."""
    if not reason.strip():
        raise Refused("rule_in_force", field="reason", since=since)


def refuse_misfit(slug: str, values: dict[str, Any]) -> None:
    """A rule that the platform does not know, or of another shape, would stop those who need it."""
    versions = [rule for rule in shipped(slug.partition(".")[0]) if rule.slug == slug]
    if not versions:
        raise Refused("rule_unknown", field="slug", rule=slug)
    latest = max(versions, key=lambda rule: rule.since)
    known = {name: value for rule in versions for name, value in rule.values.items()}
    for name in latest.values:
        if name not in values:
            raise Refused("rule_value_missing", field=f"values.{name}", name=name)
    for name, value in values.items():
        if name not in known:
            raise Refused("rule_value_unknown", field=f"values.{name}", name=name)
        if shape_of(value) != shape_of(known[name]):
            raise Refused("rule_value_misshapen", field=f"values.{name}", name=name)


def shape_of(value: Any) -> str:
    """The JSON kind of a value; a date is a text there."""
    match value:
        case bool():
            return "boolean"
        case int():
            return "number"
        case dict():
            return "object"
        case list() | tuple():
            return "list"
        case str() | date():
            return "text"
        case _:
            return type(value).__name__


class RuleRow(View):
    """One dated version of a region's own rule."""

    id: UUID
    organisation: UUID
    slug: str
    since: date
    mark: Mark
    source_zh: str
    source_en: str
    reason: str
    values: Values


@rule_packs.view(
    "/rules",
    allow=READERS,
    filters=("slug", "mark", "since"),
    sorts=("slug", "since"),
    search=("slug", "source_zh", "source_en"),
)
def published_rules(state: RulePack, recorded: Recorded) -> dict[str, RuleRow]:
    return {
        key: RuleRow(
            id=recorded.stream,
            organisation=recorded.organisation,
            slug=rule.slug,
            since=rule.since,
            mark=rule.mark,
            source_zh=rule.source_zh,
            source_en=rule.source_en,
            reason=rule.reason,
            values=rule.values,
        )
        for key, rule in state.rules.items()
    }
