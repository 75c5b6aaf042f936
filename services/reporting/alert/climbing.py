"""An alert is raised, and climbs while nobody acknowledges it. 逐级上报."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, ClassVar
from uuid import UUID

from services.reporting.alert import Alert, AlertClimbed, AlertRaised, Severity, alerts
from shared.kernel import By, Command, Creation, From, Policy
from shared.organisation import Level, Unit


class AlertPolicy(Policy):
    """After how many hours without acknowledgement an alert climbs one level, and how far up."""

    slug: ClassVar[str] = "alerts.climbing"

    hours: dict[Severity, int]
    top: Level


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
