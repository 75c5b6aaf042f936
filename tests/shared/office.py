"""A running service on a fresh database, with a tree and people in its local copy.

Nothing is pretended: the copy is filled by organisation's events through the code that fills it
everywhere, and the service runs as `hosting.compose.running` makes it. Only Kafka is left out.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import msgspec

from hosting.compose import running
from shared.config import Settings
from shared.decide import Request, Step
from shared.directory import CONSUMER, Copying
from shared.directory_events import StaffAppointed, UnitRegistered
from shared.envelope import Delivered, encode, key_of
from shared.kernel import Command, Creation, Foreign, Service
from shared.organisation import Level, Role
from shared.rules import region_of
from shared.runtime import Runtime
from shared.writer import Answer, Key

type Pool = asyncpg.Pool[asyncpg.Record]

LONG_AGO = date(2000, 1, 1)

TREE: Mapping[str, tuple[Level, str | None]] = {
    "province": (Level.PROVINCE, None),
    "city": (Level.CITY, "province"),
    "county": (Level.COUNTY, "city"),
    "town": (Level.TOWNSHIP, "county"),
    "school": (Level.SCHOOL, "town"),
    "campus": (Level.CAMPUS, "school"),
    "sibling": (Level.SCHOOL, "town"),
    "other_county": (Level.COUNTY, "city"),
    "other_school": (Level.SCHOOL, "other_county"),
}
"""Two counties of a city; `school` with a campus and a sibling in one, another school in the other."""

UNITS = {name: region_of(name) for name in TREE}
SCHOOL = UNITS["school"]


@dataclass(frozen=True)
class Message:
    """A message as the Kafka client gives it."""

    key: bytes
    value: bytes
    headers: Sequence[tuple[str, bytes]]
    topic: str = "houqin.organisation"
    partition: int = 0
    offset: int = 0
    timestamp: int = 0


class Copy:
    """The local copy of one database, told of organisation's events."""

    def __init__(self, pool: Pool) -> None:
        self.pool, self.sequence = pool, 0

    async def tell(self, *events: tuple[UUID, Foreign]) -> None:
        delivered = [self._delivered(stream, event) for stream, event in events]
        async with self.pool.acquire() as connection, connection.transaction():
            await Copying().commit(connection, delivered)
        await self.grow_old(0)

    async def grow_old(self, seconds: float) -> None:
        """The copy's consumer says that it had everything that many seconds ago."""
        await self.pool.execute(
            "insert into consumed (consumer, topic, partition, current_at)"
            " values ($1, 'houqin.organisation', 0, clock_timestamp() - $2 * interval '1 second')"
            " on conflict (consumer, topic, partition) do update set"
            " current_at = excluded.current_at",
            CONSUMER, float(seconds),
        )  # fmt: skip

    async def plant(self, tree: Mapping[str, tuple[Level, str | None]] = TREE) -> None:
        """Registers the tree."""
        await self.tell(
            *(
                (
                    region_of(name),
                    UnitRegistered(
                        code=name, name=name, level=level, kind="primary", division_code="430000",
                        parent=region_of(above) if above else None, since=LONG_AGO,
                    ),
                )
                for name, (level, above) in tree.items()
            )
        )  # fmt: skip

    async def appoint(self, *posts: tuple[str, Role, str]) -> None:
        """Appoints (person, role, unit's name) from long ago on."""
        await self.tell(
            *(
                (
                    uuid4(),
                    StaffAppointed(
                        post=uuid4(), person=person, unit=region_of(unit), role=role,
                        since=LONG_AGO,
                    ),
                )
                for person, role, unit in posts
            )
        )  # fmt: skip

    def _delivered(self, stream: UUID, event: Foreign) -> Delivered:
        self.sequence += 1
        now = datetime.now(UTC)
        row = {
            "id": uuid4(), "type": type(event).__name__, "stream": stream, "version": 1,
            "epoch": 1, "tx": 1, "seq": self.sequence, "organisation": stream, "actor": "administrator",
            "occurred_at": now, "recorded_at": now, "correlation": uuid4(), "causation": None,
            "trace": None,
        }  # fmt: skip
        headers = encode(row, b"/houqin/organisation")
        return Delivered(Message(key_of(stream), msgspec.json.encode(event), headers))


class Desk:
    """Where a test puts commands to a running service."""

    def __init__(self, rt: Runtime) -> None:
        self.rt = rt

    def step(
        self, command: Command, stream: UUID | None = None, expected: int | None = None
    ) -> Step:
        decision = self.rt.service.decisions()[type(command)]
        if stream is None:
            assert isinstance(command, Creation)
            key = decision.aggregate.key
            stream = decision.aggregate.id_of(key(command)) if key else command.id or uuid4()
        return Step(decision, stream, command, expected)

    async def ask(
        self,
        command: Command,
        stream: UUID | None = None,
        *,
        person: str = "buyer",
        key: str | None = None,
        body: bytes = b"",
        expected: int | None = None,
    ) -> Answer:
        """Sends one command; `body` is what the key's fingerprint is of."""
        return await self.ask_all(
            self.step(command, stream, expected), person=person, key=key, body=body
        )

    async def ask_all(
        self, *steps: Step, person: str = "buyer", key: str | None = None, body: bytes = b""
    ) -> Answer:
        """Sends commands that stand or fall together."""
        await self.rt.directory.posts_of(person)
        operation = steps[0].decision.name
        named = Key(person, key, operation, body) if key else None
        return await self.rt.writer.ask(Request(list(steps), person, len(steps) > 1), named)

    async def open(self, command: Creation, **more: Any) -> UUID:
        """Sends a creation and returns the id of what it made."""
        answer = await self.ask(command, **more)
        return UUID(msgspec.json.decode(answer.body)["id"])


@asynccontextmanager
async def at_work(service: Service, config: Settings) -> AsyncIterator[Desk]:
    """The service as one process runs it, without Kafka."""
    async with running(service, config, "api") as rt:
        yield Desk(rt)


async def settled(*waiting: Any) -> list[Any]:
    """What became of each: its answer or its error."""
    return await asyncio.gather(*waiting, return_exceptions=True)


async def log_of(pool: Pool, stream: UUID) -> list[tuple[int, str, Any]]:
    """A stream's events as (version, type, data)."""
    rows = await pool.fetch(
        "select version, type, data from event where stream = $1 order by version", stream
    )
    return [(row["version"], row["type"], msgspec.json.decode(row["data"])) for row in rows]


async def written(pool: Pool) -> tuple[int, int, int]:
    """How many events, stream heads and answers the database holds."""
    row = await pool.fetchrow(
        "select (select count(*) from event), (select count(*) from head),"
        " (select count(*) from idempotency)"
    )
    assert row is not None
    return tuple(row)
