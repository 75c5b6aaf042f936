"""A school adopts its budget for a year by line and fund; every approval commits against it.

预算. The stream guards the hard limit: nothing is committed beyond a line, and every commitment
ends in spending or release. Rule: budget execution of primary and secondary schools.
"""

from __future__ import annotations

from copy import replace
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated
from uuid import UUID

import msgspec
from pydantic import Field

from shared.fields import Money, Name, PositiveMoney, Reason
from shared.kernel import (
    Aggregate,
    By,
    Command,
    Creation,
    Event,
    Part,
    Recorded,
    Refused,
    State,
    View,
)  # fmt: skip
from shared.organisation import READERS, Role


class Fund(StrEnum):
    """Where a line's money comes from."""

    PUBLIC = "public"
    CANTEEN = "canteen"
    SUBSIDY = "subsidy"
    AGENCY = "agency"
    PROJECT = "project"
    OTHER = "other"


class BudgetLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line as adopted; `code` is unique within the budget."""

    code: str
    name: str
    fund: Fund
    amount_cny: Decimal


class BudgetAdopted(Event):
    year: int
    lines: tuple[BudgetLine, ...]


class BudgetAmended(Event):
    line: str
    amount_cny: Decimal
    previous_cny: Decimal
    reason: str


class BudgetCommitted(Event):
    line: str
    fund: Fund
    purpose: UUID
    amount_cny: Decimal


class BudgetSpent(Event):
    line: str
    fund: Fund
    purpose: UUID
    amount_cny: Decimal
    committed_cny: Decimal


class BudgetReleased(Event):
    line: str
    purpose: UUID
    amount_cny: Decimal
    reason: str


type BudgetEvent = BudgetAdopted | BudgetAmended | BudgetCommitted | BudgetSpent | BudgetReleased


class Balance(msgspec.Struct, frozen=True, kw_only=True):
    """A line's money: adopted, held by open commitments, spent."""

    line: BudgetLine
    committed_cny: Decimal = Decimal(0)
    spent_cny: Decimal = Decimal(0)

    @property
    def free_cny(self) -> Decimal:
        """What may still be committed."""
        return self.line.amount_cny - self.committed_cny - self.spent_cny


class Budget(State):
    year: int
    balances: dict[str, Balance]
    commitments: dict[UUID, tuple[str, Decimal]]


def evolve(state: Budget | None, event: BudgetEvent) -> Budget:
    """The budget after one more event."""
    if isinstance(event, BudgetAdopted):
        balances = {line.code: Balance(line=line) for line in event.lines}
        return Budget(year=event.year, balances=balances, commitments={})
    assert state is not None, "a budget starts by being adopted"
    match event:
        case BudgetAmended(line=code, amount_cny=amount):
            balance = state.balances[code]
            changed = replace(balance, line=replace(balance.line, amount_cny=amount))
            return _with(state, code, changed)
        case BudgetCommitted(line=code, purpose=purpose, amount_cny=amount):
            balance = state.balances[code]
            held = replace(balance, committed_cny=balance.committed_cny + amount)
            return _with(state, code, held, {**state.commitments, purpose: (code, amount)})
        case BudgetSpent(line=code, purpose=purpose, amount_cny=amount, committed_cny=committed):
            balance = state.balances[code]
            paid = replace(
                balance,
                committed_cny=balance.committed_cny - committed,
                spent_cny=balance.spent_cny + amount,
            )
            return _with(state, code, paid, _without(state, purpose))
        case BudgetReleased(line=code, purpose=purpose, amount_cny=amount):
            balance = state.balances[code]
            freed = replace(balance, committed_cny=balance.committed_cny - amount)
            return _with(state, code, freed, _without(state, purpose))


def _with(
    state: Budget,
    code: str,
    balance: Balance,
    commitments: dict[UUID, tuple[str, Decimal]] | None = None,
) -> Budget:
    return replace(
        state,
        balances={**state.balances, code: balance},
        commitments=state.commitments if commitments is None else commitments,
    )


def _without(state: Budget, purpose: UUID) -> dict[UUID, tuple[str, Decimal]]:
    return {key: held for key, held in state.commitments.items() if key != purpose}


budgets = Aggregate(
    "budget",
    events=BudgetEvent,
    state=Budget,
    evolve=evolve,
    key=lambda command: f"{command.organisation}:{command.year}",
)


class LineAdopted(Part):
    """One line of a budget to adopt."""

    code: Name
    name: Name
    fund: Fund
    amount_cny: Money


class AdoptBudget(Creation):
    year: Annotated[int, Field(ge=2000, le=2100)]
    lines: Annotated[tuple[LineAdopted, ...], Field(min_length=1, max_length=500)]


@budgets.post("/budgets", allow=(Role.PRINCIPAL, Role.FINANCE_OFFICER), weighty=True)
def adopt(state: Budget | None, command: AdoptBudget, by: By) -> BudgetAdopted | None:
    lines = tuple(BudgetLine(**dict(line)) for line in command.lines)
    if len({line.code for line in lines}) < len(lines):
        raise Refused("budget_line_twice", field="lines")
    if state is None:
        return BudgetAdopted(year=command.year, lines=lines)
    if tuple(balance.line for balance in state.balances.values()) == lines:
        return None
    raise Refused("budget_already_adopted", field="year", year=command.year)


class AmendBudget(Command):
    line: Name
    amount_cny: Money
    reason: Reason


@budgets.post("/budgets/{id}/amend", allow=(Role.PRINCIPAL, Role.FINANCE_OFFICER), weighty=True)
def amend(state: Budget, command: AmendBudget, by: By) -> BudgetAmended | None:
    balance = line_of(state, command.line)
    if balance.line.amount_cny == command.amount_cny:
        return None
    bound = balance.committed_cny + balance.spent_cny
    if command.amount_cny < bound:
        raise Refused("budget_below_committed", field="amount_cny", bound_cny=bound)
    return BudgetAmended(
        line=command.line,
        amount_cny=command.amount_cny,
        previous_cny=balance.line.amount_cny,
        reason=command.reason,
    )


class CommitBudget(Command):
    line: Name
    purpose: UUID
    amount_cny: PositiveMoney


@budgets.decision
def commit(state: Budget, command: CommitBudget, by: By) -> BudgetCommitted | None:
    if command.purpose in state.commitments:
        return None
    balance = line_of(state, command.line)
    if command.amount_cny > balance.free_cny:
        raise Refused("budget_exceeded", field="amount_cny", free_cny=balance.free_cny)
    return BudgetCommitted(
        line=command.line,
        fund=balance.line.fund,
        purpose=command.purpose,
        amount_cny=command.amount_cny,
    )


class SpendBudget(Command):
    purpose: UUID
    amount_cny: PositiveMoney


@budgets.post("/budgets/{id}/spend", allow=(Role.ACCOUNTANT, Role.CASHIER), weighty=True)
def spend(state: Budget, command: SpendBudget, by: By) -> BudgetSpent:
    code, committed = commitment_of(state, command.purpose)
    if command.amount_cny > committed:
        raise Refused("spent_beyond_commitment", field="amount_cny", committed_cny=committed)
    return BudgetSpent(
        line=code,
        fund=state.balances[code].line.fund,
        purpose=command.purpose,
        amount_cny=command.amount_cny,
        committed_cny=committed,
    )


class ReleaseBudget(Command):
    purpose: UUID
    reason: Reason


@budgets.post("/budgets/{id}/release", allow=(Role.ACCOUNTANT, Role.PRINCIPAL))
def release(state: Budget, command: ReleaseBudget, by: By) -> BudgetReleased:
    code, committed = commitment_of(state, command.purpose)
    return BudgetReleased(
        line=code, purpose=command.purpose, amount_cny=committed, reason=command.reason
    )


def line_of(state: Budget, code: str) -> Balance:
    """The line's balance; refuses an unknown line."""
    if code not in state.balances:
        raise Refused("budget_line_unknown", field="line", line=code)
    return state.balances[code]


def commitment_of(state: Budget, purpose: UUID) -> tuple[str, Decimal]:
    """Line and amount of an open commitment; refuses an unknown one."""
    if purpose not in state.commitments:
        raise Refused("commitment_unknown", field="purpose")
    return state.commitments[purpose]


class BudgetLineRow(View):
    id: UUID
    organisation: UUID
    year: int
    code: str
    name: str
    fund: Fund
    amount_cny: Decimal
    committed_cny: Decimal
    spent_cny: Decimal
    free_cny: Decimal
    changed_at: datetime


@budgets.view(
    "/budgets",
    allow=READERS,
    filters=("year", "fund", "code"),
    sorts=("code", "free_cny", "amount_cny"),
    search=("name",),
)
def budget_lines(state: Budget, recorded: Recorded) -> dict[str, BudgetLineRow]:
    return {
        code: BudgetLineRow(
            id=recorded.stream,
            organisation=recorded.organisation,
            year=state.year,
            code=code,
            name=balance.line.name,
            fund=balance.line.fund,
            amount_cny=balance.line.amount_cny,
            committed_cny=balance.committed_cny,
            spent_cny=balance.spent_cny,
            free_cny=balance.free_cny,
            changed_at=recorded.recorded_at,
        )
        for code, balance in state.balances.items()
    }
