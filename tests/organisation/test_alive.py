"""The service alive: a tree from a file, people in it, and what follows by itself through Kafka."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from hosting.compose import running
from sealing.vault import KeysAway
from services.organisation import organisation
from services.organisation.rule_pack import Mark, PublishRule
from services.organisation.staff import staff
from services.organisation.staff.appoint import AppointStaff
from services.organisation.staff.contract import SignLabourContract
from services.organisation.staff.delegate import DelegatePost
from services.organisation.unit import units
from services.organisation.unit.change import MoveUnit
from services.organisation.unit.register import RegisterUnit, UnitLevel
from shared import views
from shared.config import Settings
from shared.decide import Request, Step
from shared.fields import business_day
from shared.kernel import Aggregate, Command, Creation, Refused
from shared.organisation import Role
from shared.runtime import Runtime
from shared.writer import Answer
from tests.organisation.test_import_tree import TREE
from tests.services import steps
from tests.shared.wire import until

pytestmark = pytest.mark.stack

COUNTY, SCHOOL = units.id_of("420528"), units.id_of("2142000001")


@pytest.fixture
async def alive(config: Settings) -> AsyncIterator[Runtime]:
    settings = config.model_copy(update={"administrators": "administrator"})
    async with running(organisation, settings) as rt:
        # Nothing weighty is decided before the copy of posts is known to be current.
        await until(lambda: rt.directory.age_seconds < settings.posts_age_s_max)
        yield rt


async def ask(
    rt: Runtime, person: str, aggregate: Aggregate, command: Command, stream: UUID | None = None
) -> Answer:
    decision = aggregate.decisions[type(command)]
    if stream is None:
        assert isinstance(command, Creation)
        assert aggregate.key is not None
        stream = aggregate.id_of(aggregate.key(command))
    await rt.directory.posts_of(person)
    return await rt.writer.ask(Request([Step(decision, stream, command)], person))


async def rows_of(rt: Runtime, name: str, scope: str = "*") -> list[dict[str, Any]]:
    view = next(view for view in organisation.views() if view.name == name)
    async with views.reading(rt.pool, scope) as connection:
        rows, _ = await views.page(connection, view, views.Query(limit=500))
    return rows


async def plant(rt: Runtime) -> None:
    rows = steps(organisation, RegisterUnit, TREE.encode())
    await rt.writer.ask(Request(rows, "administrator", together=True))
    # Units come over several partitions: a child may be known before its parents.
    await until(lambda: all(rt.directory.unit(row.stream) is not None for row in rows))


async def appoint(rt: Runtime, by: str, person: str, role: Role, unit: UUID) -> Answer:
    command = AppointStaff(organisation=unit, person=person, role=role, since=date(2020, 9, 1))
    return await ask(rt, by, staff, command)


async def holds(rt: Runtime, person: str, unit: UUID) -> list[Role]:
    await rt.directory.posts_of(person)
    place = rt.directory.unit(unit)
    assert place is not None
    return [post.role for post in rt.directory.held(person, place, business_day(datetime.now(UTC)))]


async def until_holds(rt: Runtime, person: str, unit: UUID) -> None:
    async def held() -> bool:
        return bool(await holds(rt, person, unit))

    await until(held)


async def test_a_tree_its_people_and_what_follows_by_itself(alive: Runtime) -> None:
    rt = alive
    await plant(rt)
    place = rt.directory.unit(SCHOOL)
    assert place is not None
    assert [rt.directory.unit(one).code for one in place.path] == [  # type: ignore[union-attr]
        "42", "420500", "420528", "420528100", "2142000001",
    ]  # fmt: skip

    await appoint(rt, "administrator", "officer", Role.BUREAU_OFFICER, COUNTY)
    await until_holds(rt, "officer", SCHOOL)
    await appoint(rt, "officer", "zhao", Role.PRINCIPAL, SCHOOL)
    await until_holds(rt, "zhao", SCHOOL)
    await appoint(rt, "zhao", "wang", Role.BUYER, SCHOOL)
    await until_holds(rt, "wang", SCHOOL)
    with pytest.raises(Refused, match="forbidden"):
        await appoint(rt, "zhao", "qian", Role.COOK, units.id_of("3442000001"))

    async def counted() -> bool:
        rows = [row for row in await rows_of(rt, "posts_of_roles") if row["required"]]
        mine = {row["role"]: row["held"] for row in rows if row["organisation"] == SCHOOL}
        return mine.get("buyer") == 1 and mine.get("principal") == 1 and mine.get("nurse") == 0

    await until(counted)
    theirs = await rows_of(rt, "unit_list", scope=str(SCHOOL))
    assert {row["code"] for row in theirs} == {
        "2142000001", "2142000001-01", "2142000001-01-2024-03",
    }  # fmt: skip

    moved = MoveUnit(parent=COUNTY, since=date(2020, 9, 1))
    await ask(rt, "officer", units, moved, SCHOOL)
    await until(lambda: rt.directory.path_on(SCHOOL, date(2020, 9, 1))[-2] == COUNTY)
    assert rt.directory.path_on(SCHOOL, date(2020, 8, 31))[-2] == units.id_of("420528100")

    wang = staff.id_of(SCHOOL, "wang")
    row = next(row for row in await rows_of(rt, "post_list") if row["person"] == "wang")
    today = business_day(datetime.now(UTC))
    lent = DelegatePost(
        post=UUID(row["post"]) if isinstance(row["post"], str) else row["post"],
        to="sun",
        last_day=date.fromordinal(today.toordinal() + 3),
        reason="出差",
    )
    await ask(rt, "wang", staff, lent, wang)
    await until_holds(rt, "sun", SCHOOL)
    assert [row["lender"] for row in await rows_of(rt, "borrowed_posts")] == ["wang"]


async def test_what_is_not_personal_goes_on_while_the_keys_are_away(alive: Runtime) -> None:
    """Asked for at once, and so in one group: who needs no key does not wait for one."""
    rt = alive
    await plant(rt)
    await appoint(rt, "administrator", "wang", Role.BUYER, SCHOOL)
    day = date(2020, 9, 1)
    signed = SignLabourContract(number="甲-1", signed_on=day, first_day=day)
    assert rt.vault is not None
    await rt.vault.pool.close()
    sealed, *others = await asyncio.gather(
        ask(rt, "administrator", staff, signed, staff.id_of(SCHOOL, "wang")),
        *(appoint(rt, "administrator", f"person-{n}", Role.COOK, SCHOOL) for n in range(5)),
        return_exceptions=True,
    )
    assert isinstance(sealed, KeysAway)
    assert [type(one) for one in others] == [Answer] * 5


async def test_a_unit_registered_is_in_the_very_next_list(config: Settings) -> None:
    """Without a worker: nothing comes back through Kafka."""
    settings = config.model_copy(update={"administrators": "administrator"})
    async with running(organisation, settings, "api") as rt:
        rows = steps(organisation, RegisterUnit, TREE.encode())
        await rt.writer.ask(Request(rows, "administrator", together=True))
        town, opens = units.id_of("420528100"), date.today() + timedelta(days=90)
        planned = RegisterUnit(
            organisation=town, code="2142000002", name="新校", level=UnitLevel.SCHOOL, since=opens
        )
        await ask(rt, "administrator", units, planned)
        for scope, count in ((COUNTY, 7), (town, 5), (SCHOOL, 3), (units.id_of("2142000002"), 1)):
            assert len(await rows_of(rt, "unit_list", scope=str(scope))) == count, scope


async def test_a_county_rule_reaches_the_copy(alive: Runtime) -> None:
    rt = alive
    await plant(rt)
    command = PublishRule(
        organisation=COUNTY, slug="organisation.delegation", since=date(2020, 9, 1),
        values={"days_max": 7}, source_zh="县教育局通知", source_en="Notice of the county",
        mark=Mark.CONFIRMED, reason="文件追溯",
    )  # fmt: skip
    aggregate = next(one for one in organisation.aggregates if one.name == "rule_pack")
    await ask(rt, "administrator", aggregate, command)
    path = rt.directory.path_on(SCHOOL, date(2020, 9, 2))

    def known() -> bool:
        rule = rt.directory.rules.rule("organisation.delegation", path, date(2020, 9, 2))
        return rule is not None and rule.values == {"days_max": 7}

    await until(known)
    [row] = await rows_of(rt, "published_rules")
    assert row["values"] == {"days_max": 7}


async def test_every_list_can_be_sorted_filtered_and_searched(alive: Runtime) -> None:
    for view in organisation.views():
        for sort in ("", *view.sorts):
            async with views.reading(alive.pool, "*") as connection:
                query = views.Query(sort=sort, search="x" if view.search else "")
                assert await views.page(connection, view, query) == ([], None)
