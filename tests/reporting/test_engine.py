"""The engine: batches, lanes, units known late, moves from a past day, and always I4: figures are
the sum of the facts of the events received.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, timedelta
from uuid import UUID, uuid4

import asyncpg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.reporting.figures.fold import Folded, Folder
from services.reporting.figures.keep import COPY_FROM, Keeper
from services.reporting.figures.rebuild import refold
from services.reporting.figures.roll import Roller, shifts
from services.reporting.figures.tree import Tree
from services.reporting.measures import measures
from shared.envelope import Delivered, Unappliable
from shared.store import Conflict
from tests.reporting.events import (
    CAMPUS,
    DAY,
    NORTH,
    ONE,
    PROVINCE,
    SOUTH,
    START,
    TOWN,
    TREE,
    TWO,
    came,
    put_tree,
    repair,
)
from tests.reporting.figures import counted, kept, take

pytestmark = pytest.mark.stack

type Pool = asyncpg.Pool[asyncpg.Record]


def at(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, 4, 0, tzinfo=UTC)


async def figure(pool: Pool, measure: str, unit: UUID, grain: int = 0, day: date = DAY) -> int:
    table = await kept(pool)
    return sum(
        sums[1]
        for (name, _, of, on, place), sums in table.items()
        if (name, of, on, place) == (measure, grain, day, unit)
    )


async def test_counts_for_the_school_and_everybody_above(
    base: Pool, keeper: Keeper, roller: Roller
) -> None:
    await put_tree(base, TREE)
    await roller.step()
    await take(keeper, [repair(ONE), repair(ONE), repair(TWO), repair(CAMPUS)])
    expected = {PROVINCE: 4, NORTH: 3, TOWN: 3, ONE: 3, CAMPUS: 1, SOUTH: 1, TWO: 1}
    for unit, count in expected.items():
        assert await figure(base, "assets.repairs_done", unit) == count
        month = DAY.replace(day=1)
        assert await figure(base, "assets.repairs_done", unit, 1, month) == count
    assert await kept(base) == await counted(base)


async def test_a_batch_comes_to_the_same_as_its_events_one_by_one(
    base: Pool, keeper: Keeper, roller: Roller
) -> None:
    await put_tree(base, TREE)
    await roller.step()
    events = [repair(unit, kind) for unit in (ONE, TWO, CAMPUS) for kind in ("lamp", "valve")]
    await take(keeper, events)
    together = await kept(base)
    await base.execute("truncate figure, archive, stray")
    for event in events:
        await take(keeper, [event])
    assert await kept(base) == together


async def test_large_batches_are_copied_in_and_come_to_the_same(
    base: Pool, keeper: Keeper, roller: Roller
) -> None:
    schools = [uuid4() for _ in range(300)]
    await put_tree(base, [*TREE, *((school, 5, TOWN, START) for school in schools)])
    await roller.step()
    events = [repair(school) for school in schools for _ in range(4)]
    assert len(events) > COPY_FROM
    await take(keeper, events)
    await take(keeper, [repair(schools[0])])
    assert await base.fetchval("select count(*) from archive") == len(events) + 1
    assert await kept(base) == await counted(base)


async def test_processes_add_up_without_waiting_for_each_other(
    base: Pool, keeper: Keeper, roller: Roller
) -> None:
    await put_tree(base, TREE)
    await roller.step()
    other = Keeper(base, measures)
    keeper.lane, other.lane = -1, -2
    first = await keeper.prepare([repair(ONE)])
    second = await other.prepare([repair(ONE)])
    async with base.acquire() as one, base.acquire() as two:
        outer, inner = one.transaction(), two.transaction()
        await outer.start()
        await inner.start()
        await keeper.commit(one, first)
        await asyncio.wait_for(other.commit(two, second), 5)
        await inner.commit()
        await outer.commit()
    assert await figure(base, "assets.repairs_done", PROVINCE) == 2


async def test_a_repeated_event_is_refused_by_the_archive(base: Pool, keeper: Keeper) -> None:
    event = repair(ONE)
    await take(keeper, [event])
    with pytest.raises(asyncpg.UniqueViolationError):
        await take(keeper, [event])


async def test_events_that_no_measure_can_read_are_named(base: Pool, keeper: Keeper) -> None:
    good, bad = repair(ONE), came("assets", "RepairSigned", ONE, kind=7)
    with pytest.raises(Unappliable) as caught:
        await keeper.prepare([good, bad])
    assert caught.value.delivered is bad
    too_fine = repair(ONE, cost_cny="1.00001")
    with pytest.raises(Unappliable):
        await keeper.prepare([too_fine])


async def test_unknown_types_are_kept_and_count_nothing(base: Pool, keeper: Keeper) -> None:
    await take(keeper, [came("assets", "SomethingNew", ONE, whatever=1)])
    assert await base.fetchval("select type from archive") == "SomethingNew"
    assert await kept(base) == {}


async def test_facts_of_a_unit_not_heard_of_wait_at_the_unit(
    base: Pool, keeper: Keeper, roller: Roller
) -> None:
    await take(keeper, [repair(CAMPUS), repair(ONE)])
    assert await figure(base, "assets.repairs_done", CAMPUS) == 1
    assert await figure(base, "assets.repairs_done", PROVINCE) == 0
    await put_tree(base, TREE)
    assert await roller.step() == 2
    assert await figure(base, "assets.repairs_done", PROVINCE) == 2
    assert await figure(base, "assets.repairs_done", ONE) == 2
    await take(keeper, [repair(CAMPUS)])
    assert await figure(base, "assets.repairs_done", PROVINCE) == 3
    assert await kept(base) == await counted(base)


async def test_a_batch_folded_along_another_tree_is_folded_again(
    base: Pool, keeper: Keeper, roller: Roller
) -> None:
    prepared = await keeper.prepare([repair(ONE)])
    await put_tree(base, TREE)
    await roller.step()
    async with base.acquire() as connection, connection.transaction():
        with pytest.raises(Conflict):
            await keeper.commit(connection, prepared)
    again = await keeper.rolled(prepared.folded)
    async with base.acquire() as connection, connection.transaction():
        await keeper.commit(connection, again)
    assert await figure(base, "assets.repairs_done", PROVINCE) == 1


async def test_a_move_from_a_past_day_takes_figures_along_from_that_day_on(
    base: Pool, keeper: Keeper, roller: Roller
) -> None:
    await put_tree(base, TREE)
    await roller.step()
    days = [date(2026, 8, 30), date(2026, 9, 14), date(2026, 9, 15), date(2026, 10, 2)]
    await take(keeper, [repair(CAMPUS, at=at(day)) for day in days])
    moved = date(2026, 9, 15)
    await put_tree(base, [(TOWN, 4, SOUTH, moved)])
    assert await roller.step() == 1
    for day, county in zip(days, (NORTH, NORTH, SOUTH, SOUTH), strict=True):
        assert await figure(base, "assets.repairs_done", county, day=day) == 1
        assert await figure(base, "assets.repairs_done", PROVINCE, day=day) == 1
    september = date(2026, 9, 1)
    assert await figure(base, "assets.repairs_done", NORTH, 1, september) == 1
    assert await figure(base, "assets.repairs_done", SOUTH, 1, september) == 1
    assert await kept(base) == await counted(base)
    await take(keeper, [repair(ONE, at=at(date(2026, 9, 1))), repair(ONE, at=at(moved))])
    assert await kept(base) == await counted(base)


async def test_facts_for_another_unit_or_day_are_found_again(
    base: Pool, keeper: Keeper, roller: Roller
) -> None:
    await put_tree(base, TREE)
    await roller.step()
    sets = [{"category": "A05010201", "measure_unit": "套", "cards": 1, "quantity": 100,
             "gross_cny": "25000"}]  # fmt: skip
    await take(
        keeper,
        [came("assets", "TransferReceived", TWO, to_unit=ONE, totals=sets, from_unit=TWO)],
    )
    assert await figure(base, "assets.transfers_received", NORTH) == 1
    assert await figure(base, "assets.transfers_received", SOUTH) == 0
    stray = await base.fetchrow("select * from stray")
    assert stray is not None
    assert (stray["unit"], stray["day"]) == (ONE, DAY)


async def test_a_new_measure_is_folded_from_the_archive(
    base: Pool, keeper: Keeper, roller: Roller
) -> None:
    await put_tree(base, TREE)
    await roller.step()
    assert len(await refold(base, measures)) == len(measures.stored)
    await take(
        keeper, [repair(ONE), repair(TWO), came("safety", "HazardFound", ONE, category="fire")]
    )
    before = await kept(base)
    await base.execute("delete from measured where measure = 'assets.repairs_done'")
    await base.execute(
        "delete from figure where series in"
        " (select no from series where measure = 'assets.repairs_done')"
    )
    assert await refold(base, measures) == ["assets.repairs_done"]
    assert await kept(base) == before
    assert await refold(base, measures) == []


UNITS = (PROVINCE, NORTH, SOUTH, TOWN, ONE, TWO, CAMPUS)
PARENTS = {NORTH: [PROVINCE], SOUTH: [PROVINCE], TOWN: [NORTH, SOUTH], ONE: [TOWN, NORTH, SOUTH],
           TWO: [SOUTH, TOWN, NORTH], CAMPUS: [ONE, TWO]}  # fmt: skip
days = st.integers(0, 50).map(lambda n: date(2026, 8, 20) + timedelta(days=n))
happenings = st.one_of(
    st.tuples(st.just("repair"), st.sampled_from(UNITS), days),
    st.tuples(st.just("dismissed"), st.sampled_from(UNITS), days),
    st.tuples(st.just("moved"), st.sampled_from(UNITS), days),
    st.tuples(st.just("place"), st.sampled_from(list(PARENTS)), days, st.integers(0, 2)),
    st.tuples(st.just("roll")),
)


def _event(kind: str, unit: UUID, day: date) -> Delivered:
    match kind:
        case "repair":
            return repair(unit, at=at(day))
        case "dismissed":
            found = at(day - timedelta(days=9)).isoformat()
            return came(
                "safety", "HazardDismissed", unit, at=at(day), category="fire", found_at=found
            )
        case _:
            return came(
                "assets", "CardMoved", unit, at=at(day), from_unit=unit, to_unit=TWO,
                asset_class="A05", quantity=3, gross_cny="10.5", accumulated_cny="1",
            )  # fmt: skip


async def test_figures_are_the_facts_of_what_was_received(base: Pool, database: str) -> None:
    """I4, whatever happens in whatever order: late facts, late units, moves into the past."""

    @settings(max_examples=60, deadline=None)
    @given(st.lists(happenings, max_size=25))
    def holds(steps: list[tuple[object, ...]]) -> None:
        asyncio.run(play(database, steps))

    await asyncio.to_thread(holds)


async def play(dsn: str, steps: list[tuple[object, ...]]) -> None:
    async with asyncpg.create_pool(dsn, min_size=1, max_size=4) as pool:
        await pool.execute(
            "truncate figure, archive, stray, rolled_parent, copied, unit_parent;"
            "update rolled set version = 0; update directory_state set version = 0"
        )
        keeper, roller = Keeper(pool, measures), Roller(pool)
        batch: list[Delivered] = []
        for step in steps:
            match step:
                case ("place", UUID() as unit, date() as day, int() as choice):
                    parents = PARENTS[unit]
                    await put_tree(pool, [(unit, 5, parents[choice % len(parents)], day)])
                case ("roll",):
                    await take(keeper, batch) if batch else None
                    batch = []
                    await roller.step()
                case (str() as kind, UUID() as unit, date() as day):
                    batch.append(_event(kind, unit, day))
                case _:
                    raise TypeError(step)
        if batch:
            await take(keeper, batch)
        await roller.step()
        assert await kept(pool) == await counted(pool)


def test_shifts_take_and_give_only_where_the_path_differs() -> None:
    a, b, c, u = (UUID(int=n) for n in range(4))
    first, second = date(2020, 1, 1), date(2021, 1, 1)
    before = [(first, (u, a, c))]
    after = [(first, (u, a, c)), (second, (u, b, c))]
    (shift,) = shifts(before, after)
    assert shift[0] == second
    assert shift[2] == {a: -1, b: 1}
    assert shifts(before, before) == []


def test_a_tree_remembers() -> None:
    tree = Tree()
    tree.put(NORTH, [(START, PROVINCE)])
    tree.put(SOUTH, [(START, PROVINCE)])
    tree.put(ONE, [(START, NORTH), (DAY, SOUTH)])
    assert tree.path_on(ONE, date(1990, 1, 1)) == (ONE, NORTH, PROVINCE)
    assert tree.path_on(ONE, DAY) == (ONE, SOUTH, PROVINCE)
    span = (date(2026, 9, 1), date(2026, 9, 30))
    assert tree.children_within(NORTH, span) == {ONE: [(span[0], DAY - timedelta(days=1))]}
    assert tree.children_within(SOUTH, span) == {ONE: [(DAY, span[1])]}
    assert set(tree.ever_below(NORTH)) == {NORTH, ONE}
    assert set(tree.ever_below(PROVINCE)) == {PROVINCE, NORTH, SOUTH, ONE}
    twin = tree.copy()
    twin.put(ONE, [(START, SOUTH)])
    assert tree.path_on(ONE, START) == (ONE, NORTH, PROVINCE)
    assert tree.children_within(NORTH, span)


def test_a_circle_in_the_tree_ends() -> None:
    tree = Tree()
    tree.put(ONE, [(START, TWO)])
    tree.put(TWO, [(START, ONE)])
    assert len(tree.path_on(ONE, DAY)) <= 16
    assert set(tree.ever_below(ONE)) == {ONE, TWO}


def test_the_folder_reads_each_event_once_for_all_its_measures() -> None:
    folded = Folded()
    Folder(measures).fold([repair(ONE, "valve", quantity=3)], folded)
    found = {key[0][0]: sums for key, sums in folded.leaves.items()}
    assert found["assets.repairs_done"] == [1, 1, 125_000, 30_000]
    assert found["assets.repair_response_minutes"] == [1, 1, 0, 100_000]
