"""All streams of the service in memory: commands with everything that they send."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import msgspec

from services.assets import assets
from shared.kernel import Aggregate, Command, Creation, Event, Send
from shared.organisation import Level, Role, Unit
from shared.rules import RuleBook, shipped
from shared.testing import COUNTY, SCHOOL, by, school

NORTH = UUID("00000000-0000-7000-8000-000000000061")
SOUTH = UUID("00000000-0000-7000-8000-000000000062")
CLASS = UUID("00000000-0000-7000-8000-000000000071")
north = Unit(id=NORTH, code="N", name="北校区", level=Level.CAMPUS, path=(COUNTY, SCHOOL, NORTH))
south = Unit(id=SOUTH, code="S", name="南校区", level=Level.CAMPUS, path=(COUNTY, SCHOOL, SOUTH))
class_unit = Unit(
    id=CLASS, code="C", name="三（2）班", level=Level.CLASS, path=(COUNTY, SCHOOL, NORTH, CLASS)
)
UNITS = {unit.id: unit for unit in (school, north, south, class_unit)}
BOOK = RuleBook(shipped("assets"))


def again[E: Event](event: E) -> E:
    """The event as it comes back from the log."""
    return msgspec.json.decode(msgspec.json.encode(event), type=type(event))


@dataclass
class World:
    """Streams by id with their owner, and all events in order."""

    states: dict[UUID, Any] = field(default_factory=dict)
    owners: dict[UUID, UUID] = field(default_factory=dict)
    log: list[tuple[UUID, Event]] = field(default_factory=list)

    def do(
        self,
        aggregate: Aggregate,
        stream: UUID,
        command: Command,
        person: str = "li",
        *roles: Role,
        at: str = "2026-09-07T08:00:00+08:00",
        now: str | None = None,
    ) -> list[Event]:
        """Decides a command and what it sends, in order, and applies it all, or nothing at all."""
        before = (dict(self.states), dict(self.owners), list(self.log))
        try:
            return self._take(aggregate, stream, command, person, roles, at, now)
        except Exception:
            self.states, self.owners, self.log = before
            raise

    def _take(
        self, aggregate: Aggregate, stream: UUID, command: Command,
        person: str, roles: tuple[Role, ...], at: str, now: str | None,
    ) -> list[Event]:  # fmt: skip
        decision = aggregate.decisions[type(command)]
        if isinstance(command, Creation):
            self.owners.setdefault(stream, command.organisation)
        owner = self.owners[stream]
        caller = by(person, *roles, at=at, now=now, unit=owner, stream=stream)
        state = self.states.get(stream)
        facts: dict[str, Any] = {}
        for fact in decision.facts:
            if fact.kind == "policy":
                facts[fact.name] = BOOK.in_force(fact.type, UNITS[owner], caller.day)
                continue
            known = UNITS if fact.kind == "unit" else self.states
            if fact.source is None:
                facts[fact.name] = UNITS[owner]
                continue
            wanted = fact.source.locate(command, state, caller)
            if fact.many:
                facts[fact.name] = {id_: known[id_] for id_ in wanted or () if id_ in known}
            else:
                facts[fact.name] = known.get(wanted) if wanted else None
        made: list[Event] = []
        for one in decision.decide(state, command, caller, facts):
            if isinstance(one, Send):
                made += self._take(one.aggregate, one.id, one.command, person, roles, at, now)
            else:
                event = again(one)
                self.states[stream] = aggregate.evolve(self.states.get(stream), event)
                self.log.append((stream, event))
                made.append(event)
        return made

    def told(self, kind: type[Event]) -> list[Event]:
        """Every event of a kind so far."""
        return [event for _, event in self.log if type(event) is kind]


__all__ = ["NORTH", "SOUTH", "World", "assets", "class_unit", "north", "south"]
