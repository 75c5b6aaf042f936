"""Figures folded anew beside those that are read: while events come in, while the tree moves, after
being stopped half-way, and from months that are in files.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime
from itertools import cycle
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from hosting import archive
from hosting.rebuild import alone
from services.reporting.figures import rebuild as rebuilding
from services.reporting.figures.fold import Folded
from services.reporting.figures.keep import COPY_FROM, Keeper
from services.reporting.figures.rebuild import Rebuild, refold
from services.reporting.figures.roll import Roller
from services.reporting.measures import measures
from tests.reporting.events import (
    CAMPUS,
    NORTH,
    ONE,
    PROVINCE,
    SOUTH,
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

MANY = 900
MARCH = datetime(2026, 3, 12, 4, tzinfo=UTC)


def rebuild(pool: Pool) -> Rebuild:
    return Rebuild(measures, measures.stored, pool)


@pytest.fixture
async def filled(base: Pool, keeper: Keeper, roller: Roller) -> Pool:
    await put_tree(base, TREE)
    await roller.step()
    places = cycle((ONE, TWO, CAMPUS))
    events = [repair(next(places)) for _ in range(MANY)]
    sets = [{"category": "A05010201", "measure_unit": "套", "cards": 1, "quantity": 100,
             "gross_cny": "25000"}]  # fmt: skip
    events.append(came("assets", "TransferReceived", TWO, to_unit=ONE, totals=sets, from_unit=TWO))
    await take(keeper, events)
    return base


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rebuilding, "CHUNK", 50)
    monkeypatch.setattr(rebuilding, "LEAVES_MAX", 1)
    monkeypatch.setattr(rebuilding, "SLICE", 2)
    monkeypatch.setattr(rebuilding, "REMOVED", 100)
    monkeypatch.setattr(rebuilding, "REST_MAX", 5)


async def numbers(pool: Pool) -> list[int]:
    return [row[0] for row in await pool.fetch("select no from series order by no")]


async def test_the_same_events_by_the_same_code_come_to_the_same(filled: Pool) -> None:
    before, series = await kept(filled), await numbers(filled)
    found = await rebuild(filled).run()
    assert found.same
    assert found.old_hash == found.new_hash != 0
    assert found.old_rows == found.new_rows == len(before)
    assert await kept(filled) == before == await counted(filled)
    assert not set(series) & set(await numbers(filled)), "they are other rows"
    assert await filled.fetchval("select count(*) from rebuild") == 0


async def test_it_goes_on_being_counted_and_read_meanwhile(
    filled: Pool, small_chunks: None
) -> None:
    """Two processes count, the tree moves, and a reader never sees less than was there before."""
    task = asyncio.create_task(rebuild(filled).run())
    live = [Keeper(filled, measures), Keeper(filled, measures)]
    roller, taken, seen = Roller(filled), 0, 0
    parents = cycle((SOUTH, NORTH))
    while not task.done():
        for lane, keeper in enumerate(live):
            keeper.lane = lane
            await take(keeper, [repair(ONE), repair(CAMPUS)])
            taken += 2
        await put_tree(filled, [(TOWN, 4, next(parents), date(2026, 9, 10))])
        await roller.step()
        shown = await filled.fetchval(
            "select sum(f.count)::int from figure f join series s on s.no = f.series"
            " join place p on p.no = f.place where s.measure = 'assets.repairs_done'"
            " and s.stand = 'live' and p.unit = $1 and grain = 1",
            PROVINCE,
        )
        assert shown == MANY + taken >= seen
        seen = shown
    found = await task
    assert found.same, found.shown
    assert taken > 4
    await take(live[0], [repair(TWO)])
    assert await kept(filled) == await counted(filled)


async def test_what_differs_is_named_and_mended(filled: Pool) -> None:
    right = await kept(filled)
    await filled.execute(
        "update figure set count = count + 1 where ctid = (select min(f.ctid) from figure f"
        " join series s on s.no = f.series join place p on p.no = f.place"
        " where s.measure = 'assets.repairs_done' and p.unit = $1)",
        TOWN,
    )
    wrong, series = await kept(filled), await numbers(filled)
    checked = await rebuild(filled).run(check=True)
    assert checked.differing == 1
    assert checked.old_hash != checked.new_hash
    assert str(TOWN) in checked.shown[0]
    assert checked.shown[0].startswith("assets.repairs_done")
    assert (await kept(filled), await numbers(filled)) == (wrong, series), "only looked at"
    assert not (await rebuild(filled).run()).same
    assert await kept(filled) == right
    assert (await rebuild(filled).run(check=True)).same


async def test_stopped_half_way_it_goes_on_where_it_was(
    filled: Pool, keeper: Keeper, small_chunks: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = 0
    whole = Rebuild._add

    async def some(self: Rebuild, *given: Any) -> rebuilding.Run:
        nonlocal calls
        calls += 1
        if calls == 5:
            raise asyncio.CancelledError
        return await whole(self, *given)

    with monkeypatch.context() as patch:
        patch.setattr(Rebuild, "_add", some)
        with pytest.raises(asyncio.CancelledError):
            await rebuild(filled).run()
    assert await filled.fetchval("select folded from rebuild") == 200
    await take(keeper, [repair(ONE)])
    again = []

    async def noted(self: Rebuild, run: rebuilding.Run, *given: Any) -> rebuilding.Run:
        again.append(given[0].folded - run.folded)
        return await whole(self, run, *given)

    monkeypatch.setattr(Rebuild, "_add", noted)
    found = await rebuild(filled).run()
    assert found.same, found.shown
    assert sum(again) <= MANY + 1 + 1 - 200
    assert await kept(filled) == await counted(filled)


@pytest.mark.parametrize("size", [2, 3], ids=["cut alike", "cut otherwise"])
async def test_stopped_within_a_portion_no_slice_is_written_twice(
    filled: Pool, small_chunks: None, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    whole = Rebuild._cut

    async def first(self: Rebuild, folded: Folded, run: rebuilding.Run) -> None:
        if not run.slices:
            raise asyncio.CancelledError
        await whole(self, folded, run)

    with monkeypatch.context() as patch:
        patch.setattr(Rebuild, "_cut", first)
        with pytest.raises(asyncio.CancelledError):
            await rebuild(filled).run()
    assert await filled.fetchval("select slices > 0 and folded = 0 from rebuild")
    monkeypatch.setattr(rebuilding, "SLICE", size)
    found = await rebuild(filled).run()
    assert found.same, found.shown
    assert await kept(filled) == await counted(filled)


async def test_begun_anew_it_leaves_nothing_of_what_was_given_up(filled: Pool) -> None:
    one = rebuild(filled)
    await one._fold_all(await one._begin())
    assert await filled.fetchval("select count(*) from series where stand = 'beside'")
    found = await rebuild(filled).run(fresh=True)
    assert found.same, found.shown
    assert await kept(filled) == await counted(filled)


async def test_some_measures_are_built_anew_and_the_others_left(filled: Pool) -> None:
    (wanted,) = (m for m in measures.stored if m.name == "assets.repairs_done")
    before = dict(await filled.fetch("select measure || labels::text, no from series"))
    assert (await Rebuild(measures, [wanted], filled).run()).same
    after = dict(await filled.fetch("select measure || labels::text, no from series"))
    assert before.keys() == after.keys()
    for key, number in before.items():
        assert (after[key] != number) == key.startswith("assets.repairs_done"), key


async def test_only_one_is_built_at_a_time(filled: Pool) -> None:
    both = await asyncio.gather(rebuild(filled).run(), rebuild(filled).run())
    assert all(found.same for found in both)
    assert await kept(filled) == await counted(filled)


async def test_a_month_in_a_file_is_folded_and_comes_back(
    base: Pool, keeper: Keeper, roller: Roller, tmp_path: Path
) -> None:
    await put_tree(base, TREE)
    await roller.step()
    events = [repair(ONE, at=MARCH, recorded_at=MARCH) for _ in range(60)]
    await take(keeper, [*events, repair(TWO)])
    rows = await base.fetch("select * from archive order by tx, seq")
    figures = await kept(base)
    made = await archive.detach(base, date(2026, 3, 1), tmp_path)
    assert made.rows == 60
    assert await base.fetchval("select count(*) from archive") == 1
    assert archive.read_manifest(made.path) == made
    with pytest.raises(archive.Wrong):
        await archive.detach(base, date(2026, 3, 1), tmp_path)
    assert (await rebuild(base).run()).same, "the file is folded too"
    assert await kept(base) == figures
    await take(
        keeper, [repair(ONE, at=MARCH, recorded_at=MARCH)]
    )  # late, into the month that is in the file
    assert (await rebuild(base).run()).same
    assert await archive.attach(base, made) == 60
    assert await base.fetch("select * from archive order by tx, seq limit 61") == rows
    assert await archive.detached(base) == []
    assert (await rebuild(base).run()).same
    assert await kept(base) == await counted(base)


async def test_a_month_that_goes_or_comes_while_a_rebuild_is_stopped_counts_once(
    base: Pool, keeper: Keeper, small_chunks: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    await take(keeper, [repair(ONE, at=MARCH, recorded_at=MARCH) for _ in range(120)])
    figures, whole = await kept(base), Rebuild._add

    async def stop(self: Rebuild, *given: Any) -> rebuilding.Run:
        if given[0].folded:
            raise asyncio.CancelledError
        return await whole(self, *given)

    async def stopped() -> None:
        with monkeypatch.context() as patch:
            patch.setattr(Rebuild, "_add", stop)
            with pytest.raises(asyncio.CancelledError):
                await rebuild(base).run()

    await stopped()
    made = await archive.detach(base, date(2026, 3, 1), tmp_path)
    assert (await rebuild(base).run()).same
    await stopped()
    await archive.attach(base, made)
    assert (await rebuild(base).run()).same
    assert await kept(base) == figures


async def test_a_file_of_another_server_is_folded_whole(
    base: Pool, keeper: Keeper, tmp_path: Path
) -> None:
    """Its transactions were counted otherwise: it may have been further than this one is."""
    await take(keeper, [repair(ONE, at=MARCH, recorded_at=MARCH) for _ in range(3)])
    await base.execute("update archive set kept = 1::bigint << 60")
    await archive.detach(base, date(2026, 3, 1), tmp_path)
    assert (await rebuild(base).run()).same
    assert await kept(base)


async def test_counting_does_not_wait_for_a_rebuild_that_it_does_not_need(filled: Pool) -> None:
    await rebuild(filled).run()
    async with asyncio.timeout(20), alone(filled):
        assert await refold(filled, measures) == []


async def test_the_trace_of_an_event_is_kept(base: Pool, keeper: Keeper) -> None:
    """It is part of the event's leaf: a log that takes the event back from here must be the same."""
    trace = f"00-{'a' * 32}-{'b' * 16}-01"
    for count in (1, COPY_FROM):
        events = [repair(ONE) for _ in range(count)]
        events[0].headers["traceparent"] = trace.encode()
        await take(keeper, events)
    assert await base.fetchval("select count(*) from archive where trace = $1", trace) == 2


async def test_a_file_that_was_touched_is_not_believed(
    base: Pool, keeper: Keeper, tmp_path: Path
) -> None:
    await take(keeper, [repair(ONE, at=MARCH, recorded_at=MARCH)])
    made = await archive.detach(base, date(2026, 3, 1), tmp_path)
    content = made.path.read_bytes()
    made.path.write_bytes(content[:-9] + bytes([content[-9] ^ 1]) + content[-8:])
    for act in (archive.attach(base, made), rebuild(base).run()):
        with pytest.raises(archive.Wrong):
            await act
    made.path.write_bytes(content)
    assert await archive.attach(base, made) == 1


async def test_a_month_that_goes_on_stays(base: Pool, keeper: Keeper, tmp_path: Path) -> None:
    now = datetime.now(UTC)
    await take(keeper, [repair(ONE, at=now, recorded_at=now)])
    with pytest.raises(archive.Wrong):
        await archive.detach(base, now.date().replace(day=1), tmp_path)
    assert await archive.detached(base) == []
