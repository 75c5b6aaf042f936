"""Months as their first day, and when they end in Asia/Shanghai."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta

from shared.fields import SHANGHAI, business_day


def month_of(day: date) -> date:
    """The first day of the day's month."""
    return day.replace(day=1)


def month_after(month: date, months: int = 1) -> date:
    """The month that lies `months` later (earlier if negative), within the calendar."""
    years, index = divmod(month.month - 1 + months, 12)
    return date(max(1, min(9999, month.year + years)), index + 1, 1)


def months_from(first: date, last: date) -> int:
    """How many months lie from `first` up to and with `last` (0 or less if none)."""
    return (last.year - first.year) * 12 + last.month - first.month + 1


def day_end(day: date) -> datetime:
    """The last minute of a day, so that what is due then still falls on that day."""
    return datetime.combine(day, time(23, 59), SHANGHAI)


def month_end(month: date) -> datetime:
    """The last minute of a month."""
    return day_end(month_after(month) - timedelta(days=1))


def month_ended_by(moment: datetime) -> date:
    """The last month that has ended at `moment`."""
    day: date = business_day(moment + timedelta(minutes=1))
    return month_after(month_of(day), -1)
