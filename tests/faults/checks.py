"""I1 to I5 by plain SQL, a plain Kafka client and a small fold: nothing here is the product's own.

I1 what was acknowledged is in the log exactly once, and nothing else is; I2 versions have no gap
and no fork; I3 Kafka holds every event, per key in the order of the log; I4 lists and figures are
the fold of the log; I5 stored offsets say what was applied last.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from uuid import UUID

import asyncpg
from aiokafka import AIOKafkaConsumer, TopicPartition

from tests.faults.workload import SERVICE, Asked
from tests.world import LISTS, World

HEAL_S = 30.0
"""I7: so long after a fault everything has caught up."""

PARTITIONS = 12

type Position = tuple[int, int]


@dataclass
class Tally:
    """A line of the table: what one kind of fault came to."""

    fault: str
    rounds: int = 0
    commands: int = 0
    acknowledged: int = 0
    unknown: int = 0
    lost: int = 0
    doubled: int = 0

    def __str__(self) -> str:
        return (
            f"{self.fault:<34} {self.rounds:>6} {self.commands:>9} {self.acknowledged:>13}"
            f" {self.unknown:>8} {self.lost:>5} {self.doubled:>8}"
        )


HEADING = (
    f"{'fault':<34} {'rounds':>6} {'commands':>9} {'acknowledged':>13} {'unknown':>8}"
    f" {'lost':>5} {'doubled':>8}"
)


@dataclass
class Message:
    """What of a Kafka record is looked at."""

    partition: int
    offset: int
    key: str
    id: UUID
    position: Position
    value: bytes


@dataclass
class Topic:
    """A whole topic, from its first record to its last."""

    name: str
    messages: list[Message] = field(default_factory=list)
    ends: dict[int, int] = field(default_factory=dict)

    def once(self) -> list[Message]:
        """Without repetitions: what is not above all before it in its partition is one."""
        marks: dict[int, Position] = {}
        kept = []
        for message in self.messages:
            if message.position > marks.get(message.partition, (0, 0)):
                marks[message.partition] = message.position
                kept.append(message)
        return kept


async def whole_topic(kafka: str, name: str) -> Topic:
    """Reads a topic from its beginning to where it ends now."""
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka, auto_offset_reset="earliest")
    found = Topic(name)
    await consumer.start()
    try:
        partitions = [TopicPartition(name, number) for number in range(PARTITIONS)]
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        found.ends = {tp.partition: end for tp, end in ends.items()}
        async with asyncio.timeout(HEAL_S):
            while any([await consumer.position(tp) < end for tp, end in ends.items()]):
                for records in (await consumer.getmany(timeout_ms=200)).values():
                    found.messages += map(_message, records)
    finally:
        await consumer.stop()
    return found


def _message(record: Any) -> Message:
    headers = dict(record.headers)
    _, tx, seq = headers["ce_position"].decode().split(".")
    return Message(
        record.partition, record.offset, record.key.decode(), UUID(headers["ce_id"].decode()),
        (int(tx), int(seq)), record.value,
    )  # fmt: skip


type Pool = asyncpg.Pool[asyncpg.Record]

_LOG = """
select id, stream, version, type, data, organisation, tx::text::bigint as tx, seq
from event order by event.tx, seq
"""


async def i1(pool: Pool, asked: Sequence[Asked], born: Sequence[UUID]) -> tuple[int, int]:
    """(lost, doubled): acknowledged events that the log has not, and events that it has too many
    of. `born`: the streams looked at, each begun by one event of its own.
    """
    rows = await pool.fetch("select id, stream, version from event where stream = any($1)", born)
    log = Counter(row["id"] for row in rows)
    versions = {row["id"]: row["version"] for row in rows}
    acknowledged = Counter(UUID(event) for one in asked for event in one.events)
    lost = sum((acknowledged - log).values())
    doubled = sum((log - acknowledged).values()) - len(born)
    for one in asked:
        if one.events:
            assert versions.get(UUID(one.events[-1])) in {one.version, None}, "at its version"
    return lost, doubled


async def i1_answers(pool: Pool, asked: Sequence[Asked]) -> None:
    """One answer is kept for each key under which something was taken, none for a refusal."""
    keys = [one.key for one in asked if one.status and one.status < 300]
    kept = await pool.fetchval("select count(*) from idempotency where key = any($1)", keys)
    assert kept == len(set(keys)) == len(keys)
    refused = [one.key for one in asked if one.status >= 400]
    kept = await pool.fetchval("select count(*) from idempotency where key = any($1)", refused)
    assert kept == 0


async def i2(pool: Pool) -> None:
    """Every stream's versions are 1, 2, 3 … once each, up to its head."""
    wrong = await pool.fetch(
        "select e.stream from event e left join head h using (stream) group by e.stream, h.version"
        " having min(e.version) <> 1 or max(e.version) <> count(*)"
        " or count(distinct e.version) <> count(*) or h.version is distinct from max(e.version)"
    )
    assert wrong == []
    orphans = await pool.fetchval(
        "select count(*) from head where not exists (select from event e where e.stream = head.stream)"
    )
    assert orphans == 0


async def i3(world: World, service: str) -> Topic:
    """Kafka holds the log: every event with its bytes, each key's in the order of the log."""
    log = await (await world.pool(service)).fetch(_LOG)
    topic = f"houqin.{service}"
    deadline = time.monotonic() + HEAL_S
    while True:
        found = await whole_topic(world.stack.kafka, topic)
        missing = {row["id"] for row in log} - {message.id for message in found.messages}
        if not missing:
            break
        assert time.monotonic() < deadline, f"{len(missing)} events are not in {topic}"
    once = found.once()
    assert len(once) == len(log)
    by_key: dict[str, list[tuple[Position, UUID, bytes]]] = defaultdict(list)
    for row in log:
        place = (row["tx"], row["seq"])
        by_key[str(row["organisation"])].append((place, row["id"], row["data"]))
    sent: dict[str, list[tuple[Position, UUID, bytes]]] = defaultdict(list)
    for message in once:
        sent[message.key].append((message.position, message.id, message.value))
    assert sent == by_key
    # Also with its repetitions, no key ever shows an event before one that precedes it.
    streams = {row["id"]: (row["stream"], row["version"]) for row in log}
    reached: dict[UUID, int] = {}
    for message in found.messages:
        stream, version = streams[message.id]
        assert version <= reached.get(stream, 0) + 1, "a version before its predecessor"
        reached[stream] = max(version, reached.get(stream, 0))
    return found


async def i4_lists(pool: Pool) -> None:
    """The list of budget lines is what the log comes to."""
    folded: dict[tuple[UUID, str], list[Decimal]] = {}
    for row in await pool.fetch(_LOG):
        data = json.loads(row["data"])
        if row["type"] == "BudgetAdopted":
            for line in data["lines"]:
                folded[row["stream"], line["code"]] = [Decimal(line["amount_cny"]), Decimal(0)]
        elif row["type"] == "BudgetAmended":
            folded[row["stream"], data["line"]][0] = Decimal(data["amount_cny"])
        elif row["type"] == "BudgetCommitted":
            folded[row["stream"], data["line"]][1] += Decimal(data["amount_cny"])
        elif row["type"] in {"BudgetSpent", "BudgetReleased"}:
            raise AssertionError("this fold knows nothing of spending")
    rows = await pool.fetch(
        "select stream, code, amount_cny, committed_cny, free_cny, version from view_budget_lines"
    )
    shown = {
        (row["stream"], row["code"]): [row["amount_cny"], row["committed_cny"]] for row in rows
    }
    assert shown == folded
    assert all(row["free_cny"] == row["amount_cny"] - row["committed_cny"] for row in rows)
    heads = dict(await pool.fetch("select stream, version from head where aggregate = 'budget'"))
    assert all(row["version"] == heads[row["stream"]] for row in rows)


async def i4_figures(world: World, places: dict[str, tuple[str, list[str]]], day: str) -> None:
    """What reporting shows is what the log comes to, and a county is the sum of its schools.
    `places`: unit id -> (who may look, ids of the schools below it, or its own).
    """
    sums: dict[str, Decimal] = defaultdict(Decimal)
    for row in await (await world.pool(SERVICE)).fetch(_LOG):
        data = json.loads(row["data"])
        school = str(row["organisation"])
        if row["type"] == "BudgetAdopted":
            sums[school] += sum(Decimal(line["amount_cny"]) for line in data["lines"])
        elif row["type"] == "BudgetAmended":
            sums[school] += Decimal(data["amount_cny"]) - Decimal(data["previous_cny"])
    for unit_id, (person, schools) in places.items():
        found = await world.api.read(
            person, "/reporting/figures/procurement.budget_adopted", unit=unit_id, period=day
        )
        wanted = sum((sums[school] for school in schools), Decimal(0))
        assert Decimal(found["value"]) == wanted, (unit_id, found["value"], wanted)


async def i5(world: World, topics: dict[str, Topic]) -> None:
    """Within HEAL_S every consumer of these topics stands at their end, and says so truly: the
    offset stored is that after the last record, the order key that of the last event.
    """
    last: dict[tuple[str, int], Position] = {}
    for topic in topics.values():
        for message in topic.messages:
            place = (topic.name, message.partition)
            last[place] = max(message.position, last.get(place, (0, 0)))
    deadline = time.monotonic() + HEAL_S
    for service in LISTS:
        pool = await world.pool(service)
        while True:
            rows = await pool.fetch(
                "select consumer, topic, partition, next_offset, tx, seq from consumed"
                " where topic = any($1)",
                list(topics),
            )
            behind = [row for row in rows if row[3] != topics[row[1]].ends[row[2]]]
            if not behind:
                break
            assert time.monotonic() < deadline, f"{service}: {behind[0]}"
            await asyncio.sleep(0.1)
        for row in rows:
            stored, applied = (row["tx"], row["seq"]), last.get((row["topic"], row["partition"]))
            assert stored == (applied or (0, 0)), f"{service}: {row}"
        assert await pool.fetchval("select count(*) from parked_key") == 0
