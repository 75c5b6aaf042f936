from __future__ import annotations

import asyncio
import tracemalloc
from collections.abc import AsyncIterator
from copy import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4, uuid5

import asyncpg
import pytest

from shared.config import Settings
from shared.directory import Directory, directory_consumer, keep
from shared.directory_events import Place, Post, StaffCopy, UnitCopy
from shared.fields import business_day
from shared.kernel import Policy
from shared.organisation import HeldPost, Level, Role
from shared.parking import unpark
from shared.rules import NATIONAL
from tests.shared.wire import Topic, caught_up, consuming, filled, until

type Pool = asyncpg.Pool[asyncpg.Record]

DAY = date(2026, 9, 7)
MONDAY, SATURDAY = date(2026, 9, 7), date(2026, 9, 12)


class Copied:
    """A running copy: `tell` sends one of organisation's events."""

    def __init__(self, topic: Topic, consumer: Any, directory: Directory) -> None:
        self.topic, self.consumer, self.directory = topic, consumer, directory

    async def tell(self, stream: UUID, type_: str, key: UUID | None = None, **data: Any) -> None:
        await self.topic.send(key or stream, type=type_, stream=stream, **data)

    async def unit(self, name: str, level: Level, parent: UUID | None, **data: Any) -> UUID:
        id_ = uuid4()
        await self.tell(
            id_, "UnitRegistered", code=name, name=name, level=level, parent=parent, kind="primary",
            division_code="430000", since=data.pop("since", date(2020, 9, 1)), **data,
        )  # fmt: skip
        return id_

    async def refresh(self) -> Directory:
        await caught_up(self.consumer)
        await self.directory.refresh()
        return self.directory


@pytest.fixture
async def copied(pool: Pool, config: Settings) -> AsyncIterator[Copied]:
    async with filled(config, "organisation") as topic:
        consumer = directory_consumer(pool, config)
        consumer.check_s = 0.05
        async with consuming(consumer):
            yield Copied(topic, consumer, Directory(pool, "procurement", ["root"]))


@pytest.fixture
async def tree(copied: Copied) -> dict[str, UUID]:
    county = await copied.unit("county", Level.COUNTY, None)
    town = await copied.unit("town", Level.TOWNSHIP, county)
    other = await copied.unit("other", Level.TOWNSHIP, county)
    school = await copied.unit("school", Level.SCHOOL, town)
    return {"county": county, "town": town, "other": other, "school": school}


async def test_units_have_their_path(copied: Copied, tree: dict[str, UUID]) -> None:
    directory = await copied.refresh()
    school = directory.unit(tree["school"])
    assert school is not None
    assert (school.name, school.level, school.kind) == ("school", Level.SCHOOL, "primary")
    assert school.path == (tree["county"], tree["town"], tree["school"])
    assert directory.unit(uuid4()) is None


async def test_a_moved_unit_was_where_it_was(copied: Copied, tree: dict[str, UUID]) -> None:
    school = tree["school"]
    await copied.refresh()
    moved = date(2025, 9, 1)
    await copied.tell(school, "UnitMoved", parent=tree["other"], since=moved)
    directory = await copied.refresh()
    before, after = (tree["county"], tree["town"], school), (tree["county"], tree["other"], school)
    assert directory.path_on(school, moved - timedelta(days=1)) == before
    assert directory.path_on(school, moved) == after
    assert directory.path_on(school, date(1999, 1, 1)) == before, "late entries have a place"
    unit = directory.unit(school)
    assert unit is not None and unit.path == after
    future = date.today() + timedelta(days=400)
    await copied.tell(school, "UnitMoved", parent=tree["town"], since=future)
    directory = await copied.refresh()
    unit = directory.unit(school)
    assert unit is not None and unit.path == after, "not yet"
    assert directory.path_on(school, future) == before


async def test_the_wall_in_the_database_stands_on_the_same_tree(
    copied: Copied, tree: dict[str, UUID], pool: Pool
) -> None:
    today = business_day(datetime.now(UTC))
    later = await copied.unit("later", Level.SCHOOL, tree["town"], since=today + timedelta(days=9))
    every = [*tree.values(), later]

    async def agree() -> dict[UUID, set[UUID]]:
        directory = await copied.refresh()
        found: dict[UUID, set[UUID]] = {}
        for unit in every:
            rows = await pool.fetch("select unit_id from units_below($1)", str(unit))
            found[unit] = {row["unit_id"] for row in rows}
            assert found[unit] == {one for one in every if unit in directory.path_on(one, today)}
        return found

    assert later in (await agree())[tree["county"]]
    for days, to in ((30, "town"), (-30, "other"), (-60, "town"), (0, "county"), (0, "other")):
        since = today + timedelta(days=days)
        await copied.tell(tree["school"], "UnitMoved", parent=tree[to], since=since)
        found = await agree()
    assert tree["school"] in found[tree["other"]]


async def test_renamed_described_closed(copied: Copied, tree: dict[str, UUID]) -> None:
    school = tree["school"]
    await copied.tell(school, "UnitRenamed", name="第一小学")
    await copied.tell(school, "UnitDescribed", kind="junior", division_code="430001")
    await copied.tell(school, "UnitClosed", closed_on=DAY, merged_into=tree["other"])
    unit = (await copied.refresh()).unit(school)
    assert unit is not None
    assert (unit.name, unit.kind, unit.division_code) == ("第一小学", "junior", "430001")
    assert unit.closed_on == DAY


async def test_a_parent_not_heard_of_yet_stands_in_the_path(copied: Copied) -> None:
    county = uuid4()
    school = await copied.unit("school", Level.SCHOOL, county)
    unit = (await copied.refresh()).unit(school)
    assert unit is not None and unit.path == (county, school)


async def test_only_what_changed_is_loaded(
    copied: Copied, tree: dict[str, UUID], pool: Pool
) -> None:
    await copied.refresh()
    # Not through an event: it would not be seen unless everything were loaded again.
    await pool.execute(
        """update copied set document = document || '{"name": "forged"}' where stream = $1""",
        tree["county"],
    )
    await copied.tell(tree["school"], "UnitRenamed", name="new")
    directory = await copied.refresh()
    names = {name: directory.unit(tree[name]) for name in ("county", "school")}
    assert [unit.name for unit in names.values() if unit] == ["county", "new"]


async def appoint(copied: Copied, unit: UUID, person: str = "li", **data: Any) -> UUID:
    post = uuid4()
    fields: dict[str, Any] = {
        "role": Role.PRINCIPAL,
        "since": date(2026, 1, 1),
        "until": None,
    } | data
    await copied.tell(post, "StaffAppointed", post=post, person=person, unit=unit, **fields)
    return post


async def held(copied: Copied, person: str, unit: UUID, day: date = DAY) -> tuple[HeldPost, ...]:
    directory = await copied.refresh()
    await directory.posts_of(person)
    place = directory.unit(unit)
    assert place is not None
    return directory.held(person, place, day)


async def test_posts_hold_at_the_unit_and_below_between_their_days(
    copied: Copied, tree: dict[str, UUID]
) -> None:
    await appoint(copied, tree["county"], until=date(2026, 12, 31))
    expected = (HeldPost(role=Role.PRINCIPAL, unit=tree["county"], level=Level.COUNTY),)
    assert await held(copied, "li", tree["school"]) == expected
    assert await held(copied, "li", tree["county"]) == expected
    assert await held(copied, "li", tree["school"], date(2025, 12, 31)) == ()
    assert await held(copied, "li", tree["school"], date(2026, 1, 1)) == expected
    assert await held(copied, "li", tree["school"], date(2026, 12, 30)) == expected
    assert await held(copied, "li", tree["school"], date(2026, 12, 31)) == (), (
        "until is the first day without"
    )
    assert await held(copied, "wang", tree["school"]) == ()


async def test_a_post_does_not_hold_above_or_beside(copied: Copied, tree: dict[str, UUID]) -> None:
    await appoint(copied, tree["school"])
    assert await held(copied, "li", tree["town"]) == ()
    assert await held(copied, "li", tree["other"]) == ()


async def test_an_ended_post_ends_for_whoever_looked_before(
    copied: Copied, tree: dict[str, UUID]
) -> None:
    post = await appoint(copied, tree["school"])
    assert len(await held(copied, "li", tree["school"])) == 1
    await copied.tell(post, "PostEnded", post=post, person="li", until=DAY)
    assert await held(copied, "li", tree["school"]) == ()
    assert len(await held(copied, "li", tree["school"], DAY - timedelta(days=1))) == 1


async def test_a_lent_post_says_whose_it_is_and_ends_with_it(
    copied: Copied, tree: dict[str, UUID]
) -> None:
    post, delegation = await appoint(copied, tree["school"]), uuid4()
    await copied.tell(
        post, "PostDelegated", delegation=delegation, post=post, person="li", to="wang",
        unit=tree["school"], role=Role.PRINCIPAL, since=DAY, until=date(2027, 1, 1),
    )  # fmt: skip
    [lent] = await held(copied, "wang", tree["school"])
    assert (lent.role, lent.delegated_by) == (Role.PRINCIPAL, "li")
    tomorrow = DAY + timedelta(days=1)
    await copied.tell(post, "PostEnded", post=post, person="li", until=tomorrow)
    assert len(await held(copied, "wang", tree["school"])) == 1
    assert await held(copied, "wang", tree["school"], tomorrow) == ()
    await copied.tell(post, "DelegationEnded", delegation=delegation, until=DAY)
    assert await held(copied, "wang", tree["school"]) == ()


async def test_the_end_of_an_unknown_post_is_not_passed_over(copied: Copied, pool: Pool) -> None:
    post = uuid4()
    await copied.tell(post, "PostEnded", post=post, person="li", until=DAY)
    await caught_up(copied.consumer)
    assert copied.consumer.parked == 1
    await copied.refresh()
    # Repaired: the post is there now.
    cook = Post(person="li", unit=post, role=Role.COOK, since=DAY - timedelta(days=9))
    async with pool.acquire() as connection:
        await keep(connection, {post: StaffCopy(posts={post: cook})})
    await unpark(pool, "directory")
    await until(lambda: copied.consumer.parked == 0)
    directory = await copied.refresh()
    assert await directory.posts_of("li") == (replace(cook, until=DAY),)


async def test_administrators_hold_their_role_everywhere(
    copied: Copied, tree: dict[str, UUID]
) -> None:
    assert [post.role for post in await held(copied, "root", tree["school"])] == [
        Role.ADMINISTRATOR
    ]


async def test_posts_must_be_loaded_before_they_are_asked_for(
    copied: Copied, tree: dict[str, UUID]
) -> None:
    directory = await copied.refresh()
    unit = directory.unit(tree["school"])
    assert unit is not None
    with pytest.raises(LookupError):
        directory.held("li", unit, DAY)


class ThresholdPolicy(Policy):
    slug = "test.threshold"
    limit_cny: int


async def publish(copied: Copied, region: UUID, since: date, limit: int) -> None:
    await copied.tell(
        uuid5(region, "rules"), "RulePublished", slug="test.threshold", region=region, since=since,
        values={"limit_cny": limit}, source_zh="文件", source_en="document", mark="confirmed",
    )  # fmt: skip


async def test_published_rules_override_by_nearness_and_date(
    copied: Copied, tree: dict[str, UUID]
) -> None:
    await publish(copied, NATIONAL, date(2000, 1, 1), 100)
    await publish(copied, tree["county"], date(2026, 9, 1), 200)
    directory = await copied.refresh()
    school = directory.unit(tree["school"])
    assert school is not None
    for day, limit in ((date(2026, 8, 31), 100), (date(2026, 9, 1), 200)):
        assert directory.rules.in_force(ThresholdPolicy, school, day).limit_cny == limit
    await copied.tell(
        uuid5(tree["county"], "rules"), "RuleWithdrawn", slug="test.threshold", region=tree["county"],
        since=date(2026, 9, 1),
    )  # fmt: skip
    directory = await copied.refresh()
    assert directory.rules.in_force(ThresholdPolicy, school, DAY).limit_cny == 100


async def test_calendar(copied: Copied, tree: dict[str, UUID]) -> None:
    def day(text: str) -> date:
        return date.fromisoformat(f"2026-{text}")

    county = tree["county"]
    calendar, own = uuid5(county, "2026"), uuid5(tree["school"], "2026")
    await copied.tell(
        calendar, "TermSet", region=county, school_year=2026, term=1, first_day=day("09-01"),
        last_day=date(2027, 1, 20),
    )  # fmt: skip
    await copied.tell(
        calendar,
        "HolidaySet",
        region=county,
        first_day=day("10-01"),
        last_day=day("10-07"),
        name="国庆",
    )
    await copied.tell(calendar, "MakeUpDaySet", region=county, day=day("10-10"), name="补课")
    await copied.tell(
        own, "ClosureSet", region=tree["school"], first_day=day("11-02"),
        last_day=day("11-03"), reason="暴雨",
    )  # fmt: skip
    directory = await copied.refresh()
    school, other = directory.unit(tree["school"]), directory.unit(tree["other"])
    assert school is not None and other is not None
    expected = {
        "08-31": False, "09-01": True, "09-05": False, "10-01": False, "10-08": True,
        "10-10": True, "11-02": False, "11-04": True,
    }  # fmt: skip
    assert {text: directory.is_school_day(school, day(text)) for text in expected} == expected
    assert directory.is_school_day(other, day("11-02")), "another school's closure"
    await copied.tell(
        own, "CalendarDayRemoved", region=tree["school"], kind="closure",
        first_day=day("11-02"), reason="误录",
    )  # fmt: skip
    directory = await copied.refresh()
    school = directory.unit(tree["school"])
    assert school is not None
    assert directory.is_school_day(school, day("11-02"))
    # A nearer region's terms replace the county's.
    await copied.tell(
        own, "TermSet", region=tree["school"], school_year=2026, term=1,
        first_day=day("09-03"), last_day=date(2027, 1, 20),
    )  # fmt: skip
    directory = await copied.refresh()
    assert [term.first_day for term in directory.terms(school)] == [day("09-03")]
    assert not directory.is_school_day(school, day("09-01"))
    assert directory.is_school_day(other, day("09-01"))
    # No calendar for that year: the week decides.
    assert directory.is_school_day(school, date(2012, 9, 3))
    assert not directory.is_school_day(school, date(2012, 9, 8))


async def test_age_is_known_and_grows_when_nothing_confirms_it(
    pool: Pool, config: Settings, copied: Copied, tree: dict[str, UUID]
) -> None:
    assert Directory(pool, "procurement").age_seconds == float("inf"), "never looked"
    directory = await copied.refresh()
    await until(lambda: _younger(directory, 1.0))
    await copied.consumer.stop()
    await directory.refresh()
    age = directory.age_seconds
    await until(lambda: directory.age_seconds > age + 0.05)
    # One partition that nobody has confirmed makes the whole copy of unknown age.
    await pool.execute("update consumed set current_at = null where partition = 0")
    await directory.refresh()
    assert directory.age_seconds == float("inf")


async def _younger(directory: Directory, seconds: float) -> bool:
    await directory.refresh()
    return directory.age_seconds < seconds


async def test_a_province_is_held_in_little_memory(pool: Pool, config: Settings) -> None:
    """20,000 schools in 100 counties: below 1 s and 40 MB (limits here leave room for slow CI)."""
    counties, schools = [uuid4() for _ in range(100)], [uuid4() for _ in range(20_000)]
    copied = {
        id_: UnitCopy(
            code=f"c{n}", name=f"第{n}县", level=Level.COUNTY, kind="bureau",
            division_code=f"43{n}", places=(Place(date(2000, 1, 1), None),),
        )
        for n, id_ in enumerate(counties)
    } | {
        id_: UnitCopy(
            code=f"s{n}", name=f"第{n}小学", level=Level.SCHOOL, kind="primary",
            division_code=f"43{n % 100}", places=(Place(date(2000, 1, 1), counties[n % 100]),),
        )
        for n, id_ in enumerate(schools)
    }  # fmt: skip
    async with pool.acquire() as connection:
        await keep(connection, copied)
    tracemalloc.start()
    fresh = Directory(pool, "procurement")
    await fresh.refresh()
    assert all(fresh.unit(id_) for id_ in schools)
    held_bytes = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert held_bytes < 40_000_000


async def test_readers_never_miss_a_version(copied: Copied, tree: dict[str, UUID]) -> None:
    """A reader that looks all the time sees at last what is in the tables."""
    directory, done = copied.directory, asyncio.Event()

    async def look() -> None:
        while not done.is_set():
            await directory.refresh()

    looking = asyncio.create_task(look())
    for n in range(50):
        await copied.tell(tree["school"], "UnitRenamed", name=f"name {n}")
        await copied.tell(tree["other"], "UnitRenamed", name=f"other {n}")
    await caught_up(copied.consumer)
    done.set()
    await looking
    await directory.refresh()
    found = [directory.unit(tree[name]) for name in ("school", "other")]
    assert [unit.name for unit in found if unit] == ["name 49", "other 49"]
