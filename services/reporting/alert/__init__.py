"""Something is wrong and somebody must answer: it is raised, acknowledged, explained, resolved.

告警. One alert per cause: the same rule, subject and period never raise a second one. What nobody
acknowledges climbs the tree, level by level; what has climbed is resolved by those whom it has
reached. Rule: who is told must answer (有告警必响应); the hours are dated data.
"""

from __future__ import annotations

from copy import replace
from datetime import date, datetime
from enum import StrEnum
from uuid import UUID

from shared.kernel import Aggregate, Event, State
from shared.organisation import Level


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

# The capabilities declare themselves on the handle.
from services.reporting.alert import answer, climbing, views  # noqa: E402, F401
