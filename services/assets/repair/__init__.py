"""Somebody reports what is broken; it is dispatched, done and signed by the one who reported it.

报修, 工单. Not signed is not done: only a signature makes a repair count. Times run from the report
to the first start and to the last finish; deadlines follow the urgency by a dated policy.
Rule: the school's own service standard for repairs (限时维修), house defaults that a county edits.
"""

from __future__ import annotations

from copy import replace
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import ClassVar
from uuid import UUID

import msgspec

from shared.kernel import Aggregate, Event, Policy, State


class RepairKind(StrEnum):
    """What is to be repaired."""

    LAMP = "lamp"
    VALVE = "valve"
    DOOR = "door"
    WINDOW = "window"
    DRAIN = "drain"
    DESK = "desk"
    ELECTRIC = "electric"
    WATER = "water"
    ROOF = "roof"
    EQUIPMENT = "equipment"
    OTHER = "other"


class Urgency(StrEnum):
    """How soon it must be seen to."""

    EMERGENCY = "emergency"
    URGENT = "urgent"
    NORMAL = "normal"


class RepairStatus(StrEnum):
    """How far a repair has come."""

    REPORTED = "reported"
    DISPATCHED = "dispatched"
    STARTED = "started"
    FINISHED = "finished"
    SIGNED = "signed"
    CANCELLED = "cancelled"


class RepairStage(StrEnum):
    """What a late repair waits for."""

    RESPONSE = "response"
    FINISH = "finish"
    SIGNATURE = "signature"


class PartUsed(msgspec.Struct, frozen=True, kw_only=True):
    """A part built in; `cost_cny` is that of the whole line."""

    item: str
    quantity: Decimal
    measure_unit: str
    cost_cny: Decimal
    salvaged_from: UUID | None = None


class RepairReported(Event):
    kind: RepairKind
    quantity: int
    measure_unit: str
    place: str
    urgency: Urgency
    description: str
    photos: tuple[str, ...]
    reporter: str
    reported_at: datetime
    respond_by: datetime
    finish_by: datetime
    card: UUID | None
    tag: str
    category: str
    round: UUID | None


class RepairDispatched(Event):
    repairer: str
    previous: str
    kind: RepairKind
    urgency: Urgency
    note: str


class RepairStarted(Event):
    started_at: datetime
    kind: RepairKind
    response_minutes: int


class RepairPartsUsed(Event):
    slip: str
    parts: tuple[PartUsed, ...]
    cost_cny: Decimal


class RepairFinished(Event):
    work: str
    labour_cny: Decimal
    finished_at: datetime
    sign_by: datetime
    photos: tuple[str, ...]


class RepairReopened(Event):
    reason: str
    kind: RepairKind
    times: int
    finish_by: datetime


class RepairSigned(Event):
    """The repair is done. Minutes run from the report: to the first start, to the last finish.

    `signed_for`: the reporter did not sign in time, or could not, and the director did.
    """

    kind: RepairKind
    quantity: int
    measure_unit: str
    urgency: Urgency
    place: str
    card: UUID | None
    category: str
    round: UUID | None
    parts: tuple[PartUsed, ...]
    parts_cny: Decimal
    labour_cny: Decimal
    cost_cny: Decimal
    repairer: str
    reported_at: datetime
    started_at: datetime
    finished_at: datetime
    response_minutes: int
    finish_minutes: int
    responded_in_time: bool
    finished_in_time: bool
    reopened: int
    signed_for: bool
    rating: int | None


class RepairCancelled(Event):
    kind: RepairKind
    reason: str


class RepairOverdue(Event):
    stage: RepairStage
    level: int
    kind: RepairKind
    urgency: Urgency
    due_at: datetime
    repairer: str
    place: str
    next_alarm_at: datetime | None


type RepairEvent = (
    RepairReported
    | RepairDispatched
    | RepairStarted
    | RepairPartsUsed
    | RepairFinished
    | RepairReopened
    | RepairSigned
    | RepairCancelled
    | RepairOverdue
)


class Repair(State):
    report: RepairReported
    finish_by: datetime
    due_at: datetime | None
    alarm_at: datetime | None
    level: int = 0
    status: RepairStatus = RepairStatus.REPORTED
    repairer: str = ""
    started_at: datetime | None = None
    restarted_at: datetime | None = None
    finished_at: datetime | None = None
    work: str = ""
    labour_cny: Decimal = Decimal(0)
    slips: dict[str, tuple[PartUsed, ...]] = {}
    reopened: int = 0
    rating: int | None = None

    @property
    def parts(self) -> tuple[PartUsed, ...]:
        """Every part that was built in."""
        return tuple(part for parts in self.slips.values() for part in parts)

    @property
    def parts_cny(self) -> Decimal:
        """What the parts cost."""
        return sum((part.cost_cny for part in self.parts), Decimal(0))

    @property
    def stage(self) -> RepairStage | None:
        """What it waits for; None once it is over."""
        match self.status:
            case RepairStatus.REPORTED | RepairStatus.DISPATCHED:
                waiting = self.started_at is None
                return RepairStage.RESPONSE if waiting else RepairStage.FINISH
            case RepairStatus.STARTED:
                return RepairStage.FINISH
            case RepairStatus.FINISHED:
                return RepairStage.SIGNATURE
            case RepairStatus.SIGNED | RepairStatus.CANCELLED:
                return None


def evolve(state: Repair | None, event: RepairEvent) -> Repair:
    """The repair after one more event."""
    if isinstance(event, RepairReported):
        return Repair(
            report=event,
            finish_by=event.finish_by,
            due_at=event.respond_by,
            alarm_at=event.respond_by,
        )
    assert state is not None, "a repair starts by being reported"
    match event:
        case RepairDispatched():
            return replace(state, status=RepairStatus.DISPATCHED, repairer=event.repairer)
        case RepairStarted(started_at=at):
            started = replace(
                state,
                status=RepairStatus.STARTED,
                started_at=state.started_at or at,
                restarted_at=at,
            )
            return _due(started, state.finish_by)
        case RepairPartsUsed():
            return replace(state, slips={**state.slips, event.slip: event.parts})
        case RepairFinished():
            finished = replace(
                state,
                status=RepairStatus.FINISHED,
                finished_at=event.finished_at,
                work=event.work,
                labour_cny=state.labour_cny + event.labour_cny,
            )
            return _due(finished, event.sign_by)
        case RepairReopened():
            reopened = replace(
                state,
                status=RepairStatus.DISPATCHED,
                reopened=event.times,
                finish_by=event.finish_by,
            )
            return _due(reopened, event.finish_by)
        case RepairSigned():
            signed = replace(state, status=RepairStatus.SIGNED, rating=event.rating)
            return _due(signed, None)
        case RepairCancelled():
            return _due(replace(state, status=RepairStatus.CANCELLED), None)
        case RepairOverdue():
            return replace(state, level=event.level, alarm_at=event.next_alarm_at)


def _due(state: Repair, due_at: datetime | None) -> Repair:
    return replace(state, due_at=due_at, alarm_at=due_at, level=0)


repairs = Aggregate("repair", events=RepairEvent, state=Repair, evolve=evolve)


class RepairPolicy(Policy):
    """Hours to begin and to finish by urgency, days to sign, hours between climbs."""

    slug: ClassVar[str] = "assets.repair"
    response_hours: dict[Urgency, int]
    finish_hours: dict[Urgency, int]
    sign_days: int
    climb_hours: int
    climbs: int


# The capabilities declare themselves on the handle.
from services.assets.repair import overdue, report, sign, views, work  # noqa: E402, F401
