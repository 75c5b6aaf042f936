"""Events as they come from Kafka, made by hand, and trees to count them along."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import msgspec

from shared.directory import documents_of, keep
from shared.directory_events import (
    OrganisationEvent,
    StaffAppointed,
    UnitMoved,
    UnitRegistered,
    evolve,
)
from shared.envelope import Delivered, encode, key_of, partition_of
from shared.organisation import Level, Role

PARTITIONS = 4

PROVINCE, NORTH, SOUTH, TOWN, ONE, TWO, CAMPUS = (
    # The lowest first, so that the order of ids is no order of the tree.
    UUID(int=n)
    for n in range(107, 100, -1)
)
START = date(2000, 1, 1)
DAY = date(2026, 9, 7)
TREE = [
    (PROVINCE, 1, None, START), (NORTH, 3, PROVINCE, START), (SOUTH, 3, PROVINCE, START),
    (TOWN, 4, NORTH, START), (ONE, 5, TOWN, START), (TWO, 5, SOUTH, START), (CAMPUS, 6, ONE, START),
]  # fmt: skip

POSTS = [
    ("governor", PROVINCE, Role.BUREAU_OFFICER), ("north", NORTH, Role.BUREAU_OFFICER),
    ("south", SOUTH, Role.INSPECTOR), ("head", ONE, Role.PRINCIPAL),
    ("parent", ONE, Role.PARENTS_COMMITTEE), ("cook", TWO, Role.COOK),
]  # fmt: skip
_sequence = itertools.count(1)


class Message:
    """What a Kafka client would hand over."""

    def __init__(self, topic: str, partition: int, row: dict[str, Any], source: str) -> None:
        self.topic, self.partition, self.offset, self.timestamp = topic, partition, row["seq"], 0
        self.key, self.value = key_of(row["organisation"]), row["data"]
        self.headers = encode(row, f"/houqin/{source}".encode())


def came(
    source: str,
    type_: str,
    organisation: UUID,
    *,
    at: datetime = datetime(2026, 9, 7, 2, 0, tzinfo=UTC),
    recorded_at: datetime = datetime(2026, 9, 7, 2, 0, 1, tzinfo=UTC),
    stream: UUID | None = None,
    stream_version: int = 1,
    **data: Any,
) -> Delivered:
    """An event of that service, delivered."""
    seq = next(_sequence)
    row = {
        "id": uuid4(), "type": type_, "stream": stream or uuid4(), "occurred_at": at,
        "version": stream_version, "epoch": 1, "tx": 1000 + seq // 10, "seq": seq, "organisation": organisation,
        "actor": "li", "recorded_at": recorded_at, "correlation": uuid4(), "causation": None,
        "trace": None, "data": msgspec.json.encode(data),
    }  # fmt: skip
    partition = partition_of(organisation, PARTITIONS)
    return Delivered(Message(f"houqin.{source}", partition, row, source))


def repair(organisation: UUID, kind: str = "lamp", **more: Any) -> Delivered:
    """A repair signed for."""
    fields: dict[str, Any] = {
        "kind": kind, "quantity": 1, "urgency": "normal", "cost_cny": "12.50",
        "response_minutes": 10, "finish_minutes": 60, "responded_in_time": True,
        "finished_in_time": True,
    }  # fmt: skip
    envelope: dict[str, Any] = {
        name: more.pop(name) for name in ("at", "recorded_at") if name in more
    }
    return came("assets", "RepairSigned", organisation, **envelope, **(fields | more))


async def hear(pool: asyncpg.Pool[asyncpg.Record], *events: tuple[UUID, OrganisationEvent]) -> None:
    """Folds organisation's events (stream, event) into the local copy."""
    async with pool.acquire() as connection, connection.transaction():
        documents = await documents_of(connection, {stream for stream, _ in events})
        for stream, event in events:
            documents[stream] = evolve(documents.get(stream), event)
        await keep(connection, documents)


async def put_tree(
    pool: asyncpg.Pool[asyncpg.Record],
    rows: Iterable[tuple[UUID, int, UUID | None, date]],
) -> None:
    """Units (id, level, parent, since) in the local copy."""
    rows = list(rows)
    async with pool.acquire() as connection:
        known = await documents_of(connection, [unit for unit, _, _, _ in rows])
    await hear(
        pool,
        *(
            (unit, UnitMoved(parent=parent, since=since))
            if unit in known and parent is not None
            else (
                unit,
                UnitRegistered(
                    code=str(unit)[-6:], name=f"U{str(unit)[-4:]}", level=Level(level),
                    parent=parent, kind="", division_code="", since=since,
                ),
            )
            for unit, level, parent, since in rows
        ),
    )  # fmt: skip


async def put_post(pool: asyncpg.Pool[asyncpg.Record], person: str, unit: UUID, role: Role) -> None:
    """A post in the local copy, held since long ago."""
    appointed = StaffAppointed(post=uuid4(), person=person, unit=unit, role=role, since=START)
    await hear(pool, (uuid4(), appointed))
