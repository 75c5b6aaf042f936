"""What holds at a unit, what is next, what was before; and its values in words."""

from __future__ import annotations

from datetime import date
from typing import Any

from hosting.rulebook import Book, Line, RuleNow
from services.organisation import organisation
from services.organisation.posts import DelegationPolicy, PostsPolicy
from shared.config import Settings
from shared.organisation import Level, Unit
from shared.rules import Rule, RuleBook, region_of, shipped
from shared.runtime import Runtime
from shared.words import words_of

COUNTY, SCHOOL = region_of("county"), region_of("school")
UNIT = Unit(id=SCHOOL, code="school", name="一小", level=Level.SCHOOL, path=(COUNTY, SCHOOL))
NAMES = {COUNTY: "本县", SCHOOL: "一小"}


def published(region: str, since: str, days_max: int) -> Rule:
    return Rule(
        slug=DelegationPolicy.slug, region=region_of(region), since=date.fromisoformat(since),
        values={"days_max": days_max}, source_zh="文件", source_en="paper", mark="confirmed",
    )  # fmt: skip


class Copy:
    """Of the local copy what a rule book reads."""

    def __init__(self, *rules: Rule) -> None:
        self.rules = RuleBook([*rules, *shipped("organisation")])

    def unit(self, id_: object) -> Any:
        return type("Named", (), {"name": NAMES[id_]}) if id_ in NAMES else None  # type: ignore[index]


def now(*rules: Rule, policy: Any = DelegationPolicy) -> RuleNow:
    nothing: Any = None
    copy: Any = Copy(*rules)
    rt = Runtime(
        service=organisation, settings=Settings(), pool=nothing, directory=copy, writer=nothing,
        tokens=nothing, words=words_of("organisation"),
    )  # fmt: skip
    return Book(rt, UNIT, whole=True).rule(policy, date(2026, 9, 1))


def test_without_a_rule_of_ones_own_the_platforms_holds() -> None:
    rule = now()
    assert rule.now is not None and rule.now.shipped and rule.now.region.id is None
    assert rule.now.region.name == {"zh": "全国", "en": "Country"}
    assert (rule.next, rule.past) == (None, [])
    assert rule.words["zh"] and rule.now.mark == "to be confirmed"


def test_the_nearest_region_wins_and_what_comes_next_is_told() -> None:
    rule = now(
        published("county", "2020-01-01", 30), published("school", "2024-01-01", 20),
        published("school", "2027-01-01", 10), published("county", "2025-01-01", 40),
        published("elsewhere", "2026-01-01", 1),
    )  # fmt: skip
    assert rule.now is not None and rule.next is not None
    assert (rule.now.first_day, rule.now.region.name["zh"]) == (date(2024, 1, 1), "一小")
    assert (rule.next.first_day, rule.next.values) == (date(2027, 1, 1), {"days_max": 10})
    # The county's of 2025 never held here: the school had its own.
    assert [one.region.name["zh"] for one in rule.past] == ["本县", "全国"]


def test_values_are_told_by_their_words() -> None:
    def texts(lines: list[Line]) -> list[str]:
        return [t for one in lines for t in [one.text["zh"] if one.text else "", *texts(one.lines)]]

    rule = now(policy=PostsPolicy)
    assert rule.now is not None
    told = {line.key: line for line in rule.now.lines}
    assert told["contract_days_max"].value == 30 and told["contract_days_max"].label
    (cook,) = (line for line in told["posts"].lines if line.key == "cook")
    assert cook.label == {"zh": "炊事员", "en": "Cook"}
    assert texts(cook.lines) == ["乡镇中心校、学校、校区", "教育局后勤干部、校长", "是"]
