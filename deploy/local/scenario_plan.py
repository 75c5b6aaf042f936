"""From a scenario to the commands that are sent: every repetition written out, in waves.

A wave's commands do not wait for each other. The entries of a file follow one another; the
repetitions of a block advance in step, so that all their first commands are one wave, all their
second the next. Order is thus kept within every causal chain, and hundreds of commands go at once.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from itertools import zip_longest
from pathlib import Path
from typing import Any
from uuid import UUID

from deploy.local.scenario import (
    RESERVED,
    CommandEntry,
    Entry,
    RepeatEntry,
    Scenario,
    UnitEntry,
    Wrong,
)  # fmt: skip
from deploy.local.scenario_ground import ADMINISTRATOR, Ground, Phase, Planned, Wave
from deploy.local.scenario_values import (
    Days,
    Meaningless,
    Ref,
    Scope,
    evaluate,
    moment,
    render,
    rendered,
    spread,
)  # fmt: skip


@dataclass(slots=True)
class Plan:
    """All that is sent, in order; `units` by code and by what they are called; `names`: what the
    file's things are called at its end.
    """

    phases: list[Phase]
    units: dict[str, UUID]
    entries: dict[str, UnitEntry]
    names: dict[str, Any]

    def find(self, key: str) -> Planned:
        """The command with that key; KeyError if there is none."""
        for phase in self.phases:
            for wave in phase.waves:
                for one in wave:
                    if one.key == key:
                        return one
        raise KeyError(key)

    def above(self, name: str) -> list[UnitEntry]:
        """The unit and all above it in the file, from the unit upwards."""
        found = [self.entries[name]]
        while (parent := found[-1].parent) is not None:
            found.append(self.entries[parent])
        return found


def plan(file: Path, scenario: Scenario) -> Plan:
    """Everything to send; raises `Wrong` with every name, day and reference that is wrong."""
    return Planner(file, scenario).plan()


@dataclass(slots=True)
class Planner:
    """Writes a scenario out; what is wrong is collected on its ground and said at the end."""

    file: Path
    scenario: Scenario
    ground: Ground = field(init=False)
    days: Days = field(init=False)
    people: set[str] = field(init=False)

    def __post_init__(self) -> None:
        self.ground = Ground(self.file, self.scenario)
        self.days = Days(self.scenario.calendar)
        self.people = {ADMINISTRATOR, *(one.subject for one in self.scenario.people)}

    def plan(self) -> Plan:
        """See `plan`."""
        scope, ground = Scope(), self.ground
        phases = ground.phases(scope)
        waves = self._steps(self.scenario.commands, scope, "commands")
        phases.append(Phase("业务", "commands", waves))
        self._check_expected(scope)
        if ground.complaints:
            raise Wrong(self.file, ground.complaints)
        kept = [phase for phase in phases if phase.count]
        return Plan(kept, ground.units, ground.entries, scope.names)

    def _steps(self, entries: Iterable[Entry], scope: Scope, path: str) -> list[Wave]:
        waves: list[Wave] = []
        for at, entry in enumerate(entries):
            here = f"{path}.{at}"
            if isinstance(entry, RepeatEntry):
                waves += self._repeat(entry, scope, here)
            else:
                waves.append([self._command(entry, scope, here)])
        return waves

    def _repeat(self, entry: RepeatEntry, scope: Scope, path: str) -> list[Wave]:
        """The waves of all repetitions, in step; their names become lists around them."""
        instances: list[list[Wave]] = []
        made: dict[str, list[Any]] = {}
        for number, local in enumerate(self._locals(entry, scope), start=1):
            inner = Scope(local={"n": number, **local}, up=scope)
            before = len(self.ground.complaints)
            instances.append(self._steps(entry.steps, inner, f"{path}[{number}]"))
            for name, found in inner.names.items():
                made.setdefault(name, []).append(found)
            if len(self.ground.complaints) > before:
                break  # what is wrong once is wrong every time
        for name, all_of_it in made.items():
            self.ground.refuse_taken(name, entry.line_of("repeat"), scope)
            scope.names[name] = all_of_it
        return [
            [one for wave in together for one in wave or ()] for together in zip_longest(*instances)
        ]

    def _locals(self, entry: RepeatEntry, scope: Scope) -> list[dict[str, Any]]:
        """What `${day}` and `${item}` are in each repetition."""
        spec = entry.repeat
        items = render(list(spec.items), scope, self.ground.blame)
        days = self._days(entry) if spec.over or spec.start else []
        count = spec.count or len(items) or len(days)
        if not count:
            self.ground.complain(
                entry.line_of("repeat"), "重复多少次？写 count、over 或 items",
                "how often? say count, over or items",
            )  # fmt: skip
        spread_days = spread(count, days) if days else []
        return [
            {
                **({"day": spread_days[n]} if days else {}),
                **({"item": items[n % len(items)]} if items else {}),
            }
            for n in range(count)
        ]

    def _days(self, entry: RepeatEntry) -> list[date]:
        spec = entry.repeat
        first, last = self.days.terms[0] if self.days.terms else (None, None)
        start, end = spec.start or first, spec.end or last
        if start is None or end is None:
            self.ground.complain(
                entry.line_of("repeat"), "没有学期，请写 from 和 to",
                "there is no term: say from and to",
            )  # fmt: skip
            return []
        found = self.days.between(spec.over or "school-days", start, end)
        if not found:
            line = spec.line_of("from")
            self.ground.complain(
                line, f"{start} 到 {end} 没有这样的日子", f"no such day from {start} to {end}"
            )
        return found

    def _command(self, entry: CommandEntry, scope: Scope, path: str) -> Planned:
        key = f"{self.file.stem}:{path}"
        body: dict[str, Any] = render(entry.body, scope, self.ground.blame)
        if entry.at is not None:
            body["organisation"] = self._value(entry, "at", scope)
        if entry.when is not None:
            body["occurred_at"] = self._moment(entry, scope)
        who = self._who(entry, scope)
        target = None if entry.to is None else self._value(entry, "to", scope)
        service, operation = self._operation(entry)
        if entry.called is not None:
            if entry.called in scope.names or entry.called in RESERVED:
                self.ground.refuse_taken(entry.called, entry.line_of("as"), scope)
            scope.names[entry.called] = Ref(key)
        return Planned(key, entry.line, who, service, operation, target, body, entry.expect_refusal)

    def _who(self, entry: CommandEntry, scope: Scope) -> str:
        try:
            who = rendered(entry.who, scope)
        except Meaningless as error:
            self.ground.blame(entry.line_of("who"), error)
            return ADMINISTRATOR
        if who not in self.people:
            self.ground.complain(
                entry.line_of("who"), f"没有人员 {who}", f"there is no person {who}"
            )
        return str(who)

    def _value(self, entry: CommandEntry, key: str, scope: Scope) -> Any:
        """The id that `at` or `to` names: a name, or a name and a path, with or without `${}`."""
        text = getattr(entry, key)
        try:
            return rendered(text, scope) if "${" in text else evaluate(text, scope)
        except Meaningless as error:
            self.ground.blame(entry.line_of(key), error)
            return None

    def _moment(self, entry: CommandEntry, scope: Scope) -> str:
        try:
            when = rendered(str(entry.when), scope)
            return moment(when, self.scenario.zone).isoformat()
        except Meaningless as error:
            self.ground.blame(entry.line_of("when"), error)
            return ""

    def _operation(self, entry: CommandEntry) -> tuple[str, str]:
        """Service, and command or route."""
        if entry.command and not entry.route and entry.command.count(".") == 1:
            service, name = entry.command.split(".")
            return service, name
        if entry.route and not entry.command and entry.route.count("/") > 1:
            return entry.route.split("/")[1], entry.route
        self.ground.complain(
            entry.line,
            "写 command（如 assets.ReportRepair）或 route（如 /assets/repairs）其中之一",
            "say either command (assets.ReportRepair) or route (/assets/repairs)",
        )
        return "", ""

    def _check_expected(self, scope: Scope) -> None:
        for figure in self.scenario.expected:
            self.ground.unit(figure, "unit", figure.unit)
            for other in figure.same_at:
                self.ground.unit(figure, "same_at", other)
            if not _number(figure.value):
                self.ground.complain(
                    figure.line_of("value"), "值应是数", "the value must be a number"
                )
        for watched in self.scenario.watch:
            if not isinstance(scope.names.get(watched.thing), Ref):
                self.ground.complain(
                    watched.line_of("thing"), f"没有叫 {watched.thing} 的东西",
                    f"nothing is called {watched.thing}",
                )  # fmt: skip


def _number(text: str) -> bool:
    return text.replace(".", "", 1).removeprefix("-").isdecimal()
