"""Commands decided and durably appended, beside message-db and the library `eventsourcing`."""

from __future__ import annotations

import asyncio
import gc
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import msgspec

from bench.append import AT_ONCE, EVENTS_BEFORE, STREAMS, prepared
from bench.peers import parts
from bench.place import Place, Pool
from bench.rows import Row, Side, compared, interleaved

_READ = "select type, data, position from get_stream_messages($1, $2)"
_WRITE = "select write_message($1, $2, $3, $4, $5, $6)"
_METADATA = '{"correlationStreamName":"bench","actor":"bench"}'


class Amended(msgspec.Struct):
    """An event of a budget; the first says what its line began with."""

    line: str
    amount_cny: Decimal
    previous_cny: Decimal
    reason: str


_AMENDED = msgspec.json.Decoder(Amended)


@dataclass(slots=True)
class MessageDb:
    """The job with message-db, as its own client library does it: an entity is remembered, what is
    new of its stream is read before each decision, and the version proves the append.
    """

    pool: Pool
    streams: list[str]
    marks: count[int] = field(default_factory=count)
    known: dict[str, tuple[Decimal, int]] = field(default_factory=dict)

    async def fill(self) -> None:
        """Five events for each stream."""
        async with self.pool.acquire() as connection:
            for n, stream in enumerate(self.streams):
                for version in range(EVENTS_BEFORE):
                    event = Amended("a", Decimal(n + version), Decimal(0), "按实际调整预算")
                    data = msgspec.json.encode(event).decode()
                    await connection.fetchval(
                        _WRITE, str(uuid4()), stream, "BudgetAmended", data, None, version - 1
                    )
        await self.pool.execute("vacuum analyze")

    async def rate(self, commands: int, *, read: bool = True) -> float:
        """Commands a second on 32 connections; without `read` only what is remembered counts."""
        numbers = [next(self.marks) for _ in range(commands)]
        numbers.reverse()

        async def caller() -> None:
            async with self.pool.acquire() as connection:
                load, write = await connection.prepare(_READ), await connection.prepare(_WRITE)
                while numbers:
                    mark = numbers.pop()
                    again = read
                    while not await self._amend(load, write, mark, read=again):
                        again = True  # somebody else was faster

        gc.collect()
        begun = time.perf_counter()
        await asyncio.gather(*(caller() for _ in range(AT_ONCE)))
        return commands / (time.perf_counter() - begun)

    async def _amend(self, load: Any, write: Any, mark: int, *, read: bool) -> bool:
        """One command: loaded, decided, stored; False if its stream had moved on meanwhile."""
        stream = self.streams[mark % len(self.streams)]
        amount, version = self.known.get(stream, (Decimal(0), -1))
        if read or version < 0:
            for row in await load.fetch(stream, version + 1):
                amount, version = _AMENDED.decode(row["data"]).amount_cny, row["position"]
        event = Amended("a", Decimal(1_000 + mark), amount, "按实际调整预算")
        if event.amount_cny == amount:
            return True
        data = msgspec.json.encode(event).decode()
        try:
            version = await write.fetchval(
                str(uuid4()), stream, "BudgetAmended", data, _METADATA, version
            )
        except asyncpg.RaiseError:  # "Wrong expected version"
            return False
        if version > self.known.get(stream, (amount, -1))[1]:
            self.known[stream] = event.amount_cny, version
        return True


@asynccontextmanager
async def message_db(place: Place) -> AsyncIterator[MessageDb]:
    """message-db as released, in a fresh database, with its streams filled."""
    statements = await asyncio.to_thread(parts.message_db)
    async with asyncpg.create_pool(
        await place.dsn("bench_message_db"), min_size=AT_ONCE, max_size=AT_ONCE,
        server_settings={"search_path": "message_store,public"},
    ) as pool:  # fmt: skip
        async with pool.acquire() as connection:
            for statement in statements:
                await connection.execute(statement)
        streams = [f"budget-{uuid4()}" for _ in range(place.size(STREAMS, 200))]
        made = MessageDb(pool, streams)
        await made.fill()
        yield made


@dataclass(slots=True)
class Library:
    """The library in a process of its own."""

    child: asyncio.subprocess.Process

    async def answer(self) -> dict[str, Any]:
        assert self.child.stdout is not None
        line = await self.child.stdout.readline()
        if not line:
            raise RuntimeError("the library's process ended; what it said stands above")
        answer: dict[str, Any] = json.loads(line)
        return answer

    async def rate(self, commands: int) -> float:
        """Commands a second with 32 threads."""
        assert self.child.stdin is not None
        self.child.stdin.write(json.dumps({"commands": commands}).encode() + b"\n")
        return float((await self.answer())["rate"])


@asynccontextmanager
async def library(place: Place, *, cached: bool) -> AsyncIterator[Library]:
    """`eventsourcing` with its database functions, its aggregates filled; `cached`: it remembers
    them and does not read them again.
    """
    python = await asyncio.to_thread(parts.python)
    streams = place.size(STREAMS, 200)
    options = {"streams": streams, "before": EVENTS_BEFORE, "at_once": AT_ONCE}
    dsn = urlsplit(await place.dsn(f"bench_eventsourcing_{cached}".lower()))
    env = {
        "PERSISTENCE_MODULE": "eventsourcing.postgres",
        "POSTGRES_DBNAME": dsn.path.lstrip("/"),
        "POSTGRES_HOST": dsn.hostname or "",
        "POSTGRES_PORT": str(dsn.port),
        "POSTGRES_USER": dsn.username or "",
        "POSTGRES_PASSWORD": dsn.password or "",
        "POSTGRES_POOL_SIZE": str(AT_ONCE),
        "POSTGRES_ENABLE_DB_FUNCTIONS": "y",
    }
    if cached:
        env |= {"AGGREGATE_CACHE_MAXSIZE": str(2 * streams), "AGGREGATE_CACHE_FASTFORWARD": "n"}
    script = Path(__file__).with_name("eventsourcing_job.py")
    child = await asyncio.create_subprocess_exec(
        python, script, json.dumps(options), env=parts.environment(env),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        made = Library(child)
        await made.answer()
        yield made
    finally:
        assert child.stdin is not None
        child.stdin.close()
        await child.wait()


async def append(place: Place) -> list[Row]:
    """Commands appended, beside message-db and `eventsourcing`."""
    ours = place.size(12_800, 1_600)
    async with (
        prepared(place) as bench,
        message_db(place) as store,
        library(place, cached=False) as reading,
        library(place, cached=True) as caching,
    ):
        sides: dict[str, Side] = {
            "ours": lambda: bench.rate(ours),
            "message-db": lambda: store.rate(ours // 2),
            "message-db, unread": lambda: store.rate(ours // 2, read=False),
            "library": lambda: reading.rate(ours // 4),
            "library, unread": lambda: caching.rate(ours // 4),
        }
        for side in sides.values():
            await side()
        found = await interleaved(place.rounds, sides)
    mine, unit = found["ours"], "commands/s"
    return [
        compared("append ÷ message-db", unit, mine, found["message-db"], at_least=5),
        compared("  where it does not read first", unit, mine, found["message-db, unread"]),
        compared(
            "append ÷ eventsourcing, database functions", unit, mine, found["library"],
            at_least=12,
        ),
        compared("  with its cache, not read again", unit, mine, found["library, unread"]),
    ]  # fmt: skip
