"""Dated rules: the nearest unit's, the latest that has begun."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any, ClassVar
from uuid import UUID, uuid4

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.kernel import Policy, Refused
from shared.organisation import Level, Unit
from shared.rules import NATIONAL, Rule, RuleBook, decode, region_of

PROVINCE, COUNTY, SCHOOL, OTHER = (uuid4() for _ in range(4))
DAY = date(2026, 9, 1)
school = Unit(id=SCHOOL, code="s", name="s", level=Level.SCHOOL, path=(PROVINCE, COUNTY, SCHOOL))
other = Unit(id=OTHER, code="o", name="o", level=Level.SCHOOL, path=(PROVINCE, OTHER))


class Limit(Policy):
    slug: ClassVar[str] = "tests.limit"
    value: int


def rule(region: UUID, since: date, value: Any) -> Rule:
    return Rule(
        slug="tests.limit", region=region, since=since, values={"value": value},
        source_zh="源", source_en="source", mark="confirmed",
    )  # fmt: skip


def test_the_nearest_unit_wins_whatever_the_dates() -> None:
    book = RuleBook(
        [rule(NATIONAL, DAY, 1), rule(PROVINCE, date(2020, 1, 1), 2), rule(SCHOOL, DAY, 3)]
    )
    assert book.in_force(Limit, school, DAY).value == 3
    assert book.in_force(Limit, school, DAY - timedelta(days=1)).value == 2, "the school's not yet"
    assert book.in_force(Limit, other, DAY).value == 2
    assert RuleBook([rule(COUNTY, DAY, 4), rule(NATIONAL, DAY, 1)]).in_force(
        Limit, other, DAY
    ) == Limit(value=1), "a county's rule ends at its border"


def test_a_rule_holds_from_its_day_on() -> None:
    book = RuleBook([rule(NATIONAL, DAY, 1), rule(NATIONAL, DAY + timedelta(days=10), 2)])
    for offset, value in ((0, 1), (9, 1), (10, 2), (400, 2)):
        assert book.in_force(Limit, school, DAY + timedelta(days=offset)).value == value
    with pytest.raises(Refused, match="rule_missing") as missing:
        book.in_force(Limit, school, DAY - timedelta(days=1))
    assert missing.value.values == {"rule": "tests.limit", "day": DAY - timedelta(days=1)}


def test_of_two_of_one_day_the_first_named_wins() -> None:
    """Published ones are named before shipped ones."""
    book = RuleBook([rule(NATIONAL, DAY, 7), rule(NATIONAL, DAY, 1)])
    assert book.in_force(Limit, school, DAY).value == 7


@given(
    st.lists(
        st.tuples(st.sampled_from([NATIONAL, PROVINCE, COUNTY, SCHOOL, OTHER]), st.integers(0, 30)),
        max_size=12, unique=True,
    ),
    st.integers(-1, 31),
)  # fmt: skip
def test_in_force_is_the_definition(dated: list[tuple[UUID, int]], offset: int) -> None:
    day = DAY + timedelta(days=offset)
    rules = [rule(region, DAY + timedelta(days=n), f"{i}") for i, (region, n) in enumerate(dated)]
    ladder = [SCHOOL, COUNTY, PROVINCE, NATIONAL]
    fit = [r for r in rules if r.region in ladder and r.since <= day]
    best = min(fit, key=lambda r: (ladder.index(r.region), -r.since.toordinal()), default=None)
    book = RuleBook(rules)
    if best is None:
        with pytest.raises(Refused, match="rule_missing"):
            book.in_force(Limit, school, day)
    else:
        assert book.in_force(Limit, school, day) == decode(Limit, best.values)


def test_values_that_do_not_fit_are_named() -> None:
    with pytest.raises(msgspec.ValidationError, match="value"):
        decode(Limit, {"value": "many"})
    with pytest.raises(msgspec.ValidationError, match="value"):
        decode(Limit, {})


def test_a_region_is_the_unit_of_that_code() -> None:
    assert region_of("national") == NATIONAL
    assert region_of("431081") == region_of("431081") != region_of("431082")
    from services.organisation.unit import units  # noqa: PLC0415 - only to compare

    assert region_of("431081") == units.id_of("431081")
