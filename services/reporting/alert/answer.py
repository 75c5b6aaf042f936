"""Somebody answers an alert: has seen it, says why it is so, settles it."""

from __future__ import annotations

from services.reporting.alert import (
    Alert,
    AlertAcknowledged,
    AlertExplained,
    AlertResolved,
    AlertStatus,
    Severity,
    alerts,
)  # fmt: skip
from shared.fields import Reason, Text
from shared.kernel import By, Command, Creation, Refused
from shared.organisation import BUREAU, MANAGERS, Role

ANSWERERS = (*MANAGERS, Role.SAFETY_OFFICER, Role.CANTEEN_MANAGER, *BUREAU)
"""Who may say that he has seen it, and why it is so."""

RESOLVERS = (*MANAGERS, *BUREAU)
"""Who may say that it is settled."""


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
