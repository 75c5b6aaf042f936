"""Periods in the words that people use, as first and last day.

A day `2011-09-01`, a week `2011-W36`, a month `2011-09`, a year `2011`, a school year `2011/2012`,
a term `2011/2012-1`, or any days `2011-09-01..2012-01-15`. Terms are those of the unit's calendar;
where it has none, those of a dated rule.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date, timedelta
from typing import ClassVar

import msgspec

from shared.directory_events import Term
from shared.kernel import Policy, Refused

DAY = timedelta(days=1)

YEARS_MAX = 100
"""No period is longer."""

BEGINNING = date(1900, 1, 1)
"""Before anything that is counted: a balance is summed up from here."""


class TermDays(msgspec.Struct, frozen=True, kw_only=True):
    """A term's first and last day as month and day. Days before that on which school years begin
    lie in the second calendar year.
    """

    term: int
    first_month: int
    first_day: int
    last_month: int
    last_day: int


class SchoolYearPolicy(Policy):
    """When school year and terms begin and end where no calendar says so (学年、学期)."""

    slug: ClassVar[str] = "reporting.school_year"

    first_month: int
    first_day: int
    terms: tuple[TermDays, ...]


class Period(msgspec.Struct, frozen=True):
    """What was asked for, and which days that is; both ends belong to it."""

    text: str
    first: date
    last: date

    @property
    def days(self) -> int:
        """How many days it has."""
        return (self.last - self.first).days + 1

    def months(self) -> tuple[date, date] | None:
        """The first days of the first and the last month that lie wholly within."""
        first = self.first if self.first.day == 1 else after_month(self.first)
        last = (self.last + DAY).replace(day=1) - DAY
        return (first, last.replace(day=1)) if first <= last else None

    def odd_days(self) -> list[date]:
        """The days that lie outside of whole months."""
        whole = self.months()
        if whole is None:
            return days_between(self.first, self.last)
        return [
            *days_between(self.first, whole[0] - DAY),
            *days_between(after_month(whole[1]), self.last),
        ]


def after_month(day: date) -> date:
    """The first day of the next month."""
    return date(day.year + day.month // 12, day.month % 12 + 1, 1)


def days_between(first: date, last: date) -> list[date]:
    """Every day from `first` to `last`; none if that is before."""
    return [first + DAY * n for n in range((last - first).days + 1)]


def period_of(text: str, terms: Sequence[Term], policy: SchoolYearPolicy) -> Period:
    """The period that a text names; refuses what is none."""
    try:
        first, last = _days(text, terms, policy)
    except (ValueError, OverflowError) as error:
        raise Refused("period_malformed", field="period", period=text) from error
    if last < first or (last - first).days > 366 * YEARS_MAX or first < BEGINNING:
        raise Refused("period_malformed", field="period", period=text)
    return Period(text, first, last)


def _days(text: str, terms: Sequence[Term], policy: SchoolYearPolicy) -> tuple[date, date]:
    if ".." in text:
        begin, _, end = text.partition("..")
        return date.fromisoformat(begin), date.fromisoformat(end)
    if re.fullmatch(r"\d{4}-\d\d-\d\d", text):
        return date.fromisoformat(text), date.fromisoformat(text)
    if found := re.fullmatch(r"(\d{4})-W(\d\d)", text):
        monday = date.fromisocalendar(int(found[1]), int(found[2]), 1)
        return monday, monday + 6 * DAY
    if found := re.fullmatch(r"(\d{4})-(\d\d)", text):
        first = date(int(found[1]), int(found[2]), 1)
        return first, after_month(first) - DAY
    if re.fullmatch(r"\d{4}", text):
        return date(int(text), 1, 1), date(int(text), 12, 31)
    if found := re.fullmatch(r"(\d{4})/(\d{4})(?:-([1-9]))?", text):
        year = int(found[1])
        if int(found[2]) != year + 1:
            raise ValueError(text)
        if found[3] is None:
            return school_year(year, terms, policy)
        return term_days(year, int(found[3]), terms, policy)
    raise ValueError(text)


def school_year(year: int, terms: Sequence[Term], policy: SchoolYearPolicy) -> tuple[date, date]:
    """First and last day of the school year that begins in `year`.

    It lasts until the next one begins, so that every day, also in the holidays, belongs to one.
    """
    return _year_begins(year, terms, policy), _year_begins(year + 1, terms, policy) - DAY


def _year_begins(year: int, terms: Sequence[Term], policy: SchoolYearPolicy) -> date:
    known = [term.first_day for term in terms if term.school_year == year]
    return min(known, default=date(year, policy.first_month, policy.first_day))


def term_days(
    year: int, number: int, terms: Sequence[Term], policy: SchoolYearPolicy
) -> tuple[date, date]:
    """First and last day of a term of the school year that begins in `year`."""
    for term in terms:
        if (term.school_year, term.term) == (year, number):
            return term.first_day, term.last_day
    for days in policy.terms:
        if days.term == number:
            return (
                _in_school_year(year, days.first_month, days.first_day, policy),
                _in_school_year(year, days.last_month, days.last_day, policy),
            )
    raise ValueError(number)


def _in_school_year(year: int, month: int, day: int, policy: SchoolYearPolicy) -> date:
    begins = (policy.first_month, policy.first_day)
    return date(year if (month, day) >= begins else year + 1, month, day)
