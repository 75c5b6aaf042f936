"""Commands decided and durably appended in one process, beside bare INSERTs of one row each."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from itertools import count
from uuid import UUID

import msgspec
import psutil  # type: ignore[import-untyped]
from uuid_utils.compat import uuid7

from bench.feed import World, world
from bench.place import Place, Pool
from bench.rows import Row, Side, compared, interleaved, percentile, plain
from bench.world import keep_current, settle
from hosting.compose import prepare_database
from services.procurement import procurement
from services.procurement.budget import (
    AdoptBudget,
    AmendBudget,
    BudgetAmended,
    Fund,
    LineAdopted,
    budgets,
)
from shared import store
from shared.config import Settings
from shared.decide import Request, Step
from shared.directory import Directory
from shared.writer import Key, Writer

AT_ONCE = 32
STREAMS = 2_000
EVENTS_BEFORE = 5
PERSON = "bench"
YEAR = 2026


@dataclass(slots=True)
class Bench:
    """A procurement writer over budgets that have some events each."""

    writer: Writer
    schools: Sequence[UUID]
    person: str
    marks: count[int] = field(default_factory=count)
    latencies_s: list[float] = field(default_factory=list)
    made: list[tuple[Request, Key]] = field(default_factory=list)

    def adoption(self, school: UUID) -> tuple[Request, Key]:
        """A budget of one line for a school."""
        line = LineAdopted(code="a", name="办公", fund=Fund.PUBLIC, amount_cny=Decimal(1_000_000))
        command = AdoptBudget(organisation=school, year=YEAR, lines=(line,))
        return self._asked(budgets.id_of(f"{school}:{YEAR}"), command)

    def amendment(self, mark: int) -> tuple[Request, Key]:
        """A command that differs from every other one, on one school's budget after the other."""
        school = self.schools[mark % len(self.schools)]
        command = AmendBudget(line="a", amount_cny=Decimal(1000 + mark), reason="按实际调整预算")
        return self._asked(budgets.id_of(f"{school}:{YEAR}"), command)

    def _asked(self, stream: UUID, command: AdoptBudget | AmendBudget) -> tuple[Request, Key]:
        decision = budgets.decisions[type(command)]
        key = Key(self.person, str(uuid7()), f"{decision.name}:{stream}", b"0123456789abcdef")
        return Request([Step(decision, stream, command)], self.person), key

    async def fill(self) -> None:
        """Five events for each school."""
        await asyncio.gather(*(self.writer.ask(*self.adoption(one)) for one in self.schools))
        await self.batch_rate(EVENTS_BEFORE - 1, len(self.schools))
        await self.writer.pool.execute("vacuum analyze")

    def make(self, commands: int) -> None:
        """Commands to be asked: what they cost to make is not what is measured."""
        self.made = [self.amendment(next(self.marks)) for _ in range(commands)]

    async def rate(self, commands: int) -> float:
        """Commands a second with 32 callers, each asking again once it is answered."""
        if not self.made:
            self.make(commands)
        asked = self.made

        async def caller() -> None:
            while asked:
                request, key = asked.pop()
                begun = time.perf_counter()
                await self.writer.ask(request, key)
                self.latencies_s.append(time.perf_counter() - begun)

        gc.collect()
        begun = time.perf_counter()
        await asyncio.gather(*(caller() for _ in range(AT_ONCE)))
        return commands / (time.perf_counter() - begun)

    async def batch_rate(self, batches: int, size: int = 1_000) -> float:
        """Commands a second where a thousand arrive at once, as an import's do."""
        groups = [[self.amendment(next(self.marks)) for _ in range(size)] for _ in range(batches)]
        gc.collect()
        begun = time.perf_counter()
        for group in groups:
            await asyncio.gather(*(self.writer.ask(*one) for one in group))
        return batches * size / (time.perf_counter() - begun)


@asynccontextmanager
async def writing(pool: Pool, made: World, person: str) -> AsyncIterator[Bench]:
    """A writer that may decide for every school of a tree."""
    await settle(pool, made, person)
    directory = Directory(pool, procurement.name)
    await directory.refresh()
    await directory.posts_of(person)
    writer = Writer(procurement, pool, directory, Settings())
    await writer.start()
    keeper = asyncio.create_task(_keep(pool, directory))
    try:
        yield Bench(writer, made.schools, person)
    finally:
        keeper.cancel()
        await writer.stop()


async def adopted(pool: Pool, made: World, person: str) -> None:
    """Makes procurement's tables, and budgets with five events each."""
    await prepare_database(procurement, pool)
    async with writing(pool, made, person) as bench:
        await bench.fill()


@asynccontextmanager
async def prepared(place: Place) -> AsyncIterator[Bench]:
    """Budgets of 2,000 schools with five events each, and the writer that wrote them."""
    async with (
        place.database("bench_append", procurement, 4) as pool,
        writing(pool, world(place.size(STREAMS, 200)), PERSON) as bench,
    ):
        await bench.fill()
        yield bench


async def _keep(pool: Pool, directory: Directory) -> None:
    while True:
        await keep_current(pool)
        await directory.refresh()
        await asyncio.sleep(5)


_BARE = """
insert into event (month, id, stream, version, type, data, organisation, actor, occurred_at,
                   recorded_at, correlation)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
"""


async def bare_rate(pool: Pool, inserts: int) -> float:
    """One-row INSERTs a second, each in its own transaction, on 32 connections at once."""
    previous, amount = Decimal(1_000_000), Decimal(1234)
    event = BudgetAmended(
        line="a", amount_cny=amount, previous_cny=previous, reason="按实际调整预算"
    )
    data, school = msgspec.json.encode(event), uuid7()

    async def caller(times: int) -> None:
        async with pool.acquire() as connection:
            insert = await connection.prepare(_BARE)
            for _ in range(times):
                now = datetime.now(UTC)
                id_ = uuid7()
                await insert.fetch(
                    store.month_of(now.date()), id_, id_, 6, "BudgetAmended", data, school, PERSON,
                    now, now, id_,
                )  # fmt: skip

    gc.collect()
    begun = time.perf_counter()
    await asyncio.gather(*(caller(inserts // AT_ONCE) for _ in range(AT_ONCE)))
    return inserts / (time.perf_counter() - begun)


_SAME_ROWS = """
with placed as (
    insert into event (month, id, stream, version, type, data, organisation, actor, occurred_at,
                       recorded_at, correlation)
    values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
), moved as (
    update head set version = $4 where stream = $3
), kept as (
    insert into idempotency (subject, key, operation, fingerprint, status, etag, body)
    values ($8, $2::uuid::text, $5, $6, 200, $4, $6)
)
update view_budget_lines set version = $4, amount_cny = $12, free_cny = $12, changed_at = $10
where stream = $3 and key = 'a'
"""


@dataclass(slots=True)
class SameRows:
    """What one command writes (event, head, stored answer, list) in a transaction of its own."""

    pool: Pool
    schools: Sequence[UUID]
    marks: count[int] = field(default_factory=count)

    async def rate(self, commands: int) -> float:
        """Commands a second on 32 connections, with nothing read or decided."""
        numbers = [next(self.marks) for _ in range(commands)]
        numbers.reverse()
        streams = [budgets.id_of(f"{school}:{YEAR}") for school in self.schools]
        data = b'{"line":"a","amount_cny":"1234","previous_cny":"1000000","reason":"..........."}'

        async def caller() -> None:
            async with self.pool.acquire() as connection:
                write = await connection.prepare(_SAME_ROWS)
                while numbers:
                    version, place = divmod(numbers.pop(), len(streams))
                    now, id_ = datetime.now(UTC), uuid7()
                    await write.fetch(
                        store.month_of(now.date()), id_, streams[place],
                        version + EVENTS_BEFORE + 1, "BudgetAmended", data, self.schools[place],
                        PERSON, now, now, id_, Decimal(version),
                    )  # fmt: skip

        gc.collect()
        begun = time.perf_counter()
        await asyncio.gather(*(caller() for _ in range(AT_ONCE)))
        return commands / (time.perf_counter() - begun)


@dataclass(slots=True)
class Spent:
    """Processor time of this process and of every process of Postgres."""

    postgres: psutil.Process
    by_side: dict[str, list[float]] = field(default_factory=dict)

    def watching(
        self, name: str, side: Side, commands: int, ready: Callable[[], None] = lambda: None
    ) -> Side:
        """The side, with its microseconds per command noted; `ready` comes before the clock."""

        async def watched() -> float:
            ready()
            before = self._seconds()
            rate = await side()
            spent = (self._seconds() - before) / commands * 1e6
            self.by_side.setdefault(name, []).append(spent)
            return rate

        return watched

    def _seconds(self) -> float:
        spent = time.process_time()
        for process in (self.postgres, *self.postgres.children()):
            with contextlib.suppress(psutil.Error):
                spent += sum(process.cpu_times()[:2])
        return spent


async def append(place: Place) -> list[Row]:
    """Command → loaded → decided → durably appended, 32 at once, in process."""
    commands, made = place.size(12_800, 1_600), world(place.size(STREAMS, 200))
    stack = await place.stores()
    async with (
        prepared(place) as bench,
        place.database("bench_bare", None, AT_ONCE) as bare,
        place.database("bench_same", None, AT_ONCE) as same,
    ):
        await adopted(same, made, PERSON)
        rows = SameRows(same, made.schools)
        spent = Spent(psutil.Process(stack.pid("postgres")))
        sides: dict[str, Side] = {
            "ours": lambda: bench.rate(commands),
            "bare": lambda: bare_rate(bare, commands),
            "same": lambda: rows.rate(commands),
        }
        for side in sides.values():
            await side()
        bench.latencies_s.clear()
        ready = {"ours": lambda: bench.make(commands)}
        found = await interleaved(
            place.rounds,
            {
                name: spent.watching(name, side, commands, ready.get(name, lambda: None))
                for name, side in sides.items()
            },
        )
    ours, cpu, unit = found["ours"], spent.by_side, "commands/s"
    return [
        compared(
            "append, 32 at once ÷ bare INSERT", "commands/s", ours, found["bare"], at_least=1.2
        ),
        compared("  ÷ all its rows, a transaction each", unit, ours, found["same"]),
        compared("  processor time ÷ bare INSERT", "µs/command", cpu["ours"], cpu["bare"]),
        plain("  latency p50", "ms", [percentile(bench.latencies_s, 0.5) * 1000]),
        plain("  latency p99", "ms", [percentile(bench.latencies_s, 0.99) * 1000]),
    ]


async def batch(place: Place) -> list[Row]:
    """Commands that arrive a thousand at once, in process."""
    async with prepared(place) as bench:
        await bench.batch_rate(2)
        rates = [await bench.batch_rate(place.size(10, 2)) for _ in range(place.rounds)]
        return [plain("batch, in process", "commands/s", rates, at_least=10_000)]
