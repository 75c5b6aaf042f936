"""A log restored to an older time than Kafka: closed, seen, given back what it lacks, opened."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest
from aiokafka import TopicPartition

from hosting import restored
from hosting.application import application
from hosting.compose import SameServer, prepare_database, running
from hosting.migrations import migrate
from hosting.restored import Taken, Torn, settle, take_back
from services.reporting.figures.fold import ARCHIVE
from shared.config import Settings
from shared.consumer import Consumer
from shared.decide import SYSTEM, Request, Step
from shared.envelope import Delivered, encode, key_of, partition_of
from shared.kernel import Aggregate, By, Command, Creation, Recorded, Send, Service
from shared.organisation import Role
from shared.problems import problem_of
from shared.reactions import Reactions
from shared.runtime import Runtime
from shared.store import Connection, epoch_of
from shared.words import words_of
from tests.conftest import ROOT, Parts, make_database
from tests.shared.office import SCHOOL, Copy, Desk, Message, Pool
from tests.shared.tally import OpenTally, RaiseTally, Tally, TallyOpened, TallyRaised, evolve, tally
from tests.shared.wire import Plain, consuming, delete_before, until

pytestmark = pytest.mark.stack

TABLES = {
    "event": "select * from event order by epoch, tx, seq",
    "head": "select * from head order by stream",
    "due": "select stream, aggregate from due order by stream",
    "view_tally_list": "select * from view_tally_list order by stream, key",
    "view_tally_steps": "select * from view_tally_steps order by stream, key",
    "view_open_tallies": "select * from view_open_tallies order by stream, key",
}


CAUSE = uuid4()
"""An event elsewhere that the service has reacted to."""

IDS = "select id from event order by epoch, tx, seq"


@asynccontextmanager
async def opened(dsn: str) -> AsyncIterator[Pool]:
    async with asyncpg.create_pool(dsn, min_size=0, max_size=4) as pool:
        yield pool


async def content(dsn: str) -> dict[str, list[Any]]:
    """What a restore must bring back, table by table."""
    async with opened(dsn) as pool:
        return {name: list(map(tuple, await pool.fetch(sql))) for name, sql in TABLES.items()}


async def all_sent(pool: Pool) -> bool:
    """Whether the relay has marked the log's last event."""
    last = "select epoch, tx, seq from event order by epoch desc, tx desc, seq desc limit 1"
    mark = await pool.fetchrow("select epoch, tx, seq from relay")
    return tuple(mark) == tuple(await pool.fetchrow(last))


@asynccontextmanager
async def at_work(config: Settings) -> AsyncIterator[Desk]:
    """The whole service; in the end all that was written is in Kafka."""
    async with running(tally, config) as rt:
        yield Desk(rt)
        await until(lambda: all_sent(rt.pool))


class Past:
    """A service with a past: `then` is its database as it was in the middle of it, `now` as it was
    when it was lost.
    """

    def __init__(self, config: Settings) -> None:
        self.config = config
        self.now = config.database
        self.then = ""
        self.streams: list[UUID] = []

    def restored(self) -> Settings:
        """The settings of the service over its restored database."""
        return self.config.model_copy(update={"database": self.then})

    async def found(self) -> None:
        """The units, and who may write, in an empty database."""
        async with opened(self.now) as pool:
            await prepare_database(tally, pool)
            copy = Copy(pool)
            await copy.plant()
            await copy.appoint(("buyer", Role.BUYER, "school"))

    async def live(self, parts: Parts, before: int, after: int) -> None:
        """Some commands, the moment that will be returned to, some commands more."""
        await self.found()
        async with at_work(self.config) as desk:
            await self.write(desk, before)
        name = self.now.partition("?")[0].rpartition("/")[2]
        self.then = parts.dsn.format(await make_database(parts, name))
        async with opened(self.then) as pool:
            await pool.execute("update log_epoch set timeline = 0")
        async with at_work(self.config) as desk:
            await self.write(desk, after)
            reacted = Request([desk.step(RaiseTally(), self.streams[0])], SYSTEM, causation=CAUSE)
            await desk.rt.writer.ask(reacted)

    async def write(self, desk: Desk, count: int) -> None:
        """A new stream and a step on every one."""
        for n in range(count):
            command = OpenTally(organisation=SCHOOL, name=f"{n}")
            self.streams.append(await desk.open(command, key=uuid4().hex))
            for stream in self.streams:
                await desk.ask(RaiseTally(amount=n + 1), stream, key=uuid4().hex)


@pytest.fixture
async def past(config: Settings, parts: Parts) -> Past:
    made = Past(config)
    await made.live(parts, 3, 4)
    return made


@asynccontextmanager
async def onlooker(config: Settings, dsn: str) -> AsyncIterator[Pool]:
    """A service elsewhere that takes in every event of the topic, noting its id."""

    async def note(connection: Connection, events: Sequence[Delivered]) -> None:
        rows = [(event.recorded.id,) for event in events]
        await connection.executemany("insert into seen (id) values ($1)", rows)

    async with opened(dsn) as pool:
        consumer = Consumer("seen", pool, config, [config.topic("tally")], Plain(note))
        async with consuming(consumer):
            yield pool


async def seen(pool: Pool) -> list[UUID]:
    return [row[0] for row in await pool.fetch("select id from seen order by n")]


async def test_a_restored_log_takes_back_what_kafka_has(
    past: Past, parts: Parts, template: str
) -> None:
    """Event for event at the old order keys, with heads and lists; and a consumer that was ahead
    of the restored log misses nothing of what is written after, and sees nothing twice.
    """
    config, lost = past.restored(), await content(past.now)
    elsewhere = parts.dsn.format(await make_database(parts, template))
    async with opened(elsewhere) as pool:
        await pool.execute("create table seen (n bigint generated always as identity, id uuid)")
    async with onlooker(config, elsewhere) as pool:
        await until(lambda: counted(pool, len(lost["event"])))
    async with running(tally, config) as rt:
        desk = Desk(rt)
        with pytest.raises(asyncpg.ReadOnlySQLTransactionError) as refused:
            await desk.ask(RaiseTally(), past.streams[0])
        problem = problem_of(refused.value, words_of("tally"))
        assert problem is not None and (problem.slug, problem.status) == ("log_closed", 503)
        (status, why), metrics = await look(rt)
        assert status == 503 and "after-restore" in why
        lacked = len(lost["event"]) - await rt.pool.fetchval("select count(*) from event")
        assert f'houqin_log_behind_kafka{{service="tally"}} {float(lacked)}' in metrics

        taken = await take_back(rt.pool, tally, config)
        assert taken == Taken(events=lacked, streams=len(past.streams))
        assert [row[0] for row in await rt.pool.fetch("select causation from reacted")] == [CAUSE]
        assert await content(past.then) == lost
        answer = await desk.ask(RaiseTally(amount=100), past.streams[0])
        assert answer.etag == version_of(lost, past.streams[0]) + 1
        assert answer.position is not None and answer.position.startswith("tally;2.")
        await until(lambda: all_sent(rt.pool))
        log = [row[0] for row in await rt.pool.fetch(IDS)]
    async with onlooker(config, elsewhere) as pool:
        await until(lambda: counted(pool, len(log)))
        assert await seen(pool) == log, "one school: in the order of its log, each once"


async def counted(pool: Pool, count: int) -> bool:
    return bool(await pool.fetchval("select count(*) from seen") == count)


def version_of(tables: dict[str, list[Any]], stream: UUID) -> int:
    return int(next(row[3] for row in tables["head"] if row[0] == stream))


async def look(rt: Runtime) -> tuple[tuple[int, str], str]:
    """What /ready and /metrics say."""
    transport = httpx.ASGITransport(application(rt, "worker"))
    async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
        ready, metrics = await client.get("/ready"), await client.get("/metrics")
    return (ready.status_code, ready.text), metrics.text


async def test_what_kafka_no_longer_has_comes_from_the_archive(
    past: Past, parts: Parts, template: str
) -> None:
    """A gap is never jumped: without reporting's archive the log stays closed."""
    config, lost = past.restored(), await content(past.now)
    tp = TopicPartition(config.topic("tally"), partition_of(SCHOOL, config.partitions))
    async with opened(past.then) as pool, opened(past.now) as before:
        known = await pool.fetchval("select count(*) from event")
        await delete_before(config, tp, known + 2)
        with pytest.raises(Torn) as torn:
            await take_back(pool, tally, config)
        assert "--archive" in torn.value.words and not await is_open(pool)
        assert await pool.fetchval("select count(*) from event") == known, "all or nothing"

        archive = parts.dsn.format(await make_database(parts, template))
        async with opened(archive) as reporting:
            await migrate(reporting, [ROOT / "services" / "reporting" / "migrations"])
            await archived(before, reporting)
        taken = await take_back(pool, tally, config, archive=archive)
        assert taken.events == len(lost["event"]) - known and taken.voided == 0
    assert await content(past.then) == lost


async def archived(source: Pool, reporting: Pool) -> None:
    """Reporting has received the whole log."""
    rows = await source.fetch(
        "select month, 'tally', epoch, tx::text::bigint, seq, id, stream, version, type,"
        " organisation, actor, occurred_at, recorded_at, occurred_at::date, correlation, causation,"
        " data, trace from event"
    )
    async with reporting.acquire() as connection:
        for (month,) in {(row["month"],) for row in rows}:
            await connection.execute(
                f"create table archive_{month:%Y%m} partition of archive"
                f" for values from ('{month}') to ('{month + timedelta(days=31)}')"
            )
    marks = ", ".join(f"${n}" for n in range(1, 1 + len(ARCHIVE)))
    await reporting.executemany(
        f"insert into archive ({', '.join(ARCHIVE)}) values ({marks})", rows
    )


async def test_a_log_that_went_another_way_stays_closed_until_what_it_lost_is_void(
    past: Past,
) -> None:
    """Somebody wrote before the log was held against Kafka (a cold copy that nobody closed): its
    own way stands, the other is void, and what was not in question is taken back.
    """
    config, lost = past.restored(), await content(past.now)
    async with opened(past.then) as pool:
        await pool.execute("update log_epoch set timeline = server_timeline()")
        known = await pool.fetchval("select count(*) from event")
        async with running(tally, config, "api") as rt:
            await Desk(rt).ask(RaiseTally(amount=7), past.streams[0])
        lacked = len(lost["event"]) - known
        assert await settle(pool, "tally", config) == lacked and not await is_open(pool)
        with pytest.raises(Torn):
            await take_back(pool, tally, config)
        taken = await take_back(pool, tally, config, void=True)
        assert await is_open(pool)
        void = {row[0] for row in await pool.fetch("select stream from voided")}
        assert void == {past.streams[0]} and taken.voided + taken.events == lacked
        assert taken.voided == version_of(lost, past.streams[0]) - 4
        assert await settle(pool, "tally", config) == 0, "what is void is not lacking"


async def test_a_log_that_lacks_nothing_opens_by_itself(past: Past) -> None:
    """After a failover that lost nothing: nobody has to do anything."""
    async with opened(past.now) as pool:
        await pool.execute("update log_epoch set timeline = 0")
        assert await settle(pool, "tally", past.config) == 0
        assert await is_open(pool) and await epoch_of(pool) == 2
        assert await settle(pool, "tally", past.config) == 0
        assert await epoch_of(pool) == 2, "an open log goes on in its epoch"
        assert await take_back(pool, tally, past.config) == Taken()


async def test_who_counts_while_another_takes_back_does_not_close_what_that_one_opened(
    past: Past, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A service starts while the operator's command is at work: what it has counted is no more."""
    config, counted, found = past.restored(), restored.lacking, []

    async def overtaken(*given: Any) -> int:
        found.append(await counted(*given))
        if len(found) == 1:
            await take_back(pool, tally, config)
        return found[-1]

    monkeypatch.setattr(restored, "lacking", overtaken)
    async with opened(past.then) as pool:
        assert await settle(pool, "tally", config) == 0
        assert await is_open(pool) and found[0] > 0


async def is_open(pool: Pool) -> bool:
    return bool(await pool.fetchval("select log_is_open()"))


mirrors = Aggregate("mirror", events=TallyOpened | TallyRaised, state=Tally, evolve=evolve)


class OpenMirror(Creation):
    name: str = ""


class RaiseMirror(Command):
    pass


@mirrors.post("/mirrors", allow=(Role.BUYER,))
def open_mirror(state: Tally | None, command: OpenMirror, by: By) -> TallyOpened:
    return TallyOpened(name=command.name, limit=9)


@mirrors.post("/mirrors/{id}/raise", allow=(Role.BUYER,))
def raise_mirror(state: Tally, command: RaiseMirror, by: By) -> TallyRaised:
    return TallyRaised(amount=1)


@mirrors.on(TallyRaised)
def raise_too(event: TallyRaised, recorded: Recorded) -> Send:
    """Each time once more: nothing in the decision would notice a second time."""
    return Send(mirrors, recorded.stream, RaiseMirror())


async def test_what_was_reacted_to_is_not_reacted_to_again(config: Settings) -> None:
    """The offsets are those of the restored moment, and so older than what was taken back."""
    service = Service("mirror", [mirrors])
    async with running(service, config, "api") as rt:
        await Copy(rt.pool).plant()
        await rt.directory.refresh()
        opening = Step(mirrors.decisions[OpenMirror], uuid4(), OpenMirror(organisation=SCHOOL))
        await rt.writer.ask(Request([opening], SYSTEM))
        row = {
            "id": CAUSE, "type": "TallyRaised", "stream": opening.stream, "version": 2, "epoch": 1,
            "tx": 9, "seq": 9, "organisation": SCHOOL, "actor": SYSTEM, "causation": None,
            "occurred_at": datetime.now(UTC), "recorded_at": datetime.now(UTC),
            "correlation": CAUSE, "trace": None,
        }  # fmt: skip
        event = Delivered(Message(key_of(SCHOOL), b'{"amount":1}', encode(row, b"/houqin/mirror")))
        handler = Reactions(service, rt.writer, rt.directory)
        for _ in range(2):
            async with rt.pool.acquire() as connection, connection.transaction():
                await handler.commit(connection, [event])
            await rt.pool.execute("insert into reacted values ($1) on conflict do nothing", CAUSE)
            assert await rt.pool.fetchval("select max(version) from event") == 2


async def test_a_process_does_not_outlive_its_database(
    database: str, parts: Parts, template: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it remembers may never have been: it asks for its own end, and is started anew."""
    signals: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "kill", lambda *given: signals.append(given))
    same = SameServer()
    for _ in range(2):
        connection = await asyncpg.connect(database)
        await same(connection)
        await connection.close()
    other = await asyncpg.connect(parts.dsn.format(await make_database(parts, template)))
    with pytest.raises(asyncpg.InterfaceError):
        await same(other)
    await other.close()
    assert signals == [(os.getpid(), signal.SIGTERM)]
