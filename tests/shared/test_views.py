"""Lists: the table is the fold of the log, seen only by whom it concerns, page by page."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from hosting.compose import prepare_database
from hosting.outdated import refold
from hosting.progress import Progress
from hosting.rebuild import ViewRebuild
from shared import views
from shared.config import Settings
from shared.kernel import Refused, ViewOf
from shared.organisation import Role
from shared.views import Query
from tests.conftest import Parts, make_database
from tests.shared.office import SCHOOL, UNITS, Copy, Desk, Pool, at_work, settled
from tests.shared.tally import CloseTally, NoteTally, OpenTally, RaiseTally, tally

pytestmark = pytest.mark.stack

LIST, OPEN, STEPS = tally.views()
PLACES = ("school", "campus", "sibling", "other_school")
COUNT = 60


@asynccontextmanager
async def opened(pool: Pool, config: Settings) -> AsyncIterator[Desk]:
    copy = Copy(pool)
    await copy.plant()
    await copy.appoint(("buyer", Role.BUYER, "city"), ("principal", Role.PRINCIPAL, "city"))
    async with at_work(tally, config) as made:
        yield made


async def fill(desk: Desk) -> list[UUID]:
    """Tallies at four units: names, totals and prices repeat, some prices are missing."""
    chance = random.Random(7)
    made = await settled(
        *(
            desk.open(
                OpenTally(
                    organisation=UNITS[PLACES[n % 4]],
                    name=f"tally {n % 7}",
                    price_cny=None if n % 5 == 0 else Decimal(n % 9) / 4,
                )
            )
            for n in range(COUNT)
        )
    )
    await settled(
        *(
            desk.ask(RaiseTally(amount=chance.randint(1, 3)), stream)
            for stream in made for _ in range(chance.randint(0, 4))
        )
    )  # fmt: skip
    await settled(*(desk.ask(CloseTally(), s, person="principal") for s in made[::6]))
    return made


@pytest.fixture
async def desk(pool: Pool, config: Settings) -> AsyncIterator[Desk]:
    async with opened(pool, config) as made:
        yield made


@pytest.fixture
async def many(desk: Desk) -> list[UUID]:
    return await fill(desk)


@dataclass
class Shown:
    """A filled database that tests only read."""

    pool: Pool
    streams: list[UUID]


@pytest.fixture(scope="module")
async def shown(parts: Parts, template: str) -> AsyncIterator[Shown]:
    database = parts.dsn.format(await make_database(parts, template))
    config = Settings(database=database, kafka=parts.kafka)
    async with (
        asyncpg.create_pool(database, min_size=1, max_size=4) as pool,
        opened(pool, config) as desk,
    ):
        yield Shown(pool, await fill(desk))


async def rows_of(pool: Pool, view: ViewOf) -> list[Any]:
    return [tuple(row) for row in await pool.fetch(f"select * from view_{view.name} order by 1, 2")]


async def listed(pool: Pool, view: ViewOf, scope: str = "*", **query: Any) -> list[dict[str, Any]]:
    """Every row, page by page."""
    found: list[dict[str, Any]] = []
    following: str | None = ""
    while following is not None:
        asked = Query(cursor=following, **{"limit": 7, **query})
        async with views.reading(pool, scope) as connection:
            rows, following = await views.page(connection, view, asked)
        assert len(rows) <= asked.limit
        found += rows
    return found


async def test_rebuilt_rows_are_the_live_rows(desk: Desk, many: list[UUID], pool: Pool) -> None:
    for view in (LIST, OPEN, STEPS):
        live = await rows_of(pool, view)
        assert live
        await pool.execute(f"delete from view_{view.name} where version % 2 = 0")
        await pool.execute(f"update view_{view.name} set version = 99")
        assert not (await ViewRebuild(view, pool, Progress(view.name)).run()).same
        assert await rows_of(pool, view) == live


async def test_rows_come_and_go_with_what_the_view_says(desk: Desk, pool: Pool) -> None:
    stream = await desk.open(OpenTally(organisation=SCHOOL, name="a"))
    for n in range(12):
        await desk.ask(RaiseTally(amount=n + 1), stream)
    steps = await listed(pool, STEPS, sort="amount")
    assert [row["amount"] for row in steps] == list(range(4, 13)), "the last nine"
    assert [row["total"] for row in await listed(pool, OPEN)] == [78]
    await desk.ask(CloseTally(), stream, person="principal")
    assert await listed(pool, OPEN) == []
    assert len(await listed(pool, LIST)) == 1


async def test_a_view_of_another_shape_is_built_anew(
    desk: Desk, many: list[UUID], pool: Pool
) -> None:
    live = await rows_of(pool, LIST)
    others = await rows_of(pool, STEPS)
    await pool.execute("update view_shape set shape = 'older' where name = 'tally_list'")
    await pool.execute("update view_tally_list set total = -1")
    await pool.execute("update view_tally_steps set amount = -1")
    await prepare_database(tally, pool)
    assert await rows_of(pool, LIST) == live
    assert await rows_of(pool, STEPS) != others, "one whose shape is the same is left alone"


async def test_rows_of_another_release_are_marked_and_made_anew(desk: Desk, pool: Pool) -> None:
    stream = await desk.open(OpenTally(organisation=SCHOOL, name="a"))
    assert await pool.fetchval("select count(*) from view_outdated") == 0, "of one's own release"
    newer = "update view_shape set shape = $1 where name = 'tally_list'"
    await pool.execute(newer, "newer")
    await desk.ask(RaiseTally(amount=1), stream)
    await refold(pool, tally.views())
    marked = await pool.fetch("select name, stream from view_outdated")
    assert [tuple(row) for row in marked] == [("tally_list", stream)], "not theirs to fold"
    live = await rows_of(pool, LIST)
    await pool.execute("update view_tally_list set total = -1")
    await pool.execute(newer, views.shape(LIST))
    await refold(pool, tally.views())
    assert await rows_of(pool, LIST) == live
    assert await pool.fetchval("select count(*) from view_outdated") == 0


async def test_a_list_keeps_the_columns_of_another_release(desk: Desk, pool: Pool) -> None:
    await desk.open(OpenTally(organisation=SCHOOL, name="a"))
    await pool.execute("alter table view_tally_list add column share numeric")
    await pool.execute("update view_shape set shape = 'newer' where name = 'tally_list'")
    await prepare_database(tally, pool)
    assert await pool.fetch("select share from view_tally_list") == [(None,)]
    assert all("share" not in row for row in await listed(pool, LIST))


@pytest.mark.parametrize(
    "sort", ["", "name", "-name", "total", "-total", "price_cny", "-price_cny"]
)
async def test_pages_lose_nothing_and_show_nothing_twice(shown: Shown, sort: str) -> None:
    pool = shown.pool
    rows = await listed(pool, LIST, sort=sort)
    column = sort.removeprefix("-")
    wanted = await pool.fetch(
        f"select stream from view_tally_list {'where ' + column + ' is not null' if sort else ''}"
    )
    assert len(rows) == len(wanted) > 20
    assert {row["id"] for row in rows} == {row["stream"] for row in wanted}
    if sort:
        values = [Decimal(v) if column == "price_cny" else v for v in (r[column] for r in rows)]
        assert values == sorted(values, reverse=sort.startswith("-"))


async def test_pages_stay_whole_while_rows_change(desk: Desk, many: list[UUID], pool: Pool) -> None:
    """Keyset, not offset: what is inserted before the cursor moves nothing."""
    async with views.reading(pool, "*") as connection:
        first, following = await views.page(connection, LIST, Query(sort="name", limit=20))
    assert following is not None
    await settled(*(desk.open(OpenTally(organisation=SCHOOL, name="a first")) for _ in range(30)))
    rest = await listed(pool, LIST, sort="name", limit=500)
    async with views.reading(pool, "*") as connection:
        after, _ = await views.page(
            connection, LIST, Query(sort="name", limit=500, cursor=following)
        )
    assert len(rest) == COUNT + 30
    assert {row["id"] for row in [*first, *after]} == set(many)
    assert len(first) + len(after) == COUNT


async def test_filters_search_and_unit(shown: Shown) -> None:
    pool = shown.pool
    rows = await listed(pool, LIST)

    async def ids(**query: Any) -> set[UUID]:
        return {row["id"] for row in await listed(pool, LIST, **query)}

    def where(condition: Any) -> set[UUID]:
        found = {row["id"] for row in rows if condition(row)}
        assert found
        return found

    assert await ids(filters={"closed": "true"}) == where(lambda row: row["closed"])
    assert await ids(filters={"name": "tally 1,tally 2"}) == where(
        lambda row: row["name"] in {"tally 1", "tally 2"}
    )
    assert await ids(filters={"name": "tally 3", "closed": "false"}) == where(
        lambda row: row["name"] == "tally 3" and not row["closed"]
    )
    assert await ids(search="LLY 4") == where(lambda row: row["name"] == "tally 4")
    assert await ids(search="nothing such") == set()
    assert await ids(unit=UNITS["county"]) == where(
        lambda row: row["organisation"] != UNITS["other_school"]
    )
    assert await ids(unit=UNITS["school"]) == where(
        lambda row: row["organisation"] in {UNITS["school"], UNITS["campus"]}
    )
    assert await ids(unit=uuid4()) == set()


async def test_a_search_is_for_what_it_says(desk: Desk, pool: Pool) -> None:
    """What SQL takes for a wildcard is a character like others to whoever searches."""
    names = ("100% cotton", "100 cotton", "a_b", "axb", "back\\slash", "backslash")
    for name in names:
        await desk.open(OpenTally(organisation=SCHOOL, name=name))
    for text, wanted in {
        "0% c": ["100% cotton"],
        "%": ["100% cotton"],
        "A_B": ["a_b"],
        "_": ["a_b"],
        "\\": ["back\\slash"],
        "k\\s": ["back\\slash"],
        "cotton": ["100 cotton", "100% cotton"],
    }.items():
        found = await listed(pool, LIST, search=text)
        assert sorted(row["name"] for row in found) == wanted, text


async def test_what_cannot_be_asked_for_is_refused(shown: Shown) -> None:
    pool = shown.pool
    cases: list[tuple[Query, str, str]] = [
        (Query(sort="opened_on"), "sort_unknown", "sort"),
        (Query(sort="name; drop table event"), "sort_unknown", "sort"),
        (Query(filters={"organisation": "x"}), "filter_unknown", "organisation"),
        (Query(filters={"1=1 --": "x"}), "filter_unknown", "1=1 --"),
        (Query(cursor="%%%"), "cursor_broken", "cursor"),
        (Query(cursor="WzEsMl0="), "cursor_broken", "cursor"),
        (Query(cursor="WyJhIl0=", sort="name"), "cursor_broken", "cursor"),
    ]
    for query, slug, field in cases:
        async with views.reading(pool, "*") as connection:
            with pytest.raises(Refused) as refused:
                await views.page(connection, LIST, query)
        assert (refused.value.slug, refused.value.field) == (slug, field)
    async with views.reading(pool, "*") as connection:
        with pytest.raises(asyncpg.DataError):
            await views.page(connection, LIST, Query(filters={"total": "many"}))


async def test_readers_see_only_what_is_below_their_posts(shown: Shown) -> None:
    pool = shown.pool
    everything = await listed(pool, LIST)

    async def seen(*units: str) -> set[UUID]:
        scope = ",".join(str(UNITS[unit]) for unit in units)
        return {row["organisation"] for row in await listed(pool, LIST, scope)}

    own = {UNITS["school"], UNITS["campus"]}
    assert await listed(pool, LIST, "") == []
    assert await listed(pool, LIST, str(uuid4())) == []
    assert await seen("school") == own
    assert await seen("campus") == {UNITS["campus"]}
    assert await seen("county") == {*own, UNITS["sibling"]}
    assert await seen("school", "other_county") == {*own, UNITS["other_school"]}
    assert await seen("province") == {row["organisation"] for row in everything}
    assert len(everything) == COUNT
    foreign = next(row for row in everything if row["organisation"] == UNITS["sibling"])
    async with views.reading(pool, str(SCHOOL)) as connection:
        assert await views.rows_of(connection, LIST, foreign["id"]) == ([], 0)
        mine, version = await views.rows_of(connection, LIST, shown.streams[0])
        assert mine[0]["id"] == shown.streams[0] and version > 0


async def test_the_wall_stands_in_the_database(shown: Shown) -> None:
    """Row-level security, not only our own `where`: plain SQL as the reader sees no more."""
    pool = shown.pool
    count = "select count(*) from view_tally_list"
    async with pool.acquire() as connection:
        async with connection.transaction(readonly=True):
            await connection.execute(f"set local role {views.READER}")
            assert await connection.fetchval(count) == 0, "no scope said: nothing is seen"
            assert await connection.fetchval("select count(*) from event") == 0
        async with connection.transaction():
            await connection.execute(
                f"set local role {views.READER}; set local houqin.scope = '{SCHOOL}'"
            )
            assert await connection.fetchval(count) == COUNT // 2
            owners = await connection.fetch("select distinct organisation from event")
            inside = {SCHOOL, UNITS["campus"]}
            assert {owner for (owner,) in owners} == inside, "of the log what is in the scope"
            for table in ("idempotency", "head", "snapshot"):
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    async with connection.transaction():
                        await connection.fetchval(f"select count(*) from {table}")
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                async with connection.transaction():
                    await connection.execute("delete from view_tally_list")
        # Role and scope end with the transaction: the pool's next user does not inherit them.
        assert await connection.fetchval("select current_user") != views.READER
        assert not await connection.fetchval("select current_setting('houqin.scope', true)")
        assert await connection.fetchval(count) == COUNT


async def test_a_reader_waits_for_no_writer(shown: Shown) -> None:
    pool = shown.pool
    async with pool.acquire() as writer, writer.transaction():
        await writer.execute("update view_tally_list set total = -1")
        assert all(row["total"] >= 0 for row in await listed(pool, LIST))


async def test_big_texts_do_not_disturb_the_row(desk: Desk, pool: Pool) -> None:
    stream = await desk.open(OpenTally(organisation=SCHOOL, name="引号\"'\\ 和\n换行 \u2028 💧"))
    await desk.ask(NoteTally(text="x" * 10_000), stream)
    (row,) = await listed(pool, LIST)
    assert row["name"] == "引号\"'\\ 和\n换行 \u2028 💧"
