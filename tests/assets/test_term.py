"""A school's term as one was reported, entered late on a real database: 275 repairs, 212 sets,
100 of them sent to the other campus.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from services.assets import assets
from services.assets.card.events import AssetSource
from services.assets.card.register import PlaceCard, RegisterCard
from services.assets.damage import DamageCause
from services.assets.damage.assess import AssessDamage, ReportDamage
from services.assets.loan import LendAssets, ReturnLoan
from services.assets.repair import RepairKind
from services.assets.repair.report import ReportRepair
from services.assets.repair.sign import SignRepair
from services.assets.repair.work import (
    DispatchRepair,
    FinishRepair,
    PartLine,
    StartRepair,
    UseParts,
)  # fmt: skip
from services.assets.repair_round import CheckRoundItem, CompleteRound, ItemPlanned, PlanRound
from services.assets.transfer import ReceiveTransfer, SendTransfer
from shared.config import Settings
from shared.fields import SHANGHAI
from shared.kernel import Refused
from shared.organisation import Role
from tests.shared.office import SCHOOL, UNITS, Copy, Desk, Pool, at_work

pytestmark = pytest.mark.stack

NORTH = UNITS["campus"]
BEGIN = datetime(2011, 9, 5, 8, tzinfo=SHANGHAI)
TERM = {
    (RepairKind.LAMP, "支"): 80, (RepairKind.VALVE, "只"): 50, (RepairKind.DOOR, "张"): 10,
    (RepairKind.WINDOW, "页"): 15, (RepairKind.OTHER, "次"): 100, (RepairKind.DRAIN, "处"): 20,
}  # fmt: skip


@pytest.fixture
async def desk(pool: Pool, config: Settings) -> AsyncIterator[Desk]:
    copy = Copy(pool)
    await copy.plant()
    await copy.appoint(
        ("teacher", Role.TEACHER, "school"),
        ("director", Role.LOGISTICS_DIRECTOR, "school"),
        ("principal", Role.PRINCIPAL, "school"),
        ("sun", Role.REPAIRER, "school"),
        ("keeper", Role.STOREKEEPER, "school"),
        ("north", Role.STOREKEEPER, "campus"),
        ("stranger", Role.STOREKEEPER, "sibling"),
    )
    async with at_work(assets, config) as made:
        yield made


async def events(pool: Pool, kind: str) -> list[dict[str, Any]]:
    rows = await pool.fetch("select data from event where type = $1", kind)
    return [msgspec.json.decode(row["data"]) for row in rows]


def sets(number: int, name: str, value: str) -> RegisterCard:
    return RegisterCard(
        organisation=SCHOOL, tag=f"KZ-{number:04}", name=name, category="A05010101",
        measure_unit="套", value_cny=Decimal(value), acquired_on=date(2011, 9, 1), bulk=True,
        source=AssetSource.PURCHASE, occurred_at=BEGIN,
    )  # fmt: skip


async def one_repair(desk: Desk, kind: RepairKind, unit: str, at: datetime) -> None:
    def after(minutes: int) -> datetime:
        return at + timedelta(minutes=minutes)

    part = PartLine(
        item=kind.value, quantity=Decimal(1), measure_unit=unit, cost_cny=Decimal("12.00")
    )
    stream = await desk.open(
        ReportRepair(
            organisation=SCHOOL, kind=kind, place="教学楼", measure_unit=unit, occurred_at=at
        ),
        person="teacher",
    )
    steps: list[tuple[Any, str]] = [
        (DispatchRepair(repairer="sun", occurred_at=after(10)), "director"),
        (StartRepair(occurred_at=after(30)), "sun"),
        (UseParts(slip="1", parts=(part,), occurred_at=after(40)), "sun"),
        (FinishRepair(work="修好", occurred_at=after(60)), "sun"),
        (SignRepair(rating=5, occurred_at=after(90)), "teacher"),
    ]
    for command, person in steps:
        await desk.ask(command, stream, person=person)


async def test_a_terms_repairs_are_all_signed_and_measured(desk: Desk, pool: Pool) -> None:
    for (kind, unit), times in TERM.items():
        for number in range(times):
            await one_repair(desk, kind, unit, BEGIN + timedelta(days=number % 100))
    signed = await events(pool, "RepairSigned")
    assert len(signed) == 275
    kinds = Counter(event["kind"] for event in signed)
    assert kinds == {kind.value: times for (kind, _), times in TERM.items()}
    assert {event["response_minutes"] for event in signed} == {30}
    assert {event["finish_minutes"] for event in signed} == {60}
    assert sum(Decimal(event["cost_cny"]) for event in signed) == Decimal("3300.00")
    assert await pool.fetchval("select count(*) from due") == 0
    rows = await pool.fetch("select status, count(*) from view_repair_ledger group by status")
    assert [tuple(row) for row in rows] == [("signed", 275)]


async def test_two_hundred_and_twelve_sets_and_a_hundred_go_north(desk: Desk, pool: Pool) -> None:
    steps = [desk.step(sets(number, "课桌椅", "180.00")) for number in range(200)]
    steps += [desk.step(sets(number, "教师办公桌椅", "650.00")) for number in range(200, 212)]
    await desk.ask_all(*steps, person="keeper")
    assert sum(event["quantity"] for event in await events(pool, "CardRegistered")) == 212
    chosen = tuple(step.stream for step in steps[:100])
    transfer = await desk.open(
        SendTransfer(
            organisation=SCHOOL, to_unit=NORTH, cards=chosen, reason="北校区扩班",
            occurred_at=BEGIN + timedelta(days=1),
        ),
        person="director",
    )  # fmt: skip
    receive = ReceiveTransfer(place="北校区", occurred_at=BEGIN + timedelta(days=2))
    with pytest.raises(Refused, match="forbidden"):
        await desk.ask(receive, transfer, person="stranger")
    with pytest.raises(Refused, match="receiver_is_sender"):
        # The director's post at the school counts at its campus too; the person is the bar.
        await desk.ask(receive, transfer, person="director")
    await desk.ask(receive, transfer, person="north")
    [received] = await events(pool, "TransferReceived")
    assert [(total["measure_unit"], total["quantity"]) for total in received["totals"]] == [
        ("套", 100)
    ]
    rows = await pool.fetch("select organisation, count(*) from view_asset_ledger group by 1")
    assert {row[0]: row[1] for row in rows} == {SCHOOL: 112, NORTH: 100}
    rows = await pool.fetch("select organisation, incoming from view_asset_transfers order by 2")
    assert [tuple(row) for row in rows] == [(SCHOOL, False), (NORTH, True)]
    await desk.ask(PlaceCard(place="N1"), chosen[0], person="north")
    with pytest.raises(Refused, match="forbidden"):
        await desk.ask(PlaceCard(place="N1"), steps[150].stream, person="north")


async def test_every_list_takes_its_rows(desk: Desk, pool: Pool) -> None:
    steps = [desk.step(sets(number, "课桌椅", "180.00")) for number in range(2)]
    await desk.ask_all(*steps, person="keeper")
    one, other = (step.stream for step in steps)
    lend = LendAssets(
        organisation=SCHOOL, cards=(one,), borrower="teacher", purpose="运动会用",
        due_on=date(2011, 9, 30), occurred_at=BEGIN,
    )  # fmt: skip
    loan = await desk.open(lend, person="keeper")
    back = ReturnLoan(occurred_at=BEGIN + timedelta(days=3))
    await desk.ask(back, loan, person="keeper")
    report = ReportDamage(organisation=SCHOOL, cause=DamageCause.THEFT, card=other)
    damage = await desk.open(report, person="teacher")
    assess = AssessDamage(cause=DamageCause.THEFT, replacement_cost_cny=Decimal(180))
    await desk.ask(assess, damage, person="principal")
    item = ItemPlanned(code="1", place="101", quantity=45, measure_unit="套")
    due = datetime.now(SHANGHAI).date() + timedelta(days=7)
    plan = PlanRound(
        organisation=SCHOOL, title="期中维修", kind=RepairKind.DESK, due_on=due, items=(item,)
    )
    a_round = await desk.open(plan, person="director")
    await desk.ask(CheckRoundItem(code="1", checked=45, faulty=2), a_round, person="sun")
    await desk.ask(CompleteRound(), a_round, person="director")
    shown = {
        view.name: await pool.fetchval(f"select count(*) from view_{view.name}")
        for view in assets.views()
    }
    assert shown == {
        "asset_ledger": 2, "asset_transfers": 0, "asset_loans": 1, "asset_damages": 1,
        "repair_ledger": 1, "repair_rounds": 1,
    }  # fmt: skip
    gone = await pool.fetchrow(
        "select status, gross_cny from view_asset_ledger where stream = $1", other
    )
    assert gone is not None and tuple(gone) == ("stolen", Decimal(0))
