"""What is late and stays late is said again, each time one level higher in the tree.

Level 1 is the unit itself, 2 the unit above it, and so on up to the policy's number of climbs.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from shared.kernel import By, Refused


def next_alarm(level: int, climbs: int, by: By, step: timedelta) -> datetime | None:
    """When to speak again after speaking at `level`; None at the top."""
    return by.now + step if level < climbs else None


def check_order(by: By, *earlier: datetime | None) -> None:
    """Refuses a fact dated before the one that it follows."""
    if any(moment is not None and by.at < moment for moment in earlier):
        raise Refused("before_what_it_follows", field="occurred_at")
