"""`python -m bench [NAME...]`: measures, prints a table, writes build/bench.json."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable

from bench import append, projection, web
from bench.place import Place, rounds_wanted
from bench.rows import Row, save, table

type Measurement = Callable[[Place], Awaitable[list[Row]]]

MEASUREMENTS: dict[str, Measurement] = {
    "append": append.append,
    "batch": append.batch,
    "http": web.http,
    "http-batch": web.batch,
    "projection": projection.projection,
    "growth": projection.growth,
}


async def main(names: list[str], *, quick: bool) -> int:
    rows: list[Row] = []
    async with Place(rounds_wanted(quick=quick), quick) as place:
        for name in names or MEASUREMENTS:
            rows += await MEASUREMENTS[name](place)
    print(table(rows))
    save(rows)
    return 0


if __name__ == "__main__":
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as r:
        r.run(main([a for a in sys.argv[1:] if a[0] != "-"], quick="--quick" in sys.argv))
