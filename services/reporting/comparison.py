"""Which days a period is held against: those before it, and the same ones a year earlier.

Of a period that is under way only as many days count as have passed, so that a year in November is
not held against twelve months.
"""

from __future__ import annotations

from datetime import date

from services.reporting.period import DAY, Period, after_month

YEAR = 12


def before(period: Period, today: date) -> Period:
    """As many months, or days, directly before."""
    months = whole_months(period)
    if months is None:
        first = period.first - DAY * period.days
        return spelled(first, first + (passed(period, today) - period.first))
    if passed(period, today) == period.last:
        return spelled(months_back(period.first, months), period.first - DAY)
    return shifted(period, today, months)


def year_before(period: Period, today: date) -> Period:
    """The same days a year earlier."""
    return shifted(period, today, YEAR)


def shifted(period: Period, today: date, months: int) -> Period:
    """The days of the period that have passed, so many months earlier."""
    return spelled(
        months_back(period.first, months), months_back(passed(period, today), months, end=True)
    )


def passed(period: Period, today: date) -> date:
    """The last day of the period that has begun; of one that is still to come, its last."""
    return min(period.last, today) if period.first <= today else period.last


def whole_months(period: Period) -> int | None:
    """How many months a period is made of, or None where it is not of whole ones."""
    first, following = period.first, period.last + DAY
    if first.day != 1 or following.day != 1:
        return None
    return (following.year - first.year) * YEAR + following.month - first.month


def months_back(day: date, months: int, *, end: bool = False) -> date:
    """The same day so many months earlier, or the month's last where it has no such day. `end`:
    what is the last of its month, is so there, too.
    """
    years, month = divmod(day.year * YEAR + day.month - 1 - months, YEAR)
    last = (after_month(date(years, month + 1, 1)) - DAY).day
    is_last = end and (day + DAY).day == 1
    return date(years, month + 1, last if is_last else min(day.day, last))


def spelled(first: date, last: date) -> Period:
    """The period of these days, as it would be asked for."""
    return Period(f"{first}..{last}", first, last)
