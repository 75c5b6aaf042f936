"""Bugs planted one at a time in a copy of the platform, each of a kind that was made somewhere
before: the harness must catch every one, or it proves nothing by its silence.

  python -m tests.faults.planted                    every bug, each until it is caught
  python -m tests.faults.planted horizon zombie     those
  python -m tests.faults.planted --list             what there is

A bug is caught when a run over the copy exits with 1: seed after seed, each a run of its own on one
broker and three schools, with so many rounds of the fault under which the bug should show. The table
(also build/planted.json and .md) says in which run, after how many seconds (start of the platform
included), and by which finding. Exit status 1 if one was not caught.
"""

# ruff: noqa: T201 - what it prints is what it is for

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from deploy.local.supervisor import ROOT
from tests.faults.copies import copied, replaced
from tests.faults.run import HEADING

FILE = ROOT / "build" / "planted.json"
STUCK = ("TimeoutError", "StartFailed")
"""What a run ends with that waits for what never comes: the platform stands still on its bug."""

MARKDOWN = """\
| bug | fault | seed | seconds | found by |
|---|---|---|---|---|
"""
RUN_S_MAX = 300
"""A run that hangs on its bug has caught it, too: nothing may hang."""


@dataclass(frozen=True)
class Bug:
    """What is changed where, and under which fault it should show."""

    name: str
    about: str
    file: str
    changes: Sequence[tuple[str, str]]
    fault: str
    variant: str = ""

    def plant(self, copy: Path) -> None:
        """Changes the copy; LookupError if the place is no longer as it was."""
        path = copy / self.file
        path.write_text(replaced(path.read_text("utf-8"), self.changes), "utf-8")


BUGS = (
    Bug(
        "horizon", "the relay's cursor passes events that commit later",
        "shared/relay.py",
        [(" or tx < pg_snapshot_xmin(pg_current_snapshot()))\norder", " or tx is not null)\norder")],
        "F12", "late commit",
    ),
    Bug(
        "early-mark", "the relay marks before Kafka has acknowledged",
        "shared/relay.py",
        [
            (
                ("        async with asyncio.timeout(self.deadline_s):\n"
                "            await self._produce(rows)\n"
                '        failpoint("relay.after_send")\n'),
                "",
            ),
            (
                '        if moved != "UPDATE 1":\n            raise Fenced\n',
                ('        if moved != "UPDATE 1":\n            raise Fenced\n'
                '        failpoint("relay.after_send")\n'
                "        await self._produce(rows)\n"),
            ),
        ],
        "F1", "relay.after_send",
    ),
    Bug(
        "late-offset", "the offset is stored after its effect, in another transaction",
        "shared/effect.py",
        [
            (
                "                await self._move(connection, batch.ends)\n",
                "",
            ),
            (
                "        self.marks |= batch.ends\n",
                ('        failpoint("project.middle", self.name)\n'
                "        async with self.pool.acquire() as connection:\n"
                "            await self._move(connection, batch.ends)\n"
                "        self.marks |= batch.ends\n"),
            ),
            (
                ("                    await self.handler.commit(connection, batch.prepared)\n"
                '                    failpoint("project.middle", self.name)\n'),
                "                    await self.handler.commit(connection, batch.prepared)\n",
            ),
        ],
        "F1", "project.middle@figures",
    ),
    Bug(
        "off-by-one", "an event at the high-water mark is taken for a new one",
        "shared/consumer.py",
        [("elif event.position <= position:", "elif event.position < position:")],
        "F6",
    ),
    Bug(
        "no-dedupe", "repetitions are applied again",
        "shared/consumer.py",
        [("elif event.position <= position:", "elif event.position < (0, 0, 0):")],
        "F6",
    ),
    Bug(
        "key-apart", "the idempotency row is written in a transaction of its own",
        "shared/writer.py",
        [
            (
                ("for _, made in decided], known, keys)\n"
                '            failpoint("append.after_commit")\n'),
                ("for _, made in decided], known)\n"
                '            failpoint("append.after_commit")\n'
                "            await store.append(connection, [], [], keys)\n"),
            )
        ],
        "F1", "append.after_commit",
    ),
    Bug(
        "blind-retry", "after a lost reply the command is simply written again",
        "shared/writer.py",
        [
            (
                "            for one in asked:\n                one.fail(error)\n        finally:",
                ("            for one in asked:\n                one.key = None\n"
                "            self._again(asked, ATTEMPTS, error)\n        finally:"),
            )
        ],
        "F5",
    ),
    Bug(
        "unchecked", "a lost race is not noticed: what did not go in is said to be there",
        "shared/migrations/0001_log.sql",
        [("if met <> wanted then", "if met < 0 then")],
        "F12", "same version",
    ),
    Bug(
        "unproved", "what a process remembers is believed without proof",
        "shared/writer.py",
        [("if len(moved) == len(outcomes) and known.recalled <= set().union(*moved):", "if moved is not known:")],
        "F12", "same version",
    ),
    Bug(
        "zombie", "nobody looks at the fence or the offset before moving on",
        "shared/effect.py",
        [("\n  and c.next_offset = t.before and c.fence = t.fence\nreturning", "\nreturning")],
        "F11",
    ),
    Bug(
        "counter-apart", "figures are written outside the transaction of their offsets",
        "services/reporting/figures/keep.py",
        [
            (
                "        await write_figures(connection, prepared.rows)\n",
                ("        async with self.pool.acquire() as other, other.transaction():\n"
                "            await write_figures(other, prepared.rows)\n"),
            )
        ],
        "F1", "project.middle@figures",
    ),
    Bug(
        "overtaken", "later events of a parked key do not wait",
        "shared/effect.py",
        [("(aside if place in waiting else kept)", "(aside if event.fault else kept)")],
        "F9",
    ),
    Bug(
        "forgetful", "a snapshot claims one event more than it holds",
        "shared/store.py",
        [
            ("SNAPSHOT_EVERY = 100", "SNAPSHOT_EVERY = 2"),
            ("(s.id, s.version, code_of", "(s.id, s.version + 1, code_of"),
        ],
        "F1", "kill procurement",
    ),
    Bug(
        "stale-list", "a group's lists are written for the first stream only",
        "shared/writer.py",
        [("views.parts(*listed, known.rows)", "views.parts(listed[0], listed[1][:1], known.rows)")],
        "F12",
    ),
    Bug(
        "overspent", "a budget line commits more than it has",
        "services/procurement/budget.py",
        [
            (
                "    if command.amount_cny > balance.free_cny:\n",
                "    if command.amount_cny > 1000 * balance.free_cny + 1000:\n",
            )
        ],
        "F12", "last money",
    ),
    Bug(
        "unmarked", "what a process of another release writes to a list is taken for whole",
        "shared/writer.py",
        [("[*views.marks(lists), *own_places(events)]", "own_places(events)")],
        "F10", "1",
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Caught:
    """What became of a bug. `finding`: what the harness said; empty: it said nothing."""

    bug: str
    about: str
    fault: str
    seed: int
    seconds: float
    finding: str


def row(one: Caught) -> str:
    """As a row of the table in docs/reliability.md."""
    said = (one.finding or "**not caught**").replace("|", "/")
    return f"| {one.about} | {one.fault} | {one.seed} | {one.seconds:.0f} | {said} |\n"


def hunted(bug: Bug, seeds: Sequence[int], rounds: int) -> Caught:
    """Runs the harness over a copy with the bug, seed by seed, until it is caught."""
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="houqin-planted-", ignore_cleanup_errors=True) as fresh:
        copy = copied(Path(fresh))
        bug.plant(copy)
        for seed in seeds:
            finding = run(copy, bug, seed, rounds)
            if finding:
                seconds = round(time.monotonic() - begun, 1)
                return Caught(bug.name, bug.about, bug.fault, seed, seconds, finding)
    return Caught(bug.name, bug.about, bug.fault, seeds[-1], round(time.monotonic() - begun, 1), "")


def run(copy: Path, bug: Bug, seed: int, rounds: int) -> str:
    """One run over the copy; the first line that says what is broken, or nothing."""
    command = [sys.executable, "-m", "tests.faults", "--fault", bug.fault, "--seed", str(seed)]
    command += ["--rounds", str(rounds), "--brokers", "1", "--schools", "3"]
    command += ["--variant", bug.variant] if bug.variant else []
    try:
        done = subprocess.run(
            command, cwd=copy, capture_output=True, text=True, timeout=RUN_S_MAX, check=False,
            env={**os.environ, "PYTHONPATH": str(copy)},
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return f"did not end within {RUN_S_MAX} s"
    if done.returncode == 0:
        return ""
    said = done.stdout.splitlines()
    found = [line for line in said if line.startswith(f"{bug.fault}: ")]
    if found:
        return found[0][:160]
    last = (done.stdout + done.stderr).strip().splitlines()[-1]
    if last.startswith("PROMISES BROKEN"):  # it only took too long: who knows why
        return ""
    if not any(word in last for word in STUCK):
        raise RuntimeError(f"{bug.name} was not caught, the harness itself has failed: {last}")
    began = any(line.startswith(HEADING[:20]) for line in said)
    return f"{'a round' if began else 'settling in'} never ended: {last}"[:160]


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of `python -m tests.faults.planted`."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.faults.planted", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("name", nargs="*", help="of a bug (default: all)")
    parser.add_argument("--list", action="store_true", help="the bugs")
    parser.add_argument("--seeds", type=int, default=3, help="runs at most (default: 3)")
    parser.add_argument("--rounds", type=int, default=2, help="rounds of a run (default: 2)")
    options = parser.parse_args(arguments)
    chosen = [bug for bug in BUGS if not options.name or bug.name in options.name]
    if options.list:
        print("\n".join(f"{bug.name:<14} {bug.fault:<4} {bug.about}" for bug in chosen))
        return 0
    caught: list[Caught] = []
    for bug in chosen:
        one = hunted(bug, range(1, options.seeds + 1), options.rounds)
        caught.append(one)
        said = one.finding or "NOT CAUGHT"
        print(
            f"{one.bug:<14} {one.fault:<4} seed {one.seed} {one.seconds:6.1f} s  {said}", flush=True
        )
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_text(json.dumps({"planted": [asdict(one) for one in caught]}, indent=1) + "\n")
    FILE.with_suffix(".md").write_text(MARKDOWN + "".join(map(row, caught)), "utf-8")
    escaped = [one.bug for one in caught if not one.finding]
    print(f"{len(caught) - len(escaped)} of {len(caught)} caught")
    return 1 if escaped else 0


if __name__ == "__main__":
    sys.exit(main())
