"""From a command to decided events, in memory: permission, facts, the pure decision, its sends.

Decisions are pure, so when one turns out to need a stream that nobody has loaded, it is abandoned
with `Missing`, the stream is loaded, and it simply runs again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from sealing.record import Private, clear_of, kept, seal_all
from sealing.vault import Vault
from shared.clock import this_moment
from shared.directory import Directory
from shared.fields import business_day
from shared.ids import new_id
from shared.kernel import (
    Aggregate,
    By,
    Command,
    Creation,
    Decision,
    Event,
    Fact,
    From,
    Recorded,
    Refused,
    Send,
    View,
    ViewOf,
)  # fmt: skip
from shared.organisation import HeldPost, Level, Unit, allowed
from shared.personal import carries, marked
from shared.store import EVENT_BYTES_MAX, NewEvent, Stream

SYSTEM = "system"
"""The actor of reactions and timers: they act for the platform and need no post."""


class Missing(Exception):  # noqa: N818 - control flow of a pure decision
    """Streams that must be loaded before the decision can be made."""

    def __init__(self, streams: Iterable[UUID]) -> None:
        super().__init__()
        self.streams = frozenset(streams)


class StepRefused(Exception):  # noqa: N818 - a no, not a fault
    """Of several commands that stand or fall together, the one at `index` is refused (cause)."""

    def __init__(self, index: int) -> None:
        super().__init__(str(index))
        self.index = index


@dataclass(frozen=True, slots=True)
class Step:
    """One command on one stream. `expected`: the version it must be at (If-Match)."""

    decision: Decision
    stream: UUID
    command: Command
    expected: int | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """Commands that stand or fall together, with who asks, when, and out of what. `together`: who
    asks knows them by number, so each is answered, and the one that is refused is named.
    """

    steps: Sequence[Step]
    person: str
    together: bool = False
    correlation: UUID | None = None
    causation: UUID | None = None
    trace: str | None = None
    now: datetime = field(default_factory=this_moment)


@dataclass(slots=True)
class Decided:
    """A request's events, and the streams as they are after them. `personal`: which of the events
    have personal values, and are written once these are sealed.
    """

    events: list[NewEvent] = field(default_factory=list)
    personal: dict[int, tuple[Event, list[Private]]] = field(default_factory=dict)
    touched: dict[UUID, Stream] = field(default_factory=dict)


async def seal(vault: Vault | None, decided: Sequence[Decided]) -> None:
    """Makes the data of events with personal values: all their keys come in one round trip."""
    wanted = [(made, n) for made in decided for n in made.personal]
    if wanted:
        values = [(made.events[n].stream, made.personal[n][1]) for made, n in wanted]
        await seal_all(vault, values)
    for made, n in wanted:
        event, _ = made.personal.pop(n)
        made.events[n] = made.events[n]._replace(data=kept(event))


class Known:
    """Streams as one group of requests sees them: loaded, and moved on by what it has decided.
    `recalled`: those that were not read for this group, but remembered.
    """

    def __init__(self) -> None:
        self.recalled: set[UUID] = set()
        self.streams: dict[UUID, Stream | None] = {}
        self.before: dict[UUID, int] = {}
        self._rows: dict[tuple[ViewOf, int], tuple[Stream, Mapping[str, View]]] = {}

    def load(self, found: Mapping[UUID, Stream | None]) -> None:
        """Takes in streams as they are in the log (None: there is none)."""
        for id_, stream in found.items():
            self.streams[id_] = stream
            self.before[id_] = stream.version if stream else 0

    def get(self, id_: UUID, decided: Decided) -> Stream | None:
        """The stream after what this request has decided so far; raises `Missing`."""
        if decided.touched and (found := decided.touched.get(id_)) is not None:
            return found
        try:
            return self.streams[id_]
        except KeyError:
            raise Missing([id_]) from None

    def rows(self, view: ViewOf, stream: Stream) -> Mapping[str, View]:
        """The view's rows of a stream, made once for answer and table. The stream is kept with
        them, so that its `id` stays its own.
        """
        name = (view, id(stream))
        if name not in self._rows:
            self._rows[name] = stream, view.rows(stream.state, stream.last)
        return self._rows[name][1]


class Decider:
    """What every request of a service is decided with: its aggregates and the local copy."""

    def __init__(
        self, aggregates: Sequence[Aggregate], directory: Directory, posts_age_s_max: float
    ) -> None:
        self.directory, self.posts_age_s_max = directory, posts_age_s_max
        self.by_state = {aggregate.state: aggregate for aggregate in aggregates}

    def decide(self, request: Request, known: Known) -> Decided:
        """Every event of the request. Raises `Missing`, or what refuses it as a whole."""
        run = Run(self, request, known)
        for index, step in enumerate(request.steps):
            try:
                run.take(step, run.authorise(step), step.command.occurred_at or request.now)
            except Missing:
                raise
            except Exception as error:
                if not request.together:
                    raise
                raise StepRefused(index) from error
        return run.decided


class Run:
    """One attempt to decide one request."""

    def __init__(self, decider: Decider, request: Request, known: Known) -> None:
        self.directory, self.by_state = decider.directory, decider.by_state
        self.posts_age_s_max = decider.posts_age_s_max
        self.request, self.known, self.decided = request, known, Decided()

    def get(self, id_: UUID) -> Stream | None:
        """The stream after what has been decided so far; raises `Missing`."""
        return self.known.get(id_, self.decided)

    def authorise(self, step: Step) -> tuple[HeldPost, ...]:
        """The caller's posts at the stream's unit; refuses whoever may not, or expects another."""
        decision, stream, person = step.decision, self.get(step.stream), self.request.person
        if stream is None and not decision.creates:
            raise Refused("not_found", field="id")
        if person == SYSTEM:
            return ()
        unit = self.unit_of(_owner(step, stream), step)
        place = unit
        if decision.at is not None:
            state = stream.state if stream else None
            id_ = From(decision.at).locate(step.command, state)
            place = self.unit_of(id_, step) if id_ else unit
        # A post must be held now: a late entry must not revive one that has ended.
        day = business_day(self.request.now)
        held = self.directory.held(person, place, day)
        if not allowed(held, decision.allow, place):
            raise Refused("forbidden", field="organisation", unit=place.name, roles=decision.allow)
        if decision.weighty and self.directory.age_seconds > self.posts_age_s_max:
            raise Refused("posts_too_old")
        version = stream.version if stream else 0
        if step.expected is not None and step.expected != version:
            raise Refused("stale", field="If-Match", version=version)
        return held if place is unit else (*held, *self.directory.held(person, unit, day))

    def unit_of(self, id_: UUID, step: Step) -> Unit:
        """A unit of the local copy. One that this service has just written itself and not yet
        heard of through Kafka counts as a part of the unit that owns its stream.
        """
        found, chain = self.directory.unit(id_), [id_]
        while found is None:
            own = self.get(chain[-1])
            root = own.organisation == chain[-1] if own else chain[-1] == step.stream
            if root:
                path = tuple(reversed(chain))
                return Unit(id=id_, code="", name="", level=Level.COUNTRY, path=path)
            if own is None:
                raise Refused("unit_unknown", field="organisation", unit=id_)
            found = self.directory.unit(own.organisation)
            chain.append(own.organisation)
        if len(chain) == 1:
            return found
        path = (*found.path, *reversed(chain[:-1]))
        return Unit(id=id_, code="", name="", level=Level.CLASS, path=path)

    def take(self, step: Step, posts: tuple[HeldPost, ...], at: datetime) -> None:
        """Decides one step and, in order, what it sends."""
        stream = self.get(step.stream)
        if stream is None and not step.decision.creates:
            raise Refused("not_found", field="id")
        by = By(
            person=self.request.person, id=step.stream, unit=_owner(step, stream),
            at=at, now=self.request.now, posts=posts,
        )  # fmt: skip
        state = stream.state if stream else None
        facts = {fact.name: self._fact(fact, step, state, by) for fact in step.decision.facts}
        for made in step.decision.decide(state, step.command, by, facts):
            if isinstance(made, Send):
                target = made.aggregate.decisions[type(made.command)]
                self.take(Step(target, made.id, made.command), posts, at)
            else:
                self._append(step.decision.aggregate, made, by)

    def _append(self, aggregate: Aggregate, event: Event, by: By) -> None:
        request, stream = self.request, self.get(by.id)
        if carries(type(event)):
            event, values = marked(event, by.id, by.unit)
            self.decided.personal[len(self.decided.events)] = event, values
            # Not written: it only says how large it will be, four bytes for three of a value.
            data = msgspec.json.encode(event, enc_hook=clear_of) * 4
            data = data[: len(data) // 3]
        else:
            data = msgspec.json.encode(event)
        if len(data) > EVENT_BYTES_MAX:
            raise Refused("event_too_large", bytes_max=EVENT_BYTES_MAX)
        version = stream.version + 1 if stream else 1
        id_ = new_id()
        self.decided.events.append(
            NewEvent(
                id_, by.id, version, type(event).__name__, data, by.unit, by.person, by.at,
                request.now, request.correlation or id_, request.causation, request.trace,
            )
        )  # fmt: skip
        last = Recorded(
            id=id_, stream=by.id, version=version, organisation=by.unit, actor=by.person,
            occurred_at=by.at, recorded_at=request.now,
        )  # fmt: skip
        state = aggregate.evolve(stream.state if stream else None, event)
        self.decided.touched[by.id] = Stream(by.id, aggregate.name, by.unit, version, state, last)

    def _fact(self, fact: Fact, step: Step, state: Any, by: By) -> Any:
        if fact.kind == "policy":
            unit = self.unit_of(by.unit, step)
            return self.directory.rules.in_force(fact.type, unit, by.day)
        if fact.source is None:
            return self.unit_of(by.unit, step)
        wanted = fact.source.locate(step.command, state, by)
        if not fact.many:
            return None if wanted is None else self._one(fact, wanted)
        ids = tuple(wanted or ())
        if fact.kind == "state":
            touched, loaded = self.decided.touched, self.known.streams
            absent = [id_ for id_ in ids if id_ not in touched and id_ not in loaded]
            if absent:
                raise Missing(absent)
        found = {id_: self._one(fact, id_) for id_ in ids}
        return {id_: one for id_, one in found.items() if one is not None}

    def _one(self, fact: Fact, id_: UUID) -> Any:
        if fact.kind == "unit":
            return self.directory.unit(id_)
        stream = self.get(id_)
        if stream is None or stream.aggregate != self.by_state[fact.type].name:
            return None
        return stream.state


def _owner(step: Step, stream: Stream | None) -> UUID:
    if stream is not None:
        return stream.organisation
    assert isinstance(step.command, Creation), "only a creation starts a stream"
    return step.command.organisation
