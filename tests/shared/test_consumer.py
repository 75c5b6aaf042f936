from __future__ import annotations

import asyncio
import signal
from collections import Counter
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from aiokafka import TopicPartition

from shared.config import Settings
from shared.consumer import position_reached
from shared.effect import Batch, Effect, Handler, Mark, Overtaken
from shared.envelope import Delivered, partition_of
from shared.store import Conflict, Connection
from tests.shared.wire import (
    SERVICE,
    Plain,
    caught_up,
    consuming,
    delete_before,
    effects,
    filled,
    make_effects,
    note,
    notes,
    organisations,
    run_worker,
    until,
)

type Pool = asyncpg.Pool[asyncpg.Record]


@pytest.fixture(autouse=True)
async def tables(pool: Pool) -> None:
    await make_effects(pool)


async def test_events_are_applied_in_order_and_offsets_move_with_them(
    pool: Pool, config: Settings
) -> None:
    school, other = organisations(config, 2)
    async with filled(config) as topic:
        for n in range(20):
            await topic.send(school if n % 2 else other, what=n)
        consumer = notes(pool, config, batch=3)
        async with consuming(consumer):
            await caught_up(consumer)
            assert await effects(pool, school) == list(range(1, 20, 2))
            assert await effects(pool, other) == list(range(0, 20, 2))
            assert consumer.lag_events == 0
        assert await pool.fetchval("select sum(next_offset) from consumed") == 20
        await topic.send(school, what=20)
        async with consuming(again := notes(pool, config)):
            await caught_up(again)
    assert sorted(await effects(pool)) == list(range(21))
    assert again.duplicates == 0, "it went on where the effect ended"


async def test_repetitions_are_dropped_but_their_offsets_pass(pool: Pool, config: Settings) -> None:
    school = uuid4()
    async with filled(config) as topic:
        for n in (1, 2, 3, 2, 3, 4):
            await topic.send(school, position=(1, 500, n), what=n)
        # A new epoch comes after all of the old one, however small its transaction ids are.
        for n in (5, 6):
            await topic.send(school, position=(2, 3, n), what=n)
        async with consuming(consumer := notes(pool, config)):
            await caught_up(consumer)
    assert await effects(pool) == [1, 2, 3, 4, 5, 6]
    assert consumer.duplicates == 2
    assert await pool.fetchval("select sum(next_offset) from consumed") == 8


async def test_types_not_wanted_pass_by(pool: Pool, config: Settings) -> None:
    school = uuid4()
    async with filled(config) as topic:
        await topic.send(school, type="OfNoInterest", raw=b"not even json")
        await topic.send(school, what=1)
        async with consuming(consumer := notes(pool, config, wanted=["GoodsAccepted"])):
            await caught_up(consumer)
    assert await effects(pool) == [1]
    assert await pool.fetchval("select count(*) from parked_key") == 0


async def test_next_batch_is_folded_while_the_last_commits(pool: Pool, config: Settings) -> None:
    folded = asyncio.Event()

    class Slow(Handler):
        async def prepare(self, events: list[Delivered]) -> list[Delivered]:
            if any(event.data == b'{"what":1}' for event in events):
                folded.set()
            return events

        async def commit(self, connection: Connection, prepared: list[Delivered]) -> None:
            # Would never end if the next batch were folded only after this one.
            await asyncio.wait_for(folded.wait(), 10)
            await note(connection, prepared)

    async with filled(config) as topic:
        for n in range(2):
            await topic.send(school := uuid4(), what=n) if n == 0 else await topic.send(
                school, what=n
            )
        async with consuming(consumer := notes(pool, config, Slow(), batch=1)):
            await caught_up(consumer)
            assert consumer.rebuilds == 0
    assert await effects(pool) == [0, 1]


async def test_lost_races_are_run_again(pool: Pool, config: Settings) -> None:
    lost = [0]

    async def racing(connection: Connection, events: list[Delivered]) -> None:
        await note(connection, events)
        lost[0] += 1
        if lost[0] < 4:
            raise Conflict

    async with filled(config) as topic:
        await topic.send(uuid4(), what=1)
        async with consuming(consumer := notes(pool, config, racing)):
            await caught_up(consumer)
    assert await effects(pool) == [1]
    assert consumer.rebuilds == 0


async def test_handler_writes_first_in_its_transaction(pool: Pool, config: Settings) -> None:
    """Decided events must be the first write: their transaction id must not be taken before."""
    taken: list[Any] = []

    async def look(connection: Connection, events: list[Delivered]) -> None:
        taken.append(await connection.fetchval("select pg_current_xact_id_if_assigned()"))

    async with filled(config) as topic:
        await topic.send(uuid4(), what=1)
        async with consuming(consumer := notes(pool, config, look)):
            await caught_up(consumer)
    assert taken == [None]


@pytest.mark.parametrize("passes", [1, 2])
async def test_killed_in_the_middle_of_a_batch_has_effect_once(
    pool: Pool, config: Settings, passes: int
) -> None:
    school = uuid4()
    async with filled(config) as topic:
        for n in range(30):
            await topic.send(school, what=n)
        code = await run_worker("consumer", config, f"project.middle:{passes}")
        assert code == -signal.SIGKILL
        applied = await effects(pool)
        assert applied == list(range(10 * (passes - 1)))
        assert await pool.fetchval("select sum(next_offset) from consumed") == len(applied)
        # In a group of its own: it need not wait until the broker misses the dead one.
        async with consuming(consumer := notes(pool, config, group=f"{config.topic_prefix}.next")):
            await caught_up(consumer)
    assert await effects(pool) == list(range(30))


async def test_two_share_the_partitions_and_hand_them_over(pool: Pool, config: Settings) -> None:
    schools = organisations(config, 9)

    async def slowly(connection: Connection, events: list[Delivered]) -> None:
        await note(connection, events)
        await connection.execute("select pg_sleep(0.01)")

    async with filled(config) as topic:
        sent = 0

        async def send(rounds: int) -> None:
            nonlocal sent
            for _ in range(rounds):
                for school in schools:
                    await topic.send(school, what=sent)
                sent += 1

        first, second = (notes(pool, config, slowly, batch=4) for _ in range(2))
        async with consuming(first):
            await until(lambda: len(first.effect.marks) == 3)
            sending = asyncio.create_task(send(60))
            async with consuming(second):
                await until(lambda: second.effect.marks and first.effect.marks)
                assert not first.effect.marks.keys() & second.effect.marks.keys()
                await sending
                await asyncio.gather(caught_up(first), caught_up(second))
            await until(lambda: len(first.effect.marks) == 3)
            await send(5)
            await caught_up(first)
    for school in schools:
        assert await effects(pool, school) == list(range(65)), "in order, each once"
    assert (first.rebuilds, second.rebuilds) == (0, 0), (
        "batches at hand were finished, not fenced off"
    )


async def test_partitions_are_given_away_only_after_the_batch_at_hand(
    pool: Pool, config: Settings
) -> None:
    held, go_on = asyncio.Event(), asyncio.Event()

    async def paused(connection: Connection, events: list[Delivered]) -> None:
        held.set()
        await go_on.wait()
        await note(connection, events)

    async with filled(config) as topic:
        await topic.send(uuid4(), what=1)
        first, second = notes(pool, config, paused), notes(pool, config)
        async with consuming(first):
            await held.wait()
            assert first._taken
            async with consuming(second):
                await until(lambda: not first._taken)
                with pytest.raises(TimeoutError):
                    await until(lambda: second.effect.marks, 0.5)
                go_on.set()
                await until(lambda: second.effect.marks and first.effect.marks)
    assert await effects(pool) == [1]
    assert (first.rebuilds, second.rebuilds) == (0, 0)


async def test_a_zombie_is_fenced(pool: Pool, config: Settings) -> None:
    """Paused with a batch in hand and overtaken: its transaction fails, and leaves no trace."""
    school = uuid4()
    held, go_on = asyncio.Event(), asyncio.Event()

    async def paused(connection: Connection, events: list[Delivered]) -> None:
        await note(connection, events)
        if not held.is_set():
            held.set()
            await go_on.wait()

    async with filled(config) as topic:
        await topic.send(school, what=1)
        # Groups of their own, so that nobody tells the zombie.
        zombie = notes(pool, config, paused, group=f"{config.topic_prefix}.zombie")
        successor = notes(pool, config, group=f"{config.topic_prefix}.successor")
        async with consuming(zombie):
            await held.wait()
            async with consuming(successor):
                await caught_up(successor)
                assert await effects(pool) == [1]
                go_on.set()
                await until(lambda: zombie.rebuilds > 0)
                assert await effects(pool) == [1]
            await caught_up(zombie)
    assert await effects(pool) == [1]


async def test_the_fence_alone_shuts_out(pool: Pool, config: Settings) -> None:
    """The successor has the partition but has not moved it: the offset still fits, the fence not."""
    tp = TopicPartition(config.topic(SERVICE), 0)
    zombie, successor = (Effect("notes", pool, Plain(note)) for _ in range(2))
    for effect in (zombie, successor):
        await effect.take_over([tp])
    begin = zombie.marks[tp]
    end = Mark(1, (1, 1, 1), begin.fence)
    with pytest.raises(Overtaken):
        await zombie.apply(Batch(ends={tp: end}))
    begin = successor.marks[tp]
    await successor.apply(Batch(ends={tp: Mark(1, (1, 1, 1), begin.fence)}))
    assert await pool.fetchval("select next_offset from consumed") == 1


async def test_a_lost_database_connection_is_no_events_fault(pool: Pool, config: Settings) -> None:
    killed = [False]

    async def unlucky(connection: Connection, events: list[Delivered]) -> None:
        await note(connection, events)
        if not killed[0]:
            killed[0] = True
            await pool.execute("select pg_terminate_backend($1)", connection.get_server_pid())

    async with filled(config) as topic:
        await topic.send(uuid4(), what=1)
        async with consuming(consumer := notes(pool, config, unlucky)):
            await until(lambda: consumer.rebuilds == 1)
            await caught_up(consumer)
    assert await effects(pool) == [1]
    assert await pool.fetchval("select count(*) from parked_key") == 0


async def test_a_stalled_client_is_rebuilt(pool: Pool, config: Settings) -> None:
    school = uuid4()
    async with filled(config) as topic:
        consumer = notes(pool, config, stall_s=0.5, check_s=0.05)
        async with consuming(consumer):
            await caught_up(consumer)
            # The client believes to be at the end, and fetches nothing more.
            tp = next(
                tp
                for tp in consumer.effect.marks
                if tp.partition == partition_of(school, config.partitions)
            )
            consumer._kafka.pause(tp)
            await topic.send(school, what=1)
            await until(lambda: consumer.rebuilds == 1)
            await caught_up(consumer)
    assert await effects(pool) == [1]


async def test_stop_finishes_the_batch_at_hand(pool: Pool, config: Settings) -> None:
    begun = asyncio.Event()

    async def slow(connection: Connection, events: list[Delivered]) -> None:
        begun.set()
        await connection.execute("select pg_sleep(0.3)")
        await note(connection, events)

    async with filled(config) as topic:
        await topic.send(uuid4(), what=1)
        consumer = notes(pool, config, slow)
        await consumer.start()
        await begun.wait()
        await consumer.stop()
    assert await effects(pool) == [1]
    assert await pool.fetchval("select sum(next_offset) from consumed") == 1


async def test_events_that_kafka_no_longer_has_are_told(pool: Pool, config: Settings) -> None:
    school = uuid4()
    async with filled(config) as topic:
        for n in range(5):
            await topic.send(school, what=n)
        async with consuming(consumer := notes(pool, config)):
            await caught_up(consumer)
        for n in range(5, 10):
            await topic.send(school, what=n)
        await delete_before(
            config, TopicPartition(topic.name, partition_of(school, config.partitions)), 8
        )
        async with consuming(consumer := notes(pool, config)):
            await caught_up(consumer)
    assert await effects(pool) == [0, 1, 2, 3, 4, 8, 9]
    assert consumer.missing == 3


async def test_lag_counts_what_is_not_applied(pool: Pool, config: Settings) -> None:
    go_on = asyncio.Event()
    sizes: Counter[int] = Counter()

    async def one_then_wait(connection: Connection, events: list[Delivered]) -> None:
        sizes[len(events)] += 1
        if sizes.total() > 1:
            await go_on.wait()

    school = uuid4()
    async with filled(config) as topic:
        for n in range(5):
            await topic.send(school, what=n)
        consumer = notes(pool, config, one_then_wait, batch=1, check_s=0.05)
        async with consuming(consumer):
            await until(lambda: pool.fetchval("select sum(next_offset) = 1 from consumed"))
            waiting = asyncio.create_task(caught_up(consumer))
            assert not waiting.done()
            go_on.set()
            await waiting
            assert (consumer.lag_events, consumer.lag_seconds) == (0, 0.0)


async def test_a_reader_can_wait_for_an_order_key(pool: Pool, config: Settings) -> None:
    school, other = organisations(config, 1, 0)[0], organisations(config, 1, 1)[0]
    go_on = asyncio.Event()

    async def when_told(connection: Connection, events: list[Delivered]) -> None:
        await go_on.wait()
        await note(connection, events)

    def reached(position: Any, timeout_s: float = 5.0, organisation: UUID | None = school) -> Any:
        return position_reached(
            pool, "notes", config.topic(SERVICE), position, partitions=config.partitions,
            organisation=organisation, timeout_s=timeout_s,
        )  # fmt: skip

    async with filled(config) as topic:
        place = await topic.send(school, what=1)
        async with consuming(consumer := notes(pool, config, when_told, check_s=0.05)):
            await until(lambda: pool.fetchval("select count(*) = 3 from consumed"))
            assert not await reached(place, timeout_s=0.1)
            assert not await reached(place, timeout_s=0.1, organisation=None)
            waiting = asyncio.create_task(reached(place))
            go_on.set()
            assert await waiting
            assert await reached(place, organisation=None)
            later = await topic.send(other, what=2)
            await caught_up(consumer)
            assert not await reached(later, timeout_s=0.1), "that school's partition is not there"
            assert await reached(place, organisation=None), "passed elsewhere, and all are current"
            assert not await reached((1, 1000, 99), timeout_s=0.1, organisation=None)
