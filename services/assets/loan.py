"""Things lent to a person or another unit until a day; what is not back by then climbs the tree.

出借. The loan belongs to the lender, who alone confirms the return; the borrower never does.
Rule: 账物相符, every thing lent out has a name and a date.
"""

from __future__ import annotations

from copy import replace
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Annotated, ClassVar
from uuid import UUID

from pydantic import Field

from services.assets.card import Card, cards
from services.assets.card.events import AssetLost
from services.assets.card.move import (
    AssetTotal,
    CardLine,
    PutOnLoan,
    TakeBackCard,
    lines_of,
    totals_of,
)
from services.assets.climbing import check_order, next_alarm
from services.assets.months import day_end
from services.assets.terms import CardId, Line
from services.assets.transfer import check_other_unit
from shared.fields import Reason, Subject, UnitId
from shared.kernel import (
    Aggregate,
    By,
    Command,
    Creation,
    Event,
    From,
    Policy,
    Recorded,
    Refused,
    Send,
    State,
    View,
)  # fmt: skip
from shared.organisation import READERS, Role, Unit

LENDERS = (Role.LOGISTICS_DIRECTOR, Role.STOREKEEPER)


class LoanStatus(StrEnum):
    """How far a loan has come."""

    OUT = "out"
    OVERDUE = "overdue"
    RETURNED = "returned"


class AssetsLent(Event):
    """Lent by the unit that owns the stream, to a person or to `to_unit`."""

    lines: tuple[CardLine, ...]
    totals: tuple[AssetTotal, ...]
    borrower: str
    to_unit: UUID | None
    lent_on: date
    lent_at: datetime
    due_on: date
    purpose: str
    lender: str


class LoanReturned(Event):
    """`totals` is what came back now, `outstanding` the cards still out."""

    cards: tuple[UUID, ...]
    totals: tuple[AssetTotal, ...]
    outstanding: int
    days_late: int
    borrower: str
    to_unit: UUID | None
    note: str


class LoanExtended(Event):
    due_on: date
    previous: date
    reason: str


class LoanOverdue(Event):
    level: int
    due_on: date
    days_late: int
    totals: tuple[AssetTotal, ...]
    borrower: str
    to_unit: UUID | None
    next_alarm_at: datetime | None


class LoanWrittenOff(Event):
    """A card on loan was lost, stolen or destroyed: it will not come back."""

    card: UUID
    outstanding: int


type LoanEvent = AssetsLent | LoanReturned | LoanExtended | LoanOverdue | LoanWrittenOff


class Loan(State):
    lines: tuple[CardLine, ...]
    out: tuple[UUID, ...]
    borrower: str
    to_unit: UUID | None
    lent_on: date
    lent_at: datetime
    due_on: date
    purpose: str
    alarm_at: datetime | None
    level: int = 0
    status: LoanStatus = LoanStatus.OUT

    @property
    def lines_out(self) -> tuple[CardLine, ...]:
        """The lines that are still to come back."""
        return tuple(line for line in self.lines if line.card in self.out)


def evolve(state: Loan | None, event: LoanEvent) -> Loan:
    """The loan after one more event."""
    if isinstance(event, AssetsLent):
        return Loan(
            lines=event.lines,
            out=tuple(line.card for line in event.lines),
            borrower=event.borrower,
            to_unit=event.to_unit,
            lent_on=event.lent_on,
            lent_at=event.lent_at,
            due_on=event.due_on,
            purpose=event.purpose,
            alarm_at=day_end(event.due_on),
        )
    assert state is not None, "a loan starts by lending"
    match event:
        case LoanReturned():
            return _less(state, event.cards)
        case LoanWrittenOff():
            return _less(state, (event.card,))
        case LoanExtended():
            return replace(
                state,
                due_on=event.due_on,
                alarm_at=day_end(event.due_on),
                level=0,
                status=LoanStatus.OUT,
            )
        case LoanOverdue():
            return replace(
                state,
                status=LoanStatus.OVERDUE,
                level=event.level,
                alarm_at=event.next_alarm_at,
            )


def _less(state: Loan, back: tuple[UUID, ...]) -> Loan:
    out = tuple(card for card in state.out if card not in back)
    if not out:
        return replace(state, out=(), status=LoanStatus.RETURNED, alarm_at=None)
    return replace(state, out=out)


loans = Aggregate("loan", events=LoanEvent, state=Loan, evolve=evolve)


class LoanPolicy(Policy):
    """The longest loan, and days between climbs once it is overdue."""

    slug: ClassVar[str] = "assets.loan"
    days_max: int
    climb_days: int
    climbs: int


class LendAssets(Creation):
    """Lent to a person (`borrower`), to another unit, or to a person of that unit."""

    cards: Annotated[tuple[CardId, ...], Field(min_length=1, max_length=500)]
    borrower: Subject | None = None
    to_unit: UnitId | None = None
    due_on: date
    purpose: Reason


@loans.post("/loans", allow=LENDERS)
def lend(
    state: Loan | None,
    command: LendAssets,
    by: By,
    *,
    policy: LoanPolicy,
    known: Annotated[dict[UUID, Card], From("cards")],
    to_unit: Annotated[Unit | None, From("to_unit")],
) -> list[AssetsLent | Send] | None:
    if state is not None:
        same = tuple(line.card for line in state.lines) == command.cards
        if same and (state.borrower, state.to_unit) == (command.borrower or "", command.to_unit):
            return None
        raise Refused("loan_exists", field="id")
    if command.borrower is None and command.to_unit is None:
        raise Refused("borrower_missing", field="borrower")
    if command.borrower == by.person:
        raise Refused("lent_to_oneself", field="borrower")
    if command.to_unit is not None:
        check_other_unit(command.to_unit, to_unit, by)
    check_due(command.due_on, by.day, by, policy)
    lines = lines_of(known, command.cards, command.organisation)
    put = PutOnLoan(
        loan=by.id,
        lender=command.organisation,
        due_on=command.due_on,
        borrower=command.borrower or "",
        to_unit=command.to_unit,
    )
    return [
        AssetsLent(
            lines=tuple(lines),
            totals=totals_of(lines),
            borrower=command.borrower or "",
            to_unit=command.to_unit,
            lent_on=by.day,
            lent_at=by.at,
            due_on=command.due_on,
            purpose=command.purpose,
            lender=by.person,
        ),
        *(Send(cards, card, put) for card in command.cards),
    ]


def check_due(due_on: date, lent_on: date, by: By, policy: LoanPolicy) -> None:
    """Refuses a day that is past, or too far from the lending."""
    if due_on < by.day:
        raise Refused("due_in_past", field="due_on")
    if due_on > lent_on + timedelta(days=policy.days_max):
        raise Refused("loan_too_long", field="due_on", days=policy.days_max)


class ReturnLoan(Command):
    """What came back; an empty list means everything that was still out."""

    cards: Annotated[tuple[CardId, ...], Field(max_length=500)] = ()
    note: Line = ""


@loans.post("/loans/{id}/return", allow=LENDERS)
def give_back(state: Loan, command: ReturnLoan, by: By) -> list[LoanReturned | Send] | None:
    lent = {line.card for line in state.lines}
    if not set(command.cards) <= lent:
        raise Refused("card_not_on_list", field="cards")
    wanted = command.cards or state.out
    back = tuple(dict.fromkeys(card for card in wanted if card in state.out))
    if not back:
        return None
    if by.person == state.borrower:
        raise Refused("borrower_confirms", field="id")
    check_order(by, state.lent_at)
    return [
        LoanReturned(
            cards=back,
            totals=totals_of(line for line in state.lines if line.card in back),
            outstanding=len(state.out) - len(back),
            days_late=max((by.day - state.due_on).days, 0),
            borrower=state.borrower,
            to_unit=state.to_unit,
            note=command.note,
        ),
        *(Send(cards, card, TakeBackCard(loan=by.id)) for card in back),
    ]


class ExtendLoan(Command):
    due_on: date
    reason: Reason


@loans.post("/loans/{id}/extend", allow=LENDERS)
def extend(
    state: Loan, command: ExtendLoan, by: By, policy: LoanPolicy
) -> list[LoanExtended | Send] | None:
    if state.due_on == command.due_on:
        return None
    if not state.out:
        raise Refused("loan_returned", field="id")
    if by.person == state.borrower:
        raise Refused("borrower_confirms", field="id")
    check_due(command.due_on, state.lent_on, by, policy)
    put = PutOnLoan(
        loan=by.id,
        lender=by.unit,
        due_on=command.due_on,
        borrower=state.borrower,
        to_unit=state.to_unit,
    )
    return [
        LoanExtended(due_on=command.due_on, previous=state.due_on, reason=command.reason),
        *(Send(cards, card, put) for card in state.out),
    ]


class WriteOffLoaned(Command):
    """Sent when a card on loan is gone."""

    card: CardId


@loans.decision
def write_off(state: Loan, command: WriteOffLoaned, by: By) -> LoanWrittenOff | None:
    if command.card not in state.out:
        return None
    return LoanWrittenOff(card=command.card, outstanding=len(state.out) - 1)


class RemindOfLoan(Command):
    """Due at the end of the day on which it should be back, then until it is."""


@loans.when_due(lambda state: state.alarm_at)
def remind(state: Loan, command: RemindOfLoan, by: By, policy: LoanPolicy) -> LoanOverdue | None:
    if not state.out or state.alarm_at is None or by.now < state.alarm_at:
        return None
    level = state.level + 1
    return LoanOverdue(
        level=level,
        due_on=state.due_on,
        days_late=max((by.day - state.due_on).days, 0),
        totals=totals_of(state.lines_out),
        borrower=state.borrower,
        to_unit=state.to_unit,
        next_alarm_at=next_alarm(level, policy.climbs, by, timedelta(days=policy.climb_days)),
    )


class LoanRow(View):
    id: UUID
    organisation: UUID
    incoming: bool
    borrower: str
    to_unit: UUID | None
    status: LoanStatus
    lent_on: date
    due_on: date
    outstanding: int
    totals: tuple[AssetTotal, ...]
    lines: tuple[CardLine, ...]
    purpose: str
    level: int
    changed_at: datetime


@loans.view(
    "/loans",
    allow=READERS,
    filters=("status", "incoming", "borrower", "to_unit", "due_on"),
    sorts=("due_on", "lent_on"),
    search=("purpose", "borrower"),
)
def asset_loans(state: Loan, recorded: Recorded) -> dict[str, LoanRow]:
    def row(unit: UUID, *, incoming: bool) -> LoanRow:
        return LoanRow(
            id=recorded.stream,
            organisation=unit,
            incoming=incoming,
            borrower=state.borrower,
            to_unit=state.to_unit,
            status=state.status,
            lent_on=state.lent_on,
            due_on=state.due_on,
            outstanding=len(state.out),
            totals=totals_of(state.lines_out),
            lines=state.lines,
            purpose=state.purpose,
            level=state.level,
            changed_at=recorded.recorded_at,
        )

    lent = {"lent": row(recorded.organisation, incoming=False)}
    if state.to_unit is not None:
        lent["borrowed"] = row(state.to_unit, incoming=True)
    return lent


@loans.on(AssetLost)
def write_off_when_lost(event: AssetLost, recorded: Recorded) -> list[Send]:
    """What is gone as a whole is no longer waited for."""
    if event.loan is None or event.remaining > 0:
        return []
    return [Send(loans, event.loan, WriteOffLoaned(card=recorded.stream))]
