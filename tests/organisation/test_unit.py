"""Units: a tree by codes, dated moves, closing that keeps history."""

from copy import replace
from datetime import date
from typing import Any

import pytest

from services.organisation.kinds import Stage, UnitKind
from services.organisation.unit import (
    ChildUnitJoined,
    ChildUnitLeft,
    Place,
    TreeUnit,
    UnitClosed,
    UnitCounted,
    UnitDescribed,
    UnitMoved,
    UnitRegistered,
    UnitRenamed,
    units,
)  # fmt: skip
from services.organisation.unit.change import CountUnit, DescribeUnit, MoveUnit, RenameUnit
from services.organisation.unit.close import CloseUnit
from services.organisation.unit.register import (
    JoinChild,
    LeaveParent,
    RegisterUnit,
    UnitLevel,
    parent_of,
)  # fmt: skip
from services.organisation.unit.views import unit_list, unit_numbers, unit_places
from shared.kernel import Recorded, Send
from shared.organisation import Level, Role
from shared.rules import region_of
from shared.testing import Result, by, given
from tests.organisation.places import (
    CAMPUS,
    CITY,
    COUNTY,
    OTHER_COUNTY,
    PROVINCE,
    SCHOOL,
    SINCE,
    SISTER,
    TOWN,
    caller,
    closed,
    copy_of,
    registered,
    tree_unit,
)  # fmt: skip

OFFICER = Role.BUREAU_OFFICER
DAY = date(2026, 9, 7)


def register(
    code: str, level: UnitLevel, parent: TreeUnit | None, *roles: Role, before: tuple[Any, ...] = (),
    at: TreeUnit | None = None, **fields: Any,
) -> Result:  # fmt: skip
    own = units.id_of(code)
    wanted: dict[str, Any] = {
        "organisation": parent.unit if parent else own, "code": code, "name": "新单位",
        "level": level, "parent_code": parent.code if parent else None,
    } | fields  # fmt: skip
    command = RegisterUnit(**wanted)
    who = by("officer", *(roles or (OFFICER,)), unit=(at or parent or COUNTY).unit, stream=own)
    return given(units, *before).when(command, by=who, parent=parent)


def test_a_units_id_is_the_region_of_its_code() -> None:
    assert units.id_of("420528") == region_of("420528")


def test_registers_a_school_and_tells_its_parent() -> None:
    register("2142000009", UnitLevel.SCHOOL, TOWN, since=date(2010, 9, 1), boarding=True).then(
        UnitRegistered(
            code="2142000009", name="新单位", level=Level.SCHOOL, parent=TOWN.unit,
            kind=UnitKind.PRIMARY, division_code="420528", since=date(2010, 9, 1), boarding=True,
            stage=Stage.PRIMARY,
        ),
        Send(units, TOWN.unit, JoinChild(child=units.id_of("2142000009"))),
    )  # fmt: skip


def test_registers_a_root_for_whom_it_is_its_own_organisation() -> None:
    register("420000", UnitLevel.PROVINCE, None, Role.ADMINISTRATOR).then(
        UnitRegistered(
            code="420000", name="新单位", level=Level.PROVINCE, parent=None, kind=UnitKind.BUREAU,
            division_code="420000", since=DAY, stage=Stage.SEVERAL,
        )
    )  # fmt: skip


def test_the_parent_may_be_named_by_the_organisation_alone() -> None:
    command = RegisterUnit(
        organisation=TOWN.unit, code="2142000009", name="新", level=UnitLevel.SCHOOL
    )
    assert parent_of(command, None, by()) == TOWN.unit
    outcome = given(units).when(command, by=caller(SCHOOL, OFFICER), parent=TOWN).outcome()
    assert isinstance(outcome[0], UnitRegistered)
    assert outcome[0].parent == TOWN.unit


def test_registering_again_is_nothing_and_otherwise_refused() -> None:
    before = registered(replace(SCHOOL, name="新单位"))
    register(SCHOOL.code, UnitLevel.SCHOOL, TOWN, before=(before,)).then()
    register(SCHOOL.code, UnitLevel.SCHOOL, TOWN, before=(before,), since=SINCE).then()
    register(SCHOOL.code, UnitLevel.SCHOOL, TOWN, before=(before,), name="别的").refused(
        "unit_exists"
    )
    again = register(SCHOOL.code, UnitLevel.SCHOOL, TOWN, before=(before,), since=DAY)
    again.refused("unit_exists", field="code")


@pytest.mark.parametrize(
    ("level", "code", "parent"),
    [
        (UnitLevel.PROVINCE, "42", None), (UnitLevel.PROVINCE, "420000", None),
        (UnitLevel.CITY, "420500", PROVINCE), (UnitLevel.COUNTY, "420528", CITY),
        (UnitLevel.TOWNSHIP, "420528100", COUNTY), (UnitLevel.TOWNSHIP, "420528100201", COUNTY),
        (UnitLevel.SCHOOL, "5142000001", COUNTY), (UnitLevel.CAMPUS, "2142000001-02", SCHOOL),
        (UnitLevel.CLASS, "2142000001-2024-03", SCHOOL),
        (UnitLevel.CLASS, "2142000001-01-2024-03", CAMPUS),
        (UnitLevel.CLASS, "2142000001-2024-03", CAMPUS),
    ],
)  # fmt: skip
def test_codes_that_are_right(level: UnitLevel, code: str, parent: TreeUnit | None) -> None:
    assert register(code, level, parent, Role.ADMINISTRATOR).outcome()


@pytest.mark.parametrize(
    ("level", "code", "parent"),
    [
        (UnitLevel.PROVINCE, "420500", None), (UnitLevel.CITY, "420528", PROVINCE),
        (UnitLevel.CITY, "420000", PROVINCE), (UnitLevel.COUNTY, "420500", CITY),
        (UnitLevel.TOWNSHIP, "420528", COUNTY), (UnitLevel.SCHOOL, "214200001", TOWN),
        (UnitLevel.CAMPUS, "2142000001-1", SCHOOL), (UnitLevel.CLASS, "2142000001-24-03", SCHOOL),
    ],
)  # fmt: skip
def test_refuses_codes_of_another_form(level: UnitLevel, code: str, parent: TreeUnit) -> None:
    register(code, level, parent, Role.ADMINISTRATOR).refused("unit_code_malformed", field="code")


def test_refuses_what_a_code_cannot_say() -> None:
    register("9942000001", UnitLevel.SCHOOL, TOWN).refused("school_type_unknown", field="code")
    register("2142000009-01", UnitLevel.CAMPUS, SCHOOL).refused("code_not_of_parent", field="code")
    register("2142000009", UnitLevel.SCHOOL, TOWN, division_code="4205").refused(
        "division_code_malformed", field="division_code"
    )


def test_refuses_an_unfit_parent() -> None:
    own = units.id_of("2142000009")
    command = RegisterUnit(
        organisation=TOWN.unit, code="2142000009", name="新", level=UnitLevel.SCHOOL,
        parent_code=TOWN.code,
    )  # fmt: skip
    who = by("officer", OFFICER, stream=own)
    given(units).when(command, by=who, parent=None).refused("parent_unknown", field="parent_code")
    other = command.model_copy(update={"organisation": SISTER.unit})
    given(units).when(other, by=who, parent=TOWN).refused("organisation_not_parent")
    register("2142000009", UnitLevel.SCHOOL, SCHOOL).refused("parent_not_higher")
    register("2142000009", UnitLevel.SCHOOL, closed(TOWN, DAY)).refused("parent_closed")
    register("2142000009", UnitLevel.SCHOOL, TOWN, since=date(2009, 7, 31)).refused(
        "since_before_parent", field="since"
    )
    register("2142000009-01", UnitLevel.CAMPUS, COUNTY).refused("unit_needs_school")
    register("2142000009-01", UnitLevel.CAMPUS, None).refused("unit_needs_school")


def test_a_principal_registers_only_within_the_school() -> None:
    assert register("2142000001-02", UnitLevel.CAMPUS, SCHOOL, Role.PRINCIPAL).outcome()
    register("2142000009", UnitLevel.SCHOOL, TOWN, Role.PRINCIPAL).refused("schools_kept_by_bureau")


def test_children_join_and_leave_once() -> None:
    child = SCHOOL.unit
    joined = (
        given(units, registered(TOWN))
        .when(JoinChild(child=child))
        .then(ChildUnitJoined(child=child))
    )
    assert joined.state.children_on(DAY) == [child]
    joined.when(JoinChild(child=child)).then()
    left = joined.when(LeaveParent(child=child, left_on=DAY)).then(
        ChildUnitLeft(child=child, left_on=DAY)
    )
    left.when(LeaveParent(child=child, left_on=DAY)).then()
    assert left.state.children_on(DAY) == []
    assert left.state.children_on(date(2026, 9, 6)) == [child]
    left.when(JoinChild(child=child)).then(ChildUnitJoined(child=child))


def test_renames_describes_and_counts() -> None:
    school, officer = given(units, registered(SCHOOL)), caller(SCHOOL, OFFICER)
    school.when(RenameUnit(name="新名"), by=officer).then(UnitRenamed(name="新名"))
    school.when(RenameUnit(name=SCHOOL.name), by=officer).then()
    school.when(RenameUnit(name="新名"), by=caller(SCHOOL, Role.PRINCIPAL)).refused(
        "schools_kept_by_bureau"
    )
    described = UnitDescribed(
        kind=UnitKind.NINE_YEAR, stage=Stage.PRIMARY, boarding=True, division_code="420528100"
    )
    wanted = DescribeUnit(kind=UnitKind.NINE_YEAR, boarding=True, division_code="420528100")
    school.when(wanted, by=officer).then(described).when(wanted, by=officer).then()
    school.when(DescribeUnit(division_code="42052"), by=officer).refused("division_code_malformed")
    counted = UnitCounted(term="2026-1", pupils=300, boarders=120, staff=25, level=Level.SCHOOL)
    count = CountUnit(term="2026-1", pupils=300, boarders=120, staff=25)
    school.when(count, by=officer).then(counted).when(count, by=officer).then()
    too_many = count.model_copy(update={"boarders": 301})
    school.when(too_many, by=officer).refused("boarders_beyond_pupils", field="boarders")
    given(units, registered(TOWN)).when(count, by=officer).refused("counted_at_schools")


def test_nothing_happens_to_a_closed_unit() -> None:
    school = given(units, registered(SCHOOL), UnitClosed(closed_on=DAY))
    for command in (
        RenameUnit(name="新名"), DescribeUnit(boarding=True),
        CountUnit(term="2026-1", pupils=1, staff=1),
    ):  # fmt: skip
        school.when(command, by=caller(SCHOOL, OFFICER)).refused("unit_closed")
        assert school.when(command, by=caller(SCHOOL, OFFICER, day="2026-09-06")).outcome()


def move(
    target: TreeUnit | None, since: date | None = None, *, at: TreeUnit = COUNTY,
    before: tuple[Any, ...] = (), state: TreeUnit = SCHOOL, known: bool = True,
    role: Role = OFFICER,
) -> Result:  # fmt: skip
    place = copy_of(target) if target and known else None
    command = MoveUnit(parent=target.unit if target else units.id_of("?"), since=since)
    return given(units, registered(state), *before).when(
        command, by=caller(state, role, at=at), target=target, place=place
    )


def test_moves_from_a_day_on() -> None:
    after = move(COUNTY, date(2026, 9, 1)).then(
        UnitMoved(parent=COUNTY.unit, since=date(2026, 9, 1), previous=TOWN.unit),
        Send(units, COUNTY.unit, JoinChild(child=SCHOOL.unit)),
        Send(units, TOWN.unit, LeaveParent(child=SCHOOL.unit, left_on=date(2026, 9, 1))),
    )
    assert after.state.above == COUNTY.unit
    assert after.state.places[0] == Place(parent=TOWN.unit, since=SINCE)
    move(TOWN).then()


def test_a_root_gets_a_parent_and_a_move_of_the_same_day_is_corrected() -> None:
    root = replace(COUNTY, places=(Place(parent=None, since=SINCE),))
    move(CITY, state=root, at=CITY).then(
        UnitMoved(parent=CITY.unit, since=DAY), Send(units, CITY.unit, JoinChild(child=COUNTY.unit))
    )
    moved = UnitMoved(parent=COUNTY.unit, since=DAY, previous=TOWN.unit)
    again = move(TOWN, DAY, before=(moved,)).outcome()[0]
    assert again == UnitMoved(parent=TOWN.unit, since=DAY, previous=COUNTY.unit)
    state = units.evolve(units.evolve(units.evolve(None, registered(SCHOOL)), moved), again)
    assert state.places == (
        Place(parent=TOWN.unit, since=SINCE),
        Place(parent=TOWN.unit, since=DAY),
    )


def test_refuses_moves_that_break_the_tree() -> None:
    move(None).refused("unit_unknown", field="parent")
    move(COUNTY, known=False).refused("unit_unknown", field="parent")
    move(SCHOOL, state=TOWN).refused("moves_under_itself", field="parent")
    move(SISTER).refused("parent_not_higher")
    move(PROVINCE, state=CAMPUS).refused("unit_needs_school")
    move(closed(COUNTY, DAY)).refused("parent_closed")
    move(COUNTY, date(2009, 1, 1)).refused("since_before_parent")
    moved = UnitMoved(parent=COUNTY.unit, since=DAY, previous=TOWN.unit)
    move(TOWN, date(2026, 9, 1), before=(moved,)).refused("before_last_place", field="since")
    move(COUNTY, before=(UnitClosed(closed_on=date(2027, 1, 1)),)).refused("unit_closed")


def test_a_move_needs_a_post_above_both_ends() -> None:
    move(OTHER_COUNTY).refused("other_end_out_of_reach", field="parent")
    move(COUNTY, at=TOWN).refused("other_end_out_of_reach", field="parent")
    assert move(OTHER_COUNTY, at=CITY).outcome()


def test_a_principal_moves_and_merges_within_the_school() -> None:
    place = replace(CAMPUS, places=(Place(parent=SCHOOL.unit, since=SINCE),))
    classroom = tree_unit("2142000001-2024-03", Level.CLASS, SCHOOL.unit)
    who = caller(classroom, Role.PRINCIPAL, at=SCHOOL)
    command = MoveUnit(parent=CAMPUS.unit)
    past = given(units, registered(classroom))
    assert past.when(command, by=who, target=place, place=copy_of(CAMPUS)).outcome()
    move(COUNTY, at=TOWN, role=Role.PRINCIPAL).refused("schools_kept_by_bureau")
    assert close(
        state=tree_unit("2142000001-02", Level.CAMPUS, SCHOOL.unit),
        heir=CAMPUS,
        at=SCHOOL,
        role=Role.PRINCIPAL,
    ).outcome()


def close(
    *, heir: TreeUnit | None = None, at: TreeUnit = COUNTY, before: tuple[Any, ...] = (),
    state: TreeUnit = SCHOOL, known: bool = True, role: Role = OFFICER, **fields: Any,
) -> Result:  # fmt: skip
    command = CloseUnit(merged_into=heir.unit if heir else None, **fields)
    return given(units, registered(state), *before).when(
        command, by=caller(state, role, at=at), heir=heir if known else None,
        heir_place=copy_of(heir) if heir and known else None,
    )  # fmt: skip


def test_closes_and_merges_once() -> None:
    leaves = Send(units, TOWN.unit, LeaveParent(child=SCHOOL.unit, left_on=DAY))
    after = close().then(UnitClosed(closed_on=DAY), leaves)
    assert after.state.closed(DAY)
    assert not after.state.closed(date(2026, 9, 6))
    close(heir=SISTER).then(UnitClosed(closed_on=DAY, merged_into=SISTER.unit), leaves)
    past = UnitClosed(closed_on=date(2026, 9, 1))
    close(before=(past,)).then()
    close(before=(past,), closed_on=date(2026, 9, 1)).then()
    close(before=(past,), closed_on=DAY).refused("unit_closed")
    close(before=(past,), heir=SISTER).refused("unit_closed")
    root = replace(COUNTY, places=(Place(parent=None, since=SINCE),))
    close(state=root).then(UnitClosed(closed_on=DAY))


def test_refuses_closing_that_loses_something() -> None:
    child = ChildUnitJoined(child=CAMPUS.unit)
    close(before=(child,)).refused("children_still_open")
    left = ChildUnitLeft(child=CAMPUS.unit, left_on=DAY)
    assert close(before=(child, left)).outcome()
    close(before=(child, left), closed_on=date(2026, 9, 1)).refused("children_still_open")
    close(closed_on=date(2009, 7, 31)).refused("before_last_place", field="closed_on")
    close(role=Role.PRINCIPAL).refused("schools_kept_by_bureau")


def test_merges_only_into_a_living_unit_of_the_same_level() -> None:
    close(heir=SISTER, known=False).refused("unit_unknown", field="merged_into")
    close(heir=SCHOOL).refused("merged_into_itself")
    close(heir=TOWN).refused("merged_across_levels")
    close(heir=closed(SISTER, DAY)).refused("heir_not_there")
    close(heir=SISTER, closed_on=DAY, at=SCHOOL).refused("other_end_out_of_reach")


def test_rows_belong_to_the_unit_itself() -> None:
    state = units.evolve(
        units.evolve(None, registered(SCHOOL)),
        UnitCounted(term="2026-1", pupils=300, boarders=120, staff=25),
    )
    state = units.evolve(state, UnitCounted(term="2026-2", pupils=290, boarders=118, staff=25))
    state = units.evolve(state, UnitMoved(parent=COUNTY.unit, since=DAY))
    at = by().at
    recorded = Recorded(
        id=SCHOOL.unit, stream=SCHOOL.unit, version=3, organisation=TOWN.unit, actor="a",
        occurred_at=at, recorded_at=at,
    )  # fmt: skip
    row = unit_list(state, recorded)
    assert (row.organisation, row.parent, row.term, row.pupils) == (
        SCHOOL.unit, COUNTY.unit, "2026-2", 290,
    )  # fmt: skip
    places = unit_places(state, recorded)
    assert [(p.parent, p.last_day) for p in places.values()] == [
        (TOWN.unit, date(2026, 9, 6)), (COUNTY.unit, None),
    ]  # fmt: skip
    assert unit_numbers(state, recorded)["2026-1"].pupils == 300
    assert tree_unit("1", Level.SCHOOL, None).since == SINCE
