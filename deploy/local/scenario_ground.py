"""What a scenario stands on: its units, people, calendar and rules, as commands of organisation.

Here are also the words in which a plan is written: a command to send, a wave of them, a phase.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any
from uuid import UUID

from deploy.local.scenario import (
    RESERVED,
    Complaint,
    Contract,
    Node,
    Scenario,
    UnitEntry,
)  # fmt: skip
from deploy.local.scenario_values import Meaningless, Pending, Ref, Scope, refs
from shared.rules import region_of

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
class Ground:
    """Units, people, calendar and rules of a scenario; what is wrong is collected."""

    file: Path
    scenario: Scenario
    complaints: list[Complaint] = field(default_factory=list)
    units: dict[str, UUID] = field(default_factory=dict)
    entries: dict[str, UnitEntry] = field(default_factory=dict)

    def phases(self, scope: Scope) -> list[Phase]:
        """The commands of all of it; units are called by their names in `scope` from now on."""
        return [
            Phase("单位", "units", self._units(scope)),
            Phase("人员与岗位", "people and posts", self._people()),
            Phase("校历", "calendar", self._calendar()),
            Phase("规则", "rules", self._rules()),
        ]

    def complain(self, line: int, zh: str, en: str) -> None:
        """One more thing that is wrong."""
        self.complaints.append(Complaint(line, zh, en))

    def blame(self, line: int, error: Meaningless) -> None:
        """An expression that stands for nothing."""
        self.complain(line, error.zh, error.en)

    def _units(self, scope: Scope) -> list[Wave]:
        """Parents first: all units of one depth are a wave."""
        waves: list[Wave] = []
        depths: dict[str, int] = {}
        for at, unit in enumerate(self.scenario.units):
            above = self.entries.get(unit.parent or "")
            parent = unit.parent and self.unit(unit, "parent", unit.parent)
            self._name_unit(unit, scope)
            body = given(unit, "code", "name", "level", "kind", "stage", "division_code", "since")
            body["organisation"] = str(parent or region_of(unit.code))
            body["boarding"] = unit.boarding
            if above:
                body["parent_code"] = above.code
            depth = depths[unit.code] = depths[above.code] + 1 if above else 0
            waves += [[]] * (depth + 1 - len(waves))
            waves[depth] = [*waves[depth], self._office(f"units.{at}", unit, "RegisterUnit", body)]
        return waves

    def _name_unit(self, unit: UnitEntry, scope: Scope) -> None:
        for key, name in (("code", unit.code), ("as", unit.called)):
            if name is None:
                continue
            self.refuse_taken(name, unit.line_of(key), scope)
            self.units[name] = region_of(unit.code)
            self.entries[name] = unit
            scope.names[name] = str(region_of(unit.code))

    def refuse_taken(self, name: str, line: int, scope: Scope) -> None:
        if name in RESERVED:
            self.complain(line, f"{name} 是保留词", f"{name} is reserved")
        if name in scope.names:
            self.complain(line, f"{name} 已经有了", f"{name} is called so already")

    def unit(self, node: Node, key: str, name: str) -> str:
        """The id of a unit of the file; an unknown one is said."""
        if name not in self.units:
            self.complain(node.line_of(key), f"没有单位 {name}", f"there is no unit {name}")
        return str(self.units.get(name, region_of(name)))

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
                if person.name:
                    body["full_name"] = person.name
                posts.append(self._office(path, post, "AppointStaff", body))
                if post.contract:
                    contracts.append(self._contract(path, post.contract, posts[-1]))
        return [wave for wave in (posts, contracts) if wave]

    def _contract(self, path: str, contract: Contract, post: Planned) -> Planned:
        body = given(contract, "signed_on", "first_day", "last_day", "number")
        target = Pending((Ref(post.key),), whole=True)
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


def given(node: Node, *names: str) -> dict[str, Any]:
    """What a node says of these names, as it is sent; what it leaves out is left out."""
    values = {name: getattr(node, name) for name in names}
    return {
        name: value.isoformat() if isinstance(value, date) else value
        for name, value in values.items()
        if value is not None
    }
