"""Repair: reported, dispatched, done, and only by a signature done."""

from copy import replace
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from services.assets.card import cards
from services.assets.card.events import (
    CardRepaired,
    PartsSalvaged,
    ReplacementSuggested,
    SalvagedPartUsed,
)  # fmt: skip
from services.assets.card.wear import CountRepair, SalvagedLine, SalvageParts, UseSalvagedPart
from services.assets.repair import (
    PartUsed,
    RepairCancelled,
    RepairDispatched,
    RepairFinished,
    RepairKind,
    RepairOverdue,
    RepairPartsUsed,
    RepairReopened,
    RepairReported,
    RepairSigned,
    RepairStage,
    RepairStarted,
    RepairStatus,
    Urgency,
    repairs,
)  # fmt: skip
from services.assets.repair.overdue import RemindOfRepair
from services.assets.repair.report import CancelRepair, ReportRepair
from services.assets.repair.sign import ReopenRepair, SignRepair
from services.assets.repair.views import repair_ledger
from services.assets.repair.work import (
    DispatchRepair,
    FinishRepair,
    PartLine,
    StartRepair,
    UseParts,
)  # fmt: skip
from shared.kernel import By, Recorded, Refused, Send
from shared.organisation import Role
from shared.testing import SCHOOL, STREAM, by, given
from tests.assets.test_card import LOST, REGISTERED, command
from tests.assets.world import NORTH, World

CARD = UUID(int=31)
THING = given(cards, REGISTERED).state


def moment(text: str) -> datetime:
    return datetime.fromisoformat(f"2026-09-{text}:00+08:00")


def at(text: str, person: str = "teacher", *roles: Role) -> By:
    return by(person, *roles, at=f"2026-09-{text}:00+08:00")


REPORT = ReportRepair(
    organisation=SCHOOL, kind=RepairKind.LAMP, place="302教室", quantity=2, measure_unit="支"
)
REPORTED = RepairReported(
    kind=RepairKind.LAMP, quantity=2, measure_unit="支", place="302教室", urgency=Urgency.NORMAL,
    description="", photos=(), reporter="teacher", reported_at=moment("07T08:00"),
    respond_by=moment("08T08:00"), finish_by=moment("10T08:00"), card=None, tag="", category="",
    round=None,
)  # fmt: skip
DISPATCHED = RepairDispatched(
    repairer="sun", previous="", kind=RepairKind.LAMP, urgency=Urgency.NORMAL, note=""
)
STARTED = RepairStarted(started_at=moment("07T09:30"), kind=RepairKind.LAMP, response_minutes=90)
PART = PartUsed(item="灯管", quantity=Decimal(2), measure_unit="支", cost_cny=Decimal("24.00"))
LINE = PartLine(item="灯管", quantity=Decimal(2), measure_unit="支", cost_cny=Decimal("24.00"))
USE = UseParts(slip="L-1", parts=(LINE,))
USED = RepairPartsUsed(slip="L-1", parts=(PART,), cost_cny=Decimal("24.00"))
FINISHED = RepairFinished(
    work="更换灯管两支", labour_cny=Decimal("10.00"), finished_at=moment("07T10:00"),
    sign_by=moment("10T10:00"), photos=(),
)  # fmt: skip
SIGNED = RepairSigned(
    kind=RepairKind.LAMP, quantity=2, measure_unit="支", urgency=Urgency.NORMAL, place="302教室",
    card=None, category="", round=None, parts=(PART,), parts_cny=Decimal("24.00"),
    labour_cny=Decimal("10.00"), cost_cny=Decimal("34.00"), repairer="sun",
    reported_at=moment("07T08:00"), started_at=moment("07T09:30"),
    finished_at=moment("07T10:00"), response_minutes=90, finish_minutes=120,
    responded_in_time=True, finished_in_time=True, reopened=0, signed_for=False, rating=5,
)  # fmt: skip
REOPENED = RepairReopened(
    reason="仍然不亮", kind=RepairKind.LAMP, times=1, finish_by=moment("10T11:00")
)
CANCELLED = RepairCancelled(kind=RepairKind.LAMP, reason="已自行修好")
BEGUN = (REPORTED, DISPATCHED, STARTED)
DONE = (*BEGUN, USED, FINISHED)


def report(change: dict[str, Any] | None = None, *events: Any, card: Any = None) -> Any:
    asked = REPORT.model_copy(update=change)
    return given(repairs, *events).when(asked, by=at("07T08:00"), card=card)


# -- report


def test_reports_with_deadlines_by_urgency() -> None:
    report().then(REPORTED)
    report({}, REPORTED).then()
    report({"quantity": 3}, REPORTED).refused("repair_exists", field="id")
    urgent = report({"urgency": Urgency.EMERGENCY}).outcome()[0]
    assert (urgent.respond_by, urgent.finish_by) == (moment("07T09:00"), moment("07T16:00"))
    urgent = report({"urgency": Urgency.URGENT}).outcome()[0]
    assert (urgent.respond_by, urgent.finish_by) == (moment("07T12:00"), moment("08T08:00"))


def test_a_scanned_thing_says_where_it_stands() -> None:
    scanned = report({"card": CARD, "place": "", "measure_unit": ""}, card=THING).outcome()[0]
    assert (scanned.place, scanned.tag, scanned.category) == ("101教室", "ZX-0001", "A02010105")
    assert scanned.measure_unit == "台"


def test_refuses_a_report_without_place_and_things_of_others() -> None:
    report({"place": "  "}).refused("repair_where_missing", field="place")
    report({"card": CARD}).refused("card_unknown", field="card")
    gone = given(cards, REGISTERED, LOST).state
    report({"card": CARD}, card=gone).refused("card_gone", field="card")
    away = replace(THING, holder=NORTH)
    report({"card": CARD}, card=away).refused("card_elsewhere", field="card")


def test_a_report_is_taken_back_before_work_begins() -> None:
    cancel = CancelRepair(reason="已自行修好")
    given(repairs, REPORTED).when(cancel, by=at("07T09:00")).then(CANCELLED)
    given(repairs, REPORTED, DISPATCHED).when(cancel, by=at("07T09:00")).then(CANCELLED)
    given(repairs, REPORTED, CANCELLED).when(cancel, by=at("07T09:00")).then()
    given(repairs, *BEGUN).when(cancel, by=at("07T10:00")).refused("repair_under_way")
    given(repairs, *DONE, REOPENED).when(cancel, by=at("07T12:00")).refused("repair_under_way")
    stranger = at("07T09:00", "wu", Role.TEACHER)
    given(repairs, REPORTED).when(cancel, by=stranger).refused("not_your_report")
    director = at("07T09:00", "director", Role.LOGISTICS_DIRECTOR)
    given(repairs, REPORTED).when(cancel, by=director).then(CANCELLED)


# -- work


def test_is_dispatched_and_given_to_another() -> None:
    given(repairs, REPORTED).when(DispatchRepair(repairer="sun")).then(DISPATCHED)
    given(repairs, REPORTED, DISPATCHED).when(DispatchRepair(repairer="sun")).then()
    other = replace(DISPATCHED, repairer="qian", previous="sun")
    moved = given(repairs, *BEGUN).when(DispatchRepair(repairer="qian")).then(other)
    assert moved.state.status is RepairStatus.DISPATCHED
    assert moved.state.started_at == moment("07T09:30")
    given(repairs, *DONE).when(DispatchRepair(repairer="qian")).refused("repair_over")
    given(repairs, REPORTED, CANCELLED).when(DispatchRepair(repairer="sun")).refused("repair_over")


def test_only_the_one_dispatched_begins() -> None:
    given(repairs, REPORTED, DISPATCHED).when(StartRepair(), by=at("07T09:30", "sun")).then(STARTED)
    given(repairs, *BEGUN).when(StartRepair(), by=at("07T09:45", "sun")).then()
    given(repairs, REPORTED).when(StartRepair(), by=at("07T09:30", "sun")).refused(
        "repair_not_dispatched"
    )
    given(repairs, REPORTED, DISPATCHED).when(StartRepair(), by=at("07T09:30", "qian")).refused(
        "not_your_repair"
    )
    given(repairs, *DONE).when(StartRepair(), by=at("07T11:00", "sun")).refused("repair_over")
    given(repairs, REPORTED, DISPATCHED).when(StartRepair(), by=at("07T07:59", "sun")).refused(
        "before_what_it_follows", field="occurred_at"
    )


def test_all_of_it_may_happen_in_the_same_minute() -> None:
    at_once = at("07T08:00", "sun")
    [begun] = given(repairs, REPORTED, DISPATCHED).when(StartRepair(), by=at_once).outcome()
    assert begun == replace(STARTED, started_at=moment("07T08:00"), response_minutes=0)
    past = given(repairs, REPORTED, DISPATCHED, begun)
    assert past.when(FinishRepair(work="修好"), by=at_once).outcome()


def test_parts_are_taken_once_for_each_slip() -> None:
    sun = at("07T09:40", "sun")
    given(repairs, *BEGUN).when(USE, by=sun).then(USED)
    given(repairs, *BEGUN, USED).when(USE, by=sun).then()
    more = USE.model_copy(update={"parts": (LINE.model_copy(update={"quantity": Decimal(3)}),)})
    given(repairs, *BEGUN, USED).when(more, by=sun).refused("slip_used", field="slip")
    twice = USE.model_copy(update={"parts": (LINE, LINE)})
    given(repairs, *BEGUN).when(twice, by=sun).refused("part_twice", field="parts")
    given(repairs, REPORTED, DISPATCHED).when(USE, by=sun).refused("repair_not_started")
    given(repairs, REPORTED).when(USE, by=sun).refused("repair_not_dispatched")
    given(repairs, *BEGUN).when(USE, by=at("07T09:40", "qian")).refused("not_your_repair")


def test_a_salvaged_part_is_asked_of_the_old_thing() -> None:
    old = LINE.model_copy(update={"salvaged_from": CARD, "cost_cny": Decimal(0)})
    asked = UseSalvagedPart(repair=STREAM, slip="L-1", item="灯管", quantity=Decimal(2))
    part = replace(PART, salvaged_from=CARD, cost_cny=Decimal(0))
    given(repairs, *BEGUN).when(
        USE.model_copy(update={"parts": (old, LINE)}), by=at("07T09:40", "sun")
    ).then(replace(USED, parts=(part, PART)), Send(cards, CARD, asked))


def test_finishes_what_was_begun() -> None:
    finish = FinishRepair(work="更换灯管两支", labour_cny=Decimal("10.00"))
    given(repairs, *BEGUN, USED).when(finish, by=at("07T10:00", "sun")).then(FINISHED)
    given(repairs, *DONE).when(finish, by=at("07T10:30", "sun")).then()
    given(repairs, REPORTED, DISPATCHED).when(finish, by=at("07T10:00", "sun")).refused(
        "repair_not_started"
    )
    given(repairs, *BEGUN).when(finish, by=at("07T10:00", "qian")).refused("not_your_repair")
    given(repairs, REPORTED).when(finish, by=at("07T10:00", "sun")).refused("repair_not_dispatched")
    given(repairs, *BEGUN).when(finish, by=at("07T09:29", "sun")).refused("before_what_it_follows")


# -- sign and reopen


def test_only_a_signature_makes_it_done() -> None:
    sign = SignRepair(rating=5)
    signed = given(repairs, *DONE).when(sign, by=at("07T11:00")).then(SIGNED)
    assert signed.state.status is RepairStatus.SIGNED and signed.state.alarm_at is None
    given(repairs, *DONE, SIGNED).when(sign, by=at("07T12:00")).then()
    given(repairs, *BEGUN).when(sign, by=at("07T11:00")).refused("repair_not_finished")
    given(repairs, REPORTED, CANCELLED).when(sign, by=at("07T11:00")).refused("repair_over")
    given(repairs, *DONE).when(sign, by=at("07T09:59")).refused("before_what_it_follows")


def test_nobody_else_signs_until_the_reporter_had_his_days() -> None:
    sign = SignRepair(rating=5)
    given(repairs, *DONE).when(sign, by=at("07T11:00", "sun")).refused("repairer_signs")
    given(repairs, *DONE).when(sign, by=at("20T11:00", "wu", Role.TEACHER)).refused(
        "not_your_report"
    )
    director = (Role.LOGISTICS_DIRECTOR,)
    given(repairs, *DONE).when(sign, by=at("10T09:59", "director", *director)).refused(
        "reporter_signs_first"
    )
    given(repairs, *DONE).when(sign, by=at("10T10:00", "director", *director)).then(
        replace(SIGNED, signed_for=True)
    )


def test_what_the_repairer_reported_himself_is_signed_by_the_director() -> None:
    own = (replace(REPORTED, reporter="sun"), DISPATCHED, STARTED, USED, FINISHED)
    given(repairs, *own).when(SignRepair(rating=5), by=at("07T11:00", "sun")).refused(
        "repairer_signs"
    )
    director = at("07T11:00", "director", Role.LOGISTICS_DIRECTOR)
    given(repairs, *own).when(SignRepair(rating=5), by=director).then(
        replace(SIGNED, signed_for=True)
    )


def test_a_signed_repair_counts_on_its_thing() -> None:
    scanned = replace(REPORTED, card=CARD, category="A02010105")
    given(repairs, scanned, *DONE[1:]).when(SignRepair(rating=5), by=at("07T11:00")).then(
        replace(SIGNED, card=CARD, category="A02010105"),
        Send(cards, CARD, CountRepair(repair=STREAM, cost_cny=Decimal("34.00"))),
    )


def test_the_reporter_sends_the_repairer_back() -> None:
    reopen = ReopenRepair(reason="仍然不亮")
    reopened = given(repairs, *DONE).when(reopen, by=at("07T11:00")).then(REOPENED)
    assert reopened.state.status is RepairStatus.DISPATCHED
    given(repairs, *DONE, REOPENED).when(reopen, by=at("07T11:00")).refused("repair_not_finished")
    given(repairs, *DONE, SIGNED).when(reopen, by=at("07T12:00")).refused("repair_over")
    given(repairs, *DONE).when(reopen, by=at("07T11:00", "sun")).refused("repairer_signs")
    given(repairs, *DONE).when(reopen, by=at("07T11:00", "wu")).refused("not_your_report")
    given(repairs, *DONE).when(reopen, by=at("07T09:00")).refused("before_what_it_follows")


def test_times_after_reopening_run_from_the_report_to_the_last_finish() -> None:
    past: list[Any] = [*DONE, REOPENED]
    sun = at("10T08:30", "sun")
    given(repairs, *past).when(StartRepair(), by=at("07T09:59", "sun")).refused(
        "before_what_it_follows"
    )
    [start] = given(repairs, *past).when(StartRepair(), by=sun).outcome()
    past.append(start)
    finish = FinishRepair(work="换镇流器", labour_cny=Decimal("5.00"))
    [finished] = given(repairs, *past).when(finish, by=at("10T09:00", "sun")).outcome()
    past.append(finished)
    [signed] = given(repairs, *past).when(SignRepair(), by=at("10T10:00")).outcome()
    assert isinstance(signed, RepairSigned)
    assert (signed.response_minutes, signed.finish_minutes) == (90, 3 * 1440 + 60)
    assert (signed.reopened, signed.labour_cny) == (1, Decimal("15.00"))
    assert signed.responded_in_time and not signed.finished_in_time
    assert signed.rating is None


def test_on_the_dot_is_in_time() -> None:
    start = replace(STARTED, started_at=moment("08T08:00"), response_minutes=1440)
    finish = replace(FINISHED, finished_at=moment("10T08:00"), sign_by=moment("13T08:00"))
    past = given(repairs, REPORTED, DISPATCHED, start, finish)
    [signed] = past.when(SignRepair(), by=at("10T08:00")).outcome()
    assert isinstance(signed, RepairSigned)
    assert signed.responded_in_time and signed.finished_in_time


# -- overdue


def overdue(stage: RepairStage, level: int, due: str, upcoming: str | None) -> RepairOverdue:
    return RepairOverdue(
        stage=stage, level=level, kind=RepairKind.LAMP, urgency=Urgency.NORMAL,
        due_at=moment(due), repairer="" if stage is RepairStage.RESPONSE else "sun",
        place="302教室", next_alarm_at=moment(upcoming) if upcoming else None,
    )  # fmt: skip


def test_no_response_climbs_to_the_top() -> None:
    past: list[Any] = [REPORTED]
    given(repairs, *past).when(RemindOfRepair(), by=at("08T07:59", "system")).then()
    steps = [("08T08:00", "09T08:00"), ("09T08:00", "10T08:00"), ("10T08:00", None)]
    for level, (when, upcoming) in enumerate(steps, start=1):
        said = overdue(RepairStage.RESPONSE, level, "08T08:00", upcoming)
        given(repairs, *past).when(RemindOfRepair(), by=at(when, "system")).then(said)
        past.append(said)
        given(repairs, *past).when(RemindOfRepair(), by=at(when, "system")).then()
    assert repairs.timer is not None and repairs.timer.timer is not None
    assert repairs.timer.timer(given(repairs, *past).state) is None
    started = given(repairs, *past, DISPATCHED, STARTED).state
    assert (started.level, repairs.timer.timer(started)) == (0, moment("10T08:00"))


@pytest.mark.parametrize(
    ("events", "stage", "due", "upcoming"),
    [
        (BEGUN, RepairStage.FINISH, "10T08:00", "11T08:00"),
        (DONE, RepairStage.SIGNATURE, "10T10:00", "11T10:00"),
        ((*DONE, REOPENED), RepairStage.FINISH, "10T11:00", "11T11:00"),
    ],
)
def test_late_to_finish_and_late_to_sign(
    events: tuple[Any, ...], stage: RepairStage, due: str, upcoming: str
) -> None:
    said = overdue(stage, 1, due, upcoming)
    given(repairs, *events).when(RemindOfRepair(), by=at(due, "system")).then(said)


def test_what_is_over_is_never_late() -> None:
    for past in ((*DONE, SIGNED), (REPORTED, CANCELLED)):
        given(repairs, *past).when(RemindOfRepair(), by=at("30T08:00", "system")).then()


# -- together


def repair(world: World, number: int, day: int, parts: tuple[PartLine, ...] = ()) -> UUID:
    """One repair of the thing from report to signature."""
    stream, card = UUID(int=number), cards.id_of(SCHOOL, "ZX-0001")
    times = [f"2026-09-{day:02}T{hour:02}:00:00+08:00" for hour in (8, 9, 10, 11, 12, 13)]
    asked = ReportRepair(organisation=SCHOOL, kind=RepairKind.EQUIPMENT, card=card, place="101")
    world.do(repairs, stream, asked, "teacher", at=times[0])
    world.do(repairs, stream, DispatchRepair(repairer="sun"), "director", at=times[1])
    world.do(repairs, stream, StartRepair(), "sun", at=times[2])
    if parts:
        world.do(repairs, stream, UseParts(slip="L", parts=parts), "sun", at=times[3])
    world.do(repairs, stream, FinishRepair(work="修好"), "sun", at=times[4])
    world.do(repairs, stream, SignRepair(), "teacher", at=times[5])
    return stream


def test_the_third_repair_of_one_thing_suggests_replacement() -> None:
    world, card = World(), cards.id_of(SCHOOL, "ZX-0001")
    world.do(cards, card, command())
    for number in (1, 2):
        repair(world, number, 7 + number, (LINE,))
    assert world.told(ReplacementSuggested) == []
    repair(world, 3, 10, (LINE,))
    [suggested] = world.told(ReplacementSuggested)
    assert isinstance(suggested, ReplacementSuggested)
    assert (suggested.repairs, suggested.repair_cost_cny) == (3, Decimal("72.00"))
    repair(world, 4, 11)
    assert len(world.told(ReplacementSuggested)) == 1
    assert len(world.told(CardRepaired)) == len(world.told(RepairSigned)) == 4


def test_parts_of_an_old_thing_live_on_and_never_twice() -> None:
    world, card = World(), cards.id_of(SCHOOL, "ZX-0001")
    world.do(cards, card, command())
    for number in (1, 2, 3):
        repair(world, number, 7 + number)
    taken = SalvagedLine(item="电源板", quantity=Decimal(1), measure_unit="块")
    world.do(cards, card, SalvageParts(slip="S-1", parts=(taken,)), "sun")
    assert len(world.told(PartsSalvaged)) == 1
    part = PartLine(item="电源板", quantity=Decimal(1), measure_unit="块", salvaged_from=card)
    repair(world, 4, 12, (part,))
    assert len(world.told(SalvagedPartUsed)) == 1
    with pytest.raises(Refused, match="salvage_exceeded"):
        repair(world, 5, 13, (part,))
    assert world.states[UUID(int=5)].slips == {}


def test_the_ledger_shows_what_it_waits_for() -> None:
    recorded = Recorded(
        id=UUID(int=1), stream=STREAM, version=1, organisation=SCHOOL, actor="x",
        occurred_at=moment("07T10:00"), recorded_at=moment("07T10:00"),
    )  # fmt: skip
    row = repair_ledger(given(repairs, *DONE).state, recorded)
    assert (row.stage, row.due_at) == (RepairStage.SIGNATURE, moment("10T10:00"))
    assert (row.parts_cny, row.labour_cny) == (Decimal("24.00"), Decimal("10.00"))
    assert repair_ledger(given(repairs, *DONE, SIGNED).state, recorded).stage is None
