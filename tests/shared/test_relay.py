from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from shared.config import Settings
from shared.relay import Relay, ensure_topics
from tests.shared.wire import (
    SERVICE,
    insert,
    new_event,
    once,
    organisations,
    received,
    run_worker,
    until,
)

type Pool = asyncpg.Pool[asyncpg.Record]


@pytest.fixture
async def topic(config: Settings) -> str:
    name = config.topic(SERVICE)
    await ensure_topics(config.kafka, {name: config.partitions}, 1)
    return name


@asynccontextmanager
async def relaying(pool: Pool, config: Settings, **options: Any) -> Any:
    relay = Relay(SERVICE, pool, config, **options)
    await relay.start()
    try:
        yield relay
    finally:
        await relay.stop()


async def cursor(pool: Pool) -> tuple[int, int, int]:
    return tuple(await pool.fetchrow("select epoch, tx, seq from relay"))


async def all_marked(pool: Pool) -> bool:
    last = await pool.fetchrow(
        "select epoch, tx, seq from event order by epoch desc, tx desc, seq desc limit 1"
    )
    return tuple(last) == await cursor(pool)


async def test_events_arrive_in_order_with_their_data(
    pool: Pool, config: Settings, topic: str
) -> None:
    school, stream = uuid4(), uuid4()
    async with pool.acquire() as connection:
        await insert(connection, [new_event(stream, v, school, what=v) for v in range(1, 51)])
    async with relaying(pool, config, batch=20) as relay:
        messages = await received(config, 50)
        await until(lambda: relay.sent == 50)
    assert [m.recorded.version for m in messages] == list(range(1, 51))
    assert [m.data for m in messages] == [b'{"what":%d}' % v for v in range(1, 51)]
    assert len({m.partition for m in messages}) == 1
    assert await pool.fetchval("select sent from relay") == 50


async def test_no_event_is_passed_that_commits_later(
    pool: Pool, config: Settings, topic: str
) -> None:
    """The older transaction commits last: what is above it waits, and nothing is lost."""
    slow, quick = uuid4(), uuid4()
    async with relaying(pool, config) as relay, pool.acquire() as older:
        begun = older.transaction()
        await begun.start()
        await insert(older, [new_event(slow, 1, uuid4())])
        async with pool.acquire() as younger:
            await insert(younger, [new_event(quick, 1, uuid4())])
        await until(lambda: relay.leading)
        # Several looks of the relay, each of which could have passed the younger one on.
        for _ in range(20):
            relay.wake()
            await asyncio.sleep(0)
            assert await pool.fetchval("select 1") == 1
        assert relay.sent == 0
        await begun.commit()
        messages = await received(config, 2)
    assert {m.recorded.stream for m in messages} == {slow, quick}


async def test_many_writers_out_of_order(pool: Pool, config: Settings, topic: str) -> None:
    """40 writers that hold their transactions open for a while: every event once, in stream order."""
    schools = organisations(config, 5)
    streams = [(uuid4(), school) for school in schools for _ in range(8)]

    async def write(stream: UUID, school: UUID) -> None:
        for version in range(1, 11):
            async with pool.acquire() as connection, connection.transaction():
                await insert(connection, [new_event(stream, version, school)])
                await connection.execute("select pg_sleep(random() * 0.02)")

    async with relaying(pool, config, batch=7) as relay:
        await asyncio.gather(*(write(stream, school) for stream, school in streams))
        await until(lambda: relay.sent == 400)
        messages = await received(config, 400)
    assert Counter(m.recorded.id for m in messages).most_common(1)[0][1] == 1
    for stream, _ in streams:
        assert [m.recorded.version for m in messages if m.recorded.stream == stream] == list(
            range(1, 11)
        )
    assert once(messages) == messages


async def test_killed_between_sending_and_marking_sends_again(
    pool: Pool, config: Settings, topic: str
) -> None:
    school, stream = uuid4(), uuid4()
    async with pool.acquire() as connection:
        await insert(connection, [new_event(stream, v, school) for v in range(1, 31)])
    assert await run_worker("relay", config, "relay.after_send:2") == -signal.SIGKILL
    assert await pool.fetchval("select sent from relay") == 10
    async with relaying(pool, config):
        await until(lambda: all_marked(pool))
    messages = await received(config, 40)
    assert len(messages) == 40, "the second ten came twice"
    assert [m.recorded.version for m in once(messages)] == list(range(1, 31))


async def test_only_one_of_two_leads_and_the_other_takes_over(
    pool: Pool, config: Settings, topic: str
) -> None:
    async with relaying(pool, config, retry_s=0.05) as first:
        await until(lambda: first.leading)
        async with relaying(pool, config, retry_s=0.05) as second:
            async with pool.acquire() as connection:
                await insert(connection, [new_event(uuid4(), 1, uuid4())])
            await until(lambda: first.sent == 1)
            assert not second.leading
            await first.stop()
            await until(lambda: second.leading)
            async with pool.acquire() as connection:
                await insert(connection, [new_event(uuid4(), 1, uuid4())])
            await until(lambda: second.sent == 1)
    assert len(await received(config, 2)) == 2


async def test_overtaken_leader_may_not_move_the_cursor(
    pool: Pool, config: Settings, topic: str
) -> None:
    """A leader that was paused past its time meets a higher fence, and starts over."""
    async with relaying(pool, config, retry_s=0.05) as relay:
        await until(lambda: relay.fence)
        fence = relay.fence
        await pool.execute("update relay set fence = fence + 1")
        async with pool.acquire() as connection:
            await insert(connection, [new_event(uuid4(), 1, uuid4())])
        await until(lambda: all_marked(pool))
        assert relay.fence == fence + 2
    messages = await received(config, 2)
    assert len(once(messages)) == 1, "sent by the overtaken leader and again by the new one"


async def test_leader_that_loses_its_connection_starts_over(
    pool: Pool, config: Settings, topic: str
) -> None:
    async with relaying(pool, config, retry_s=0.05) as relay:
        await until(lambda: relay.fence)
        fence = relay.fence
        await pool.execute(
            "select pg_terminate_backend(l.pid) from pg_locks l join pg_database d on d.oid = l.database"
            " where l.locktype = 'advisory' and l.objid = 7002 and d.datname = current_database()"
        )
        async with pool.acquire() as connection:
            await insert(connection, [new_event(uuid4(), 1, uuid4())])
        await until(lambda: relay.fence > fence and relay.sent == 1)


@pytest.mark.parametrize("versions", [(1, 3), (2, 1), (1, 1)])
async def test_a_gap_halts_the_relay_and_skips_nothing(
    pool: Pool, config: Settings, topic: str, versions: tuple[int, int]
) -> None:
    stream, school = uuid4(), uuid4()
    await pool.execute("alter table event drop constraint event_stream_version_month_key")
    async with pool.acquire() as connection:
        for version in versions:
            await insert(connection, [new_event(stream, version, school)])
    before = await cursor(pool)
    async with relaying(pool, config, halted_s=0.05) as relay:
        await until(lambda: str(stream) in relay.halted)
        assert await cursor(pool) == before
        # Repaired, it goes on.
        await pool.execute("delete from event")
        async with pool.acquire() as connection:
            await insert(connection, [new_event(stream, v, school) for v in (1, 2, 3)])
        await until(lambda: relay.sent == 3 and not relay.halted)


async def test_v2_before_v1_is_found_across_batches(
    pool: Pool, config: Settings, topic: str
) -> None:
    """A transaction that took its id early (the trap of a lock before the insert) shows up."""
    stream, school = uuid4(), uuid4()
    async with pool.acquire() as early:
        begun = early.transaction()
        await begun.start()
        await early.fetchval("select pg_current_xact_id()")
        async with pool.acquire() as late:
            await insert(late, [new_event(stream, 1, school)])
        await insert(early, [new_event(stream, 2, school)])
        await begun.commit()
    async with relaying(pool, config, batch=1) as relay:
        await until(lambda: "before its predecessor" in relay.halted)
        assert relay.sent == 0


async def test_a_cursor_ahead_of_the_cluster_halts(
    pool: Pool, config: Settings, topic: str
) -> None:
    """After a logical restore transaction ids begin anew: new events would never be seen."""
    await pool.execute("update relay set tx = '9000000000'")
    async with relaying(pool, config) as relay:
        await until(lambda: "after-restore" in relay.halted)


async def test_a_producer_that_cannot_deliver_is_rebuilt(
    pool: Pool, config: Settings, topic: str
) -> None:
    async with relaying(pool, config, deadline_s=0.5, retry_s=0.05) as relay:
        await until(lambda: relay.leading)
        async with pool.acquire() as connection:
            await insert(connection, [new_event(uuid4(), 1, uuid4())])
        await until(lambda: relay.sent == 1)
        # As after an OutOfOrderSequence: the sender has ended, and nothing would ever be sent.
        first = relay.producer
        first._sender.sender_task.cancel()
        async with pool.acquire() as connection:
            await insert(connection, [new_event(uuid4(), 1, uuid4())])
        await until(lambda: relay.sent == 2)
        assert relay.producer is not first
    assert len(once(await received(config, 2))) == 2


async def test_largest_events_pass(pool: Pool, config: Settings, topic: str) -> None:
    school = uuid4()
    async with pool.acquire() as connection:
        text = os.urandom(120 * 1024).hex()
        await insert(connection, [new_event(uuid4(), 1, school, x=text) for _ in range(8)])
    async with relaying(pool, config) as relay:
        await until(lambda: relay.sent == 8)
    assert [len(m.data) > 240_000 for m in await received(config, 8)] == [True] * 8


async def test_a_topic_keeps_its_partitions(config: Settings, topic: str) -> None:
    await ensure_topics(config.kafka, {topic: config.partitions}, 1)
    with pytest.raises(ValueError, match="partitions"):
        await ensure_topics(config.kafka, {topic: config.partitions + 1}, 1)


async def test_wake_spares_the_poll(pool: Pool, config: Settings, topic: str) -> None:
    async with relaying(pool, config, idle_s=3600.0) as relay:
        await until(lambda: relay.leading)
        async with pool.acquire() as connection:
            await insert(connection, [new_event(uuid4(), 1, uuid4())])

        def woken() -> bool:
            relay.wake()
            return bool(relay.sent == 1)

        await until(woken)
