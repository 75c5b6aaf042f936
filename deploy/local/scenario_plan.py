"""From a scenario to the commands that are sent: every repetition written out, in waves.

A wave's commands do not wait for each other. The entries of a file follow one another; the
repetitions of a block advance in step, so that all their first commands are one wave, all their
second the next. Order is thus kept within every causal chain, and hundreds of commands go at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import zip_longest
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

from deploy.local.scenario import (
    RESERVED,
    CommandEntry,
    Complaint,
    Contract,
    Entry,
    Node,
    PersonEntry,
    RepeatEntry,
    Scenario,
    UnitEntry,
    Wrong,
)  # fmt: skip
from deploy.local.scenario_values import (
    Days,
    Meaningless,
    Ref,
    Scope,
    evaluate,
    moment,
    refs,
    render,
    rendered,
    spread,
)  # fmt: skip
from shared.kernel import NAMESPACE

ADMINISTRATOR = "administrator"
"""Who enters units, people, calendar and rules."""


@dataclass(frozen=True, slots=True, eq=False)
class Planned:
    """One command to send. `key`: its idempotency key, the same in every run of the same file.

    `operation`: the command's name, or its route (beginning with a slash); `target`: the thing
    that it is about, None where it starts one. Values may still wait for answers.
    """

    key: str
    line: int
    who: str
    service: str
    operation: str
    target: Any
    body: dict[str, Any]
    expect_refusal: str | None = None

    @property
    def group(self) -> tuple[str, str]:
        """Commands of one group go in one batch."""
        return self.who, self.service

    def needs(self) -> set[str]:
        """The keys of the commands whose answers it waits for."""
        return {ref.key for value in (self.target, self.body) for ref in refs(value)}


type Wave = list[Planned]


@dataclass(frozen=True, slots=True)
class Phase:
    """A part of the scenario with its name: what is shown as one step."""

    zh: str
    en: str
    waves: list[Wave]

    @property
    def count(self) -> int:
        """How many commands."""
        return sum(map(len, self.waves))


@dataclass(slots=True)
class Plan:
    """All that is sent, in order; `units` by code and by what they are called; `names`: what the
    file's things are called at its end.
    """

    phases: list[Phase]
    units: dict[str, UUID]
    entries: dict[str, UnitEntry]
    names: dict[str, Any]

    def above(self, name: str) -> list[UnitEntry]:
        """The unit and all above it in the file, from the unit upwards."""
        found = [self.entries[name]]
        while (parent := found[-1].parent) is not None:
            found.append(self.entries[parent])
        return found


def unit_id(code: str) -> UUID:
    """The id that a unit of that code has: a root's command must name it beforehand."""
    return uuid5(NAMESPACE, f"unit:{code}")


def plan(file: Path, scenario: Scenario) -> Plan:
    """Everything to send; raises `Wrong` with every name, day and reference that is wrong."""
    return Planner(file, scenario).plan()


@dataclass(slots=True)
class Planner:
    """Writes a scenario out; what is wrong is collected and said at the end."""

    file: Path
    scenario: Scenario
    complaints: list[Complaint] = field(default_factory=list)
    units: dict[str, UUID] = field(default_factory=dict)
    entries: dict[str, UnitEntry] = field(default_factory=dict)
    days: Days = field(init=False)
    people: set[str] = field(init=False)

    def __post_init__(self) -> None:
        self.days = Days(self.scenario.calendar)
        self.people = {ADMINISTRATOR, *(one.subject for one in self.scenario.people)}

    def plan(self) -> Plan:
        """See `plan`."""
        scope = Scope()
        phases = [
            Phase("单位", "units", self._units(scope)),
            Phase("人员与岗位", "people and posts", self._people()),
            Phase("校历", "calendar", self._calendar()),
            Phase("规则", "rules", self._rules()),
            Phase("业务", "commands", self._steps(self.scenario.commands, scope, "commands")),
        ]
        self._check_expected(scope)
        if self.complaints:
            raise Wrong(self.file, self.complaints)
        return Plan(
            [phase for phase in phases if phase.count], self.units, self.entries, scope.names
        )

    def complain(self, line: int, zh: str, en: str) -> None:
        """One more thing that is wrong."""
        self.complaints.append(Complaint(line, zh, en))

    def blame(self, line: int, error: Meaningless) -> None:
        """An expression that stands for nothing."""
        self.complain(line, error.zh, error.en)

    def _units(self, scope: Scope) -> list[Wave]:
        waves: list[Wave] = []
        for at, unit in enumerate(self.scenario.units):
            above = self.entries.get(unit.parent or "")
            parent = unit.parent and self.unit(unit, "parent", unit.parent)
            self._name_unit(unit, scope)
            body = given(unit, "code", "name", "level", "kind", "stage", "division_code", "since")
            body["organisation"] = str(parent or unit_id(unit.code))
            body["boarding"] = unit.boarding
            if above:
                body["parent_code"] = above.code
            waves.append([self._office(f"units.{at}", unit, "RegisterUnit", body)])
        return waves

    def _name_unit(self, unit: UnitEntry, scope: Scope) -> None:
        for key, name in (("code", unit.code), ("as", unit.called)):
            if name is None:
                continue
            self._refuse_taken(name, unit.line_of(key), scope)
            self.units[name] = unit_id(unit.code)
            self.entries[name] = unit
            scope.names[name] = str(unit_id(unit.code))

    def _refuse_taken(self, name: str, line: int, scope: Scope) -> None:
        if name in RESERVED:
            self.complain(line, f"{name} 是保留词", f"{name} is reserved")
        if name in scope.names:
            self.complain(line, f"{name} 已经有了", f"{name} is called so already")

    def unit(self, node: Node, key: str, name: str) -> str:
        """The id of a unit of the file; an unknown one is said."""
        if name not in self.units:
            self.complain(node.line_of(key), f"没有单位 {name}", f"there is no unit {name}")
        return str(self.units.get(name, unit_id(name)))

    def _office(
        self, path: str, node: Node, command: str, body: dict[str, Any], target: Any = None
    ) -> Planned:
        """A command of the organisation service by the administrator."""
        key = f"{self.file.stem}:{path}"
        return Planned(key, node.line, ADMINISTRATOR, "organisation", command, target, body)

    def _people(self) -> list[Wave]:
        posts: Wave = []
        contracts: Wave = []
        for at, person in enumerate(self.scenario.people):
            for number, post in enumerate(person.posts):
                path = f"people.{at}.posts.{number}"
                body = given(post, "role", "since", "last_day")
                body |= {
                    "person": person.subject,
                    "organisation": self.unit(post, "at", post.at),
                }
                posts.append(self._office(path, post, "AppointStaff", body))
                if post.contract:
                    contracts.append(self._contract(person, path, post.contract, posts[-1]))
        return [wave for wave in (posts, contracts) if wave]

    def _contract(
        self, person: PersonEntry, path: str, contract: Contract, post: Planned
    ) -> Planned:
        body = given(contract, "signed_on", "first_day", "last_day", "number")
        target = named_ref(post.key)
        return self._office(f"{path}.contract", contract, "SignLabourContract", body, target)

    def _calendar(self) -> list[Wave]:
        calendar = self.scenario.calendar
        waves: list[Wave] = []
        kinds: list[tuple[str, str, Sequence[Any], tuple[str, ...]]] = [
            ("terms", "SetTerm", calendar.terms, ("school_year", "term", "first_day", "last_day")),
            ("holidays", "SetHoliday", calendar.holidays,
             ("school_year", "first_day", "last_day", "name")),
            ("make_up_days", "SetMakeUpDay", calendar.make_up_days,
             ("school_year", "day", "name")),
        ]  # fmt: skip
        for kind, command, entries, names in kinds:
            for at, entry in enumerate(entries):
                body = given(entry, *names) | {"organisation": self.unit(entry, "at", entry.at)}
                waves.append([self._office(f"calendar.{kind}.{at}", entry, command, body)])
        return waves

    def _rules(self) -> list[Wave]:
        waves: list[Wave] = []
        for at, rule in enumerate(self.scenario.rules):
            body = given(
                rule, "slug", "since", "values", "source_zh", "source_en", "mark", "reason"
            )
            body["organisation"] = self.unit(rule, "at", rule.at)
            waves.append([self._office(f"rules.{at}", rule, "PublishRule", body)])
        return waves

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
            before = len(self.complaints)
            instances.append(self._steps(entry.steps, inner, f"{path}[{number}]"))
            for name, found in inner.names.items():
                made.setdefault(name, []).append(found)
            if len(self.complaints) > before:
                break  # what is wrong once is wrong every time
        for name, all_of_it in made.items():
            self._refuse_taken(name, entry.line_of("repeat"), scope)
            scope.names[name] = all_of_it
        return [
            [one for wave in together for one in wave or ()] for together in zip_longest(*instances)
        ]

    def _locals(self, entry: RepeatEntry, scope: Scope) -> list[dict[str, Any]]:
        """What `${day}` and `${item}` are in each repetition."""
        spec = entry.repeat
        items = render(list(spec.items), scope, self.blame)
        days = self._days(entry) if spec.over or spec.start else []
        count = spec.count or len(items) or len(days)
        if not count:
            self.complain(
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
            self.complain(
                entry.line_of("repeat"), "没有学期，请写 from 和 to",
                "there is no term: say from and to",
            )  # fmt: skip
            return []
        found = self.days.between(spec.over or "school-days", start, end)
        if not found:
            line = spec.line_of("from")
            self.complain(
                line, f"{start} 到 {end} 没有这样的日子", f"no such day from {start} to {end}"
            )
        return found

    def _command(self, entry: CommandEntry, scope: Scope, path: str) -> Planned:
        key = f"{self.file.stem}:{path}"
        body: dict[str, Any] = render(entry.body, scope, self.blame)
        if entry.at is not None:
            body["organisation"] = self._value(entry, "at", scope)
        if entry.when is not None:
            body["occurred_at"] = self._moment(entry, scope)
        who = self._who(entry, scope)
        target = None if entry.to is None else self._value(entry, "to", scope)
        service, operation = self._operation(entry)
        if entry.called is not None:
            if entry.called in scope.names or entry.called in RESERVED:
                self._refuse_taken(entry.called, entry.line_of("as"), scope)
            scope.names[entry.called] = Ref(key)
        return Planned(key, entry.line, who, service, operation, target, body, entry.expect_refusal)

    def _who(self, entry: CommandEntry, scope: Scope) -> str:
        try:
            who = rendered(entry.who, scope)
        except Meaningless as error:
            self.blame(entry.line_of("who"), error)
            return ADMINISTRATOR
        if who not in self.people:
            self.complain(entry.line_of("who"), f"没有人员 {who}", f"there is no person {who}")
        return str(who)

    def _value(self, entry: CommandEntry, key: str, scope: Scope) -> Any:
        """The id that `at` or `to` names: a name, or a name and a path, with or without `${}`."""
        text = getattr(entry, key)
        try:
            return rendered(text, scope) if "${" in text else evaluate(text, scope)
        except Meaningless as error:
            self.blame(entry.line_of(key), error)
            return None

    def _moment(self, entry: CommandEntry, scope: Scope) -> str:
        try:
            when = rendered(entry.when, scope) if isinstance(entry.when, str) else entry.when
            return moment(when, self.scenario.zone).isoformat()
        except Meaningless as error:
            self.blame(entry.line_of("when"), error)
            return ""

    def _operation(self, entry: CommandEntry) -> tuple[str, str]:
        """Service, and command or route."""
        if entry.command and not entry.route and entry.command.count(".") == 1:
            service, name = entry.command.split(".")
            return service, name
        if entry.route and not entry.command and entry.route.count("/") > 1:
            return entry.route.split("/")[1], entry.route
        self.complain(
            entry.line,
            "写 command（如 assets.ReportRepair）或 route（如 /assets/repairs）其中之一",
            "say either command (assets.ReportRepair) or route (/assets/repairs)",
        )
        return "", ""

    def _check_expected(self, scope: Scope) -> None:
        for figure in self.scenario.expected:
            self.unit(figure, "unit", figure.unit)
            for other in figure.same_at:
                self.unit(figure, "same_at", other)
            if not _number(figure.value):
                self.complain(figure.line_of("value"), "值应是数", "the value must be a number")
        for name in self.scenario.watch:
            if name not in scope.names:
                self.complain(
                    self.scenario.line_of("watch"), f"没有叫 {name} 的东西",
                    f"nothing is called {name}",
                )  # fmt: skip


def _number(text: str) -> bool:
    return text.replace(".", "", 1).removeprefix("-").isdecimal()


def given(node: Node, *names: str) -> dict[str, Any]:
    """What a node says of these names, as it is sent; what it leaves out is left out."""
    values = {name: getattr(node, name) for name in names}
    return {
        name: value.isoformat() if isinstance(value, date) else value
        for name, value in values.items()
        if value is not None
    }


def named_ref(key: str) -> Any:
    """The id in the answer to that command."""
    return evaluate("it", Scope(names={"it": Ref(key)}))


def merged(waves: Sequence[Wave], limit: int) -> list[Wave]:
    """Neighbouring waves of one person and service that do not wait for each other, as one: a
    batch is decided in its order.
    """
    made: list[Wave] = []
    for wave in waves:
        last = made[-1] if made else []
        groups = {one.group for one in (*last, *wave)}
        keys = {one.key for one in last}
        free = not any(one.needs() & keys for one in wave)
        if last and len(groups) == 1 and free and len(last) + len(wave) <= limit:
            made[-1] = [*last, *wave]
        else:
            made.append(wave)
    return made
