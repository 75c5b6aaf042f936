"""Figures folded anew from the archive, beside those that are read, which go on being counted.

What is folded stands in the same table under series of its own. Events are taken by when they were
kept: first all that are there, then round by round what has come since. Then old and new are held
against each other, and the new series take the old ones' place in one short transaction, in which
the last events are folded: batches under way wait for it, readers see what was before or what is
after. Only figures are folded: no reaction runs, so that no alert and no webhook repeats itself.

Every step is kept with its effect: what was stopped goes on where it was, or is dropped and begun
anew. Events are added up in memory, portion by portion, so that a row is written once and not with
every event; a portion is written in slices, so that no transaction is long and no relay waits.
"""

from __future__ import annotations

import asyncio
import hashlib
import inspect
from collections.abc import Callable, Sequence
from functools import partial
from itertools import batched
from typing import Any, NamedTuple

from hosting.progress import Progress
from hosting.rebuild import Compared, alone
from services.reporting.figures.compare import compare
from services.reporting.figures.fold import Folded, Numbers, Stray, add
from services.reporting.figures.keep import (
    Keeper,
    Pool,
    Prepared,
    current,
    write_figures,
)  # fmt: skip
from services.reporting.figures.months import FILE, sources_of
from services.reporting.figures.recount import types_of
from services.reporting.measure import Measure, Measures
from shared import observe
from shared.kernel import Recorded
from shared.store import Connection

CHUNK = 20_000
"""Events read at once."""

LEAVES_MAX = 200_000
"""So many sums are held in memory (about 0.1 GB), then written."""

SLICE = 20_000
"""Sums written in one transaction, with those of the units above."""

REST_MAX = 4_000
"""Once so few events have come since the last round, the rest is folded in the switch."""

ENDLESS = 2**62
ROUNDS_MAX = 20
"""So many rounds are made; then what is left is folded in the switch, however much it is."""

REMOVED = 20_000
"""Rows that are no longer read, removed in one transaction."""

_NEXT = """
select month, source, epoch, tx, seq, id, stream, version, type, organisation, actor, occurred_at,
       recorded_at, day, data
from {table}
where (source, epoch, tx, seq) > ($1, $2, $3, $4) and kept >= $5 and kept < $6
  and type = any($7) and source = any($8)
order by source, epoch, tx, seq limit $9
"""

_STRAYS = """
insert into stray (type, unit, day, month, source, epoch, tx, seq)
select * from unnest($1::text[], $2::uuid[], $3::date[], $4::date[], $5::text[], $6::int[],
                     $7::bigint[], $8::bigint[])
on conflict do nothing
"""

_HORIZON = "select pg_snapshot_xmin(pg_current_snapshot())::text::bigint"


class Run(NamedTuple):
    """Where a rebuild stands: see the table of this name."""

    measures: list[str]
    codes: list[str]
    since: int
    upto: int
    part: str
    source: str
    epoch: int
    tx: int
    seq: int
    folded: int
    slices: int
    sizes: list[int]


def sizes() -> list[int]:
    """With what portions and slices are cut."""
    return [CHUNK, LEAVES_MAX, SLICE]


def code_of(measure: Measure) -> str:
    """Hash of what a measure's figures depend on."""
    texts = [inspect.getsource(measure.function), repr(measure.dims)]
    texts += [inspect.getsource(event) for event in measure.on]
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()


async def stale(pool: Pool, measures: Sequence[Measure]) -> list[Measure]:
    """The measures whose figures were folded by other code than today's, or never."""
    rows = await pool.fetch("select measure, code from measured")
    known = {row["measure"]: row["code"] for row in rows}
    return [measure for measure in measures if known.get(measure.name) != code_of(measure)]


def rebuilds(measures: Measures) -> dict[str, Callable[[Pool, Progress], Rebuild]]:
    """What an operator may rebuild: all figures, or one measure's."""
    made: dict[str, Sequence[Measure]] = {"figures": measures.stored}
    made |= {measure.name: [measure] for measure in measures.stored}
    return {name: partial(Rebuild, measures, wanted) for name, wanted in made.items()}


async def refold(pool: Pool, measures: Measures) -> list[str]:
    """Folds anew what is counted by other code than its figures; returns the measures' names."""
    if not await stale(pool, measures.stored):
        return []  # an operator's rebuild may take hours: counting does not wait for it
    async with alone(pool):
        changed = await stale(pool, measures.stored)
        if changed:
            await Rebuild(measures, changed, pool).build()
    return [measure.name for measure in changed]


class Rebuild:
    """A rebuild of some measures' figures, at every level."""

    def __init__(
        self,
        measures: Measures,
        wanted: Sequence[Measure],
        pool: Pool,
        progress: Progress | None = None,
    ) -> None:
        self.pool, self.measures = pool, measures
        self.wanted = list(wanted)
        self.names = frozenset(measure.name for measure in self.wanted)
        self.progress = progress
        self.keeper = Keeper(pool, measures)
        self.keeper.numbers, self.keeper.lane = Numbers("beside"), 0

    async def run(self, *, check: bool = False, fresh: bool = False) -> Compared:
        """Builds, compares, and (unless it is only to `check`) switches. Goes on with a rebuild of
        the same measures by the same code that was stopped, unless it is to begin `fresh`.
        """
        async with alone(self.pool):
            return await self.build(check=check, fresh=fresh)

    async def build(self, *, check: bool = False, fresh: bool = False) -> Compared:
        """The same, for who is `alone` already."""
        run = None if fresh else await self._stopped()
        if run is None:
            await drop(self.pool)
            run = await self._begin()
        if self.progress is not None:
            self.progress.before = self.progress.done = run.folded
            self.progress.total = await self._count()
        run = await self._fold_all(run)
        found = await compare(self, run)
        if not check:
            await self._switch(run)
        await drop(self.pool)
        observe.log.info("figures_rebuilt", measures=len(self.names), **found.told())
        return found

    async def _stopped(self) -> Run | None:
        """The rebuild that was stopped, if it is of the same measures and code, and nothing would
        be cut otherwise of which a part is written.
        """
        row = await self.pool.fetchrow(f"select {', '.join(Run._fields)} from rebuild")
        codes = [code_of(measure) for measure in self.wanted]
        names = [measure.name for measure in self.wanted]
        if row is None or (row["measures"], row["codes"]) != (names, codes):
            return None
        run = Run(*row)
        if not run.slices:
            return run
        parts = {source.part for source in await sources_of(self.pool, files=True)}
        return run if run.sizes == sizes() and run.part in parts else None

    async def _begin(self) -> Run:
        row = await self.pool.fetchrow(
            "insert into rebuild (measures, codes, sizes, upto)"
            f" values ($1, $2, $3, ({_HORIZON})) returning {', '.join(Run._fields)}",
            [measure.name for measure in self.wanted],
            [code_of(measure) for measure in self.wanted],
            sizes(),
        )
        assert row is not None
        return Run(*row)

    async def _count(self) -> int:
        types, sources = types_of(self.wanted)
        return int(
            await self.pool.fetchval(
                "select count(*) from archive where type = any($1) and source = any($2)",
                types, sources,
            )
        )  # fmt: skip

    async def _fold_all(self, run: Run) -> Run:
        """Rounds, until hardly anything has come meanwhile."""
        await self.pool.execute(
            "select brin_summarize_new_values(i.inhrelid) from pg_inherits i"
            " where i.inhparent = 'archive_kept'::regclass"
        )
        for _ in range(ROUNDS_MAX):
            before = run.folded
            run = await self._round(run)
            if run.folded - before < REST_MAX:
                break
        return run

    async def _round(self, run: Run) -> Run:
        """Everything kept within the range at hand; then the next range."""
        # What is in files was there before any rebuild.
        for source in await sources_of(self.pool, files=run.since == 0):
            if source.part < run.part:
                continue
            if source.part > run.part:
                run = run._replace(part=source.part, source="", epoch=0, tx=0, seq=0)
            async with source.readable() as table:
                run = await self._part(run, table)
        row = await self.pool.fetchrow(
            f"update rebuild set since = upto, upto = ({_HORIZON}), part = ''"
            f", source = '', epoch = 0, tx = 0, seq = 0 returning {', '.join(Run._fields)}"
        )
        assert row is not None
        return Run(*row)

    async def _part(self, run: Run, table: str) -> Run:
        """A part of the archive, portion by portion."""
        rows = await self.chunk(run, table)
        while rows:
            folded, reached = Folded(), run
            while rows and len(folded.leaves) < LEAVES_MAX:
                async with asyncio.TaskGroup() as group:
                    following = group.create_task(self.chunk(after(reached, rows), table))
                    await asyncio.sleep(0)  # the database looks for the next ones meanwhile
                    self.fold(rows, folded)
                reached = after(reached, rows)
                if self.progress is not None:
                    self.progress.add(len(rows))
                rows = following.result()
            run = await self._add(run, reached, folded)
        return run

    async def chunk(self, run: Run, table: str) -> list[Any]:
        """The next events of a part of the archive within the range at hand."""
        # A file's events may have been kept by another server, which counts otherwise.
        range_ = (0, ENDLESS) if run.part.endswith(FILE) else (run.since, run.upto)
        rows: list[Any] = await self.pool.fetch(
            _NEXT.format(table=table), run.source, run.epoch, run.tx, run.seq, *range_,
            *types_of(self.wanted), CHUNK,
        )  # fmt: skip
        return rows

    async def _add(self, run: Run, reached: Run, folded: Folded) -> Run:
        """What a portion comes to, slice by slice; those written before it was stopped are there.
        With the last one goes how far that is.
        """
        leaves = sorted(folded.leaves.items())
        slices = [dict(some) for some in batched(leaves, SLICE, strict=False)] or [{}]
        for number, some in enumerate(slices[run.slices :], run.slices + 1):
            if number < len(slices):
                await self._cut(Folded(leaves=some), run._replace(slices=number))
            else:
                reached = reached._replace(slices=0)
                await self._cut(Folded(leaves=some, strays=folded.strays), reached)
        return reached

    async def _cut(self, folded: Folded, run: Run) -> None:
        """One transaction: a slice, and where the rebuild stands then."""
        while True:
            prepared = await self.keeper.rolled(folded)
            async with self.pool.acquire() as connection, connection.transaction():
                if await current(connection, prepared):
                    await self._write(connection, prepared)
                    await connection.execute(
                        "update rebuild set (part, source, epoch, tx, seq, folded, slices) ="
                        " ($1, $2, $3, $4, $5, $6, $7)",
                        *run[run._fields.index("part") : run._fields.index("sizes")],
                    )
                    return
            await self.keeper.reload()

    async def _write(self, connection: Connection, prepared: Prepared) -> None:
        if prepared.folded.strays:
            columns = zip(*sorted(prepared.folded.strays), strict=True)
            await connection.execute(_STRAYS, *map(list, columns))
        await write_figures(connection, prepared.rows)

    def fold(self, rows: Sequence[Any], folded: Folded) -> Folded:
        """Adds what archived events come to, of the measures wanted."""
        facts = self.keeper.folder.facts
        for row in rows:
            recorded = Recorded(
                id=row["id"], stream=row["stream"], version=row["version"],
                organisation=row["organisation"], actor=row["actor"],
                occurred_at=row["occurred_at"], recorded_at=row["recorded_at"],
            )  # fmt: skip
            home = (row["organisation"], row["day"])
            for placed in facts(row["source"], row["type"], row["data"], recorded, self.names):
                leaf = ((placed.measure.name, placed.labels), placed.unit, placed.day)
                add(folded.leaves, leaf, placed.fact)
                if (placed.unit, placed.day) != home:
                    place = tuple(row[name] for name in ("month", "source", "epoch", "tx", "seq"))
                    folded.strays.add(Stray(row["type"], placed.unit, placed.day, *place))
        return folded

    async def rest(self, source: Pool | Connection, run: Run) -> list[Any]:
        """What was kept since the last round, as far as the connection sees it."""
        types, services = types_of(self.wanted)
        rows: list[Any] = await source.fetch(
            f"{_NEXT.partition('where')[0].format(table='archive')} where kept >= $1"
            " and type = any($2) and source = any($3)",
            run.since, types, services,
        )  # fmt: skip
        return rows

    async def _switch(self, run: Run) -> None:
        """The last events, then the new series in place of the old: nothing is counted meanwhile,
        and nothing is in the way of readers.
        """
        await self.keeper.reload()
        async with self.pool.acquire() as connection, connection.transaction():
            await connection.fetchval("select version from rolled for update")
            await self.keeper.reload()
            rest = await self.rest(connection, run)
            await self._write(connection, await self.keeper.rolled(self.fold(rest, Folded())))
            names = sorted(self.names)
            await connection.execute(
                "update series set stand = 'old' where stand = 'live' and measure = any($1)", names
            )
            await connection.execute("update series set stand = 'live' where stand = 'beside'")
            await connection.execute("update rolled set generation = generation + 1")
            await connection.execute(
                "insert into measured (measure, code) select * from unnest($1::text[], $2::text[])"
                " on conflict (measure) do update set code = excluded.code",
                run.measures, run.codes,
            )  # fmt: skip
            await connection.execute("delete from rebuild")


def after(run: Run, rows: Sequence[Any]) -> Run:
    """Where a rebuild stands once it has folded these rows."""
    last = rows[-1]
    return run._replace(
        source=last["source"], epoch=last["epoch"], tx=last["tx"], seq=last["seq"],
        folded=run.folded + len(rows),
    )  # fmt: skip


async def drop(pool: Pool) -> None:
    """Removes what is no longer read, and what a rebuild that was given up had come to: bit by
    bit, so that nobody waits.
    """
    await pool.execute("delete from rebuild")
    numbers = [row[0] for row in await pool.fetch("select no from series where stand <> 'live'")]
    remove = (
        "delete from figure where ctid = any(array("
        "select ctid from figure where series = any($1) limit $2))"
    )
    while await pool.execute(remove, numbers, REMOVED) == f"DELETE {REMOVED}":
        pass
    async with pool.acquire() as connection, connection.transaction():
        # The tree may have moved rows meanwhile; now it cannot.
        await connection.fetchval("select version from rolled for share")
        await connection.execute("delete from figure where series = any($1)", numbers)
        await connection.execute("delete from series where no = any($1)", numbers)
