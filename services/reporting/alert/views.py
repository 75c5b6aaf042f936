"""Alerts as people see them: how they stand, why, and whom they have reached."""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID

from services.reporting.alert import Alert, AlertStatus, Severity, alerts
from shared.kernel import Recorded, View
from shared.organisation import READERS, Level


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
    filters=("status", "severity", "rule", "level", "reached", "source", "cause", "happened_on"),
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
