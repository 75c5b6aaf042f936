"""A list built anew beside the one that is read, while people go on writing to it and reading it."""

from __future__ import annotations

import asyncio
from itertools import count
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from hosting import archive, outdated, rebuild
from hosting.compose import prepare_database
from hosting.progress import Progress
from hosting.rebuild import ViewRebuild
from hosting.restored import begin_epoch
from shared import views
from shared.config import Settings
from shared.kernel import ViewOf
from shared.store import month_of
from shared.views import Query
from tests.shared.office import SCHOOL, Copy, Desk, Pool, at_work, settled
from tests.shared.tally import CloseTally, OpenTally, RaiseTally, tally
from tests.shared.test_views import LIST, OPEN, STEPS, opened

pytestmark = pytest.mark.stack

STREAMS = 120


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rebuild, "CHUNK", 10)
    monkeypatch.setattr(rebuild, "REST_MAX", 3)


async def fill(desk: Desk) -> list[UUID]:
    made: list[UUID] = await settled(
        *(desk.open(OpenTally(organisation=SCHOOL, name=f"t{n}")) for n in range(STREAMS))
    )
    await settled(*(desk.ask(RaiseTally(amount=n + 1), one) for n, one in enumerate(made)))
    return made


async def rows_of(pool: Pool, view: ViewOf, table: str = "") -> list[Any]:
    table = table or views.table_of(view)
    return [tuple(row) for row in await pool.fetch(f"select * from {table} order by stream, key")]


async def rebuilt(pool: Pool, view: ViewOf, **how: bool) -> rebuild.Compared:
    return await ViewRebuild(view, pool, Progress(view.name)).run(**how)


async def right(pool: Pool, view: ViewOf) -> None:
    """The list is what its log comes to, by a rebuild that nobody disturbs."""
    found = await rebuilt(pool, view, check=True)
    assert found.same, found.shown


@pytest.mark.parametrize("view", [LIST, OPEN, STEPS], ids=lambda view: view.name)
async def test_writers_and_readers_go_on(
    pool: Pool, config: Settings, small_chunks: None, view: ViewOf
) -> None:
    async with opened(pool, config) as desk:
        tallies = await fill(desk)
        task = asyncio.create_task(rebuilt(pool, view))
        numbers, read = count(), 0
        written: list[UUID] = []

        async def write() -> None:
            for n in numbers:
                if task.done():
                    return
                one = tallies[n % STREAMS]
                await desk.ask(RaiseTally(amount=2), one)
                if n % 7 == 0:
                    written.append(await desk.open(OpenTally(organisation=SCHOOL, name="new")))
                if n % 11 == 0:
                    await desk.ask(CloseTally(), written[-1], person="principal")

        async def look() -> None:
            nonlocal read
            while not task.done():
                async with views.reading(pool, "*") as connection:
                    rows, _ = await views.page(connection, view, Query(limit=500))
                assert len(rows) >= STREAMS - 1
                read += 1

        await asyncio.gather(write(), write(), look(), look())
        found = await task
        assert found.same, found.shown
        assert read > 0 and written
        await desk.ask(RaiseTally(amount=1), tallies[0])
        await right(pool, view)


async def test_a_row_changed_by_hand_is_named_and_mended(pool: Pool, config: Settings) -> None:
    async with opened(pool, config) as desk:
        tallies = await fill(desk)
        rows = await rows_of(pool, LIST)
        await pool.execute("update view_tally_list set total = -1 where stream = $1", tallies[5])
        found = await rebuilt(pool, LIST, check=True)
        assert (found.differing, found.old_rows, found.new_rows) == (1, STREAMS, STREAMS)
        assert str(tallies[5]) in found.shown[0]
        assert found.old_hash != found.new_hash
        assert await rows_of(pool, LIST) != rows, "only looked at"
        assert not await pool.fetchval("select to_regclass('view_tally_list_beside')")
        assert not (await rebuilt(pool, LIST)).same
        assert await rows_of(pool, LIST) == rows


async def test_stopped_half_way_it_goes_on_or_begins_anew(
    pool: Pool, config: Settings, small_chunks: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(pool, config) as desk:
        tallies = await fill(desk)
        whole, calls, folded = ViewRebuild._fold, count(), []

        async def some(self: ViewRebuild, ids: list[UUID], last: UUID | None = None) -> None:
            if next(calls) == 4:
                raise asyncio.CancelledError
            folded.append(len(ids))
            await whole(self, ids, last)

        monkeypatch.setattr(ViewRebuild, "_fold", some)
        with pytest.raises(asyncio.CancelledError):
            await rebuilt(pool, LIST)
        assert await pool.fetchval("select folded from view_rebuild") == 80
        await desk.ask(RaiseTally(amount=1), min(tallies))  # it was folded already
        folded.clear()
        assert (await rebuilt(pool, LIST)).same
        assert sum(folded) == STREAMS - 40 + 1
        await right(pool, LIST)
        folded.clear()
        await rebuilt(pool, LIST, fresh=True)
        assert sum(folded) == STREAMS


async def test_what_was_half_built_when_the_log_was_restored_is_begun_anew(
    pool: Pool, config: Settings
) -> None:
    """Events come back at their old places, where no round looks for what is new."""
    async with opened(pool, config) as desk:
        tallies = await fill(desk)
        stopped, running = (ViewRebuild(LIST, pool, Progress("")) for _ in range(2))
        await stopped._begin(fresh=True)
        await stopped._fold_all()
        await desk.ask(RaiseTally(amount=1), tallies[0])
        async with pool.acquire() as connection:
            await begin_epoch(connection)
        await desk.ask(RaiseTally(amount=1), tallies[1])
        rows = await rows_of(pool, LIST)
        with pytest.raises(archive.Wrong):
            await stopped._switch()
        assert (await running.run()).same
        assert await rows_of(pool, LIST) == rows


async def test_a_start_does_not_wait_for_a_rebuild_that_it_does_not_need(
    pool: Pool, config: Settings
) -> None:
    async with at_work(tally, config), asyncio.timeout(20), rebuild.alone(pool):
        await prepare_database(tally, pool)


async def test_rows_are_not_made_anew_in_a_list_that_has_become_another_release_s(
    pool: Pool, config: Settings
) -> None:
    async with opened(pool, config) as desk:
        stream = await desk.open(OpenTally(organisation=SCHOOL, name="a"))
        await pool.execute("insert into view_outdated values ('tally_list', $1)", stream)
        await pool.execute("update view_shape set shape = 'newer' where name = 'tally_list'")
        await pool.execute("update view_tally_list set total = -1")
        async with pool.acquire() as connection, connection.transaction():
            await outdated._refold(connection, LIST, [stream], None)  # it was its own a moment ago
        assert await pool.fetchval("select total from view_tally_list") == -1
        assert await pool.fetchval("select count(*) from view_outdated") == 1


async def test_a_reader_who_takes_long_is_waited_for(
    pool: Pool, config: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The switch steps back, so that nobody stands behind it for long, and comes again."""
    monkeypatch.setattr(rebuild, "LOCK_S", 0.2)
    monkeypatch.setattr(rebuild, "WAIT_S", 0.05)
    tried = asyncio.Event()
    whole = ViewRebuild._exchange

    async def noted(self: ViewRebuild) -> None:
        try:
            await whole(self)
        except asyncpg.LockNotAvailableError:
            tried.set()
            raise

    monkeypatch.setattr(ViewRebuild, "_exchange", noted)
    async with opened(pool, config) as desk:
        tallies = await fill(desk)
        async with views.reading(pool, "*") as connection:
            await views.page(connection, LIST, Query())
            task = asyncio.create_task(rebuilt(pool, LIST))
            await asyncio.wait_for(tried.wait(), 20)
            await desk.ask(RaiseTally(amount=3), tallies[0])
        await task
        await right(pool, LIST)


async def test_a_list_that_has_changed_is_built_beside_before_it_is_served(
    pool: Pool, config: Settings
) -> None:
    """As a new version finds it: the process before goes on writing meanwhile."""
    copy = Copy(pool)
    await copy.plant()
    async with opened(pool, config) as desk:
        tallies = await fill(desk)
        await pool.execute("update view_shape set shape = 'older' where name = 'tally_list'")
        await pool.execute("alter table view_tally_list add column once text")
        task = asyncio.create_task(prepare_database(tally, pool))
        while not task.done():
            await desk.ask(RaiseTally(amount=1), tallies[0])
        await task
        shape = await pool.fetchval("select shape from view_shape where name = 'tally_list'")
        assert shape == views.shape(LIST)
        kept = await pool.fetchval(
            "select count(*) filter (where once is null) from view_tally_list"
        )
        assert kept == len(tallies), "what another release has beside may still be written by it"
        await right(pool, LIST)


async def test_a_list_that_is_new_is_filled_from_the_log(pool: Pool, config: Settings) -> None:
    async with opened(pool, config) as desk:
        await fill(desk)
        rows = await rows_of(pool, LIST)
        await pool.execute("drop table view_tally_list; delete from view_shape where name <> 'x'")
        await pool.execute("insert into view_shape values ('open_tallies', 'older')")
        await pool.execute("insert into view_shape values ('tally_steps', 'older')")
    async with at_work(tally, config):
        assert await rows_of(pool, LIST) == rows


async def test_a_month_of_the_log_is_copied_and_believed(
    pool: Pool, config: Settings, tmp_path: Any
) -> None:
    async with opened(pool, config) as desk:
        await fill(desk)
        day = await pool.fetchval("select min(month) from event")
        made = await archive.copy(pool, "event", month_of(day), tmp_path)
        assert made.rows == await pool.fetchval("select count(*) from event") == 2 * STREAMS
        archive.verify(archive.read_manifest(made.path))
        lines = await archive.listed(pool, "event")
        assert any(line.startswith(f"{day:%Y-%m}") for line in lines)
        with pytest.raises(archive.Wrong):
            await archive.copy(pool, "event", day.replace(year=2001), tmp_path)
