"""given / when / then over plain decision functions, without a database.

    given(requisitions, RequisitionRaised(...)).when(ApproveRequisition(), by=by("li")).then(...)
    given(requisitions).when(...).refused("slug", field="amount_cny")

Facts that are policies default to the rule shipped for the whole country; every other fact is
passed by its parameter's name.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from shared.kernel import Aggregate, By, Command, Decision, Event, Refused, Send
from shared.organisation import HeldPost, Level, Role, Unit
from shared.rules import RuleBook, shipped

SCHOOL = UUID("00000000-0000-7000-8000-000000000005")
COUNTY = UUID("00000000-0000-7000-8000-000000000003")
STREAM = UUID("00000000-0000-7000-8000-0000000000aa")

school = Unit(
    id=SCHOOL, code="2143000001", name="测试小学", level=Level.SCHOOL, path=(COUNTY, SCHOOL)
)
"""The unit at which every test happens unless it says otherwise."""


def by(
    person: str = "li",
    *roles: Role,
    at: str = "2026-09-07T08:00:00+08:00",
    now: str | None = None,
    unit: UUID = SCHOOL,
    stream: UUID = STREAM,
    level: Level = Level.SCHOOL,
    delegated_by: str | None = None,
) -> By:
    """A caller who holds `roles` at `unit`."""
    posts = tuple(
        HeldPost(role=role, unit=unit, level=level, delegated_by=delegated_by) for role in roles
    )
    moment = datetime.fromisoformat(at).astimezone(UTC)
    recorded = datetime.fromisoformat(now).astimezone(UTC) if now else moment
    return By(person=person, id=stream, unit=unit, at=moment, now=recorded, posts=posts)


class Given:
    """An aggregate with a past."""

    def __init__(self, aggregate: Aggregate, events: Sequence[Event]) -> None:
        self.aggregate = aggregate
        self.state: Any = None
        for event in events:
            self.state = aggregate.evolve(self.state, event)

    def when(self, command: Command, *, by: By | None = None, **facts: Any) -> Result:
        """Decides `command` on the state so far."""
        decision = self.aggregate.decisions[type(command)]
        caller = by or globals()["by"]()
        return Result(self, decision, command, caller, _defaults(decision, caller) | facts)


class Result:
    """What came of a command: compare it with `then` or `refused`."""

    def __init__(
        self, past: Given, decision: Decision, command: Command, by: By, facts: dict[str, Any]
    ) -> None:
        self.past, self.decision, self.command = past, decision, command
        self.caller, self.facts = by, facts

    def outcome(self) -> list[Event | Send]:
        """Events and sends, in order; raises `Refused`."""
        return self.decision.decide(self.past.state, self.command, self.caller, self.facts)

    def then(self, *expected: Event | Send) -> Given:
        """The outcome is exactly that; returns the aggregate with the new events applied."""
        assert self.outcome() == list(expected)
        after = Given(self.past.aggregate, ())
        after.state = self.past.state
        for event in expected:
            if isinstance(event, Event):
                after.state = after.aggregate.evolve(after.state, event)
        return after

    def refused(self, slug: str, *, field: str | None = None) -> None:
        """The decision refuses with that slug (and blames that field)."""
        try:
            result = self.outcome()
        except Refused as refusal:
            assert refusal.slug == slug, f"refused with {refusal.slug!r}"
            assert field is None or refusal.field == field, f"blames {refusal.field!r}"
        else:
            raise AssertionError(f"not refused: {result}")


def given(aggregate: Aggregate, *events: Event) -> Given:
    """An aggregate to which `events` have happened."""
    return Given(aggregate, events)


def _defaults(decision: Decision, by: By) -> dict[str, Any]:
    service = decision.function.__module__.split(".")[1]
    book = RuleBook(shipped(service))
    facts: dict[str, Any] = {}
    for fact in decision.facts:
        if fact.kind == "policy":
            facts[fact.name] = book.in_force(fact.type, school, by.day)
        elif fact.kind == "unit" and fact.source is None:
            facts[fact.name] = school
    return facts
