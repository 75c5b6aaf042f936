"""A planned round: on a list of rooms and things each is looked at, and what is broken becomes a
repair at once, such as the round of all desks and chairs in the middle of the term.

计划巡修, 课桌椅期中全面维修. The round is over when every item has been looked at; its repairs run
on by themselves. Rule: the school's work plan for the term.
"""

from __future__ import annotations

from copy import replace
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Annotated, ClassVar
from uuid import UUID, uuid5

import msgspec
from pydantic import Field

from services.assets.climbing import next_alarm
from services.assets.months import day_end
from services.assets.repair import RepairKind, Urgency, repairs
from services.assets.repair.report import ReportRepair
from services.assets.terms import CardId, Line, MeasureUnit
from shared.fields import Count, Name, Reason, Text
from shared.kernel import (
    Aggregate,
    By,
    Command,
    Creation,
    Event,
    Part,
    Policy,
    Recorded,
    Refused,
    Send,
    State,
    View,
)  # fmt: skip
from shared.organisation import READERS, Role

CHECKERS = (Role.LOGISTICS_DIRECTOR, Role.REPAIRER, Role.STOREKEEPER, Role.CLASS_TEACHER)


class RoundStatus(StrEnum):
    """How far a round has come."""

    OPEN = "open"
    OVERDUE = "overdue"
    COMPLETED = "completed"
    CANCELLED = "cancelled"


class RoundItem(msgspec.Struct, frozen=True, kw_only=True):
    """A place or thing to look at; `code` names it within the round."""

    code: str
    place: str
    quantity: int
    measure_unit: str
    card: UUID | None = None


class RoundPlanned(Event):
    title: str
    kind: RepairKind
    due_on: date
    items: tuple[RoundItem, ...]


class RoundItemChecked(Event):
    code: str
    place: str
    kind: RepairKind
    checked: int
    faulty: int
    repair: UUID | None
    note: str


class RoundCompleted(Event):
    title: str
    kind: RepairKind
    items: int
    checked: int
    faulty: int
    repairs: int
    days_late: int


class RoundCancelled(Event):
    reason: str


class RoundOverdue(Event):
    title: str
    kind: RepairKind
    due_on: date
    level: int
    open_items: int
    next_alarm_at: datetime | None


type RoundEvent = RoundPlanned | RoundItemChecked | RoundCompleted | RoundCancelled | RoundOverdue


class RepairRound(State):
    plan: RoundPlanned
    alarm_at: datetime | None
    results: dict[str, RoundItemChecked] = {}
    status: RoundStatus = RoundStatus.OPEN
    level: int = 0

    @property
    def open_items(self) -> int:
        """How many items nobody has looked at yet."""
        return len(self.plan.items) - len(self.results)

    @property
    def over(self) -> bool:
        """Whether nothing more can be checked."""
        return self.status in (RoundStatus.COMPLETED, RoundStatus.CANCELLED)


def evolve(state: RepairRound | None, event: RoundEvent) -> RepairRound:
    """The round after one more event."""
    if isinstance(event, RoundPlanned):
        return RepairRound(plan=event, alarm_at=day_end(event.due_on))
    assert state is not None, "a round starts by being planned"
    match event:
        case RoundItemChecked():
            return replace(state, results={**state.results, event.code: event})
        case RoundCompleted():
            return replace(state, status=RoundStatus.COMPLETED, alarm_at=None)
        case RoundCancelled():
            return replace(state, status=RoundStatus.CANCELLED, alarm_at=None)
        case RoundOverdue():
            return replace(
                state,
                status=RoundStatus.OVERDUE,
                level=event.level,
                alarm_at=event.next_alarm_at,
            )


rounds = Aggregate("repair_round", events=RoundEvent, state=RepairRound, evolve=evolve)


class RoundPolicy(Policy):
    """Days between climbs once a round is late."""

    slug: ClassVar[str] = "assets.repair_round"
    climb_days: int
    climbs: int


class ItemPlanned(Part):
    """A place or thing to look at, and how many pieces there are."""

    code: Name
    place: Name
    quantity: Count = 1
    measure_unit: MeasureUnit
    card: CardId | None = None


class PlanRound(Creation):
    title: Name
    kind: RepairKind
    due_on: date
    items: Annotated[tuple[ItemPlanned, ...], Field(min_length=1, max_length=300)]


@rounds.post("/repair-rounds", allow=(Role.LOGISTICS_DIRECTOR,))
def plan(state: RepairRound | None, command: PlanRound, by: By) -> RoundPlanned | None:
    planned = RoundPlanned(
        title=command.title,
        kind=command.kind,
        due_on=command.due_on,
        items=tuple(RoundItem(**dict(item)) for item in command.items),
    )
    if state is not None:
        if state.plan == planned:
            return None
        raise Refused("round_exists", field="id")
    if len({item.code for item in planned.items}) < len(planned.items):
        raise Refused("round_item_twice", field="items")
    if command.due_on < by.day:
        raise Refused("due_in_past", field="due_on")
    return planned


class CheckRoundItem(Command):
    """All pieces of one item were looked at; `faulty` of them become one repair."""

    code: Name
    checked: Count
    faulty: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    urgency: Urgency = Urgency.NORMAL
    description: Text = ""
    note: Line = ""


@rounds.post("/repair-rounds/{id}/check", allow=CHECKERS)
def check(
    state: RepairRound, command: CheckRoundItem, by: By
) -> list[RoundItemChecked | Send] | None:
    item = next((item for item in state.plan.items if item.code == command.code), None)
    if item is None:
        raise Refused("round_item_unknown", field="code", code=command.code)
    done = state.results.get(command.code)
    if done is not None:
        if (done.checked, done.faulty) == (command.checked, command.faulty):
            return None
        raise Refused("round_item_checked", field="code", code=command.code)
    if state.over:
        raise Refused("round_over", field="id")
    if command.faulty > command.checked:
        raise Refused("faulty_beyond_checked", field="faulty", checked=command.checked)
    repair = uuid5(by.id, command.code) if command.faulty else None
    checked = RoundItemChecked(
        code=item.code,
        place=item.place,
        kind=state.plan.kind,
        checked=command.checked,
        faulty=command.faulty,
        repair=repair,
        note=command.note,
    )
    if repair is None:
        return [checked]
    report = ReportRepair(
        organisation=by.unit,
        kind=state.plan.kind,
        place=item.place,
        card=item.card,
        quantity=command.faulty,
        measure_unit=item.measure_unit,
        urgency=command.urgency,
        description=command.description or command.note,
        round=by.id,
    )
    return [checked, Send(repairs, repair, report)]


class CompleteRound(Command):
    """Every item has been looked at."""


@rounds.post("/repair-rounds/{id}/complete", allow=(Role.LOGISTICS_DIRECTOR,))
def complete(state: RepairRound, command: CompleteRound, by: By) -> RoundCompleted | None:
    if state.status is RoundStatus.COMPLETED:
        return None
    if state.over:
        raise Refused("round_over", field="id")
    if state.open_items:
        raise Refused("round_items_open", field="id", count=state.open_items)
    results = state.results.values()
    return RoundCompleted(
        title=state.plan.title,
        kind=state.plan.kind,
        items=len(state.plan.items),
        checked=sum(result.checked for result in results),
        faulty=sum(result.faulty for result in results),
        repairs=sum(result.repair is not None for result in results),
        days_late=max((by.day - state.plan.due_on).days, 0),
    )


class CancelRound(Command):
    reason: Reason


@rounds.post("/repair-rounds/{id}/cancel", allow=(Role.LOGISTICS_DIRECTOR,))
def cancel(state: RepairRound, command: CancelRound, by: By) -> RoundCancelled | None:
    if state.status is RoundStatus.CANCELLED:
        return None
    if state.over:
        raise Refused("round_over", field="id")
    return RoundCancelled(reason=command.reason)


class RemindOfRound(Command):
    """Due at the end of the round's last day, then until it is completed."""


@rounds.when_due(lambda state: state.alarm_at)
def remind(
    state: RepairRound, command: RemindOfRound, by: By, policy: RoundPolicy
) -> RoundOverdue | None:
    if state.over or state.alarm_at is None or by.now < state.alarm_at:
        return None
    level = state.level + 1
    return RoundOverdue(
        title=state.plan.title,
        kind=state.plan.kind,
        due_on=state.plan.due_on,
        level=level,
        open_items=state.open_items,
        next_alarm_at=next_alarm(level, policy.climbs, by, timedelta(days=policy.climb_days)),
    )


class RepairRoundRow(View):
    id: UUID
    organisation: UUID
    title: str
    kind: RepairKind
    status: RoundStatus
    due_on: date
    items: tuple[RoundItem, ...]
    open_items: int
    checked: int
    faulty: int
    changed_at: datetime


@rounds.view(
    "/repair-rounds",
    allow=READERS,
    filters=("status", "kind"),
    sorts=("due_on", "open_items"),
    search=("title",),
)
def repair_rounds(state: RepairRound, recorded: Recorded) -> RepairRoundRow:
    results = state.results.values()
    return RepairRoundRow(
        id=recorded.stream,
        organisation=recorded.organisation,
        title=state.plan.title,
        kind=state.plan.kind,
        status=state.status,
        due_on=state.plan.due_on,
        items=state.plan.items,
        open_items=state.open_items,
        checked=sum(result.checked for result in results),
        faulty=sum(result.faulty for result in results),
        changed_at=recorded.recorded_at,
    )
