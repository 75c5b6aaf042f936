"""The words that a domain file uses. A capability is declared once with them; all else follows.

A domain file declares events, a state, `evolve`, an `Aggregate`, and per capability a command with
its decision. Decorators only record and return the function unchanged, so that a test calls it as
the plain function that it is. Nothing here waits, reads a clock or touches a database.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal, get_args, get_origin
from uuid import UUID

from shared.ids import derived_id
from shared.messages import (
    By,
    Command,
    Creation,
    Event,
    Foreign,
    Frozen,
    Part,
    Policy,
    Recorded,
    Refused,
    State,
    View,
)  # fmt: skip
from shared.organisation import Role, Unit
from shared.signature import hints_of, members, without_none

__all__ = [
    "Aggregate", "By", "Command", "Creation", "Decision", "Event", "Fact", "Foreign",
    "From", "Frozen", "Outcome", "Part", "Policy", "Reaction", "Recorded", "Refused", "Send",
    "Service", "State", "View", "ViewOf",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Send:
    """A command to another aggregate of this service, decided in the same transaction."""

    aggregate: Aggregate
    id: UUID
    command: Command


@dataclass(frozen=True, slots=True)
class From:
    """Where a decision's fact comes from: an attribute of the command (else of the state), or
    a function (command, state, by) -> id, ids or None.
    """

    source: str | Callable[[Any, Any, Any], Any]

    def locate(self, command: Command, state: Any, by: By | None = None) -> Any:
        """The id (or ids) of the fact, or None where there is none to load."""
        if callable(self.source):
            return self.source(command, state, by)
        if self.source in type(command).model_fields:
            return getattr(command, self.source)
        return getattr(state, self.source)


type Outcome = Event | Send | Iterable[Event | Send] | None
"""What a decision returns: events and sends, or None where all is so already."""


@dataclass(frozen=True, slots=True)
class Fact:
    """A parameter of a decision that the kernel loads first."""

    name: str
    kind: Literal["policy", "unit", "state"]
    type: type[Any]
    source: From | None
    many: bool


@dataclass(slots=True, eq=False)
class Decision:
    """A capability: command, pure decision, who may call it, and its route (None: only sent)."""

    aggregate: Aggregate
    function: Callable[..., Outcome]
    command: type[Command]
    facts: tuple[Fact, ...]
    path: str | None = None
    allow: tuple[Role, ...] = ()
    at: str | None = None
    weighty: bool = False
    timer: Callable[[Any], datetime | None] | None = None

    @property
    def name(self) -> str:
        """The command's class name; the operation's id."""
        return self.command.__name__

    @property
    def creates(self) -> bool:
        """Whether it starts a stream."""
        return issubclass(self.command, Creation)

    def decide(self, state: Any, command: Command, by: By, facts: Mapping[str, Any]) -> list[Any]:
        """Events and sends of this command on this state; raises `Refused`."""
        made = self.function(state, command, by, **facts)
        if made is None:
            return []
        return [made] if isinstance(made, Event | Send) else list(made)


@dataclass(slots=True, eq=False)
class ViewOf:
    """A list and detail page: rows as a pure function of an aggregate's state.

    `public`: every row of it, with every column, is for anybody to read.
    """

    aggregate: Aggregate
    function: Callable[..., Any]
    path: str
    row: type[View]
    many: bool
    allow: tuple[Role, ...]
    filters: tuple[str, ...]
    sorts: tuple[str, ...]
    search: tuple[str, ...]
    public: bool = False

    @property
    def name(self) -> str:
        """The function's name; the table is `view_<name>`."""
        return self.function.__name__

    def rows(self, state: Any, recorded: Recorded) -> Mapping[str, View]:
        """Every row that this stream has now, by key (the empty key where it has just one)."""
        made = self.function(state, recorded)
        if self.many:
            return typing.cast("Mapping[str, View]", made)
        return {} if made is None else {"": made}


@dataclass(slots=True, eq=False)
class Reaction:
    """An event, own or foreign, turned into commands on own aggregates, once in effect."""

    function: Callable[..., Iterable[Send] | Send | None]
    event: type[Event | Foreign]
    facts: tuple[Fact, ...]

    @property
    def name(self) -> str:
        """The function's name."""
        return self.function.__name__


class Aggregate:
    """The handle of one aggregate: its events, state, fold, and all that is declared on it.

    `key` gives streams a natural key: a function of the creating command whose text is hashed into
    the stream's id, so that two of the same cannot exist.
    """

    def __init__(
        self,
        name: str,
        *,
        events: Any,
        state: type[State],
        evolve: Callable[[Any, Any], Any],
        key: Callable[[Any], str] | None = None,
    ) -> None:
        self.name = name
        self.events: dict[str, type[Event]] = {event.__name__: event for event in members(events)}
        self.state = state
        self.evolve = evolve
        self.key = key
        self.module = inspect.getmodule(evolve)
        self.decisions: dict[type[Command], Decision] = {}
        self.views: list[ViewOf] = []
        self.reactions: list[Reaction] = []
        self.timer: Decision | None = None

    def id_of(self, *key: object) -> UUID:
        """The stream id that a natural key stands for; several parts are joined by a colon."""
        return derived_id(f"{self.name}:{':'.join(map(str, key))}")

    def post[F: Callable[..., Any]](
        self, path: str, *, allow: Sequence[Role], at: str | None = None, weighty: bool = False
    ) -> Callable[[F], F]:
        """Declares a capability with its route. `allow`: roles that may call it, at the stream's
        organisation or above, or at the unit that the command's or state's attribute `at` names.
        `weighty`: it spends, approves or grants, so it is refused while the local copy of posts
        is too old to know of a revocation.
        """

        def record(function: F) -> F:
            decision = self._record(function)
            decision.path, decision.allow = path, tuple(allow)
            decision.at, decision.weighty = at, weighty
            return function

        return record

    def decision[F: Callable[..., Any]](self, function: F) -> F:
        """Declares a decision without a route: other aggregates and reactions send its command."""
        self._record(function)
        return function

    def when_due[F: Callable[..., Any]](
        self, at: Callable[[Any], datetime | None]
    ) -> Callable[[F], F]:
        """Declares what happens by itself at the moment `at(state)` names (None: nothing due)."""

        def record(function: F) -> F:
            decision = self._record(function)
            decision.timer = at
            self.timer = decision
            return function

        return record

    def view[F: Callable[..., Any]](
        self,
        path: str,
        *,
        allow: Sequence[Role],
        filters: Sequence[str] = (),
        sorts: Sequence[str] = (),
        search: Sequence[str] = (),
        public: bool = False,
    ) -> Callable[[F], F]:
        """Declares a list at `path` and a detail at `path/{id}` whose row(s) are
        `function(state, recorded)`: one row, None, or a mapping key -> row. `public`: what it
        returns is published; people without an account read it, one school at a time, the newest
        by the first of `sorts` first (`hosting/disclosure.py`). It holds nothing about a person.
        """

        def record(function: F) -> F:
            row, many = row_type(function)
            self.views.append(ViewOf(
                self, function, path, row, many, tuple(allow), tuple(filters), tuple(sorts),
                tuple(search), public,
            ))  # fmt: skip
            return function

        return record

    def on[F: Callable[..., Any]](self, event: type[Event | Foreign]) -> Callable[[F], F]:
        """Declares a reaction: `function(event, recorded, **facts)` returns sends."""

        def record(function: F) -> F:
            self.reactions.append(Reaction(function, event, facts_of(function, skip=2)))
            return function

        return record

    def _record(self, function: Callable[..., Any]) -> Decision:
        hints = list(hints_of(function).items())
        command = next(hint for name, hint in hints if name == "command")
        decision = Decision(self, function, command, facts_of(function, skip=3))
        if command in self.decisions:
            raise TypeError(f"{command.__name__} has two decisions on {self.name}")
        self.decisions[command] = decision
        return decision


@dataclass(slots=True)
class Service:
    """A bounded context: its aggregates, and what it has beyond them.

    `reads` names services whose topics its own `consumers` take in; `consumers` and `routers` are
    made from the running service where declarations alone do not suffice (reporting), and so are
    `chores`, which its worker does every second.
    """

    name: str
    aggregates: Sequence[Aggregate]
    policies: Sequence[type[Policy]] = ()
    reads: Sequence[str] = ()
    consumers: Sequence[Callable[[Any], Any]] = ()
    routers: Sequence[Callable[[Any], Any]] = ()
    chores: Sequence[Callable[[Any], Callable[[], Awaitable[None]]]] = ()

    def decisions(self) -> dict[type[Command], Decision]:
        """Every decision of the service by its command."""
        return {
            command: decision
            for aggregate in self.aggregates
            for command, decision in aggregate.decisions.items()
        }

    def views(self) -> list[ViewOf]:
        """Every view of the service."""
        return [view for aggregate in self.aggregates for view in aggregate.views]

    def reactions(self) -> list[Reaction]:
        """Every reaction of the service."""
        return [reaction for aggregate in self.aggregates for reaction in aggregate.reactions]


def row_type(function: Callable[..., Any]) -> tuple[type[View], bool]:
    """The row class that a view function returns, and whether it returns a mapping of rows."""
    hint = without_none(hints_of(function)["return"])
    if get_origin(hint) in (dict, Mapping):
        return get_args(hint)[1], True
    return hint, False


def facts_of(function: Callable[..., Any], *, skip: int) -> tuple[Fact, ...]:
    """The facts that a decision or reaction names as parameters after its first `skip`."""
    hints = hints_of(function)
    names = list(inspect.signature(function).parameters)[skip:]
    return tuple(_fact(name, hints[name]) for name in names)


def _fact(name: str, hint: Any) -> Fact:
    source: From | None = None
    if get_origin(hint) is Annotated:
        hint, source = get_args(hint)[0], next(
            (mark for mark in get_args(hint)[1:] if isinstance(mark, From)), None
        )  # fmt: skip
    many = get_origin(hint) is dict
    wanted = get_args(hint)[1] if many else without_none(hint)
    if issubclass(wanted, Policy):
        return Fact(name, "policy", wanted, source, many)
    if issubclass(wanted, Unit):
        return Fact(name, "unit", wanted, source, many)
    if issubclass(wanted, State) and source is not None:
        return Fact(name, "state", wanted, source, many)
    raise TypeError(f"parameter {name!r}: a fact is a Policy, a Unit, or a State with From(...)")
