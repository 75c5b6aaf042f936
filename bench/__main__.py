"""性能测量 · how fast the platform is, beside what this machine can do at best in the same rounds.

Runs every measurement, or those named; prints a table in Markdown, as docs/performance.md has it,
and writes build/bench.json. Each has a
Postgres and a Kafka of its own under .run/bench, removed at the end. Only ratios mean something on
a machine that others use as well: both sides of a ratio run shortly after each other, in 5 rounds.

value      median over the rounds                            met    whether the goal is reached
beside it  what the same machine, or somebody else, did then  ratio  median of value ÷ beside it
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import uvloop

from bench import alerting, append, figures, live, projection, rebuilding, web
from bench.peers import appending, projecting
from bench.place import Place, rounds_wanted
from bench.rows import RESULT, Row, save, table
from deploy.local.running import run
from hosting.collector import collect_seldom
from shared import observe

type Measurement = Callable[[Place], Awaitable[list[Row]]]

MEASUREMENTS: dict[str, Measurement] = {
    "append": append.append,
    "batch": append.batch,
    "http": web.http,
    "http-batch": web.batch,
    "projection": projection.projection,
    "growth": projection.growth,
    "figures": figures.figures,
    "rebuild": rebuilding.rebuild,
    "latency": live.latency,
    "alert": alerting.alert,
    "memory": live.memory,
    "start": live.start,
}

PEERS: dict[str, Measurement] = {
    "peers-append": appending.append,
    "peers-projection": projecting.projection,
}
"""What a user would take instead: with PEERS=1, or by name."""


def wanted() -> list[str]:
    """What is measured where nothing is named."""
    return [*MEASUREMENTS, *(PEERS if os.environ.get("PEERS") else ())]


async def measure(names: list[str], *, quick: bool) -> int:
    rows: list[Row] = []
    failed, began, load = 0, datetime.now(UTC), os.getloadavg()[0]
    for name in names or wanted():
        begun = time.monotonic()
        print(f"{name} …", end=" ", file=sys.stderr, flush=True)
        try:
            async with Place(rounds_wanted(quick=quick), quick) as place:
                rows += await (MEASUREMENTS | PEERS)[name](place)
        except Exception as error:  # noqa: BLE001 - the other rows are still worth having
            failed += 1
            print(f"failed: {error!r}", end=" ", file=sys.stderr)
        print(f"{time.monotonic() - begun:.0f} s", file=sys.stderr, flush=True)
    print(f"\n{_circumstances(began, load, quick=quick)}\n\n{table(rows)}")
    if not quick:
        save(rows)
        print(f"\n{RESULT}")
    return 1 if failed else 0


def _circumstances(began: datetime, load: float, *, quick: bool) -> str:
    """When, on what, and how busy that was: a table without it says nothing."""
    return (
        f"{began:%Y-%m-%d, %H:%M}–{datetime.now(UTC):%H:%M} UTC,"
        f" {len(os.sched_getaffinity(0))} processors, load {load:.1f} before,"
        f" {rounds_wanted(quick=quick)} rounds{', small sizes (`--quick`)' if quick else ''}."
    )


def main() -> int:
    lines = [
        "measurements:",
        *(f"  {name:<16} {made.__doc__}" for name, made in (MEASUREMENTS | PEERS).items()),
        "",
        "ROUNDS=9 measures in 9 rounds; PEERS=1 measures the peers as well.",
    ]
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description=__doc__,
        epilog="\n".join(lines),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", nargs="*", choices=[[], *MEASUREMENTS, *PEERS], metavar="NAME")
    parser.add_argument(
        "--quick", action="store_true", help="one round, small sizes: does it run? (nothing saved)"
    )
    options = parser.parse_args()
    observe.configure("bench", 0, "ERROR")
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # it speaks of every new topic
    collect_seldom()  # as the services' processes do, and the loop that they have
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    return run(measure(options.name, quick=options.quick))


if __name__ == "__main__":
    sys.exit(main())
