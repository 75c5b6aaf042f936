"""The words that a domain file uses. A capability is declared once with them; all else follows.

A domain file declares events, a state, `evolve`, an `Aggregate`, and per capability a command with
its decision. Decorators only record and return the function unchanged, so that a test calls it as
the plain function that it is. Nothing here waits, reads a clock or touches a database.
"""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated, Any, ClassVar, Literal, dataclass_transform, get_args, get_origin
from uuid import UUID, uuid5

import msgspec
from pydantic import BaseModel, ConfigDict

from shared.fields import Moment, UnitId, business_day
from shared.organisation import HeldPost, Role, Unit

NAMESPACE = UUID("6f1c8d7e-52a0-5c1b-9d55-686f7571696e")
"""Root of every derived id, so that a natural key means the same stream everywhere."""


@dataclass_transform(frozen_default=True, kw_only_default=True)
class Frozen(msgspec.StructMeta):
    """Makes every subclass frozen and keyword-only, and lets type checkers know it."""


class Event(msgspec.Struct, metaclass=Frozen, frozen=True, kw_only=True):
    """Something that happened. The class name is its wire name for ever; new field = default."""


class Foreign(msgspec.Struct, metaclass=Frozen, frozen=True, kw_only=True):
    """Another service's event with only the fields read here; `source` names that service.

    The class name is the event's wire name. Unknown fields are ignored.
    """

    source: ClassVar[str]


class State(msgspec.Struct, metaclass=Frozen, frozen=True, kw_only=True):
    """What an aggregate is now, folded from its events by `evolve`."""


class View(msgspec.Struct, metaclass=Frozen, frozen=True, kw_only=True):
    """One row of a list or page: a pure function of an aggregate's state."""


class Policy(msgspec.Struct, metaclass=Frozen, frozen=True, kw_only=True):
    """A dated rule's values. Loaded for the unit and the day of the fact, never a constant."""

    slug: ClassVar[str]


class Command(BaseModel):
    """What somebody asks for. Untrusted: strict, and unknown fields are refused."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    occurred_at: Moment | None = None
    """When it happened, if earlier than now (late entry)."""


class Part(BaseModel):
    """A part of a command (a line item): as strict as the command itself."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class Creation(Command):
    """A command that starts a stream owned by `organisation`; `id` may be chosen by the client."""

    organisation: UnitId
    id: UUID | None = None


class Refused(Exception):  # noqa: N818 - the field's own word: a decision refuses
    """A decision's no. `slug` is stable and has words in both languages; `field` is to blame."""

    def __init__(self, slug: str, *, field: str | None = None, **values: object) -> None:
        super().__init__(slug)
        self.slug = slug
        self.field = field
        self.values = values


class By(msgspec.Struct, frozen=True, kw_only=True):
    """Who decides, for which stream, when. The only source of time and ids in a decision.

    `at` is when it happened, `now` when it is recorded; `posts` are those that the person holds
    at the stream's organisation or above it on that day.
    """

    person: str
    id: UUID
    unit: UUID
    at: datetime
    now: datetime
    posts: tuple[HeldPost, ...] = ()

    @property
    def day(self) -> date:
        """The business day of the fact."""
        return business_day(self.at)  # type: ignore[no-any-return]

    def holds(self, *roles: Role) -> bool:
        """Whether the person holds one of `roles` at the unit or above it."""
        return any(post.role in roles for post in self.posts)


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
    """An event's envelope: what the log knows of it beside its data."""

    id: UUID
    stream: UUID
    version: int
    organisation: UUID
    actor: str
    occurred_at: datetime
    recorded_at: datetime

    @property
    def day(self) -> date:
        """The business day on which it happened."""
        return business_day(self.occurred_at)  # type: ignore[no-any-return]


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

    source: str | Callable[[Any, Any, By], Any]

    def locate(self, command: Command, state: Any, by: By) -> Any:
        """The id (or ids) of the fact, or None where there is none to load."""
        if callable(self.source):
            return self.source(command, state, by)
        if self.source in type(command).model_fields:
            return getattr(command, self.source)
        return getattr(state, self.source)


type Outcome = Event | Send | Iterable[Event | Send] | None
"""What a decision returns: events and sends, or None where all is so already."""


def outcome(result: Outcome) -> list[Event | Send]:
    """A decision's result as a list, in order."""
    match result:
        case None:
            return []
        case Event() | Send():
            return [result]
        case _:
            return list(result)


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
        return outcome(self.function(state, command, by, **facts))


@dataclass(slots=True, eq=False)
class ViewOf:
    """A list and detail page: rows as a pure function of an aggregate's state."""

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
        return uuid5(NAMESPACE, f"{self.name}:{':'.join(map(str, key))}")

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
    ) -> Callable[[F], F]:
        """Declares a list at `path` and a detail at `path/{id}` whose row(s) are
        `function(state, recorded)`: one row, None, or a mapping key -> row.
        """

        def record(function: F) -> F:
            row, many = row_type(function)
            self.views.append(
                ViewOf(
                    self, function, path, row, many, tuple(allow), tuple(filters), tuple(sorts),
                    tuple(search),
                )
            )  # fmt: skip
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
    made from the running service where declarations alone do not suffice (reporting).
    """

    name: str
    aggregates: Sequence[Aggregate]
    policies: Sequence[type[Policy]] = ()
    reads: Sequence[str] = ()
    consumers: Sequence[Callable[[Any], Any]] = ()
    routers: Sequence[Callable[[Any], Any]] = ()

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

    def aggregate_of(self, state: type[State]) -> Aggregate:
        """The aggregate whose state is of that type."""
        return next(aggregate for aggregate in self.aggregates if aggregate.state is state)


def members(union: Any) -> tuple[type[Any], ...]:
    """The classes of a `type X = A | B` alias, of a union, or of one class."""
    if isinstance(union, typing.TypeAliasType):
        union = union.__value__
    if isinstance(union, types.UnionType) or get_origin(union) is typing.Union:
        return tuple(get_args(union))
    return (union,)


def hints_of(function: Callable[..., Any]) -> dict[str, Any]:
    """Parameter and return types of a function, resolved where it was written."""
    return typing.get_type_hints(function, include_extras=True)


def without_none(hint: Any) -> Any:
    """`X` of `X | None`."""
    kept = [member for member in members(hint) if member is not type(None)]
    return kept[0] if len(kept) == 1 else hint


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
