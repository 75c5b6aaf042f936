"""Daily, weekly, monthly: summaries count what the log knows."""

from copy import replace
from datetime import date
from typing import Any
from uuid import UUID

from services.safety.cycle import (
    CyclePeriod,
    NoteSafetyCheck,
    ReportSafetyMonth,
    SafetyCheckNoted,
    SafetyMonthReported,
    SafetyWeekSummarised,
    SummariseSafetyWeek,
    cycle_of,
    mondays_of,
    month_of_week,
    months_touched,
    safety_cycle_register,
    safety_cycles,
)
from services.safety.programme import ProgrammeKind
from shared.kernel import Recorded
from shared.organisation import Role
from shared.testing import SCHOOL, STREAM, by, given

FRIDAY = by("officer", Role.SAFETY_OFFICER, at="2026-09-11T16:00:00+08:00")


def noted(number: int, day: str, findings: int = 0) -> SafetyCheckNoted:
    return SafetyCheckNoted(
        subject=UUID(int=number), kind=ProgrammeKind.DAILY, day=date.fromisoformat(day),
        findings=findings,
    )  # fmt: skip


CHECKS = (
    noted(1, "2026-09-06"), noted(2, "2026-09-07", 2), noted(3, "2026-09-07", 1),
    noted(4, "2026-09-13"), noted(5, "2026-09-14", 4),
)  # fmt: skip
WEEK = SafetyWeekSummarised(
    year=2026, week=37, first_day=date(2026, 9, 7),
    month_on=date(2026, 9, 1), checks=3, days_checked=2, findings=3,
    summary="本周正常", next_measures="", summarised_by="officer", due_on=date(2026, 9, 15),
    on_time=True,
)  # fmt: skip


def week(**more: Any) -> SummariseSafetyWeek:
    content: dict[str, Any] = {
        "organisation": SCHOOL, "year": 2026, "week": 37, "summary": "本周正常",
    }  # fmt: skip
    return SummariseSafetyWeek(**content | more)


def month(**more: Any) -> ReportSafetyMonth:
    content: dict[str, Any] = {
        "organisation": SCHOOL, "year": 2026, "month": 9, "summary": "本月正常",
    }  # fmt: skip
    return ReportSafetyMonth(**content | more)


def test_a_check_is_noted_once() -> None:
    command = NoteSafetyCheck(
        organisation=SCHOOL, subject=UUID(int=1), kind=ProgrammeKind.DAILY,
        day=date(2026, 9, 6), findings=0,
    )  # fmt: skip
    first = given(safety_cycles).when(command).then(noted(1, "2026-09-06"))
    assert first.state.month_on == date(2026, 9, 1)
    first.when(command).then()
    key = safety_cycles.key
    assert key is not None
    assert safety_cycles.id_of(key(command)) == cycle_of(SCHOOL, date(2026, 9, 30))


def test_a_week_counts_its_own_days_and_no_others() -> None:
    past = given(safety_cycles, *CHECKS)
    facts = {"cycles": {STREAM: past.state}}
    summed = past.when(week(), by=FRIDAY, **facts).then(WEEK)
    summed.when(week(), by=FRIDAY, **facts).then()
    summed.when(week(summary="另一份"), by=FRIDAY, **facts).refused("week_summarised_already")


def test_a_week_across_two_months_counts_both() -> None:
    command = week(week=40)
    september = given(safety_cycles, noted(1, "2026-09-28", 1)).state
    october = given(safety_cycles, noted(2, "2026-10-01", 2)).state
    caller = by("officer", Role.SAFETY_OFFICER, at="2026-10-07T08:00:00+08:00")
    assert months_touched(command, caller) == (
        cycle_of(SCHOOL, date(2026, 9, 1)), cycle_of(SCHOOL, date(2026, 10, 1)),
    )  # fmt: skip
    assert command.month_on == date(2026, 10, 1)
    events = given(safety_cycles).when(
        command, by=caller, cycles={UUID(int=1): september, UUID(int=2): october}
    ).outcome()  # fmt: skip
    summed = events[0]
    assert isinstance(summed, SafetyWeekSummarised)
    assert (summed.checks, summed.findings, summed.on_time) == (2, 3, False)


def test_a_week_without_any_check_is_still_summed_up() -> None:
    empty = given(safety_cycles).when(week(), by=FRIDAY, cycles={}).then(
        replace(WEEK, checks=0, days_checked=0, findings=0)
    )  # fmt: skip
    assert empty.state.month_on == date(2026, 9, 1)


def test_refuses_weeks_that_do_not_exist_or_have_not_begun() -> None:
    begin = given(safety_cycles)
    begin.when(week(year=2025, week=53), by=FRIDAY, cycles={}).refused("week_not_in_year")
    begin.when(week(week=38), by=FRIDAY, cycles={}).refused("period_not_begun")
    last = by("officer", Role.SAFETY_OFFICER, at="2027-01-04T08:00:00+08:00")
    (summed,) = begin.when(week(week=53), by=last, cycles={}).outcome()
    assert isinstance(summed, SafetyWeekSummarised)
    assert (summed.first_day, month_of_week(summed.first_day)) == (
        date(2026, 12, 28), date(2026, 12, 1),
    )  # fmt: skip


def test_a_month_says_which_weeks_nobody_summed_up() -> None:
    caller = by("officer", Role.SAFETY_OFFICER, at="2026-10-05T08:00:00+08:00")
    reported = given(safety_cycles, *CHECKS, WEEK).when(month(), by=caller).then(
        SafetyMonthReported(
            month_on=date(2026, 9, 1), checks=5, days_checked=4, findings=7, weeks_summarised=1,
            weeks_missing=(date(2026, 8, 31), date(2026, 9, 14), date(2026, 9, 21)),
            summary="本月正常", next_measures="", reported_by="officer",
            due_on=date(2026, 10, 5), on_time=True,
        )
    )  # fmt: skip
    reported.when(month(), by=caller).then()
    reported.when(month(summary="另一份"), by=caller).refused("month_reported_already")


def test_a_late_or_empty_month_is_reported_and_a_coming_one_is_not() -> None:
    late = by("officer", Role.SAFETY_OFFICER, at="2026-10-06T00:00:00+08:00")
    (reported,) = given(safety_cycles).when(month(), by=late).outcome()
    assert isinstance(reported, SafetyMonthReported)
    assert (reported.on_time, reported.checks) == (False, 0)
    given(safety_cycles).when(month(month=10), by=FRIDAY).refused("period_not_begun")


def test_every_week_belongs_to_one_month() -> None:
    mondays = [monday for number in range(1, 13) for monday in mondays_of(date(2026, number, 1))]
    assert mondays == sorted(set(mondays))
    assert len(mondays) == 53


def test_the_register_has_the_month_and_its_weeks() -> None:
    recorded = Recorded(
        id=STREAM, stream=STREAM, version=6, organisation=SCHOOL, actor="officer",
        occurred_at=FRIDAY.at, recorded_at=FRIDAY.now,
    )  # fmt: skip
    rows = safety_cycle_register(given(safety_cycles, *CHECKS, WEEK).state, recorded)
    assert set(rows) == {"month", "2026-W37"}
    assert (rows["month"].period, rows["month"].checks, rows["month"].recorded) == (
        CyclePeriod.MONTH, 5, False,
    )  # fmt: skip
    assert (rows["2026-W37"].findings, rows["2026-W37"].recorded) == (3, True)
