from __future__ import annotations

from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg

from shared.timers import AGAIN, Timers
from tests.shared.wire import until

type Pool = asyncpg.Pool[asyncpg.Record]

NOON = datetime(2026, 9, 7, 12, 0, tzinfo=UTC)


class Clock:
    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now


class Fired:
    """Notes what was fired. Unless told otherwise nothing comes of it."""

    def __init__(self, pool: Pool) -> None:
        self.pool, self.streams = pool, list[UUID]()
        self.failing: set[UUID] = set()
        self.again: dict[UUID, datetime] = {}

    async def __call__(self, stream: UUID, aggregate: str) -> bool:
        assert aggregate == "hazard"
        self.streams.append(stream)
        if stream in self.failing:
            raise RuntimeError("cannot be decided")
        at = self.again.pop(stream, None)
        if at is None:
            return False
        await self.pool.execute("update due set at = $2 where stream = $1", stream, at)
        return True


async def add(pool: Pool, at: datetime, stream: UUID | None = None) -> UUID:
    stream = stream or uuid4()
    await pool.execute(
        "insert into due (stream, aggregate, at) values ($1, 'hazard', $2)", stream, at
    )
    return stream


@asynccontextmanager
async def running(pool: Pool, fire: Any, clock: Clock, **options: Any) -> Any:
    timers = Timers(pool, fire, clock=clock, **options)
    await timers.start()
    try:
        yield timers
    finally:
        await timers.stop()


async def test_what_is_due_is_fired_in_order_and_the_rest_waits(pool: Pool) -> None:
    clock, fired = Clock(), Fired(pool)
    later = await add(pool, NOON + timedelta(seconds=1))
    second = await add(pool, NOON)
    first = await add(pool, NOON - timedelta(days=3))
    async with running(pool, fired, clock, idle_s=0.02):
        await until(lambda: len(fired.streams) == 2)
        assert fired.streams == [first, second]
        clock.now += timedelta(seconds=1)
        await until(lambda: fired.streams == [first, second, later])


async def test_more_than_a_batch(pool: Pool) -> None:
    clock, fired = Clock(), Fired(pool)
    streams = [await add(pool, NOON - timedelta(minutes=n)) for n in range(25)]
    async with running(pool, fired, clock, batch=10):
        await until(lambda: len(fired.streams) == 25)
    assert fired.streams == streams[::-1]


async def test_a_new_moment_wakes_it(pool: Pool) -> None:
    clock, fired = Clock(), Fired(pool)
    async with running(pool, fired, clock, idle_s=3600.0) as timers:
        await until(lambda: timers.leading)
        stream = await add(pool, NOON)

        def woken() -> bool:
            timers.wake()
            return fired.streams == [stream]

        await until(woken)


async def test_a_stream_may_be_due_again_at_once(pool: Pool) -> None:
    clock, fired = Clock(), Fired(pool)
    stream = await add(pool, NOON - timedelta(hours=2))
    fired.again[stream] = NOON + timedelta(seconds=1)
    async with running(pool, fired, clock, idle_s=0.02):
        await until(lambda: fired.streams == [stream])
        clock.now += timedelta(seconds=1)
        await until(lambda: fired.streams == [stream, stream])


async def test_one_that_fails_does_not_hold_up_the_others(pool: Pool) -> None:
    clock, fired = Clock(), Fired(pool)
    bad = await add(pool, NOON - timedelta(hours=1))
    fired.failing.add(bad)
    async with running(pool, fired, clock, batch=1, idle_s=0.02):
        good = await add(pool, NOON)
        await until(lambda: good in fired.streams)
        assert fired.streams.count(bad) == 1, "not fired again and again"
        # Tried again after a while.
        fired.failing.clear()
        clock.now += AGAIN
        await until(lambda: fired.streams.count(bad) == 2)


async def test_one_leader_fires_and_the_next_takes_over(pool: Pool) -> None:
    clock, fired = Clock(), Fired(pool)
    async with running(pool, fired, clock, idle_s=0.02) as first:
        await until(lambda: first.leading)
        async with running(pool, fired, clock, idle_s=0.02) as second:
            one = await add(pool, NOON)
            await until(lambda: pool.fetchval("select count(*) = 0 from due"))
            assert not second.leading
            await first.stop()
            await until(lambda: second.leading)
            two = await add(pool, NOON)
            await until(lambda: fired.streams == [one, two])


async def test_a_lost_connection_is_taken_up_again(pool: Pool) -> None:
    clock, fired = Clock(), Fired(pool)
    async with running(pool, fired, clock, idle_s=0.02) as timers:
        await until(lambda: timers.leading)
        await pool.execute(
            "select pg_terminate_backend(l.pid) from pg_locks l join pg_database d on d.oid = l.database"
            " where l.locktype = 'advisory' and l.objid = 7003 and d.datname = current_database()"
        )
        stream = await add(pool, NOON)
        await until(lambda: fired.streams == [stream])
