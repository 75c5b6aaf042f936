"""F6 and F9: what Kafka brings is repeated, out of order, or nothing that can be applied."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from aiokafka import AIOKafkaProducer

from tests.faults.commands import PLAIN
from tests.faults.evidence import Reader
from tests.faults.ground import School
from tests.faults.inspection import WAIT_S
from tests.faults.load import Asked
from tests.faults.rig import SERVICES, Rig
from tests.faults.scene import Fault, Scene
from tests.world import until

REPORTING, FIGURES = "reporting", "figures"
LATER = 3
TIMES_MAX = 5
HUGE_BYTES = 2 * 1024 * 1024
PUT_IN = "outsider"
"""Who wrote what nobody can apply."""

TYPES = {"procurement": "BudgetAmended", "assets": "AssetDamaged", "safety": "HazardFound"}
"""By service an event that figures read."""

TRUNCATED, UNKNOWN, OVERFLOW, NO_ENVELOPE, HUGE = (
    "truncated", "unknown", "overflow", "envelope", "huge",
)  # fmt: skip
POISONS = (TRUNCATED, UNKNOWN, OVERFLOW, NO_ENVELOPE, HUGE)

TOO_LARGE = {
    "BudgetAmended": b'{"amount_cny":"1E+40","previous_cny":"0"}',
    "AssetDamaged": b'{"item":"x","quantity":1,"cause":"wear","wilful":false,'
    b'"replacement_cost_cny":"1E+40","happened_on":"2026-01-01","place":""}',
    "HazardFound": b'{"category":7}',
}  # fmt: skip
"""Well-formed, and more than can be counted (or of another type than it must be)."""

_EVENT = """
insert into event (month, id, stream, version, type, data, organisation, actor, occurred_at,
                   recorded_at, correlation)
values (date_trunc('month', $5::timestamptz at time zone 'UTC')::date, $1, $2, 1, $3, $4, $6, $7,
        $5, $5, $1)
"""


async def topic_again(scene: Scene, variant: str) -> None:
    """F6. A topic's events come once more, in order or not, once or often; or a consumer that has
    forgotten how far it was reads all of it again.
    """
    service, how = variant.split()
    if how == "forgotten":
        await forget(scene.rig, f"houqin.{service}")
    else:
        await republish(scene, f"houqin.{service}", shuffled=how == "shuffled")
    await scene.lasting()


async def republish(scene: Scene, name: str, *, shuffled: bool) -> None:
    """Sends a topic's events again, from the first one."""
    reader = Reader(scene.rig.kafka)
    try:
        records = await reader.records(await reader.ends([name]))
    finally:
        await reader.stop()
    events = [record for record in records if "ce_position" in dict(record.headers)]
    if shuffled:
        events = [one for one in events for _ in range(scene.chance.randint(1, TIMES_MAX))]
        scene.chance.shuffle(events)
    await produce(scene.rig, events)


async def produce(rig: Rig, records: list[Any]) -> None:
    """Sends records as they are, each to the partition that it is of."""
    producer = AIOKafkaProducer(
        bootstrap_servers=rig.kafka, compression_type="lz4", enable_idempotence=True,
        max_request_size=2 * HUGE_BYTES,
    )  # fmt: skip
    await producer.start()
    try:
        sent = [
            await producer.send(
                record.topic, value=record.value, key=record.key, partition=record.partition,
                headers=list(record.headers),
            )
            for record in records
        ]  # fmt: skip
        await asyncio.gather(*sent)
    finally:
        await producer.stop()


async def forget(rig: Rig, topic: str) -> None:
    """Reporting, while it is down, loses where in a topic it was, and not what it has applied."""
    await rig.halt("reporting")
    pool = await rig.pool("reporting")
    await pool.execute("update consumed set next_offset = 0 where topic = $1", topic)
    await rig.resume("reporting")


async def poison(scene: Scene, variant: str) -> None:
    """F9. What nobody can apply parks its school in one topic: all others go on, that one says so,
    and once the cause is taken away nothing is missing.
    """
    service, kind = variant.split()
    school = scene.chance.choice(scene.ground.schools)
    if kind in {NO_ENVELOPE, HUGE}:
        await send_foreign(scene.rig, service, school, huge=kind == HUGE)
    else:
        await write_foreign(scene, service, school, kind)
    await scene.load.finish()
    await scene.inspector.caught_up()
    parked = await parked_in(scene.rig, school)
    if (REPORTING, FIGURES) in parked:
        await later_ones_wait(scene, service, school)
    if (kind != UNKNOWN) != bool(parked):
        scene.wrong.append(f"{variant}: parked {parked}")
    await scene.inspector.at_rest()
    waiting = frozenset({school.id}) if parked else frozenset()
    found = await scene.inspector.verdict(scene.load, waiting)
    scene.wrong += [f"while {school.code} was parked: {one}" for one in found.every]
    for name, consumer in parked:
        await repair(scene.rig, name, consumer, school)

    async def nothing_waits() -> bool:
        return not await parked_in(scene.rig, school)

    try:
        await until(nothing_waits, WAIT_S / 2)
    except TimeoutError:
        for name in {name for name, _ in parked}:
            rows = await (await scene.rig.pool(name)).fetch("select reason from parked_key")
            scene.wrong.append(f"{variant}: {name} stays parked: {[row[0][:300] for row in rows]}")


async def later_ones_wait(scene: Scene, service: str, school: School) -> None:
    """What the school writes while one of its events is parked is not applied before that one."""
    role, act = PLAIN[service]
    later: list[Asked] = []
    for number in range(LATER):
        pen = scene.load.desk.pen(f"{scene.number}.{service}.later{number}", school)
        later.append(scene.load.command(pen, role, act(pen)))
        await scene.load.ask(later[-1])
    await scene.inspector.caught_up()
    ids = [UUID(id_) for one in later for id_ in one.events]
    applied = await (await scene.rig.pool(REPORTING)).fetch(
        "select id from archive where source = $1 and id = any($2)", service, ids
    )
    scene.wrong += [f"{row[0]} has overtaken what is parked of {school.code}" for row in applied]


async def write_foreign(scene: Scene, service: str, school: School, kind: str) -> None:
    """An event that no command ever makes, put into the log: it takes the way of all events."""
    type_ = "NeverHeardOf" if kind == UNKNOWN else TYPES[service]
    data = {UNKNOWN: b'{"of": "this"}', TRUNCATED: b'{"amount_cny": "1'}.get(kind)
    id_, stream = (UUID(int=scene.chance.getrandbits(128), version=4) for _ in range(2))
    now = datetime.now(UTC)
    scene.inspector.poisoned.add(id_)
    async with (await scene.rig.pool(service)).acquire() as connection, connection.transaction():
        await connection.execute(
            _EVENT, id_, stream, type_, data or TOO_LARGE[type_], now, UUID(school.id), PUT_IN
        )
        await connection.execute(
            "insert into head (stream, aggregate, organisation, version) values ($1, $2, $3, 1)",
            stream, PUT_IN, UUID(school.id),
        )  # fmt: skip


async def send_foreign(rig: Rig, service: str, school: School, *, huge: bool) -> None:
    """A record that is no event, from somebody who may write to the topic."""
    producer = AIOKafkaProducer(
        bootstrap_servers=rig.kafka, compression_type="lz4",
        max_request_size=2 * HUGE_BYTES,
    )  # fmt: skip
    await producer.start()
    value = b"{" * HUGE_BYTES if huge else b'{"amount_cny": "1'
    try:
        await producer.send_and_wait(f"houqin.{service}", value=value, key=school.id.encode())
    finally:
        await producer.stop()


async def parked_in(rig: Rig, school: School) -> list[tuple[str, str]]:
    """Where a school's events wait: services and their consumers."""
    found: list[tuple[str, str]] = []
    for service in SERVICES:
        rows = await (await rig.pool(service)).fetch(
            "select distinct consumer from parked_key where key = $1", UUID(school.id)
        )
        found += [(service, row[0]) for row in rows]
    return found


async def repair(rig: Rig, service: str, consumer: str, school: School) -> None:
    """What an operator does: takes away what cannot be applied, and asks for the rest."""
    async with (await rig.pool(service)).acquire() as connection, connection.transaction():
        await connection.execute(
            "delete from parked_event where consumer = $1 and key = $2"
            " and (headers ->> 'ce_actor' is null or headers ->> 'ce_actor' = $3)",
            consumer, UUID(school.id), PUT_IN,
        )  # fmt: skip
        await connection.execute(
            "update parked_key set retry = true where consumer = $1 and key = $2",
            consumer, UUID(school.id),
        )  # fmt: skip


MESSAGES = (
    Fault(
        "F6", "repeated, reordered",
        [f"{service} {how}" for how in ("again", "shuffled", "forgotten") for service in SERVICES],
        topic_again,
    ),
    Fault(
        "F9", "poison event",
        [f"{service} {kind}" for kind in POISONS for service in TYPES],
        poison,
    ),
)  # fmt: skip
