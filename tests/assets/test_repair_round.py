"""Planned round: every item is looked at, and what is broken becomes a repair at once."""

from copy import replace
from datetime import date, datetime
from typing import Any
from uuid import UUID, uuid5

from services.assets.months import day_end
from services.assets.repair import RepairKind, RepairReported, Urgency, repairs
from services.assets.repair.report import ReportRepair
from services.assets.repair_round import (
    CancelRound,
    CheckRoundItem,
    CompleteRound,
    ItemPlanned,
    PlanRound,
    RemindOfRound,
    RoundCancelled,
    RoundCompleted,
    RoundItem,
    RoundItemChecked,
    RoundOverdue,
    RoundPlanned,
    RoundStatus,
    repair_rounds,
    rounds,
)  # fmt: skip
from shared.kernel import Recorded, Send
from shared.testing import SCHOOL, STREAM, by, given
from tests.assets.world import World

DUE = date(2026, 11, 10)
ITEMS = (
    ItemPlanned(code="301", place="301教室", quantity=45, measure_unit="套"),
    ItemPlanned(code="302", place="302教室", quantity=44, measure_unit="套"),
)
PLAN = PlanRound(
    organisation=SCHOOL, title="课桌椅期中全面维修", kind=RepairKind.DESK, due_on=DUE, items=ITEMS
)
PLANNED = RoundPlanned(
    title="课桌椅期中全面维修", kind=RepairKind.DESK, due_on=DUE,
    items=(
        RoundItem(code="301", place="301教室", quantity=45, measure_unit="套"),
        RoundItem(code="302", place="302教室", quantity=44, measure_unit="套"),
    ),
)  # fmt: skip
REPAIR = uuid5(STREAM, "301")
FAULTY = RoundItemChecked(
    code="301", place="301教室", kind=RepairKind.DESK, checked=45, faulty=3, repair=REPAIR, note=""
)
FINE = replace(FAULTY, code="302", place="302教室", checked=44, faulty=0, repair=None)
COMPLETED = RoundCompleted(
    title="课桌椅期中全面维修", kind=RepairKind.DESK, items=2, checked=89, faulty=3, repairs=1,
    days_late=0,
)  # fmt: skip
CANCELLED = RoundCancelled(reason="改期进行")


def plan(change: dict[str, Any] | None = None, *events: Any) -> Any:
    return given(rounds, *events).when(PLAN.model_copy(update=change))


def test_plans_once_with_every_item_named_once() -> None:
    plan().then(PLANNED)
    plan({}, PLANNED).then()
    plan({"title": "另一次"}, PLANNED).refused("round_exists", field="id")
    plan({"items": (ITEMS[0], ITEMS[0])}).refused("round_item_twice", field="items")
    assert plan({"due_on": date(2026, 9, 7)}).outcome()
    plan({"due_on": date(2026, 9, 6)}).refused("due_in_past", field="due_on")


def test_what_is_broken_becomes_a_repair() -> None:
    check = CheckRoundItem(code="301", checked=45, faulty=3)
    asked = ReportRepair(
        organisation=SCHOOL, kind=RepairKind.DESK, place="301教室", quantity=3, measure_unit="套",
        urgency=Urgency.NORMAL, round=STREAM,
    )  # fmt: skip
    given(rounds, PLANNED).when(check).then(FAULTY, Send(repairs, REPAIR, asked))
    given(rounds, PLANNED, FAULTY).when(check).then()
    given(rounds, PLANNED).when(CheckRoundItem(code="302", checked=44)).then(FINE)


def test_checks_only_what_is_planned_and_only_once() -> None:
    check = CheckRoundItem(code="301", checked=45, faulty=3)
    other = check.model_copy(update={"faulty": 2})
    given(rounds, PLANNED, FAULTY).when(other).refused("round_item_checked", field="code")
    unknown = check.model_copy(update={"code": "303"})
    given(rounds, PLANNED).when(unknown).refused("round_item_unknown", field="code")
    assert given(rounds, PLANNED).when(check.model_copy(update={"faulty": 45})).outcome()
    more = check.model_copy(update={"faulty": 46})
    given(rounds, PLANNED).when(more).refused("faulty_beyond_checked", field="faulty")
    given(rounds, PLANNED, CANCELLED).when(check).refused("round_over")


def test_is_over_when_every_item_was_looked_at() -> None:
    given(rounds, PLANNED, FAULTY).when(CompleteRound()).refused("round_items_open")
    given(rounds, PLANNED, FAULTY, FINE).when(CompleteRound()).then(COMPLETED)
    late = by("director", at="2026-11-13T08:00:00+08:00")
    given(rounds, PLANNED, FAULTY, FINE).when(CompleteRound(), by=late).then(
        replace(COMPLETED, days_late=3)
    )
    given(rounds, PLANNED, FAULTY, FINE, COMPLETED).when(CompleteRound()).then()
    given(rounds, PLANNED, CANCELLED).when(CompleteRound()).refused("round_over")


def test_may_be_cancelled_until_it_is_over() -> None:
    cancel = CancelRound(reason="改期进行")
    given(rounds, PLANNED).when(cancel).then(CANCELLED)
    given(rounds, PLANNED, CANCELLED).when(cancel).then()
    given(rounds, PLANNED, FAULTY, FINE, COMPLETED).when(cancel).refused("round_over")


def test_overdue_climbs_until_the_top() -> None:
    steps = [("2026-11-10", "2026-11-17"), ("2026-11-17", "2026-11-24"), ("2026-11-24", None)]
    past: list[Any] = [PLANNED, FINE]
    early = by("system", at="2026-11-10T23:58:00+08:00")
    given(rounds, *past).when(RemindOfRound(), by=early).then()
    for level, (day, upcoming) in enumerate(steps, start=1):
        said = RoundOverdue(
            title=PLANNED.title, kind=RepairKind.DESK, due_on=DUE, level=level, open_items=1,
            next_alarm_at=day_end(date.fromisoformat(upcoming)) if upcoming else None,
        )  # fmt: skip
        at = by("system", at=f"{day}T23:59:00+08:00")
        given(rounds, *past).when(RemindOfRound(), by=at).then(said)
        past.append(said)
        given(rounds, *past).when(RemindOfRound(), by=at).then()
    assert given(rounds, *past).state.status is RoundStatus.OVERDUE
    over = by("system", at="2027-01-01T08:00:00+08:00")
    given(rounds, PLANNED, FAULTY, FINE, COMPLETED).when(RemindOfRound(), by=over).then()


def test_the_repair_knows_its_round_and_runs_on_by_itself() -> None:
    world = World()
    world.do(rounds, STREAM, PLAN)
    world.do(rounds, STREAM, CheckRoundItem(code="301", checked=45, faulty=3), "sun")
    [reported] = world.told(RepairReported)
    assert isinstance(reported, RepairReported)
    assert (reported.round, reported.quantity, reported.reporter) == (STREAM, 3, "sun")
    world.do(rounds, STREAM, CheckRoundItem(code="302", checked=44))
    world.do(rounds, STREAM, CompleteRound())
    moment = datetime.fromisoformat("2026-09-07T08:00:00+08:00")
    recorded = Recorded(
        id=UUID(int=1), stream=STREAM, version=4, organisation=SCHOOL, actor="x",
        occurred_at=moment, recorded_at=moment,
    )  # fmt: skip
    row = repair_rounds(world.states[STREAM], recorded)
    assert (row.status, row.checked, row.faulty) == (RoundStatus.COMPLETED, 89, 3)
    assert row.open_items == 0
