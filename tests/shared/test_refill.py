"""Kafka has forgotten: a topic deleted and made anew, retention passed. What is missing comes from
the feed of the service that wrote it, each event once and in order, and Kafka goes on after it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx
import msgspec
import pytest
import uvicorn
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from hosting import feed
from hosting.application import application
from hosting.feed import Feeds
from shared.config import Settings
from shared.consumer import Consumer
from shared.effect import FORGOTTEN
from shared.envelope import Delivered, encode, key_of, partition_of
from shared.organisation import Role
from shared.relay import Relay, ensure_topics
from shared.store import Connection
from tests.conftest import Parts, make_database
from tests.shared.office import SCHOOL, UNITS, Copy, Desk, Pool, settled
from tests.shared.tally import OpenTally, RaiseTally
from tests.shared.test_views import opened
from tests.shared.wire import Plain, consuming, delete_before, until

pytestmark = pytest.mark.stack

KEY = "the services' key"
PLACES = ("school", "sibling", "other_school", "campus")


async def note(connection: Connection, events: list[Delivered]) -> None:
    await connection.executemany(
        "insert into taken (id, stream, version) values ($1, $2, $3)",
        [(e.recorded.id, e.recorded.stream, e.recorded.version) for e in events],
    )


@dataclass
class Line:
    """A service that writes, its feed, and somebody elsewhere who takes its events in."""

    desk: Desk
    config: Settings
    other: Pool
    url: str
    feeds: Feeds

    def consumer(self, **options: Any) -> Consumer:
        made = Consumer(
            "notes", self.other, self.config, [self.config.topic("tally")], Plain(note),
            **{"check_s": 0.05, **options},
        )  # fmt: skip
        made.feed = self.feeds.page
        return made

    def relay(self) -> Relay:
        return Relay("tally", self.desk.rt.pool, self.config, deadline_s=3, retry_s=0.1)

    async def write(self, count: int) -> list[UUID]:
        made: list[UUID] = await settled(
            *(
                self.desk.open(OpenTally(organisation=UNITS[PLACES[n % 4]], name=f"t{n}"))
                for n in range(count)
            )
        )
        await settled(*(self.desk.ask(RaiseTally(amount=1), one) for one in made))
        return made

    async def logged(self) -> list[UUID]:
        rows = await self.desk.rt.pool.fetch("select id from event order by epoch, tx, seq")
        return [row[0] for row in rows]

    async def taken(self) -> list[UUID]:
        return [row[0] for row in await self.other.fetch("select id from taken order by n")]

    async def all_taken(self) -> None:
        """Every event of the log, once, each stream's in order."""
        wanted = sorted(await self.logged())

        async def there() -> bool:
            return len(await self.taken()) >= len(wanted)

        await until(there, 40)
        assert sorted(await self.taken()) == wanted
        broken = await self.other.fetch(
            "select * from (select version, row_number() over (partition by stream order by n)"
            " as place from taken) t where version <> place"
        )
        assert broken == []

    async def sent(self) -> None:
        count = len(await self.logged())
        await until(
            lambda: self.desk.rt.pool.fetchval(
                "select count(*) = $1 from event, relay where (event.epoch, event.tx, event.seq)"
                " <= (relay.epoch, relay.tx, relay.seq)",
                count,
            )
        )

    async def forget(self) -> None:
        """The topic is deleted, and made anew by whoever needs it first."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self.config.kafka)
        topic = self.config.topic("tally")
        await admin.start()
        try:
            await admin.delete_topics([topic])

            async def gone() -> bool:
                return topic not in await admin.list_topics()

            await until(gone)
        finally:
            await admin.close()
        await self.ensure()

    async def ensure(self) -> None:
        topics = {self.config.topic("tally"): self.config.partitions}
        await ensure_topics(self.config.kafka, topics, 1)


@pytest.fixture
async def line(pool: Pool, config: Settings, parts: Parts, template: str) -> AsyncIterator[Line]:
    config.feed_key = KEY
    async with AsyncExitStack() as stack:
        desk = await stack.enter_async_context(opened(pool, config))
        url = await stack.enter_async_context(served(desk))
        config.services = f"tally={url}"
        dsn = parts.dsn.format(await make_database(parts, template))
        other = await stack.enter_async_context(asyncpg.create_pool(dsn, min_size=1, max_size=4))
        await other.execute(
            "create table taken (n bigint generated always as identity, id uuid, stream uuid,"
            " version int)"
        )
        feeds = Feeds(config)
        stack.push_async_callback(feeds.close)
        made = Line(desk, config, other, url, feeds)
        await made.ensure()
        yield made


@asynccontextmanager
async def served(desk: Desk) -> AsyncIterator[str]:
    config = uvicorn.Config(
        application(desk.rt, "worker"), "127.0.0.1", 0, log_level="error", lifespan="off",
        timeout_graceful_shutdown=1,
    )  # fmt: skip
    app: Any = config.app
    app.include_router(feed.router(desk.rt))
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve())
    await until(lambda: server.started)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        await task


async def test_a_topic_deleted_while_all_run_comes_back_whole(line: Line) -> None:
    relay, consumer = line.relay(), line.consumer()
    await line.write(30)
    await relay.start()
    try:
        async with consuming(consumer):
            await line.all_taken()
            await line.forget()
            await line.write(20)
            await line.all_taken()
            await until(lambda: not consumer.lost)
            assert (consumer.parked, consumer.missing) == (0, 0)
            rows = await line.other.fetch("select next_offset from consumed")
            assert all(row[0] >= 0 for row in rows)
    finally:
        await relay.stop()


async def test_what_was_sent_and_not_yet_taken_is_refilled(line: Line) -> None:
    """The consumer was away: its half of the topic is gone, and new events are in the new one."""
    relay = line.relay()
    first = line.consumer()
    await line.write(20)
    await relay.start()
    try:
        async with consuming(first):
            await line.all_taken()
        await line.write(40)
        await line.sent()
        await line.forget()
        late = line.consumer()
        async with consuming(late):
            await line.all_taken()
            assert late.refilled == 80
        await line.write(5)
        async with consuming(line.consumer()):
            await line.all_taken()
    finally:
        await relay.stop()


async def test_a_new_topic_that_has_outgrown_the_old_is_told_from_it(line: Line) -> None:
    relay = line.relay()
    await line.write(4)
    await relay.start()
    try:
        async with consuming(line.consumer()):
            await line.all_taken()
        await line.write(10)
        await line.sent()
        await line.forget()
        await line.write(60)
        await line.sent()
        async with consuming(line.consumer()):
            await line.all_taken()
    finally:
        await relay.stop()


async def test_what_was_too_old_for_kafka_is_refilled(line: Line) -> None:
    """Also for a consumer that has never taken any of it."""
    relay = line.relay()
    await line.write(30)
    await relay.start()
    try:
        await line.sent()
        ends: dict[int, int] = {}
        for row in await line.desk.rt.pool.fetch("select organisation from event"):
            place = partition_of(row[0], line.config.partitions)
            ends[place] = ends.get(place, 0) + 1
        for partition, end in ends.items():
            await delete_before(
                line.config, TopicPartition(line.config.topic("tally"), partition), end - 1
            )
        consumer = line.consumer()
        async with consuming(consumer):
            await line.all_taken()
            assert consumer.refilled > 50
    finally:
        await relay.stop()


async def test_a_refill_that_breaks_off_goes_on_where_it_was(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "PAGE", 20)
    relay, pages = line.relay(), 0
    await line.write(5)
    await relay.start()
    try:
        async with consuming(line.consumer()):
            await line.all_taken()
        await line.write(60)
        await line.sent()
        await line.forget()
        breaking = line.consumer()
        whole = breaking.feed
        assert whole is not None

        async def three(topic: str, after: Any) -> Any:
            nonlocal pages
            pages += 1
            if pages > 3:
                raise ConnectionError("away")
            return await whole(topic, after)

        breaking.feed = three
        async with consuming(breaking):
            await until(lambda: pages > 3)
            assert breaking.lost
        stored = await line.other.fetch("select next_offset from consumed")
        assert FORGOTTEN in [row[0] for row in stored]
        async with consuming(line.consumer()):
            await line.all_taken()
    finally:
        await relay.stop()


async def test_the_feed_shows_what_is_in_scope_in_the_logs_order(line: Line) -> None:
    await line.write(12)
    await Copy(line.desk.rt.pool).appoint(("far", Role.BUREAU_OFFICER, "other_county"))
    await line.desk.rt.directory.refresh()

    class Tokens:
        async def person(self, authorization: str | None) -> str:
            return str(authorization).removeprefix("Bearer ")

    line.desk.rt.tokens = Tokens()
    async with httpx.AsyncClient(base_url=line.url, trust_env=False) as client:

        async def everything(who: str, limit: int) -> list[dict[str, Any]]:
            found: list[dict[str, Any]] = []
            after, more = "0.0.0", True
            while more:
                answer = await client.get(
                    "/tally/feed",
                    params={"after": after, "limit": limit},
                    headers={"Authorization": f"Bearer {who}"},
                )
                assert answer.status_code == 200, answer.text
                page = answer.json()
                found += page["events"]
                after, more = page["next"], page["more"]
            return found

        every = await everything(KEY, 5)
        assert [UUID(one["id"]) for one in every] == await line.logged()
        assert every[0]["source"] == "/houqin/tally"
        assert every[0]["datacontenttype"] == "application/json"
        far = await everything("far", 5)
        assert {one["organisation"] for one in far} == {str(UNITS["other_school"])}
        assert len(far) == 6
        refused = await client.get("/tally/feed", headers={"Authorization": "Bearer nobody"})
        assert refused.status_code == 403
        broken = await client.get("/tally/feed?after=x", headers={"Authorization": f"Bearer {KEY}"})
        assert broken.json()["slug"] == "cursor_broken"


def test_an_event_of_the_feed_is_the_one_of_the_topic() -> None:
    """Attribute by attribute, byte by byte."""
    row = {
        "id": uuid4(), "type": "TallyNoted", "stream": uuid4(), "version": 7, "epoch": 2, "tx": 12, "seq": 3,
        "organisation": SCHOOL, "actor": "李", "occurred_at": datetime.now(UTC),
        "recorded_at": datetime.now(UTC), "correlation": uuid4(), "causation": uuid4(),
        "trace": "00-x-y-01",
    }  # fmt: skip
    data = b'{"text": "\\u674e",  "n":1.50}'
    headers = encode(row, b"/houqin/tally")
    shown = feed.shown(headers, data)
    sent = msgspec.json.decode(msgspec.json.encode(shown), type=dict[str, msgspec.Raw])
    record = Feeds(Settings(partitions=3))._record("houqin.tally", sent)
    assert dict(record.headers) == dict(headers)
    assert (record.key, record.value) == (key_of(SCHOOL), data)
    event = Delivered(record)
    assert (event.fault, event.position, event.key) == ("", (2, 12, 3), SCHOOL)
