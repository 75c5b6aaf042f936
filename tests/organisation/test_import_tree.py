"""A whole tree from one file: parents before children, all or nothing, in memory."""

from datetime import UTC, date, datetime
from typing import Any, cast
from uuid import UUID

import pytest

from services.organisation import organisation
from services.organisation.unit import TreeUnit, units
from services.organisation.unit.register import RegisterUnit
from shared.decide import Decided, Decider, Known, Missing, Request, StepRefused
from shared.kernel import Refused
from shared.organisation import HeldPost, Level, Role, Unit
from shared.rules import RuleBook, shipped
from tests.services import steps

TREE = """上级单位代码,单位代码,名称,层级,寄宿制,起始日期
,42,湖北省,省,,2000-01-01
42,420500,宜昌市,市,,2000-01-01
420500,420528,长阳土家族自治县,县（市、区）,,2000-01-01
420528,420528100,龙舟坪镇,乡镇中心校,,2000-01-01
420528100,2142000001,龙舟坪小学,学校,是,2001-09-01
2142000001,2142000001-01,津洋口校区,校区,,2010-09-01
2142000001-01,2142000001-01-2024-03,三班,班级,,2024-09-01
420528,3442000001,县一中,学校,是,2001-09-01
"""


class Nowhere:
    """A local copy that has heard of nothing yet."""

    rules = RuleBook(shipped("organisation"))
    age_seconds = 0.0

    def unit(self, _id: UUID) -> Unit | None:
        return None

    def held(self, _person: str, unit: Unit, _day: date) -> tuple[HeldPost, ...]:
        return (HeldPost(role=Role.ADMINISTRATOR, unit=unit.path[0], level=Level.COUNTRY),)


def enter(text: str) -> Decided:
    rows = steps(organisation, RegisterUnit, text.encode())
    decider = Decider(organisation.aggregates, cast("Any", Nowhere()), 120)
    request = Request(rows, "administrator", True, now=datetime(2026, 9, 7, tzinfo=UTC))
    known = Known()
    known.load({step.stream: None for step in rows})
    while True:
        try:
            return decider.decide(request, known)
        except Missing as missing:
            known.load(dict.fromkeys(missing.streams))


def state_of(decided: Decided, code: str) -> TreeUnit:
    return cast("TreeUnit", decided.touched[units.id_of(code)].state)


def test_a_tree_is_entered_by_its_codes_alone() -> None:
    decided = enter(TREE)
    school = state_of(decided, "2142000001")
    assert (school.level, school.boarding, school.division_code) == (
        Level.SCHOOL, True, "420528100",
    )  # fmt: skip
    assert state_of(decided, "2142000001-01-2024-03").above == units.id_of("2142000001-01")
    county = state_of(decided, "420528")
    assert set(county.children) == {units.id_of("420528100"), units.id_of("3442000001")}
    assert len(decided.touched) == 8
    assert decided.touched[school.unit].organisation == units.id_of("420528100")
    assert decided.touched[units.id_of("42")].organisation == units.id_of("42")


def test_a_child_before_its_parent_stops_the_whole_file() -> None:
    head, first, *rest = TREE.splitlines()
    with pytest.raises(StepRefused) as refused:
        enter("\n".join([head, *rest, first]))
    assert refused.value.index == 0
    assert cast("Refused", refused.value.__cause__).slug == "unit_unknown"


def test_the_row_that_is_wrong_is_named() -> None:
    with pytest.raises(StepRefused) as refused:
        enter(TREE.replace("3442000001", "9942000001"))
    assert refused.value.index == 7
    assert cast("Refused", refused.value.__cause__).slug == "school_type_unknown"
