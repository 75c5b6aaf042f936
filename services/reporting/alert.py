"""Something is wrong and somebody must answer: it is raised, acknowledged, explained, resolved.

告警. One alert per cause: the same rule, subject and period never raise a second one. What nobody
acknowledges climbs the tree, level by level; what has climbed is resolved by those whom it has
reached. Rule: who is told must answer (有告警必响应); the hours are dated data.
"""

from __future__ import annotations

from copy import replace
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Annotated, ClassVar
from uuid import UUID

from shared.fields import Reason, Text
from shared.kernel import (
    Aggregate,
    By,
    Command,
    Creation,
    Event,
    From,
    Policy,
    Recorded,
    Refused,
    State,
    View,
)  # fmt: skip
from shared.organisation import BUREAU, MANAGERS, READERS, Level, Role, Unit

ANSWERERS = (*MANAGERS, Role.SAFETY_OFFICER, Role.CANTEEN_MANAGER, *BUREAU)
"""Who may say that he has seen it, and why it is so."""

RESOLVERS = (*MANAGERS, *BUREAU)
"""Who may say that it is settled."""


class Severity(StrEnum):
    """How grave it is; how fast it climbs follows from it."""

    NORMAL = "normal"
    HIGH = "high"
    CRITICAL = "critical"


class AlertStatus(StrEnum):
    """How far an alert has come."""

    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    EXPLAINED = "explained"
    RESOLVED = "resolved"


class AlertPolicy(Policy):
    """After how many hours without acknowledgement an alert climbs one level, and how far up."""

    slug: ClassVar[str] = "alerts.climbing"

    hours: dict[Severity, int]
    top: Level


class AlertRaised(Event):
    """`subject` is what it is about, `cause` the event (of `source`) that raised it; `above` is the
    unit that it climbs to next, at `climbs_at`.
    """

    rule: str
    subject: UUID
    period: str
    severity: Severity
    why_zh: str
    why_en: str
    values: dict[str, str]
    source: str
    cause: UUID
    cause_type: str
    happened_on: date
    raised_at: datetime
    reached: UUID
    level: Level
    above: UUID | None
    climbs_at: datetime | None


class AlertClimbed(Event):
    """Nobody acknowledged it in time: it is now before `reached`, too."""

    rule: str
    severity: Severity
    reached: UUID
    level: Level
    previous: UUID
    above: UUID | None
    climbs_at: datetime | None


class AlertAcknowledged(Event):
    rule: str
    severity: Severity
    level: Level
    acknowledged_by: str
    waited_minutes: int
    note: str


class AlertExplained(Event):
    rule: str
    severity: Severity
    explained_by: str
    explanation: str


class AlertResolved(Event):
    """`by_itself`: what it was about has been put right."""

    rule: str
    severity: Severity
    level: Level
    resolved_by: str
    resolution: str
    by_itself: bool
    open_minutes: int


type AlertEvent = AlertRaised | AlertClimbed | AlertAcknowledged | AlertExplained | AlertResolved


class Alert(State):
    """`reached`: the highest unit before which it is; its own, as long as it has not climbed."""

    raised: AlertRaised
    raised_at: datetime
    status: AlertStatus
    reached: UUID
    level: Level
    above: UUID | None
    climbs_at: datetime | None
    acknowledged_by: str = ""
    explained_by: str = ""
    explanation: str = ""
    resolved_by: str = ""
    resolution: str = ""


def evolve(state: Alert | None, event: AlertEvent) -> Alert:
    """The alert after one more event."""
    if isinstance(event, AlertRaised):
        return Alert(
            raised=event,
            raised_at=event.raised_at,
            status=AlertStatus.OPEN,
            reached=event.reached,
            level=event.level,
            above=event.above,
            climbs_at=event.climbs_at,
        )
    assert state is not None, "an alert starts by being raised"
    match event:
        case AlertClimbed(reached=unit, level=level, above=above, climbs_at=moment):
            return replace(state, reached=unit, level=level, above=above, climbs_at=moment)
        case AlertAcknowledged(acknowledged_by=person):
            return replace(
                state,
                status=AlertStatus.ACKNOWLEDGED,
                acknowledged_by=person,
                climbs_at=None,
            )
        case AlertExplained(explained_by=person, explanation=text):
            return replace(
                state,
                status=AlertStatus.EXPLAINED,
                explained_by=person,
                explanation=text,
                climbs_at=None,
            )
        case AlertResolved(resolved_by=person, resolution=text):
            return replace(
                state,
                status=AlertStatus.RESOLVED,
                resolved_by=person,
                resolution=text,
                climbs_at=None,
            )


alerts = Aggregate(
    "alert",
    events=AlertEvent,
    state=Alert,
    evolve=evolve,
    key=lambda command: f"{command.rule}:{command.subject}:{command.period}",
)


class RaiseAlert(Creation):
    """`subject` and `period` tell causes apart: the same three raise no second alert."""

    rule: str
    subject: UUID
    period: str
    severity: Severity
    why_zh: str
    why_en: str
    values: dict[str, str]
    source: str
    cause: UUID
    cause_type: str


@alerts.decision
def raise_alert(
    state: Alert | None, command: RaiseAlert, by: By, policy: AlertPolicy, unit: Unit
) -> AlertRaised | None:
    if state is not None:
        return None
    above = unit.parent if unit.level > policy.top else None
    return AlertRaised(
        rule=command.rule,
        subject=command.subject,
        period=command.period,
        severity=command.severity,
        why_zh=command.why_zh,
        why_en=command.why_en,
        values=command.values,
        source=command.source,
        cause=command.cause,
        cause_type=command.cause_type,
        happened_on=by.day,
        raised_at=by.now,
        reached=unit.id,
        level=unit.level,
        above=above,
        climbs_at=_next(above, command.severity, policy, by),
    )


def _next(above: UUID | None, severity: Severity, policy: AlertPolicy, by: By) -> datetime | None:
    """When it climbs next. From when it became known, not from when it happened: nobody can answer
    what he has not been told.
    """
    return by.now + timedelta(hours=policy.hours[severity]) if above is not None else None


class ClimbAlert(Command):
    """Nobody has acknowledged it in time."""


@alerts.when_due(lambda state: state.climbs_at)
def climb(
    state: Alert,
    command: ClimbAlert,
    by: By,
    policy: AlertPolicy,
    above: Annotated[Unit | None, From("above")],
) -> AlertClimbed | None:
    if state.climbs_at is None or by.now < state.climbs_at or above is None:
        return None
    further = above.parent if above.level > policy.top else None
    return AlertClimbed(
        rule=state.raised.rule,
        severity=state.raised.severity,
        reached=above.id,
        level=above.level,
        previous=state.reached,
        above=further,
        climbs_at=_next(further, state.raised.severity, policy, by),
    )


class AcknowledgeAlert(Command):
    note: Text = ""


@alerts.post("/alerts/{id}/acknowledge", allow=ANSWERERS)
def acknowledge(state: Alert, command: AcknowledgeAlert, by: By) -> AlertAcknowledged | None:
    if state.status is AlertStatus.RESOLVED:
        raise Refused("alert_resolved", resolved_by=state.resolved_by)
    if state.status is not AlertStatus.OPEN:
        return None
    return AlertAcknowledged(
        rule=state.raised.rule,
        severity=state.raised.severity,
        level=state.level,
        acknowledged_by=by.person,
        waited_minutes=_minutes(state, by),
        note=command.note,
    )


class ExplainAlert(Command):
    explanation: Reason


@alerts.post("/alerts/{id}/explain", allow=ANSWERERS)
def explain(state: Alert, command: ExplainAlert, by: By) -> AlertExplained | None:
    if state.status is AlertStatus.RESOLVED:
        raise Refused("alert_resolved", resolved_by=state.resolved_by)
    if (state.explanation, state.explained_by) == (command.explanation, by.person):
        return None
    return AlertExplained(
        rule=state.raised.rule,
        severity=state.raised.severity,
        explained_by=by.person,
        explanation=command.explanation,
    )


class ResolveAlert(Command):
    resolution: Reason


@alerts.post("/alerts/{id}/resolve", allow=RESOLVERS, at="reached")
def resolve(state: Alert, command: ResolveAlert, by: By) -> AlertResolved | None:
    if state.status is AlertStatus.RESOLVED:
        if (state.resolution, state.resolved_by) == (command.resolution, by.person):
            return None
        raise Refused("alert_resolved", resolved_by=state.resolved_by)
    if state.raised.severity is not Severity.NORMAL and not state.explanation:
        raise Refused("alert_unexplained", severity=state.raised.severity)
    return _resolved(state, by, command.resolution, by_itself=False)


class SettleAlert(Creation):
    """What an alert was about has been put right; where there is no alert, there is nothing to do.

    The organisation is the alert's own; `resolution` says in words what has been done.
    """

    resolution: str


@alerts.decision
def settle(state: Alert | None, command: SettleAlert, by: By) -> AlertResolved | None:
    if state is None or state.status is AlertStatus.RESOLVED:
        return None
    return _resolved(state, by, command.resolution, by_itself=True)


def _resolved(state: Alert, by: By, resolution: str, *, by_itself: bool) -> AlertResolved:
    return AlertResolved(
        rule=state.raised.rule,
        severity=state.raised.severity,
        level=state.level,
        resolved_by=by.person,
        resolution=resolution,
        by_itself=by_itself,
        open_minutes=_minutes(state, by),
    )


def _minutes(state: Alert, by: By) -> int:
    return int((by.now - state.raised_at).total_seconds() // 60)


class AlertRow(View):
    """An alert as it stands; `why_zh` and `why_en` say it in words and figures."""

    id: UUID
    organisation: UUID
    rule: str
    severity: Severity
    status: AlertStatus
    level: Level
    reached: UUID
    why_zh: str
    why_en: str
    subject: UUID
    period: str
    source: str
    cause: UUID
    cause_type: str
    happened_on: date
    raised_at: datetime
    climbs_at: datetime | None
    acknowledged_by: str
    explained_by: str
    explanation: str
    resolved_by: str
    resolution: str
    changed_at: datetime


@alerts.view(
    "/alerts",
    allow=READERS,
    filters=("status", "severity", "rule", "level", "reached", "source", "cause"),
    sorts=("raised_at", "happened_on", "changed_at"),
    search=("why_zh", "why_en"),
)
def alert_list(state: Alert, recorded: Recorded) -> AlertRow:
    raised = state.raised
    return AlertRow(
        id=recorded.stream,
        organisation=recorded.organisation,
        rule=raised.rule,
        severity=raised.severity,
        status=state.status,
        level=state.level,
        reached=state.reached,
        why_zh=raised.why_zh,
        why_en=raised.why_en,
        subject=raised.subject,
        period=raised.period,
        source=raised.source,
        cause=raised.cause,
        cause_type=raised.cause_type,
        happened_on=raised.happened_on,
        raised_at=state.raised_at,
        climbs_at=state.climbs_at,
        acknowledged_by=state.acknowledged_by,
        explained_by=state.explained_by,
        explanation=state.explanation,
        resolved_by=state.resolved_by,
        resolution=state.resolution,
        changed_at=recorded.recorded_at,
    )
