"""`make faults`: breaks the running platform in every way of the fault matrix, and checks it."""

# ruff: noqa: T201 - what it prints is what it is for

from __future__ import annotations

import argparse
import logging
import random
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from deploy.local.running import run
from deploy.local.supervisor import ROOT
from tests.faults.ground import STACK, standing
from tests.faults.run import FAULTS, Run, rounds
from tests.faults.scene import Fault

FILE = ROOT / "build" / "faults.json"

ABOUT = """\
Starts the whole platform on this machine (Postgres, three Kafka brokers, six services) with a link
in every place where a line could break, lets people use all of it, breaks it, heals it, and then
holds the logs, Kafka, lists and figures against every answer that was given.

  python -m tests.faults                       each fault once
  python -m tests.faults --fault F4 --rounds 20
  python -m tests.faults --seed 7 --minutes 10 all faults in turn, for ten minutes
  python -m tests.faults --list                what there is

One seed is one run: the same faults in the same forms, after the same number of requests, and the
same commands of the same people. Exit status 1 if anything is lost, doubled or wrong, or if it took
more than 30 s until everything had caught up. The table is also in build/faults.json.
"""


def parser() -> argparse.ArgumentParser:
    """What can be said."""
    made = argparse.ArgumentParser(
        prog="python -m tests.faults", description=ABOUT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    made.add_argument("--fault", default="", help="F4, or several: F1,F4 (default: all)")
    made.add_argument(
        "--variant", default="", help="only forms with that in them, as --list has them"
    )
    made.add_argument("--seed", type=int, help="which run (default: a new one)")
    made.add_argument("--rounds", type=int, default=1, help="of each fault (default: 1)")
    made.add_argument("--minutes", type=float, default=0.0, help="instead: for so long")
    made.add_argument("--schools", type=int, default=6, help="seven people each (default: 6)")
    made.add_argument("--commands", type=int, default=4, help="a person and round (default: 4)")
    made.add_argument("--brokers", type=int, default=3, help="Kafka brokers (default: 3)")
    made.add_argument("--keep", default="", help="leave logs in this folder, a new one")
    made.add_argument("--list", action="store_true", help="the faults and their forms")
    return made


def listed() -> str:
    """Every fault with its forms."""
    lines = []
    for fault in FAULTS.values():
        lines.append(f"{fault.code:<4} {fault.title}")
        lines += [f"       {variant}" for variant in fault.variants]
    return "\n".join(lines)


def say_since(begun: float) -> Callable[[str], None]:
    """Prints lines, each with the seconds since then."""
    return lambda text: print(f"{time.monotonic() - begun:7.1f} s  {text}", flush=True)


async def main(options: argparse.Namespace, folder: Path) -> int:
    """One run; its exit status."""
    codes = options.fault.upper().split(",") if options.fault else list(FAULTS)
    unknown = [code for code in codes if code not in FAULTS]
    if unknown:
        print(f"no such fault: {', '.join(unknown)}; there are {', '.join(FAULTS)}")
        return 2
    chosen = [one for code in codes if possible(one := narrowed(code, options.variant))]
    if not chosen:
        return 2
    seed = random.randrange(1_000_000) if options.seed is None else options.seed
    command = " ".join(["python", "-m", "tests.faults", *sys.argv[1:]])
    print(f"seed {seed}", flush=True)
    say = say_since(time.monotonic())
    async with standing(
        folder, schools=options.schools, brokers=options.brokers, say=say
    ) as ground:
        made = await Run.begin(ground, seed, options.commands, say)
        try:
            await rounds(made, chosen, count=options.rounds, minutes=options.minutes)
        finally:
            print(made.table(), flush=True)
            made.write(FILE, command)
            await made.end()
    for tally in made.tallies.values():
        for finding in tally.findings:
            print(f"{tally.fault}: {finding}")
    print("every promise kept" if made.good else f"PROMISES BROKEN, seed {seed}")
    return 0 if made.good else 1


def possible(fault: Fault) -> bool:
    """Whether a fault can be made on this machine; says so if not."""
    why = fault.why_not()
    if why:
        print(f"{fault.code} {fault.title} is left out: {why}", flush=True)
    return not why


def narrowed(code: str, variant: str) -> Fault:
    """A fault with all its forms, or with those that have this in them."""
    fault = FAULTS[code]
    forms = [form for form in fault.variants if variant in form]
    return replace(fault, variants=forms or fault.variants)


def entry(arguments: Sequence[str] | None = None) -> int:
    """Entry point of `python -m tests.faults`."""
    options = parser().parse_args(arguments)
    if options.list:
        print(listed())
        return 0
    if (Path(options.keep) / STACK).exists():
        print(f"{options.keep} holds an earlier run, whose topics would be taken for this one's")
        return 2
    # The client says each refused connection, and here all of them are meant.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    with tempfile.TemporaryDirectory(prefix="houqin-faults-", ignore_cleanup_errors=True) as fresh:
        folder = Path(options.keep or fresh)
        folder.mkdir(parents=True, exist_ok=True)
        return run(main(options, folder))


if __name__ == "__main__":
    sys.exit(entry())
