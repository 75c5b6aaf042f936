"""Rounds of faults: one seed gives one run. Its rounds, what came of them, a table and a file.

A round: people ask; after so many requests something breaks, and lasts for so many more; it heals,
everybody finishes, everything catches up (the seconds since healing are I7's), and all that has
ever happened is checked.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from tests.faults.away import AWAY
from tests.faults.breaks import BREAKS
from tests.faults.checks import Verdict
from tests.faults.clocks import CLOCKS
from tests.faults.commands import Desk
from tests.faults.disk import FULL
from tests.faults.ground import Ground
from tests.faults.inspection import HEAL_S, Inspector, NeverCaughtUp
from tests.faults.load import Asked, Load
from tests.faults.messages import MESSAGES
from tests.faults.races import RACING
from tests.faults.rebuilds import REBUILDS
from tests.faults.restores import RESTORES
from tests.faults.rivals import RIVALS
from tests.faults.rolling import ROLLING
from tests.faults.scene import Fault, Scene
from tests.faults.slow import SLOWNESS
from tests.faults.tampering import TAMPERING

FAULTS: dict[str, Fault] = {
    fault.code: fault
    for fault in sorted(
        (
            *BREAKS,
            *MESSAGES,
            *RACING,
            *RIVALS,
            *SLOWNESS,
            *CLOCKS,
            *FULL,
            *AWAY,
            *ROLLING,
            *REBUILDS,
            *RESTORES,
            *TAMPERING,
        ),
        key=lambda one: int(one.code[1:]),
    )
}
"""Every fault that is there, by its number in the matrix (docs/reliability.md)."""

HEADING = (
    f"{'fault':<26} {'rounds':>6} {'commands':>9} {'acknowledged':>13} {'unknown':>8} {'lost':>5}"
    f" {'doubled':>8} {'wrong':>6} {'lag 0, s':>9}"
)

MARKDOWN_HEADING = """\
| fault | rounds | commands | acknowledged | unknown at first | lost | doubled | wrong \
| seconds to lag 0 |
|---|---|---|---|---|---|---|---|---|"""

SIGN_IN_S = 300.0
"""After so long everybody signs in anew, between two rounds."""

type Say = Callable[[str], None]


@dataclass
class Tally:
    """A line of the table: what one kind of fault came to. `unknown`: outcomes that were so at
    first; `seconds_to_lag_0`: the longest.
    """

    fault: str
    title: str
    rounds: int = 0
    commands: int = 0
    acknowledged: int = 0
    unknown: int = 0
    lost: int = 0
    doubled: int = 0
    wrong: int = 0
    seconds_to_lag_0: float = 0.0
    findings: list[str] = field(default_factory=list)

    def add(self, asked: Sequence[Asked], verdict: Verdict, seconds: float) -> None:
        """One round more."""
        self.rounds += 1
        self.commands += len(asked)
        self.acknowledged += sum(bool(one.events) for one in asked)
        self.unknown += sum(one.unknown > 0 for one in asked)
        self.lost += len(verdict.lost)
        self.doubled += len(verdict.doubled)
        self.wrong += len(verdict.wrong)
        self.seconds_to_lag_0 = max(self.seconds_to_lag_0, seconds)
        self.findings += verdict.every

    @property
    def good(self) -> bool:
        """Whether every promise was kept."""
        return not self.findings and self.seconds_to_lag_0 <= HEAL_S

    def row(self) -> str:
        """As a row of a table in Markdown."""
        numbers = (self.rounds, self.commands, self.acknowledged, self.unknown)
        found = (self.lost, self.doubled, self.wrong)
        cells = [f"{self.fault} {self.title}", *(f"{n:,}" for n in (*numbers, *found))]
        return f"| {' | '.join(cells)} | {self.seconds_to_lag_0:.1f} |"

    def __str__(self) -> str:
        return (
            f"{f'{self.fault} {self.title}':<26} {self.rounds:>6} {self.commands:>9}"
            f" {self.acknowledged:>13} {self.unknown:>8} {self.lost:>5} {self.doubled:>8}"
            f" {self.wrong:>6} {self.seconds_to_lag_0:>9.1f}"
        )


@dataclass
class Run:
    """A run over one ground; `tallies` by the fault's number."""

    ground: Ground
    seed: int
    load: Load
    inspector: Inspector
    say: Say
    tallies: dict[str, Tally] = field(default_factory=dict)
    known: set[str] = field(default_factory=set)
    number: int = 0
    signed_in_at: float = field(default_factory=time.monotonic)

    @classmethod
    async def begin(cls, ground: Ground, seed: int, per_person: int, say: Say) -> Run:
        """Everything is quiet, and what is there counts as having been there before."""
        load = Load(ground, Desk(ground, seed, datetime.now(UTC)), per_person)
        inspector = Inspector(ground)
        run = cls(ground, seed, load, inspector, say)
        await inspector.start()
        await inspector.at_rest()
        return run

    async def end(self) -> None:
        await self.inspector.stop()

    async def round(self, fault: Fault, variant: str) -> Verdict:
        """One round; what is found that was not found before."""
        self.number += 1
        chance = random.Random(f"{self.seed}.{self.number}.{fault.code}.{variant}")
        scene = Scene(self.ground, self.load, self.inspector, chance, self.number)
        before, begun = len(self.load.asked), time.monotonic()
        if begun > self.signed_in_at + SIGN_IN_S:  # tokens of this platform last for 15 minutes
            self.ground.world.api.forget_all()
            self.signed_in_at = begun
        self.load.start(self.number)
        try:
            await self.load.more(chance.randint(1, max(2, self.load.size // 2)))
            await fault.strike(scene, variant)
            await self.ground.rig.until_all_answer()
            healed = time.monotonic()
            await self.load.finish()
        finally:
            await self.load.abandon()
        try:
            await self.inspector.caught_up()
        except NeverCaughtUp as error:
            scene.wrong.append(f"{fault.code} {variant}: {error}")
        seconds = max(scene.seconds, time.monotonic() - healed)
        last = self.inspector.last_behind
        found = await self._verdict(scene)
        asked = self.load.asked[before:]
        tally = self.tallies.setdefault(fault.code, Tally(fault.code, fault.title))
        tally.add(asked, found, seconds)
        self.say(
            f"{self.number:>5}  {f'{fault.code} {variant}':<38} {len(asked):>5} commands"
            f" {sum(one.unknown > 0 for one in asked):>4} unknown  lag 0 {seconds:5.1f} s"
            f"  {time.monotonic() - begun:5.1f} s  {'ok' if not found.every else 'WRONG'}"
            + (f"  (last: {last})" if seconds > 1 else "")
        )
        for one in found.every:
            self.say(f"       {one}")
        return found

    async def _verdict(self, scene: Scene) -> Verdict:
        try:
            await self.inspector.at_rest()
        except NeverCaughtUp as error:
            scene.wrong.append(str(error))
        found = await self.inspector.verdict(self.load)
        found.wrong += scene.wrong
        fresh = found.less(self.known)
        self.known.update(fresh.every)
        return fresh

    @property
    def good(self) -> bool:
        """Whether every promise was kept in every round."""
        return all(tally.good for tally in self.tallies.values())

    def table(self) -> str:
        """What each fault came to."""
        lines = [self.tallies[code] for code in FAULTS if code in self.tallies]
        return "\n".join([HEADING, *map(str, lines)])

    def markdown(self) -> str:
        """The same as docs/reliability.md has it."""
        lines = [MARKDOWN_HEADING]
        lines += [self.tallies[code].row() for code in FAULTS if code in self.tallies]
        return "\n".join(lines) + "\n"

    def write(self, path: Path, command: str) -> None:
        """The same as a file, and beside it as a table for people (`.md`)."""
        path.parent.mkdir(exist_ok=True)
        path.with_suffix(".md").write_text(
            f"`{command}` (seed {self.seed}): {self.number} rounds.\n\n{self.markdown()}", "utf-8"
        )
        made = {
            "seed": self.seed, "command": command,
            "faults": [asdict(self.tallies[code]) for code in FAULTS if code in self.tallies],
        }  # fmt: skip
        path.write_text(json.dumps(made, indent=1, ensure_ascii=False) + "\n", "utf-8")


def plan(seed: int, chosen: Iterable[Fault]) -> Iterable[tuple[Fault, str]]:
    """Fault after fault, without end, each in form after form: what order, the seed says."""
    chance = random.Random(seed)
    faults = list(chosen)
    decks: dict[str, list[str]] = {fault.code: [] for fault in faults}
    while True:
        chance.shuffle(faults)
        for fault in faults:
            if not decks[fault.code]:
                decks[fault.code] = chance.sample(fault.variants, len(fault.variants))
            yield fault, decks[fault.code].pop()


async def rounds(run: Run, chosen: Sequence[Fault], *, count: int, minutes: float) -> None:
    """So many rounds of each fault, or as many as begin within so many minutes."""
    begun = time.monotonic()
    for done, (fault, variant) in enumerate(plan(run.seed, chosen)):
        late = time.monotonic() - begun > minutes * 60
        if (minutes and late) or (not minutes and done == count * len(chosen)):
            return
        await run.round(fault, variant)
        await asyncio.sleep(0)
