"""Events, own and foreign, turned into commands on own aggregates: once in effect.

The commands are decided and written in the transaction that moves the consumer's offsets, as the
platform's own actor; a refusal parks the event's key, so that nothing is skipped unseen.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from datetime import datetime
from typing import Any

import msgspec

from shared.clock import this_moment
from shared.decide import SYSTEM, Decided, Known, Request, Step
from shared.directory import Directory
from shared.effect import Handler
from shared.envelope import Delivered, Unappliable
from shared.kernel import Foreign, Reaction, Send, Service
from shared.store import Connection
from shared.writer import Writer

UNIT_WAIT_S = 3.0
"""How long a batch waits for units not heard of yet, before what needs one is parked."""


class Reactions(Handler):
    """What a service's reactions make of a batch of events: the handler of one consumer."""

    def __init__(self, service: Service, writer: Writer, directory: Directory) -> None:
        self.writer, self.directory = writer, directory
        self.by_type: dict[tuple[str, str], list[Reaction]] = defaultdict(list)
        self.decoders: dict[type[Any], msgspec.json.Decoder[Any]] = {}
        for reaction in service.reactions():
            event = reaction.event
            source = event.source if issubclass(event, Foreign) else service.name
            self.by_type[source, event.__name__].append(reaction)
            self.decoders[event] = msgspec.json.Decoder(event)
        self.wanted: frozenset[str] | None = frozenset(type_ for _, type_ in self.by_type)

    @property
    def sources(self) -> list[str]:
        """The services whose events are reacted to."""
        return sorted({source for source, _ in self.by_type})

    async def prepare(self, events: list[Delivered]) -> list[Delivered]:
        """An event may overtake its unit, which comes over another topic: that is waited for."""
        deadline, known = time.monotonic() + UNIT_WAIT_S, self.directory.unit
        units = {event.recorded.organisation for event in events}
        while None in map(known, units) and time.monotonic() < deadline:
            await asyncio.sleep(0.05)
            await self.directory.refresh()
        return events

    async def commit(self, connection: Connection, events: list[Delivered]) -> None:
        """Decides and writes what the events call for; raises `Unappliable` for one that cannot."""
        asked = [(event, request) for event in events if (request := self._request(event))]
        ids = [event.recorded.id for event, _ in asked]
        rows = await connection.fetch("select * from reacted where causation = any($1)", ids)
        done = {row[0] for row in rows}
        asked = [(event, request) for event, request in asked if event.recorded.id not in done]
        if not asked:
            return
        known = Known()
        outcomes = await self.writer.decide(connection, [request for _, request in asked], known)
        for (event, _), outcome in zip(asked, outcomes, strict=True):
            if not isinstance(outcome, Decided):
                raise Unappliable(event, f"{type(outcome).__name__}: {outcome}") from outcome
        decided = [outcome for outcome in outcomes if isinstance(outcome, Decided)]
        await self.writer.write(connection, decided, known)

    def committed(self) -> None:
        """Whoever waits for the log to grow is told."""
        self.writer.committed()

    def _request(self, event: Delivered) -> Request | None:
        """One event's commands, which stand or fall together."""
        steps: list[Step] = []
        for reaction in self.by_type.get((event.service, event.type), ()):
            try:
                body = event.decode(self.decoders[reaction.event])
                made = reaction.function(body, event.recorded, **self._facts(reaction, event))
            except Unappliable:
                raise
            except Exception as error:
                raise Unappliable(event, f"{reaction.name}: {error!r}") from error
            sends = [made] if isinstance(made, Send) else list(made or ())
            steps += [_step(send, event.recorded.occurred_at) for send in sends]
        if not steps:
            return None
        return Request(
            steps,
            SYSTEM,
            correlation=event.correlation,
            causation=event.recorded.id,
            trace=event.traceparent,
            now=this_moment(),
        )

    def _facts(self, reaction: Reaction, event: Delivered) -> dict[str, Any]:
        unit = self.directory.unit(event.recorded.organisation)
        if unit is None and reaction.facts:
            raise LookupError(f"unit {event.recorded.organisation} is not known yet")
        return {
            fact.name: unit
            if fact.kind == "unit" or unit is None
            else self.directory.rules.in_force(fact.type, unit, event.recorded.day)
            for fact in reaction.facts
        }


def _step(send: Send, at: datetime) -> Step:
    """A command dated when its cause happened, unless it says when itself."""
    command = send.command
    if not command.occurred_at:
        command = command.model_copy(update={"occurred_at": at})
    return Step(send.aggregate.decisions[type(command)], send.id, command)
