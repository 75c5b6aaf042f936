"""What a period is held against."""

from datetime import date

import pytest

from services.reporting.comparison import before, year_before
from services.reporting.period import Period

LONG_AFTER = date(2030, 1, 1)


def period(text: str) -> Period:
    first, _, last = text.partition("..")
    return Period(text, date.fromisoformat(first), date.fromisoformat(last))


@pytest.mark.parametrize(
    ("text", "today", "earlier", "year_earlier"),
    [
        ("2026-11-01..2026-11-30", LONG_AFTER, "2026-10-01..2026-10-31", "2025-11-01..2025-11-30"),
        ("2026-11-01..2026-11-30", "2026-11-21", "2026-10-01..2026-10-21", "2025-11-01..2025-11-21"),
        ("2026-03-01..2026-03-31", "2026-03-30", "2026-02-01..2026-02-28", "2025-03-01..2025-03-30"),
        ("2025-02-01..2025-02-28", LONG_AFTER, "2025-01-01..2025-01-31", "2024-02-01..2024-02-29"),
        ("2024-02-01..2024-02-29", LONG_AFTER, "2024-01-01..2024-01-31", "2023-02-01..2023-02-28"),
        ("2026-01-01..2026-12-31", "2026-11-21", "2025-01-01..2025-11-21", "2025-01-01..2025-11-21"),
        ("2025-09-01..2026-08-31", LONG_AFTER, "2024-09-01..2025-08-31", "2024-09-01..2025-08-31"),
        ("2026-09-07..2026-09-13", LONG_AFTER, "2026-08-31..2026-09-06", "2025-09-07..2025-09-13"),
        ("2026-09-07..2026-09-13", "2026-09-09", "2026-08-31..2026-09-02", "2025-09-07..2025-09-09"),
        ("2027-01-01..2027-12-31", "2026-11-21", "2026-01-01..2026-12-31", "2026-01-01..2026-12-31"),
    ],
)  # fmt: skip
def test_as_many_days_as_have_passed(
    text: str, today: date | str, earlier: str, year_earlier: str
) -> None:
    day = today if isinstance(today, date) else date.fromisoformat(today)
    assert before(period(text), day) == period(earlier)
    assert year_before(period(text), day) == period(year_earlier)
