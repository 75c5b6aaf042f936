from __future__ import annotations

from uuid import UUID, uuid4

import asyncpg
import pytest

from shared.config import Settings
from shared.effect import Handler
from shared.envelope import Delivered, Unappliable
from shared.parking import unpark
from shared.store import Connection
from tests.shared.wire import (
    caught_up,
    consuming,
    effects,
    filled,
    make_effects,
    note,
    notes,
    organisations,
    until,
)

type Pool = asyncpg.Pool[asyncpg.Record]


@pytest.fixture(autouse=True)
async def tables(pool: Pool) -> None:
    await make_effects(pool)


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
            await caught_up(consumer)
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
            await caught_up(consumer)
            assert (await parked(pool))[0][2] == 6
            assert (await effects(pool, well))[-1] == 110
            assert consumer.rebuilds == 0


async def test_a_key_is_released_where_nothing_waits_any_more(pool: Pool, config: Settings) -> None:
    """What could not be applied was taken away, and nothing had come after it."""
    sick, handler = uuid4(), Refusing({0}, says_which=True)

    async def apply(connection: Connection, events: list[Delivered]) -> None:
        assert events
        await handler.apply(connection, events)

    async with filled(config) as topic:
        await topic.send(sick, what=0)
        async with consuming(consumer := notes(pool, config, apply, check_s=0.05)):
            await caught_up(consumer)
            await pool.execute("delete from parked_event")
            assert await unpark(pool, "notes") == 1
            await until(lambda: pool.fetchval("select count(*) = 0 from parked_key"))
            await topic.send(sick, what=1)
            await caught_up(consumer)
            assert await effects(pool) == [1]


async def test_unparked_events_are_applied_in_order_before_what_follows(
    pool: Pool, config: Settings
) -> None:
    sick = uuid4()
    handler = Refusing({2}, says_which=True)
    async with filled(config) as topic:
        for n in range(5):
            await topic.send(sick, what=n)
        async with consuming(consumer := notes(pool, config, handler.apply, check_s=0.05)):
            await caught_up(consumer)
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
            await caught_up(consumer)
            assert consumer.parked == 0
    assert await effects(pool) == [0, 1, 2, 3, 4, 5, 6]
    assert await pool.fetchval("select count(*) from parked_event") == 0


async def test_parked_keys_outlive_the_process(pool: Pool, config: Settings) -> None:
    sick = uuid4()
    handler = Refusing({0}, says_which=True)
    async with filled(config) as topic:
        await topic.send(sick, what=0)
        async with consuming(consumer := notes(pool, config, handler.apply)):
            await caught_up(consumer)
        await topic.send(sick, what=1)
        async with consuming(consumer := notes(pool, config, handler.apply, check_s=0.05)):
            await caught_up(consumer)
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
            await caught_up(consumer)
    assert await effects(pool) == [1, 3]
    [(key, reason, waiting)] = await parked(pool)
    assert (key, waiting) == (school, 2)
    assert "envelope" in reason


async def test_data_of_another_shape_park(pool: Pool, config: Settings) -> None:
    school = uuid4()
    async with filled(config) as topic:
        await topic.send(school, raw=b'{"what":"a word"}')
        async with consuming(consumer := notes(pool, config)):
            await caught_up(consumer)
    assert "GoodsAccepted" in (await parked(pool))[0][1]


async def test_a_value_that_the_database_refuses_parks(pool: Pool, config: Settings) -> None:
    """2**40 is an int to the decoder and too large for the column: nobody says which event it was."""
    sick, well = organisations(config, 2, partition=0)
    async with filled(config) as topic:
        for n in range(50):
            await topic.send(well, what=n)
        await topic.send(sick, what=2**40)
        async with consuming(consumer := notes(pool, config)):
            await caught_up(consumer)
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
            await caught_up(consumer)
    assert len(await parked(pool)) == 6
    for i, school in enumerate(schools):
        expected = [0, 1, 2] if i % 2 else list(range(100, 109))
        assert await effects(pool, school) == expected


async def test_key_parked_while_the_next_batch_is_folded(pool: Pool, config: Settings) -> None:
    """The next batch was prepared before the key was parked: its events must not slip through."""
    sick, well = organisations(config, 2, partition=0)

    class Folding(Handler):
        def __init__(self) -> None:
            self.prepared: list[int] = []

        async def prepare(self, events: list[Delivered]) -> list[Delivered]:
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
        for n in range(3):
            await topic.send(sick, what=n)
        await topic.send(well, what=3)
        async with consuming(consumer := notes(pool, config, handler, batch=2)):
            await caught_up(consumer)
    assert await effects(pool) == [0, 3]
    assert (await parked(pool))[0][2] == 2
