"""I11: what is personal is nowhere in the clear, and once erased nothing opens it any more."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from deploy.local.supervisor import DATABASES, SERVICES
from sealing import secret_file, vault
from sealing.record import key_ids
from tests.world import World, unit, until

pytestmark = pytest.mark.stack

PARTITIONS = 12

NUMBERS_ONLY = {".index", ".timeindex", ".snapshot"}
"""Kafka's files without any message in them, of which most is a hole."""


class Told:
    """What is told of a person who has left, and of a case; each text is found nowhere by chance.
    `open`: what is not personal, by which a search shows that it finds.
    """

    def __init__(self) -> None:
        mark = secrets.token_hex(8)
        self.contract, self.reason = f"合同-{mark}-甲", f"因病-{mark}-乙"
        self.pupil, self.story = f"pupil-{mark}", f"在教室-{mark}-丙"
        self.open = f"门口-{mark}-丁"

    @property
    def personal(self) -> list[str]:
        return [self.contract, self.reason, self.pupil, self.story]


async def enter(world: World, code: str, told: Told) -> tuple[str, str]:
    """The person's stream and the case, as the school entered them."""
    api, school = world.api, str(unit(code))
    staff = (await world.appoint("temp", "cook", code))["id"]
    contract = {
        "number": told.contract, "signed_on": "2020-09-01", "first_day": "2020-09-01",
        "last_day": "2021-08-31",
    }  # fmt: skip
    signed = await api.do("user-10", f"/organisation/staff/{staff}/sign-contract", contract)
    assert signed["row"][0]["person"] == "temp"
    post = signed["row"][0]["post"]
    ending = {"post": post, "last_day": "2021-08-31", "reason": told.reason}
    await api.do("user-10", f"/organisation/staff/{staff}/end-post", ending)
    report = {
        "organisation": school, "cause": "wilful", "item": "玻璃", "place": told.open,
        "description": told.story,
    }  # fmt: skip
    key = uuid4().hex
    damage = await api.do("user-11", "/assets/damages", report, key=key)
    assert damage["row"]["description"] == told.story, "who enters it sees it"
    again = await api.send("user-11", "/assets/damages", report, key=key)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.json()["row"]["description"] == told.story, "and sees it when asking again"
    assess = {
        "cause": "wilful", "replacement_cost_cny": "80",
        "responsible": [
            {"reference": told.pupil, "kind": "staff"}, {"reference": "other", "kind": "staff"},
        ],
    }  # fmt: skip
    await api.do("user-10", f"/assets/damages/{damage['id']}/assess", assess)
    for party, amount in ((told.pupil, "30"), ("other", "50")):
        charge = {"reference": party, "amount_cny": amount}
        await api.do("user-10", f"/assets/damages/{damage['id']}/charge", charge)
    return staff, damage["id"]


async def seen(world: World, code: str, staff: str, damage: str) -> str:
    """All that the API shows of both to those who may see it."""
    paths = (
        f"/organisation/posts/{staff}/history", f"/organisation/labour-contracts/{staff}",
        f"/assets/damages/{damage}/history", f"/assets/damages/{damage}",
    )  # fmt: skip
    lists = ("/organisation/labour-contracts", "/assets/damages")
    found = [(await world.api.get("user-10", path)).text for path in paths]
    found += [(await world.api.get("user-10", path, unit=str(unit(code)))).text for path in lists]
    return "".join(found)


def in_files(folder: Path, wanted: list[str]) -> Iterator[tuple[str, Path]]:
    """What stands in the files of a folder: databases, write-ahead log, Kafka, logs, secrets."""
    for here, _, names in os.walk(folder, followlinks=True):
        for path in (Path(here) / name for name in names):
            if path.suffix in NUMBERS_ONLY or not path.is_file():
                continue
            content = path.read_bytes()
            yield from ((one, path) for one in wanted if one.encode() in content)


async def in_tables(world: World, wanted: list[str]) -> set[tuple[str, str]]:
    """What stands in any row of any table of any database, bytes being written in hex."""
    likes = [f"%{text}%" for one in wanted for text in (one, one.encode().hex())]
    found: set[tuple[str, str]] = set()
    for name in DATABASES:
        connection = await asyncpg.connect(world.stack.dsns[name])
        try:
            tables = await connection.fetch(
                "select oid::regclass::text from pg_class where relkind = 'r'"
                " and relnamespace = 'public'::regnamespace"
            )
            for (table,) in tables:
                count = f"select count(*) from {table} t where t::text like any($1)"
                if await connection.fetchval(count, likes):
                    found.add((name, table))
        finally:
            await connection.close()
    return found


async def in_kafka(world: World, wanted: list[str]) -> set[str]:
    """What stands in any message of any topic: its key, value or headers."""
    consumer = AIOKafkaConsumer(bootstrap_servers=world.stack.kafka)
    await consumer.start()
    found: set[str] = set()
    try:
        places = [
            TopicPartition(f"houqin.{service}", one)
            for service in SERVICES
            if service != "portal"
            for one in range(PARTITIONS)
        ]
        consumer.assign(places)
        ends = await consumer.end_offsets(places)
        await consumer.seek_to_beginning(*places)
        while any([await consumer.position(place) < ends[place] for place in places]):
            for messages in (await consumer.getmany(timeout_ms=200)).values():
                for message in messages:
                    parts = [message.key or b"", message.value or b""]
                    whole = b"".join([*parts, *(value for _, value in message.headers)])
                    found |= {one for one in wanted if one.encode() in whole}
    finally:
        await consumer.stop()
    return found


async def nowhere(world: World, told: Told) -> None:
    """Nothing personal stands anywhere; what is not is found in each of the three places."""
    pool = await world.pool("assets")
    await pool.execute("checkpoint")
    wanted = [*told.personal, told.open]
    files = {one for one, _ in in_files(world.stack.folder, wanted)}
    assert files == {told.open}
    assert await in_tables(world, told.personal) == set()
    assert ("assets", "view_asset_damages") in await in_tables(world, [told.open])
    assert await until(partial(in_kafka, world, wanted)) == {told.open}


async def erase(world: World, code: str, subject: str) -> dict[str, Any]:
    """Asks for an erasure, has another agree, and waits for its certificate."""
    body = {
        "organisation": str(unit(code)), "subject": subject, "basis": "purpose_fulfilled",
        "reason": "已离校，不再需要",
    }  # fmt: skip
    asked = await world.api.do("user-10", "/organisation/erasures", body)
    place = f"/organisation/erasures/{asked['id']}"
    alone = await world.api.send("user-10", f"{place}/approve")
    assert alone.json()["type"].endswith("erases_alone")
    await world.api.do("county-officer", f"{place}/approve")

    async def certified() -> dict[str, Any] | None:
        row: dict[str, Any] = await world.api.read("user-10", place)
        return row if row["status"] == "erased" else None

    row = await until(certified)
    assert row is not None
    assert len(row["digest"]) == 64
    assert row["keys"][0]["destroyed_at"]
    assert subject not in str(row)
    return row


async def test_a_subject_is_nowhere_in_clear_and_erased_for_good(world: World) -> None:
    posts = (("user-10", "principal"), ("user-11", "teacher"))
    code = await world.new_school("431081100", *posts)
    told = Told()
    staff, damage = await enter(world, code, told)
    await world.settled("organisation")
    await world.settled("assets")
    shown = await seen(world, code, staff, damage)
    assert all(one in shown for one in told.personal), "they read as they were entered"
    assert "sealed:1:" not in shown
    await nowhere(world, told)

    rows = [await erase(world, code, one) for one in ("temp", told.pupil, damage)]

    async def gone() -> bool:
        now = await seen(world, code, staff, damage)
        return not any(one in now for one in told.personal) and "已删除" in now

    await until(gone)
    await nowhere(world, told)
    kept = await world.api.read("user-10", f"/assets/damages/{damage}")
    assert kept["status"] == "charged"
    assert Decimal(kept["charged_cny"]) == 80, "what was owed stays"
    await opens_no_more(world, code, damage, [row["keys"][0]["id"] for row in rows])


async def opens_no_more(world: World, code: str, damage: str, erased: list[str]) -> None:
    """With every secret that there is, the keys are gone; those of others are not."""
    pool = await world.pool("assets")
    events = await pool.fetch("select data from event where stream = $1", UUID(damage))
    ids = {id_ for event in events for id_ in key_ids(event["data"])}
    secrets_ = secret_file.read(world.stack.secrets)
    async with vault.opened(world.stack.dsns["keys"], secrets_, "aes-256-gcm", 0) as opened:
        keys = await opened.keys({*ids, *map(UUID, erased)})
    assert {id_ for id_, key in keys.items() if key is None} == set(map(UUID, erased))
    assert [key for key in keys.values() if key is not None], "the other party's key is there"
