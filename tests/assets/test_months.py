"""Months: counted, moved, and ended in Shanghai."""

from datetime import UTC, date, datetime

from services.assets.months import month_after, month_end, month_ended_by, months_from


def test_counts_and_moves_over_the_turn_of_the_year() -> None:
    assert month_after(date(2011, 11, 1), 3) == date(2012, 2, 1)
    assert month_after(date(2012, 1, 1), -1) == date(2011, 12, 1)
    assert months_from(date(2011, 11, 1), date(2012, 2, 1)) == 4
    assert months_from(date(2012, 2, 1), date(2012, 1, 1)) == 0


def test_a_month_has_ended_exactly_when_it_is_due() -> None:
    due = month_end(date(2012, 2, 1))
    assert due.astimezone(UTC) == datetime(2012, 2, 29, 15, 59, tzinfo=UTC)
    assert month_ended_by(due) == date(2012, 2, 1)
    assert month_ended_by(datetime(2012, 2, 29, 15, 58, 59, tzinfo=UTC)) == date(2012, 1, 1)
