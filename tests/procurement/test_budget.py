"""Budget: nothing is committed beyond a line; every commitment ends in spending or release."""

from decimal import Decimal
from uuid import UUID

from services.procurement.budget import (
    AdoptBudget,
    AmendBudget,
    BudgetAdopted,
    BudgetAmended,
    BudgetCommitted,
    BudgetLine,
    BudgetReleased,
    BudgetSpent,
    CommitBudget,
    Fund,
    LineAdopted,
    ReleaseBudget,
    SpendBudget,
    budgets,
)  # fmt: skip
from shared.testing import SCHOOL, given

DESK = UUID(int=7)
LINE = BudgetLine(code="30201", name="办公费", fund=Fund.PUBLIC, amount_cny=Decimal("1000.00"))
ADOPTED = BudgetAdopted(year=2026, lines=(LINE,))
COMMITTED = BudgetCommitted(
    line="30201", fund=Fund.PUBLIC, purpose=DESK, amount_cny=Decimal("600.00")
)
LINE_COMMAND = LineAdopted(
    code="30201", name="办公费", fund=Fund.PUBLIC, amount_cny=Decimal("1000.00")
)


def adopt_command(*lines: LineAdopted) -> AdoptBudget:
    return AdoptBudget(organisation=SCHOOL, year=2026, lines=lines)


def test_adopts_once() -> None:
    adopted = given(budgets).when(adopt_command(LINE_COMMAND)).then(ADOPTED)
    assert adopted.state.balances["30201"].free_cny == Decimal("1000.00")
    given(budgets, ADOPTED).when(adopt_command(LINE_COMMAND)).then()


def test_refuses_the_same_line_twice() -> None:
    given(budgets).when(adopt_command(LINE_COMMAND, LINE_COMMAND)).refused(
        "budget_line_twice", field="lines"
    )


def test_refuses_a_second_budget_for_the_year() -> None:
    other = LINE_COMMAND.model_copy(update={"amount_cny": Decimal(5)})
    given(budgets, ADOPTED).when(adopt_command(other)).refused("budget_already_adopted")


def test_commits_up_to_the_line_and_once_per_purpose() -> None:
    command = CommitBudget(line="30201", purpose=DESK, amount_cny=Decimal("600.00"))
    committed = given(budgets, ADOPTED).when(command).then(COMMITTED)
    given(budgets, ADOPTED, COMMITTED).when(command).then()
    assert committed.state.balances["30201"].free_cny == Decimal("400.00")


def test_never_commits_beyond_the_line() -> None:
    command = CommitBudget(line="30201", purpose=UUID(int=8), amount_cny=Decimal("400.01"))
    given(budgets, ADOPTED, COMMITTED).when(command).refused("budget_exceeded", field="amount_cny")


def test_refuses_an_unknown_line() -> None:
    command = CommitBudget(line="30299", purpose=DESK, amount_cny=Decimal(1))
    given(budgets, ADOPTED).when(command).refused("budget_line_unknown", field="line")


def test_a_commitment_ends_in_spending() -> None:
    command = SpendBudget(purpose=DESK, amount_cny=Decimal("580.00"))
    spent = given(budgets, ADOPTED, COMMITTED).when(command).then(
        BudgetSpent(
            line="30201", fund=Fund.PUBLIC, purpose=DESK,
            amount_cny=Decimal("580.00"), committed_cny=Decimal("600.00"),
        )
    )  # fmt: skip
    assert spent.state.balances["30201"].free_cny == Decimal("420.00")
    assert spent.state.commitments == {}
    given(budgets, ADOPTED).when(command).refused("commitment_unknown", field="purpose")


def test_refuses_spending_beyond_the_commitment() -> None:
    command = SpendBudget(purpose=DESK, amount_cny=Decimal("600.01"))
    given(budgets, ADOPTED, COMMITTED).when(command).refused("spent_beyond_commitment")


def test_a_commitment_ends_in_release() -> None:
    command = ReleaseBudget(purpose=DESK, reason="不再需要")
    released = given(budgets, ADOPTED, COMMITTED).when(command).then(
        BudgetReleased(
            line="30201", purpose=DESK, amount_cny=Decimal("600.00"), reason="不再需要"
        )
    )  # fmt: skip
    assert released.state.balances["30201"].free_cny == Decimal("1000.00")


def test_amends_but_never_below_what_is_bound() -> None:
    raised = AmendBudget(line="30201", amount_cny=Decimal("1200.00"), reason="追加")
    given(budgets, ADOPTED, COMMITTED).when(raised).then(
        BudgetAmended(
            line="30201", amount_cny=Decimal("1200.00"), previous_cny=Decimal("1000.00"),
            reason="追加",
        )
    )  # fmt: skip
    lowered = AmendBudget(line="30201", amount_cny=Decimal("599.99"), reason="压减")
    given(budgets, ADOPTED, COMMITTED).when(lowered).refused("budget_below_committed")
