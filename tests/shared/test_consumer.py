from __future__ import annotations

import asyncio
import signal
from collections import Counter
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from shared.config import Settings
from shared.consumer import Consumer, Delivered, Unappliable, position_reached, unpark
from shared.envelope import partition_of
from shared.store import Conflict, Connection
from tests.shared.wire import (
    SERVICE,
    consuming,
    effects,
    filled,
    make_effects,
    note,
    organisations,
    run_worker,
    until,
)

type Pool = asyncpg.Pool[asyncpg.Record]


@pytest.fixture(autouse=True)
async def tables(pool: Pool) -> None:
    await make_effects(pool)


def notes(pool: Pool, config: Settings, apply: Any = note, **options: Any) -> Consumer:
    return Consumer("notes", pool, config, [config.topic(SERVICE)], apply, **options)


async def parked(pool: Pool) -> list[tuple[UUID, str, int]]:
    """Parked keys, each with its reason and how many events wait."""
    return [
        tuple(row)
        for row in await pool.fetch(
            "select k.key, k.reason, count(e.*)::int from parked_key k"
            " left join parked_event e using (consumer, topic, key) group by k.key, k.reason, k.parked_at"
            " order by k.parked_at"
        )
    ]


class Refusing:
    """A handler that cannot apply some events until told that the cause is repaired."""

    def __init__(self, bad: set[int], *, says_which: bool) -> None:
        self.bad, self.says_which = bad, says_which
        self.largest = 0

    async def apply(self, connection: Connection, events: list[Delivered]) -> None:
        self.largest = max(self.largest, len(events))
        await note(connection, events)
        for event in events:
            if int(event.data.partition(b":")[2].rstrip(b"}")) in self.bad:
                if self.says_which:
                    raise Unappliable(event, "not today")
                raise LookupError("not today")


async def test_events_are_applied_in_order_and_offsets_move_with_them(
    pool: Pool, config: Settings
) -> None:
    school, other = organisations(config, 2)
    async with filled(config) as topic:
        for n in range(20):
            await topic.send(school if n % 2 else other, what=n)
        consumer = notes(pool, config, batch=3)
        async with consuming(consumer):
            await consumer.caught_up()
            assert await effects(pool, school) == list(range(1, 20, 2))
            assert await effects(pool, other) == list(range(0, 20, 2))
            assert consumer.lag_events == 0
        assert await pool.fetchval("select sum(next_offset) from consumed") == 20
        await topic.send(school, what=20)
        async with consuming(again := notes(pool, config)):
            await again.caught_up()
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
            await consumer.caught_up()
    assert await effects(pool) == [1, 2, 3, 4, 5, 6]
    assert consumer.duplicates == 2
    assert await pool.fetchval("select sum(next_offset) from consumed") == 8


async def test_types_not_wanted_pass_by(pool: Pool, config: Settings) -> None:
    school = uuid4()
    async with filled(config) as topic:
        await topic.send(school, type="OfNoInterest", raw=b"not even json")
        await topic.send(school, what=1)
        async with consuming(consumer := notes(pool, config, wanted=["GoodsAccepted"])):
            await consumer.caught_up()
    assert await effects(pool) == [1]
    assert await parked(pool) == []


@pytest.mark.parametrize("says_which", [True, False])
async def test_a_poison_event_parks_its_key_and_only_that(
    pool: Pool, config: Settings, says_which: bool
) -> None:
    sick, well = organisations(config, 2, partition=0)
    elsewhere = organisations(config, 1, partition=1)[0]
    handler = Refusing({5}, says_which=says_which)
    async with filled(config) as topic:
        for n in range(10):
            for school in (sick, well, elsewhere):
                await topic.send(school, what=n if school == sick else 100 + n)
        async with consuming(consumer := notes(pool, config, handler.apply)):
            await consumer.caught_up()
            assert await effects(pool, sick) == [0, 1, 2, 3, 4]
            assert await effects(pool, well) == [100 + n for n in range(10)]
            assert await effects(pool, elsewhere) == [100 + n for n in range(10)]
            [(key, reason, waiting)] = await parked(pool)
            assert (key, waiting) == (sick, 5)
            assert "not today" in reason
            assert consumer.parked == 1
            # Later events of the key wait behind it, others flow.
            await topic.send(sick, what=10)
            await topic.send(well, what=110)
            await consumer.caught_up()
            assert (await parked(pool))[0][2] == 6
            assert (await effects(pool, well))[-1] == 110
            assert consumer.rebuilds == 0


async def test_unparked_events_are_applied_in_order_before_what_follows(
    pool: Pool, config: Settings
) -> None:
    sick = uuid4()
    handler = Refusing({2}, says_which=True)
    async with filled(config) as topic:
        for n in range(5):
            await topic.send(sick, what=n)
        async with consuming(consumer := notes(pool, config, handler.apply, check_s=0.05)):
            await consumer.caught_up()
            assert await effects(pool) == [0, 1]
            # Tried too early it stays, and says why.
            assert await unpark(pool, "notes", topic.name, sick) == 1
            await until(lambda: pool.fetchval("select not bool_or(retry) from parked_key"))
            assert (await parked(pool))[0][2] == 3
            handler.bad.clear()
            await topic.send(sick, what=5)
            assert await unpark(pool, "notes") == 1
            await until(lambda: pool.fetchval("select count(*) = 0 from parked_key"))
            await topic.send(sick, what=6)
            await consumer.caught_up()
            assert consumer.parked == 0
    assert await effects(pool) == [0, 1, 2, 3, 4, 5, 6]
    assert await pool.fetchval("select count(*) from parked_event") == 0


async def test_parked_keys_outlive_the_process(pool: Pool, config: Settings) -> None:
    sick = uuid4()
    handler = Refusing({0}, says_which=True)
    async with filled(config) as topic:
        await topic.send(sick, what=0)
        async with consuming(consumer := notes(pool, config, handler.apply)):
            await consumer.caught_up()
        await topic.send(sick, what=1)
        async with consuming(consumer := notes(pool, config, handler.apply, check_s=0.05)):
            await consumer.caught_up()
            assert consumer.parked == 1
            assert await effects(pool) == []
            handler.bad.clear()
            await unpark(pool, "notes", topic.name, sick)
            await until(lambda: consumer.parked == 0)
    assert await effects(pool) == [0, 1]


async def test_what_is_no_event_parks_its_key(pool: Pool, config: Settings) -> None:
    school, other = organisations(config, 2, partition=0)
    async with filled(config) as topic:
        await topic.send(school, what=1)
        await topic.send(school, headers=[("ce_type", b"\xff\x00")], raw=b"\x00")
        await topic.send(school, what=2)
        await topic.send(other, what=3)
        async with consuming(consumer := notes(pool, config, wanted=["GoodsAccepted"])):
            await consumer.caught_up()
    assert await effects(pool) == [1, 3]
    [(key, reason, waiting)] = await parked(pool)
    assert (key, waiting) == (school, 2)
    assert "envelope" in reason


async def test_data_of_another_shape_park(pool: Pool, config: Settings) -> None:
    school = uuid4()
    async with filled(config) as topic:
        await topic.send(school, raw=b'{"what":"a word"}')
        async with consuming(consumer := notes(pool, config)):
            await consumer.caught_up()
    assert "GoodsAccepted" in (await parked(pool))[0][1]


async def test_a_value_that_the_database_refuses_parks(pool: Pool, config: Settings) -> None:
    """2**40 is an int to the decoder and too large for the column: nobody says which event it was."""
    sick, well = organisations(config, 2, partition=0)
    async with filled(config) as topic:
        for n in range(50):
            await topic.send(well, what=n)
        await topic.send(sick, what=2**40)
        async with consuming(consumer := notes(pool, config)):
            await consumer.caught_up()
            assert consumer.rebuilds == 0
    assert await effects(pool) == list(range(50))
    assert [key for key, _, _ in await parked(pool)] == [sick]


async def test_many_poisoned_keys_at_once(pool: Pool, config: Settings) -> None:
    schools = organisations(config, 12)
    handler = Refusing({3, 6}, says_which=False)
    async with filled(config) as topic:
        for n in range(9):
            for i, school in enumerate(schools):
                await topic.send(school, what=n if i % 2 else n + 100)
        async with consuming(consumer := notes(pool, config, handler.apply)):
            await consumer.caught_up()
    assert len(await parked(pool)) == 6
    for i, school in enumerate(schools):
        expected = [0, 1, 2] if i % 2 else list(range(100, 109))
        assert await effects(pool, school) == expected


async def test_key_parked_while_the_next_batch_is_folded(pool: Pool, config: Settings) -> None:
    """The next batch was prepared before the key was parked: its events must not slip through."""
    sick = uuid4()

    class Folding:
        wanted = None

        def __init__(self) -> None:
            self.prepared: list[int] = []

        def prepare(self, events: list[Delivered]) -> list[Delivered]:
            self.prepared.append(len(events))
            return events

        async def commit(self, connection: Connection, prepared: list[Delivered]) -> None:
            await note(connection, prepared)
            if any(event.data == b'{"what":1}' for event in prepared):
                # Only once the next batch has been folded too.
                await until(lambda: sum(self.prepared) >= 4)
                bad = next(event for event in prepared if event.data == b'{"what":1}')
                raise Unappliable(bad, "no")

    handler = Folding()
    async with filled(config) as topic:
        for n in range(4):
            await topic.send(sick, what=n)
        async with consuming(consumer := notes(pool, config, handler, batch=2)):
            await consumer.caught_up()
    assert await effects(pool) == [0]
    assert (await parked(pool))[0][2] == 3


async def test_next_batch_is_folded_while_the_last_commits(pool: Pool, config: Settings) -> None:
    folded = asyncio.Event()

    class Slow:
        wanted = None

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
            await consumer.caught_up()
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
            await consumer.caught_up()
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
            await consumer.caught_up()
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
            await consumer.caught_up()
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
                await asyncio.gather(first.caught_up(), second.caught_up())
            await until(lambda: len(first.effect.marks) == 3)
            await send(5)
            await first.caught_up()
    for school in schools:
        assert await effects(pool, school) == list(range(65)), "in order, each once"


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
                await successor.caught_up()
                assert await effects(pool) == [1]
                go_on.set()
                await until(lambda: zombie.rebuilds > 0)
                assert await effects(pool) == [1]
            await zombie.caught_up()
    assert await effects(pool) == [1]


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
            await consumer.caught_up()
    assert await effects(pool) == [1]
    assert await parked(pool) == []


async def test_a_stalled_client_is_rebuilt(pool: Pool, config: Settings) -> None:
    school = uuid4()
    async with filled(config) as topic:
        consumer = notes(pool, config, stall_s=0.5, check_s=0.05)
        async with consuming(consumer):
            await consumer.caught_up()
            # The client believes to be at the end, and fetches nothing more.
            tp = next(
                tp
                for tp in consumer.effect.marks
                if tp.partition == partition_of(school, config.partitions)
            )
            consumer._kafka.pause(tp)
            await topic.send(school, what=1)
            await until(lambda: consumer.rebuilds == 1)
            await consumer.caught_up()
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
            await consumer.caught_up()
        for n in range(5, 10):
            await topic.send(school, what=n)
        await delete_before(
            config, TopicPartition(topic.name, partition_of(school, config.partitions)), 8
        )
        async with consuming(consumer := notes(pool, config)):
            await consumer.caught_up()
    assert await effects(pool) == [0, 1, 2, 3, 4, 8, 9]
    assert consumer.missing == 3


async def delete_before(config: Settings, tp: TopicPartition, offset: int) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=config.kafka)
    await admin.start()
    try:
        await admin.delete_records({tp: RecordsToDelete(offset)})
    finally:
        await admin.close()


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
            waiting = asyncio.create_task(consumer.caught_up())
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
            await consumer.caught_up()
            assert not await reached(later, timeout_s=0.1), "that school's partition is not there"
            assert await reached(place, organisation=None), "passed elsewhere, and all are current"
            assert not await reached((1, 1000, 99), timeout_s=0.1, organisation=None)
