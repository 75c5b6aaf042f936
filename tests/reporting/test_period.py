"""Periods in the words that people use."""

from datetime import date

import pytest

from services.reporting.period import BEGINNING, Period, SchoolYearPolicy, period_of
from shared.directory_events import Term
from shared.kernel import Refused
from shared.rules import decode, shipped

POLICY = decode(
    SchoolYearPolicy,
    next(rule.values for rule in shipped("reporting") if rule.slug == SchoolYearPolicy.slug),
)
TERMS = [
    Term(2011, 1, date(2011, 8, 29), date(2012, 1, 12)),
    Term(2011, 2, date(2012, 2, 6), date(2012, 6, 29)),
    Term(2012, 1, date(2012, 9, 3), date(2013, 1, 18)),
]


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("2011-09-01", "2011-09-01", "2011-09-01"),
        ("2011-W01", "2011-01-03", "2011-01-09"),
        ("2012-02", "2012-02-01", "2012-02-29"),
        ("2011-12", "2011-12-01", "2011-12-31"),
        ("2011", "2011-01-01", "2011-12-31"),
        ("2011/2012", "2011-09-01", "2012-08-31"),
        ("2011/2012-1", "2011-09-01", "2012-01-31"),
        ("2011/2012-2", "2012-02-01", "2012-08-31"),
        ("2011-09-05..2012-01-03", "2011-09-05", "2012-01-03"),
    ],
)
def test_periods(text: str, first: str, last: str) -> None:
    found = period_of(text, (), POLICY)
    assert (found.first, found.last) == (date.fromisoformat(first), date.fromisoformat(last))


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("2011/2012", "2011-08-29", "2012-09-02"),
        ("2011/2012-1", "2011-08-29", "2012-01-12"),
        ("2011/2012-2", "2012-02-06", "2012-06-29"),
        ("2012/2013-2", "2013-02-01", "2013-08-31"),
        ("2012/2013", "2012-09-03", "2013-08-31"),
    ],
)
def test_terms_of_the_calendar_win(text: str, first: str, last: str) -> None:
    found = period_of(text, TERMS, POLICY)
    assert (found.first, found.last) == (date.fromisoformat(first), date.fromisoformat(last))


@pytest.mark.parametrize(
    "text",
    ["", "x", "2011-13", "2011-W60", "2011/2013", "2011/2012-3", "2011-02-30", "0000",
     "2012-01-01..2011-01-01", "1800", "1900-01-01..2026-01-01", "9999-12"],
)  # fmt: skip
def test_what_is_no_period_is_refused(text: str) -> None:
    with pytest.raises(Refused) as caught:
        period_of(text, (), POLICY)
    assert (caught.value.slug, caught.value.field) == ("period_malformed", "period")


@pytest.mark.parametrize(
    ("first", "last"),
    [
        ("2011-09-01", "2011-09-30"), ("2011-09-02", "2011-11-29"), ("2011-09-02", "2011-09-20"),
        ("2011-12-15", "2012-01-31"), ("2011-08-31", "2011-10-01"), ("2011-01-01", "2011-12-31"),
        ("2011-09-30", "2011-10-01"),
    ],
)  # fmt: skip
def test_whole_months_and_odd_days_make_up_the_period(first: str, last: str) -> None:
    period = Period("", date.fromisoformat(first), date.fromisoformat(last))
    covered = set(period.odd_days())
    months = period.months()
    if months is not None:
        begin, end = months
        assert begin.day == end.day == 1
        assert begin <= end
        whole = {
            date.fromordinal(n) for n in range(period.first.toordinal(), period.last.toordinal() + 1)
            if begin <= date.fromordinal(n).replace(day=1) <= end
        }  # fmt: skip
        assert not covered & whole
        covered |= whole
    assert len(covered) == period.days
    assert (min(covered), max(covered)) == (period.first, period.last)


def test_nothing_counts_before_the_beginning() -> None:
    assert date(1949, 10, 1) > BEGINNING
