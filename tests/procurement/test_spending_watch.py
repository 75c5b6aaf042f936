"""Spending watch: pieces of one need that together reach a threshold are seen."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import pytest

from services.procurement.category import Category
from services.procurement.spending_watch import (
    KEPT,
    ForgetSpending,
    Noted,
    NoteSpending,
    SpendingForgotten,
    SpendingNoted,
    SplitPolicy,
    SplitSuspected,
    Suspicion,
    Window,
    next_number,
    recent_spending,
    spending_watches,
    split_suspicions,
    suspect,
)  # fmt: skip
from shared.kernel import Recorded
from shared.rules import RuleBook, shipped
from shared.testing import SCHOOL, STREAM, by, given, school

A, B, C = (UUID(int=n) for n in (101, 102, 103))
POLICY = SplitPolicy(
    watched={Category.FURNITURE: Window(days=30, thresholds_cny=(Decimal(50000), Decimal(90000)))}
)


def noted(piece: UUID, amount: int | str, day: date, number: str = "QG-1") -> SpendingNoted:
    return SpendingNoted(
        requisition=piece, number=number, category=Category.FURNITURE,
        amount_cny=Decimal(amount), day=day,
    )  # fmt: skip


def note_command(piece: UUID, amount: int | str, number: str = "QG-1") -> NoteSpending:
    return NoteSpending(
        organisation=SCHOOL, category=Category.FURNITURE, requisition=piece, number=number,
        amount_cny=Decimal(amount),
    )  # fmt: skip


def test_notes_a_submission_once() -> None:
    first = noted(A, 30000, date(2026, 9, 7))
    given(spending_watches).when(note_command(A, 30000), policy=POLICY).then(first)
    given(spending_watches, first).when(note_command(A, 30000), policy=POLICY).then()


def test_pieces_that_reach_a_threshold_together_are_suspected() -> None:
    first = noted(A, 30000, date(2026, 9, 1), "QG-1")
    outcome = given(spending_watches, first).when(note_command(B, 20000, "QG-2"), policy=POLICY)
    after = outcome.then(
        noted(B, 20000, date(2026, 9, 7), "QG-2"),
        SplitSuspected(
            requisitions=(A, B), numbers=("QG-1", "QG-2"), category=Category.FURNITURE,
            total_cny=Decimal(50000), threshold_cny=Decimal(50000), days=30,
            day=date(2026, 9, 7),
        ),
    )  # fmt: skip
    assert after.state.suspicions[0].requisitions == (A, B)


@pytest.mark.parametrize(
    ("amount", "day", "piece", "total"),
    [
        (30000, date(2026, 9, 1), "19999.99", None),  # together below every threshold
        (30000, date(2026, 8, 8), 20000, None),  # 30 days apart: outside the window
        (30000, date(2026, 8, 9), 20000, 50000),  # 29 days apart: inside
        (30000, date(2026, 10, 1), 20000, 50000),  # entered late: the later one counts too
        (60000, date(2026, 9, 1), 20000, None),  # the other went through the higher chain anyway
        (60000, date(2026, 9, 1), 30000, 90000),  # both below the next threshold, which they reach
        (30000, date(2026, 9, 1), 90000, None),  # reaches every threshold by itself
    ],
)
def test_only_what_is_a_piece_adds_up(
    amount: int, day: date, piece: int | str, total: int | None
) -> None:
    watch = given(spending_watches, noted(A, amount, day)).state
    one = Noted(
        requisition=B, number="QG-2", amount_cny=Decimal(piece), day=date(2026, 9, 7)
    )  # fmt: skip
    found = suspect(watch, one, Category.FURNITURE, POLICY)
    assert (found and found.total_cny) == (total and Decimal(total))
    assert suspect(watch, one, Category.FOOD, POLICY) is None, "not watched"


def test_the_highest_threshold_reached_is_named() -> None:
    watch = given(spending_watches, noted(A, 49000, date(2026, 9, 1))).state
    one = Noted(
        requisition=B, number="QG-2", amount_cny=Decimal(49000), day=date(2026, 9, 7)
    )  # fmt: skip
    found = suspect(watch, one, Category.FURNITURE, POLICY)
    assert found is not None
    assert found.threshold_cny == Decimal(90000)


def test_every_category_is_watched_and_no_window_outlasts_the_memory() -> None:
    policy = RuleBook(shipped("procurement")).in_force(SplitPolicy, school, date(2010, 3, 1))
    assert set(policy.watched) == set(Category)
    assert all(timedelta(days=window.days) <= KEPT for window in policy.watched.values())


def test_what_is_not_bought_no_longer_counts() -> None:
    first = noted(A, 30000, date(2026, 9, 1))
    gone = SpendingForgotten(
        requisition=A, category=Category.FURNITURE, amount_cny=Decimal(30000)
    )  # fmt: skip
    given(spending_watches, first).when(ForgetSpending(requisition=A)).then(gone)
    given(spending_watches, first, gone).when(ForgetSpending(requisition=A)).then()
    given(spending_watches, first, gone).when(note_command(B, 20000), policy=POLICY).then(
        noted(B, 20000, date(2026, 9, 7))
    )


def test_numbers_run_by_category_and_year_and_are_never_used_twice() -> None:
    first = noted(A, 30000, date(2026, 9, 1))
    gone = SpendingForgotten(requisition=A, category=Category.FURNITURE, amount_cny=Decimal(1))
    day = date(2026, 9, 7)
    assert next_number(None, Category.FURNITURE, day) == "QG2026-FURNITURE-0001"
    watch = given(spending_watches, first, gone).state
    assert next_number(watch, Category.FURNITURE, day) == "QG2026-FURNITURE-0002"
    assert next_number(watch, Category.FURNITURE, date(2027, 1, 2)) == "QG2027-FURNITURE-0001"


def test_old_pieces_are_let_go() -> None:
    past = (noted(A, 1, date(2025, 1, 1)), noted(B, 1, date(2026, 1, 2)))
    assert [n.requisition for n in given(spending_watches, past[0]).state.noted] == [A]
    kept = given(spending_watches, *past, noted(C, 1, date(2026, 1, 3))).state.noted
    assert [piece.requisition for piece in kept] == [B, C]


def test_views_show_the_window_and_each_suspicion() -> None:
    suspicion = Suspicion(
        requisitions=(A, B), numbers=("QG-1", "QG-2"), total_cny=Decimal(50000),
        threshold_cny=Decimal(50000), days=30, day=date(2026, 9, 7),
    )  # fmt: skip
    state = given(
        spending_watches,
        noted(A, 30000, date(2026, 9, 1)),
        noted(B, 20000, date(2026, 9, 7)),
        SplitSuspected(
            requisitions=(A, B), numbers=("QG-1", "QG-2"), category=Category.FURNITURE,
            total_cny=Decimal(50000), threshold_cny=Decimal(50000), days=30,
            day=date(2026, 9, 7),
        ),
    ).state  # fmt: skip
    assert state.suspicions == (suspicion,)
    moment = datetime(2026, 9, 7, tzinfo=UTC)
    recorded = Recorded(
        id=A, stream=STREAM, version=3, organisation=SCHOOL, actor="li", occurred_at=moment,
        recorded_at=moment,
    )  # fmt: skip
    row = recent_spending(state, recorded)
    assert (row.requisitions_count, row.total_cny, row.latest_on) == (
        2, Decimal(50000), date(2026, 9, 7),
    )  # fmt: skip
    assert split_suspicions(state, recorded)[str(B)].numbers == "QG-1、QG-2"


def test_the_day_is_that_of_the_fact_not_of_the_entry() -> None:
    late = by(at="2026-08-31T23:30:00+08:00", now="2026-09-07T08:00:00+08:00")
    given(spending_watches).when(note_command(A, 5), by=late, policy=POLICY).then(
        noted(A, 5, date(2026, 8, 31))
    )
