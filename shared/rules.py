"""Dated rules: which values hold for a unit on a day, and where they come from.

Shipped rules lie in each service's `rules.toml`; a province, city, county or school overrides them
through organisation's rule packs, which reach every service as events. The nearest unit wins, then
the latest date not after the day asked for.
"""

from __future__ import annotations

import tomllib
from collections import defaultdict
from collections.abc import Iterable
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

import msgspec

from shared.ids import derived_id
from shared.kernel import Frozen, Policy, Refused
from shared.organisation import Unit

NATIONAL = UUID(int=0)
"""The region that stands above every root."""

type Mark = Literal["confirmed", "to be confirmed"]


class Rule(msgspec.Struct, metaclass=Frozen, frozen=True, kw_only=True):
    """One dated version of a rule: values for `region` (NATIONAL or a unit) from `since` on."""

    slug: str
    region: UUID
    since: date
    values: dict[str, Any]
    source_zh: str
    source_en: str
    mark: Mark


def region_of(code: str) -> UUID:
    """The region of a division or school code; the same id that the unit's stream has."""
    return NATIONAL if code == "national" else derived_id(f"unit:{code}")


@cache
def shipped(service: str) -> tuple[Rule, ...]:
    """The rules that a service ships in its `rules.toml`."""
    path = Path(__file__).parent.parent / "services" / service / "rules.toml"
    if not path.exists():
        return ()
    return tuple(
        Rule(
            slug=row["slug"],
            region=region_of(row["region"]),
            since=row["from"],
            values=row["values"],
            source_zh=row["source"][0],
            source_en=row["source"][1],
            mark=row["mark"],
        )
        for row in tomllib.loads(path.read_text("utf-8"))["rule"]
    )


class RuleBook:
    """Every known rule, looked up by policy, unit and day. `versions`: newest first, by region."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self.versions: dict[tuple[str, UUID], list[Rule]] = defaultdict(list)
        self._values: dict[int, Policy] = {}
        for rule in rules:
            self.versions[rule.slug, rule.region].append(rule)
        for rules_ in self.versions.values():
            rules_.sort(key=lambda rule: rule.since, reverse=True)

    def rule(self, slug: str, path: tuple[UUID, ...], day: date) -> Rule | None:
        """The rule in force for the unit at the end of `path` on `day`."""
        for region in (*reversed(path), NATIONAL):
            for rule in self.versions.get((slug, region), ()):
                if rule.since <= day:
                    return rule
        return None

    def in_force[P: Policy](self, policy: type[P], unit: Unit, day: date) -> P:
        """The values in force; refuses where there are none."""
        rule = self.rule(policy.slug, unit.path, day)
        if rule is None:
            raise Refused("rule_missing", rule=policy.slug, day=day)
        known = self._values.get(id(rule))
        if known is None:
            known = self._values[id(rule)] = decode(policy, rule.values)
        return known  # type: ignore[return-value]


def decode[P: Policy](policy: type[P], values: dict[str, Any]) -> P:
    """Values as the policy's type; msgspec.ValidationError names the field that is wrong."""
    return msgspec.convert(values, policy, strict=False)
