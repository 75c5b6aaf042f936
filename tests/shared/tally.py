"""A small service that only the kernel's tests know: tallies that may not pass their limit."""

from __future__ import annotations

from copy import replace
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated
from uuid import UUID

from pydantic import Field

from shared.fields import Moment, Name
from shared.kernel import (
    Aggregate,
    By,
    Command,
    Creation,
    Event,
    From,
    Recorded,
    Refused,
    Send,
    Service,
    State,
    View,
)  # fmt: skip
from shared.organisation import READERS, Role


class TallyOpened(Event):
    name: str
    limit: int
    closes_at: datetime | None = None
    price_cny: Decimal | None = None


class TallyRaised(Event):
    amount: int


class TallyNoted(Event):
    text: str


class TallyClosed(Event):
    by_itself: bool


type TallyEvent = TallyOpened | TallyRaised | TallyNoted | TallyClosed


class Tally(State):
    name: str
    limit: int
    closes_at: datetime | None
    price_cny: Decimal | None
    total: int = 0
    steps: tuple[int, ...] = ()
    closed: bool = False


def evolve(state: Tally | None, event: TallyEvent) -> Tally:
    if isinstance(event, TallyOpened):
        return Tally(
            name=event.name,
            limit=event.limit,
            closes_at=event.closes_at,
            price_cny=event.price_cny,
        )
    assert state is not None
    match event:
        case TallyRaised(amount=amount):
            return replace(state, total=state.total + amount, steps=(*state.steps[-8:], amount))
        case TallyNoted():
            return state
        case TallyClosed():
            return replace(state, closed=True)


tallies = Aggregate("tally", events=TallyEvent, state=Tally, evolve=evolve)


class OpenTally(Creation):
    name: Name
    limit: int = 1_000_000
    closes_at: Moment | None = None
    price_cny: Decimal | None = None


@tallies.post("/tallies", allow=(Role.BUYER,))
def open_tally(state: Tally | None, command: OpenTally, by: By) -> TallyOpened | None:
    if state is not None:
        return None
    return TallyOpened(
        name=command.name,
        limit=command.limit,
        closes_at=command.closes_at,
        price_cny=command.price_cny,
    )


class RaiseTally(Command):
    amount: Annotated[int, Field(ge=1)] = 1


@tallies.post("/tallies/{id}/raise", allow=(Role.BUYER,))
def raise_tally(state: Tally, command: RaiseTally, by: By) -> TallyRaised:
    if state.closed or state.total + command.amount > state.limit:
        raise Refused("tally_full", field="amount", limit=state.limit)
    return TallyRaised(amount=command.amount)


class MoveTally(Command):
    """Takes from this one and gives to another, or neither."""

    to: UUID
    amount: int


@tallies.post("/tallies/{id}/move", allow=(Role.BUYER,))
def move(
    state: Tally,
    command: MoveTally,
    by: By,
    other: Annotated[Tally | None, From("to")],
) -> list[Event | Send]:
    if other is None:
        raise Refused("tally_unknown", field="to")
    taken = TallyRaised(amount=-command.amount)
    return [taken, Send(tallies, command.to, RaiseTally(amount=command.amount))]


class NoteTally(Command):
    text: str


@tallies.post("/tallies/{id}/note", allow=(Role.BUYER,))
def note(state: Tally, command: NoteTally, by: By) -> TallyNoted:
    return TallyNoted(text=command.text)


class CloseTally(Command):
    pass


@tallies.post("/tallies/{id}/close", allow=(Role.PRINCIPAL,), weighty=True)
def close(state: Tally, command: CloseTally, by: By) -> TallyClosed | None:
    return None if state.closed else TallyClosed(by_itself=False)


class ShutTally(Command):
    pass


@tallies.when_due(lambda state: None if state.closed else state.closes_at)
def shut(state: Tally, command: ShutTally, by: By) -> TallyClosed | None:
    return None if state.closed else TallyClosed(by_itself=True)


class TallyRow(View):
    id: UUID
    organisation: UUID
    name: str
    total: int
    price_cny: Decimal | None
    opened_on: date
    closed: bool


@tallies.view(
    "/tallies",
    allow=READERS,
    filters=("name", "closed", "total"),
    sorts=("name", "total", "price_cny"),
    search=("name",),
)
def tally_list(state: Tally, recorded: Recorded) -> TallyRow:
    return TallyRow(
        id=recorded.stream,
        organisation=recorded.organisation,
        name=state.name,
        total=state.total,
        price_cny=state.price_cny,
        opened_on=recorded.day,
        closed=state.closed,
    )


class OpenTallyRow(View):
    id: UUID
    organisation: UUID
    total: int


@tallies.view("/open-tallies", allow=READERS, sorts=("total",))
def open_tallies(state: Tally, recorded: Recorded) -> OpenTallyRow | None:
    if state.closed:
        return None
    return OpenTallyRow(id=recorded.stream, organisation=recorded.organisation, total=state.total)


class TallyStepRow(View):
    id: UUID
    organisation: UUID
    place: int
    amount: int


@tallies.view("/tally-steps", allow=READERS, sorts=("amount",))
def tally_steps(state: Tally, recorded: Recorded) -> dict[str, TallyStepRow]:
    """The last steps: rows that come, change and go."""
    return {
        f"{place}": TallyStepRow(
            id=recorded.stream, organisation=recorded.organisation, place=place, amount=amount
        )
        for place, amount in enumerate(state.steps)
    }


tally = Service("tally", [tallies])
