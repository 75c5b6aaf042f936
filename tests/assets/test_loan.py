"""Loan: a name and a day; the lender confirms the return; overdue climbs."""

from copy import replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from services.assets.card import Card, cards
from services.assets.card.events import AssetClass, AssetLost, CardStatus, LossCause
from services.assets.card.loss import LoseAsset
from services.assets.card.move import AssetTotal, PutOnLoan, TakeBackCard
from services.assets.loan import (
    AssetsLent,
    ExtendLoan,
    LendAssets,
    LoanExtended,
    LoanOverdue,
    LoanReturned,
    LoanStatus,
    LoanWrittenOff,
    RemindOfLoan,
    ReturnLoan,
    WriteOffLoaned,
    asset_loans,
    loans,
    write_off_when_lost,
)  # fmt: skip
from services.assets.months import day_end
from shared.kernel import Recorded, Send
from shared.testing import STREAM, by, given
from tests.assets.test_transfer import world_with
from tests.assets.world import NORTH, SOUTH, north, south

WORLD, IDS = world_with(2)
KNOWN: dict[UUID, Card] = {id_: WORLD.states[id_] for id_ in IDS}
DUE = date(2026, 9, 30)
COMMAND = LendAssets(organisation=SOUTH, cards=IDS, borrower="zhou", due_on=DUE, purpose="运动会用")
TOTAL = AssetTotal(
    category="A05010101", measure_unit="套", cards=2, quantity=2, gross_cny=Decimal("360.00")
)
ONE = replace(TOTAL, cards=1, quantity=1, gross_cny=Decimal("180.00"))
LENDER = by("li", unit=SOUTH)
LATER = by("li", unit=SOUTH, at="2026-10-02T08:00:00+08:00")


def lend(change: dict[str, Any] | None = None, *events: Any, **facts: Any) -> Any:
    facts = {"known": KNOWN, "to_unit": None} | facts
    return given(loans, *events).when(COMMAND.model_copy(update=change), by=LENDER, **facts)


LENT = lend().outcome()[0]
assert isinstance(LENT, AssetsLent)
RETURNED = LoanReturned(
    cards=IDS, totals=(TOTAL,), outstanding=0, days_late=2, borrower="zhou", to_unit=None, note=""
)
HALF = replace(RETURNED, cards=IDS[:1], totals=(ONE,), outstanding=1)
WRITTEN_OFF = LoanWrittenOff(card=IDS[0], outstanding=1)


def test_lends_and_marks_every_card() -> None:
    put = PutOnLoan(loan=STREAM, lender=SOUTH, due_on=DUE, borrower="zhou")
    lend().then(LENT, *(Send(cards, id_, put) for id_ in IDS))
    assert LENT.totals == (TOTAL,) and LENT.lender == "li"
    lend({}, LENT).then()
    lend({"borrower": "wu"}, LENT).refused("loan_exists", field="id")
    lend({"due_on": LENDER.day}).outcome()


def test_lends_to_another_unit() -> None:
    lent = lend({"borrower": None, "to_unit": NORTH}, to_unit=north).outcome()[0]
    assert (lent.borrower, lent.to_unit) == ("", NORTH)
    lend({"to_unit": SOUTH}, to_unit=south).refused("same_unit", field="to_unit")
    lend({"to_unit": NORTH}).refused("to_unit_unknown", field="to_unit")
    closed = replace(north, closed_on=LENDER.day)
    lend({"to_unit": NORTH}, to_unit=closed).refused("to_unit_closed", field="to_unit")


def test_refuses_to_lend_to_nobody_to_oneself_and_for_ever() -> None:
    lend({"borrower": None}).refused("borrower_missing", field="borrower")
    lend({"borrower": "li"}).refused("lent_to_oneself", field="borrower")
    lend({"due_on": date(2026, 9, 6)}).refused("due_in_past", field="due_on")
    lend({"due_on": date(2027, 9, 8)}).refused("loan_too_long", field="due_on")
    lend({"due_on": date(2027, 9, 7)}).outcome()


def test_lends_only_what_is_at_hand() -> None:
    lent = {id_: replace(card, status=CardStatus.ON_LOAN) for id_, card in KNOWN.items()}
    lend(known=lent).refused("card_on_loan", field="cards")
    lend(known={}).refused("card_unknown", field="cards")


def test_the_lender_records_the_return_whole_or_in_parts() -> None:
    back = [Send(cards, id_, TakeBackCard(loan=STREAM)) for id_ in IDS]
    given(loans, LENT).when(ReturnLoan(), by=LATER).then(RETURNED, *back)
    given(loans, LENT, RETURNED).when(ReturnLoan(), by=LATER).then()
    given(loans, LENT).when(ReturnLoan(cards=IDS), by=LATER).then(RETURNED, *back)
    half = ReturnLoan(cards=IDS[:1])
    part = given(loans, LENT).when(half, by=LATER).then(HALF, back[0])
    assert part.state.status is LoanStatus.OUT
    given(loans, LENT, HALF).when(half, by=LATER).then()
    rest = replace(RETURNED, cards=IDS[1:], totals=(ONE,))
    done = given(loans, LENT, HALF).when(ReturnLoan(), by=LATER).then(rest, back[1])
    assert done.state.status is LoanStatus.RETURNED
    given(loans, LENT, RETURNED).when(half, by=LATER).then()


def test_the_borrower_never_confirms() -> None:
    himself = by("zhou", unit=SOUTH, at="2026-10-02T08:00:00+08:00")
    given(loans, LENT).when(ReturnLoan(), by=himself).refused("borrower_confirms")
    longer = ExtendLoan(due_on=date(2026, 10, 30), reason="还要用")
    given(loans, LENT).when(longer, by=himself).refused("borrower_confirms")


def test_returns_only_what_was_lent_and_not_before() -> None:
    stranger = ReturnLoan(cards=(UUID(int=1),))
    given(loans, LENT).when(stranger, by=LATER).refused("card_not_on_list", field="cards")
    early = by("li", unit=SOUTH, at="2026-09-07T07:59:00+08:00")
    given(loans, LENT).when(ReturnLoan(), by=early).refused("before_what_it_follows")


def test_extends_and_starts_the_climb_anew() -> None:
    longer = ExtendLoan(due_on=date(2026, 10, 30), reason="还要用")
    put = PutOnLoan(loan=STREAM, lender=SOUTH, due_on=date(2026, 10, 30), borrower="zhou")
    extended = LoanExtended(due_on=date(2026, 10, 30), previous=DUE, reason="还要用")
    after = given(loans, LENT, overdue(1, None)).when(longer, by=LATER)
    state = after.then(extended, *(Send(cards, id_, put) for id_ in IDS)).state
    assert (state.level, state.status) == (0, LoanStatus.OUT)
    assert state.alarm_at == day_end(date(2026, 10, 30))
    given(loans, LENT, extended).when(longer, by=LATER).then()
    given(loans, LENT, RETURNED).when(longer, by=LATER).refused("loan_returned")
    past = ExtendLoan(due_on=date(2026, 10, 1), reason="还要用")
    given(loans, LENT).when(past, by=LATER).refused("due_in_past", field="due_on")
    endless = ExtendLoan(due_on=date(2027, 9, 8), reason="还要用")
    given(loans, LENT).when(endless, by=LATER).refused("loan_too_long", field="due_on")


def overdue(level: int, upcoming: str | None) -> LoanOverdue:
    return LoanOverdue(
        level=level, due_on=DUE, days_late=[0, 0, 7, 14][level], totals=(TOTAL,), borrower="zhou",
        to_unit=None, next_alarm_at=datetime.fromisoformat(upcoming) if upcoming else None,
    )  # fmt: skip


def test_overdue_at_the_end_of_the_day_and_then_climbs() -> None:
    steps = [("2026-09-30", "2026-10-07"), ("2026-10-07", "2026-10-14"), ("2026-10-14", None)]
    past: list[Any] = [LENT]
    before = by("system", at="2026-09-30T23:58:00+08:00")
    given(loans, LENT).when(RemindOfLoan(), by=before).then()
    for level, (day, upcoming) in enumerate(steps, start=1):
        said = overdue(level, f"{upcoming}T23:59:00+08:00" if upcoming else None)
        at = by("system", at=f"{day}T23:59:00+08:00")
        given(loans, *past).when(RemindOfLoan(), by=at).then(said)
        past.append(said)
        given(loans, *past).when(RemindOfLoan(), by=at).then()
    assert loans.timer is not None and loans.timer.timer is not None
    assert loans.timer.timer(given(loans, *past).state) is None
    given(loans, LENT, RETURNED).when(RemindOfLoan(), by=LATER).then()


def lost(**changes: Any) -> AssetLost:
    fields: dict[str, Any] = {
        "damage": UUID(int=9), "cause": LossCause.STOLEN, "category": "A05010101",
        "asset_class": AssetClass.FURNITURE, "holder": SOUTH, "measure_unit": "套", "quantity": 1,
        "remaining": 0, "gross_cny": Decimal("180.00"), "accumulated_cny": Decimal(0),
        "net_cny": Decimal("180.00"), "loan": STREAM,
    }  # fmt: skip
    return AssetLost(**fields | changes)


def test_what_is_lost_on_loan_is_no_longer_waited_for() -> None:
    moment = datetime.fromisoformat("2026-10-02T08:00:00+08:00")
    recorded = Recorded(
        id=UUID(int=1), stream=IDS[0], version=3, organisation=SOUTH, actor="li",
        occurred_at=moment, recorded_at=moment,
    )  # fmt: skip
    write_off = WriteOffLoaned(card=IDS[0])
    assert write_off_when_lost(lost(), recorded) == [Send(loans, STREAM, write_off)]
    assert write_off_when_lost(lost(loan=None), recorded) == []
    assert write_off_when_lost(lost(remaining=1), recorded) == []
    given(loans, LENT).when(write_off).then(WRITTEN_OFF)
    given(loans, LENT, WRITTEN_OFF).when(write_off).then()
    last = LoanWrittenOff(card=IDS[1], outstanding=0)
    assert given(loans, LENT, WRITTEN_OFF, last).state.status is LoanStatus.RETURNED


def test_a_lost_card_leaves_its_loan_and_the_rest_comes_back() -> None:
    world, ids = world_with(2)
    world.do(loans, STREAM, COMMAND.model_copy(update={"cards": ids}))
    lose = LoseAsset(damage=UUID(int=9), cause=LossCause.STOLEN, quantity=1)
    [gone] = world.do(cards, ids[0], lose)
    assert isinstance(gone, AssetLost) and gone.loan == STREAM
    world.do(loans, STREAM, WriteOffLoaned(card=ids[0]), "system")
    world.do(loans, STREAM, ReturnLoan(), at="2026-09-09T08:00:00+08:00")
    assert world.states[STREAM].status is LoanStatus.RETURNED
    assert world.states[ids[0]].status is CardStatus.STOLEN
    assert world.states[ids[1]].status is CardStatus.IN_USE


def test_both_units_see_a_loan_between_them() -> None:
    moment = datetime.fromisoformat("2026-09-07T08:00:00+08:00")
    recorded = Recorded(
        id=UUID(int=1), stream=STREAM, version=1, organisation=SOUTH, actor="li",
        occurred_at=moment, recorded_at=moment,
    )  # fmt: skip
    mine = asset_loans(given(loans, LENT, HALF).state, recorded)
    assert list(mine) == ["lent"] and mine["lent"].outstanding == 1
    assert mine["lent"].totals == (ONE,)
    shared = asset_loans(given(loans, replace(LENT, to_unit=NORTH)).state, recorded)
    assert shared["borrowed"].organisation == NORTH and shared["borrowed"].incoming
