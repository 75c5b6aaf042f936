"""Spans of days. In events and states a span runs from `since` until the day before `until`, as
every service reads posts; people are asked for, and shown, the last day.
"""

from __future__ import annotations

from datetime import date, datetime, time, timedelta

from shared.fields import SHANGHAI

ONE_DAY = timedelta(days=1)


def after(last_day: date | None) -> date | None:
    """The day after the last one; None where there is no end."""
    return None if last_day is None else last_day + ONE_DAY


def last_day_of(until: date | None) -> date | None:
    """The last day of a span; None where it has no end."""
    return None if until is None else until - ONE_DAY


def overlap(since: date, until: date | None, other: date, other_until: date | None) -> bool:
    """Whether two spans share a day; one that ends as it begins shares none."""
    return max(since, other) < min(until or date.max, other_until or date.max)


def contains(since: date, until: date | None, other: date, other_until: date | None) -> bool:
    """Whether the first span contains the other."""
    return since <= other and (until is None or (other_until is not None and other_until <= until))


def midnight(day: date) -> datetime:
    """The moment at which a business day begins."""
    return datetime.combine(day, time(), SHANGHAI)


def month_of(day: date) -> str:
    """The month of a day, such as 2026-09."""
    return f"{day:%Y-%m}"


def next_month(month: str) -> date:
    """The first day of the month after `month`."""
    year, number = map(int, month.split("-"))
    return date(year + number // 12, number % 12 + 1, 1)
