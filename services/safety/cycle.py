"""A school checks every day, sums the week up and reports the month, for all of its safety.

日查、周结、月报. One stream per unit and month is told of every check and inspection in the same
transaction, so a summary's counts are those of the log and not of somebody's memory. Rule: daily
control, weekly review and monthly dispatch of food safety, extended by schools to all safety.
"""

from __future__ import annotations

from collections.abc import Iterable
from copy import replace
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Annotated, ClassVar
from uuid import UUID

import msgspec
from pydantic import Field

from services.safety.programme import SELF_INSPECTORS, ProgrammeKind
from shared.fields import Reason, Text
from shared.kernel import (
    Aggregate,
    By,
    Creation,
    Event,
    From,
    Policy,
    Recorded,
    Refused,
    Send,
    State,
    View,
)  # fmt: skip
from shared.organisation import READERS

DAY = timedelta(days=1)
WEEK = timedelta(days=7)


class SafetyCheckNoted(Event):
    """`subject`: the check or inspection that took place."""

    subject: UUID
    kind: ProgrammeKind
    day: date
    findings: int


class SafetyWeekSummarised(Event):
    """`first_day`: Monday of the week; `month_on`: first of the month to which it belongs. Counts
    are as known when it was written.
    """

    year: int
    week: int
    first_day: date
    month_on: date
    checks: int
    days_checked: int
    findings: int
    summary: str
    next_measures: str
    summarised_by: str
    due_on: date
    on_time: bool


class SafetyMonthReported(Event):
    """`weeks_missing`: Mondays of weeks of that month that nobody has summed up."""

    month_on: date
    checks: int
    days_checked: int
    findings: int
    weeks_summarised: int
    weeks_missing: tuple[date, ...]
    summary: str
    next_measures: str
    reported_by: str
    due_on: date
    on_time: bool


type SafetyCycleEvent = SafetyCheckNoted | SafetyWeekSummarised | SafetyMonthReported


class NotedCheck(msgspec.Struct, frozen=True, kw_only=True):
    """A check as the cycle remembers it."""

    kind: ProgrammeKind
    day: date
    findings: int


class SafetyCycle(State):
    """`month_on`: the first of the month; weeks belong to the month of their Thursday."""

    month_on: date
    checks: dict[UUID, NotedCheck] = {}
    weeks: dict[date, SafetyWeekSummarised] = {}
    report: SafetyMonthReported | None = None


def evolve(state: SafetyCycle | None, event: SafetyCycleEvent) -> SafetyCycle:
    """The cycle after one more event; whichever comes first starts it."""
    match event:
        case SafetyCheckNoted(day=day):
            cycle = state or SafetyCycle(month_on=day.replace(day=1))
            noted = NotedCheck(kind=event.kind, day=day, findings=event.findings)
            return replace(cycle, checks={**cycle.checks, event.subject: noted})
        case SafetyWeekSummarised(first_day=monday, month_on=month_on):
            cycle = state or SafetyCycle(month_on=month_on)
            return replace(cycle, weeks={**cycle.weeks, monday: event})
        case SafetyMonthReported(month_on=month_on):
            cycle = state or SafetyCycle(month_on=month_on)
            return replace(cycle, report=event)


def month_of_week(monday: date) -> date:
    """The first day of the month to which a week belongs: that of its Thursday (ISO 8601)."""
    return (monday + 3 * DAY).replace(day=1)


safety_cycles = Aggregate(
    "safety_cycle",
    events=SafetyCycleEvent,
    state=SafetyCycle,
    evolve=evolve,
    key=lambda command: f"{command.organisation}:{command.month_on:%Y-%m}",
)


def cycle_of(unit: UUID, day: date) -> UUID:
    """The stream of a unit's month."""
    return safety_cycles.id_of(unit, f"{day:%Y-%m}")


class SafetyCyclePolicy(Policy):
    """Days after the end of a week or month by which it must be summed up."""

    slug: ClassVar[str] = "safety.cycle"

    week_due_days: int
    month_due_days: int


class NoteSafetyCheck(Creation):
    subject: UUID
    kind: ProgrammeKind
    day: date
    findings: Annotated[int, Field(ge=0)]

    @property
    def month_on(self) -> date:
        """The first of the month in which it took place."""
        return self.day.replace(day=1)


@safety_cycles.decision
def note(state: SafetyCycle | None, command: NoteSafetyCheck, by: By) -> SafetyCheckNoted | None:
    if state is not None and command.subject in state.checks:
        return None
    return SafetyCheckNoted(
        subject=command.subject, kind=command.kind, day=command.day, findings=command.findings
    )


def noted(by: By, kind: ProgrammeKind, findings: int) -> Send:
    """Tells the month's cycle of the check or inspection that the caller concludes."""
    told = NoteSafetyCheck(
        organisation=by.unit, subject=by.id, kind=kind, day=by.day, findings=findings
    )
    return Send(safety_cycles, cycle_of(by.unit, by.day), told)


class SummariseSafetyWeek(Creation):
    """`week`: number of the week after ISO 8601, which begins on a Monday."""

    year: Annotated[int, Field(ge=2000, le=2100)]
    week: Annotated[int, Field(ge=1, le=53)]
    summary: Reason
    next_measures: Text = ""

    @property
    def monday(self) -> date:
        """The week's first day; a week 53 that the year does not have is the next year's first."""
        return date.fromisocalendar(self.year, 1, 1) + (self.week - 1) * WEEK

    @property
    def month_on(self) -> date:
        """The first of the month to which the week belongs."""
        return month_of_week(self.monday)


@safety_cycles.post("/safety-cycles/weeks", allow=SELF_INSPECTORS)
def summarise_week(
    state: SafetyCycle | None,
    command: SummariseSafetyWeek,
    by: By,
    policy: SafetyCyclePolicy,
    cycles: Annotated[
        dict[UUID, SafetyCycle], From(lambda command, _, by: months_touched(command, by))
    ],
) -> SafetyWeekSummarised | None:
    monday = command.monday
    if monday.isocalendar().week != command.week:
        raise Refused("week_not_in_year", field="week", year=command.year)
    done = state.weeks.get(monday) if state else None
    if done is not None:
        if (done.summary, done.next_measures) == (command.summary, command.next_measures):
            return None
        raise Refused("week_summarised_already", field="week", week=command.week)
    refuse_ahead(monday, by)
    sunday = monday + 6 * DAY
    within = [check for check in checks_of(cycles.values()) if monday <= check.day <= sunday]
    due_on = sunday + policy.week_due_days * DAY
    return SafetyWeekSummarised(
        year=command.year,
        week=command.week,
        first_day=monday,
        month_on=command.month_on,
        checks=len(within),
        days_checked=len({check.day for check in within}),
        findings=sum(check.findings for check in within),
        summary=command.summary,
        next_measures=command.next_measures,
        summarised_by=by.person,
        due_on=due_on,
        on_time=by.day <= due_on,
    )


class ReportSafetyMonth(Creation):
    year: Annotated[int, Field(ge=2000, le=2100)]
    month: Annotated[int, Field(ge=1, le=12)]
    summary: Reason
    next_measures: Text = ""

    @property
    def month_on(self) -> date:
        """The first of the month."""
        return date(self.year, self.month, 1)


@safety_cycles.post("/safety-cycles/months", allow=SELF_INSPECTORS)
def report_month(
    state: SafetyCycle | None, command: ReportSafetyMonth, by: By, policy: SafetyCyclePolicy
) -> SafetyMonthReported | None:
    first = command.month_on
    done = state.report if state else None
    if done is not None:
        if (done.summary, done.next_measures) == (command.summary, command.next_measures):
            return None
        raise Refused("month_reported_already", field="month", month=command.month)
    refuse_ahead(first, by)
    checks = tuple(checks_of([state] if state else []))
    weeks = state.weeks if state else {}
    missing = tuple(monday for monday in mondays_of(first) if monday not in weeks)
    due_on = next_month(first) + (policy.month_due_days - 1) * DAY
    return SafetyMonthReported(
        month_on=first,
        checks=len(checks),
        days_checked=len({check.day for check in checks}),
        findings=sum(check.findings for check in checks),
        weeks_summarised=len(weeks),
        weeks_missing=missing,
        summary=command.summary,
        next_measures=command.next_measures,
        reported_by=by.person,
        due_on=due_on,
        on_time=by.day <= due_on,
    )


def refuse_ahead(first_day: date, by: By) -> None:
    """A week or month that has not begun cannot be summed up."""
    if first_day > by.day:
        raise Refused("period_not_begun", first_day=first_day)


def months_touched(command: SummariseSafetyWeek, by: By) -> tuple[UUID, ...]:
    """The months in which the days of a week lie: one or two."""
    days = (command.monday, command.monday + 6 * DAY)
    return tuple(dict.fromkeys(cycle_of(by.unit, day) for day in days))


def checks_of(cycles: Iterable[SafetyCycle]) -> list[NotedCheck]:
    """Every check noted in these months."""
    return [check for cycle in cycles for check in cycle.checks.values()]


def next_month(first: date) -> date:
    """The first of the month after."""
    return (first + 31 * DAY).replace(day=1)


def mondays_of(first: date) -> list[date]:
    """The Mondays of the weeks that belong to a month."""
    start = first - first.weekday() * DAY
    weeks = (start + number * WEEK for number in range(6))
    return [monday for monday in weeks if month_of_week(monday) == first]


class CyclePeriod(StrEnum):
    """What a row of the cycle sums up."""

    WEEK = "week"
    MONTH = "month"


class SafetyCycleRow(View):
    """`recorded`: summed up or reported; `number` of the week or month."""

    id: UUID
    organisation: UUID
    period: CyclePeriod
    year: int
    number: int
    first_day: date
    checks: int
    days_checked: int
    findings: int
    recorded: bool
    on_time: bool | None
    due_on: date | None
    summary: str
    next_measures: str
    done_by: str
    changed_at: datetime


@safety_cycles.view(
    "/safety-cycles",
    allow=READERS,
    filters=("period", "year", "number", "recorded", "on_time"),
    sorts=("first_day", "checks", "findings"),
    search=("summary",),
)
def safety_cycle_register(state: SafetyCycle, recorded: Recorded) -> dict[str, SafetyCycleRow]:
    checks, report = checks_of([state]), state.report
    month = SafetyCycleRow(
        id=recorded.stream,
        organisation=recorded.organisation,
        period=CyclePeriod.MONTH,
        year=state.month_on.year,
        number=state.month_on.month,
        first_day=state.month_on,
        checks=len(checks),
        days_checked=len({check.day for check in checks}),
        findings=sum(check.findings for check in checks),
        recorded=report is not None,
        on_time=report.on_time if report else None,
        due_on=report.due_on if report else None,
        summary=report.summary if report else "",
        next_measures=report.next_measures if report else "",
        done_by=report.reported_by if report else "",
        changed_at=recorded.recorded_at,
    )
    return {"month": month} | {
        f"{week.year}-W{week.week:02}": SafetyCycleRow(
            id=recorded.stream,
            organisation=recorded.organisation,
            period=CyclePeriod.WEEK,
            year=week.year,
            number=week.week,
            first_day=monday,
            checks=week.checks,
            days_checked=week.days_checked,
            findings=week.findings,
            recorded=True,
            on_time=week.on_time,
            due_on=week.due_on,
            summary=week.summary,
            next_measures=week.next_measures,
            done_by=week.summarised_by,
            changed_at=recorded.recorded_at,
        )
        for monday, week in state.weeks.items()
    }
