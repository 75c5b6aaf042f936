"""A measure that is new, or is counted by other code than before, is folded from the archive.

It happens when a worker starts, in one transaction: until then readers see the old figures, and
batches under way wait.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Sequence
from typing import Any

from services.reporting.figures.fold import Folded, Stray, add
from services.reporting.figures.keep import Keeper, write_figures
from services.reporting.figures.recount import CHUNK, types_of
from services.reporting.measure import Measure
from shared.kernel import Recorded
from shared.store import Connection

_EVENTS = """
select month, source, epoch, tx, seq, id, stream, version, type, organisation, actor, occurred_at,
       recorded_at, day, data
from archive where type = any($1) and source = any($2)
"""


def code_of(measure: Measure) -> str:
    """Hash of what a measure's figures depend on."""
    texts = [inspect.getsource(measure.function), repr(measure.dims)]
    texts += [inspect.getsource(event) for event in measure.on]
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()


async def refold(keeper: Keeper, measures: Sequence[Measure]) -> list[str]:
    """Folds anew what is counted by other code than its figures; returns the measures' names."""
    async with keeper.pool.acquire() as connection, connection.transaction():
        await connection.fetchval("select version from rolled for update")
        known = {
            row["measure"]: row["code"]
            for row in await connection.fetch("select measure, code from measured")
        }
        stale = [measure for measure in measures if known.get(measure.name) != code_of(measure)]
        if stale:
            await keeper.reload()
            await _fold(connection, keeper, stale)
            await connection.executemany(
                "insert into measured (measure, code) values ($1, $2)"
                " on conflict (measure) do update set code = excluded.code",
                [(measure.name, code_of(measure)) for measure in stale],
            )
    return [measure.name for measure in stale]


async def _fold(connection: Connection, keeper: Keeper, stale: Sequence[Measure]) -> None:
    names = frozenset(measure.name for measure in stale)
    await connection.execute(
        "delete from figure where series in (select no from series where measure = any($1))",
        sorted(names),
    )
    chunk: list[Any] = []
    async for row in connection.cursor(_EVENTS, *types_of(stale), prefetch=CHUNK):
        chunk.append(row)
        if len(chunk) == CHUNK:
            await _add(connection, keeper, chunk, names)
            chunk.clear()
    await _add(connection, keeper, chunk, names)


async def _add(
    connection: Connection, keeper: Keeper, rows: Sequence[Any], names: frozenset[str]
) -> None:
    folded = Folded()
    for row in rows:
        recorded = Recorded(
            id=row["id"], stream=row["stream"], version=row["version"],
            organisation=row["organisation"], actor=row["actor"],
            occurred_at=row["occurred_at"], recorded_at=row["recorded_at"],
        )  # fmt: skip
        place = tuple(row[name] for name in ("month", "source", "epoch", "tx", "seq"))
        for placed in keeper.folder.facts(row["source"], row["type"], row["data"], recorded, names):
            leaf = ((placed.measure.name, placed.labels), placed.unit, placed.day)
            add(folded.leaves, leaf, placed.fact)
            if (placed.unit, placed.day) != (row["organisation"], row["day"]):
                folded.strays.add(Stray(row["type"], placed.unit, placed.day, *place))
    prepared = await keeper.rolled(folded)
    await connection.executemany(
        "insert into stray (type, unit, day, month, source, epoch, tx, seq)"
        " values ($1, $2, $3, $4, $5, $6, $7, $8) on conflict do nothing",
        sorted(folded.strays),
    )
    await write_figures(connection, prepared.rows)
