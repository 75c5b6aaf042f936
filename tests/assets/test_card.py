"""Card: one tag one thing; value, depreciation and place follow it from unit to unit."""

from copy import replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from pydantic import ValidationError

from services.assets.card import Card, cards, evolve
from services.assets.card.depreciate import DepreciateMonth, RevalueCard, depreciation_due
from services.assets.card.events import (
    AssetClass,
    AssetDepreciated,
    AssetFound,
    AssetFund,
    AssetLost,
    AssetSource,
    CardLent,
    CardMoved,
    CardPlaced,
    CardPutInTransit,
    CardReclassified,
    CardRegistered,
    CardRepaired,
    CardReturned,
    CardRevalued,
    CardSeparated,
    CardSplit,
    CardStatus,
    CardTransitEnded,
    DepreciationReversed,
    LossCause,
    PartsSalvaged,
    ReplacementSuggested,
    SalvagedPart,
    SalvagedPartUsed,
)  # fmt: skip
from services.assets.card.loss import FindAsset, LoseAsset
from services.assets.card.move import EndTransit, MoveCard, PutInTransit, PutOnLoan, TakeBackCard
from services.assets.card.register import (
    PlaceCard,
    ReclassifyCard,
    RegisterCard,
    SeparateCard,
    SplitCard,
)  # fmt: skip
from services.assets.card.views import asset_ledger
from services.assets.card.wear import CountRepair, SalvagedLine, SalvageParts, UseSalvagedPart
from services.assets.months import month_end
from shared.kernel import Recorded, Refused
from shared.testing import SCHOOL, STREAM, by, given
from tests.assets.world import NORTH, SOUTH, World, north

CASE, LOAN, SENT = UUID(int=21), UUID(int=22), UUID(int=23)
SEPTEMBER = date(2026, 9, 1)


def command(**changes: Any) -> RegisterCard:
    fields: dict[str, Any] = {
        "organisation": SCHOOL, "tag": "ZX-0001", "name": "触控一体机", "category": "A02010105",
        "measure_unit": "台", "value_cny": Decimal("7200.00"), "acquired_on": date(2026, 9, 3),
        "source": AssetSource.PURCHASE,
    }  # fmt: skip
    return RegisterCard(**fields | changes)


def registered(**changes: Any) -> CardRegistered:
    fields: dict[str, Any] = {
        "tag": "ZX-0001", "name": "触控一体机", "category": "A02010105",
        "asset_class": AssetClass.EQUIPMENT, "measure_unit": "台", "quantity": 1,
        "gross_cny": Decimal("7200.00"), "acquired_on": date(2026, 9, 3),
        "source": AssetSource.PURCHASE, "fund": AssetFund.PUBLIC, "holder": SCHOOL,
        "capitalised": True, "useful_months": 72, "place": "101教室", "keeper": "wang",
    }  # fmt: skip
    return CardRegistered(**fields | changes)


REGISTERED = registered()
TRANSIT = CardPutInTransit(transfer=SENT, from_unit=SCHOOL, to_unit=NORTH)
LENT = CardLent(loan=LOAN, due_on=date(2026, 10, 1), borrower="zhou")
LOST = AssetLost(
    damage=CASE, cause=LossCause.LOST, category="A02010105", asset_class=AssetClass.EQUIPMENT,
    holder=SCHOOL, measure_unit="台", quantity=1, remaining=0, gross_cny=Decimal("7200.00"),
    accumulated_cny=Decimal(0), net_cny=Decimal("7200.00"),
)  # fmt: skip


def depreciated(state: Card, through: str) -> list[Any]:
    """What the timer says at a moment."""
    when = by("system", at=through)
    return cards.decisions[DepreciateMonth].decide(state, DepreciateMonth(), when, {})


def register(change: dict[str, Any] | None = None, *events: Any, holder: Any = None) -> Any:
    return given(cards, *events).when(command(**change or {}), holder=holder)


# -- register


def test_registers_once_with_class_value_and_useful_life() -> None:
    expected = registered(place="", keeper="")
    register().then(expected)
    register({}, expected).then()


def test_a_tag_names_one_thing_within_its_unit() -> None:
    register({"name": "另一台"}, REGISTERED).refused("tag_taken", field="tag")
    assert cards.key is not None
    same, other = command(), command(organisation=NORTH)
    assert cards.id_of(cards.key(same)) == cards.id_of(SCHOOL, "ZX-0001")
    assert cards.id_of(cards.key(same)) != cards.id_of(cards.key(other))


@pytest.mark.parametrize("missing", ["value_cny", "acquired_on", "source", "tag", "category"])
def test_value_date_and_source_are_required(missing: str) -> None:
    fields = {name: value for name, value in dict(command()).items() if name != missing}
    with pytest.raises(ValidationError, match=missing):
        RegisterCard(**fields)


@pytest.mark.parametrize("code", ["A0201010", "B02010105", "A020101050", "02010105"])
def test_a_category_is_a_letter_and_eight_digits(code: str) -> None:
    with pytest.raises(ValidationError, match="category"):
        command(category=code)


def test_refuses_a_day_to_come_and_an_unknown_class() -> None:
    register({"acquired_on": date(2026, 9, 8)}).refused("acquired_in_future", field="acquired_on")
    assert register({"acquired_on": date(2026, 9, 7)}).outcome()
    register({"category": "A09010000"}).refused("category_unknown", field="category")
    register({"category": "A00010000"}).refused("category_unknown", field="category")


def test_a_holder_is_the_unit_or_below_it() -> None:
    outcome = register({"holder": NORTH}, holder=north).outcome()
    assert isinstance(outcome[0], CardRegistered) and outcome[0].holder == NORTH
    elsewhere = replace_path(north)
    register({"holder": NORTH}, holder=elsewhere).refused("holder_outside", field="holder")
    register({"holder": NORTH}, holder=None).refused("holder_outside", field="holder")


def replace_path(unit: Any) -> Any:
    return replace(unit, path=(UUID(int=1), unit.id))


@pytest.mark.parametrize(
    ("change", "capitalised", "months"),
    [
        ({}, True, 72),
        ({"category": "A02990000"}, True, 60),
        ({"category": "A05010000"}, True, 180),
        ({"category": "A05010000", "useful_years": 5}, True, 60),
        ({"category": "A01010000"}, True, 600),
        ({"category": "A04010000"}, True, 0),
        ({"category": "A04010000", "useful_years": 10}, True, 0),
        ({"category": "A03010000"}, True, 0),
        ({"category": "A06010000"}, True, 0),
        ({"category": "A07010000"}, True, 0),
        ({"value_cny": Decimal("999.99")}, False, 0),
        ({"value_cny": Decimal("1000.00")}, True, 72),
        ({"value_cny": Decimal("1999.98"), "quantity": 2}, False, 0),
        ({"value_cny": Decimal("36000.00"), "quantity": 200, "bulk": True}, True, 72),
        ({"value_cny": Decimal("1.00"), "bulk": True, "source": AssetSource.DONATION}, False, 0),
        ({"source": AssetSource.ALLOCATION}, True, 72),
    ],
)
def test_what_is_capitalised_and_how_long_it_lives(
    change: dict[str, Any], capitalised: bool, months: int
) -> None:
    made = register(change).outcome()[0]
    assert isinstance(made, CardRegistered)
    assert (made.capitalised, made.useful_months) == (capitalised, months)


def test_a_life_is_never_shorter_than_the_rule() -> None:
    register({"useful_years": 5}).refused("useful_life_too_short", field="useful_years")


# -- depreciation


def test_depreciates_from_the_month_of_entry_at_each_months_end() -> None:
    card = evolve(None, REGISTERED)
    assert depreciation_due(card) == month_end(SEPTEMBER)
    assert depreciated(card, "2026-09-30T23:58:00+08:00") == []
    [first] = depreciated(card, "2026-09-30T23:59:00+08:00")
    assert first == AssetDepreciated(
        asset_class=AssetClass.EQUIPMENT, holder=SCHOOL, from_month=SEPTEMBER,
        to_month=SEPTEMBER, months=1, monthly_cny=Decimal("100.00"),
        amount_cny=Decimal("100.00"), accumulated_cny=Decimal("100.00"),
        net_cny=Decimal("7100.00"),
    )  # fmt: skip
    after = evolve(card, first)
    assert depreciated(after, "2026-09-30T23:59:00+08:00") == []
    assert depreciation_due(after) == month_end(date(2026, 10, 1))


def test_catching_up_in_one_event_equals_month_by_month() -> None:
    card = evolve(None, registered(gross_cny=Decimal("1000.00"), useful_months=7))
    [late] = depreciated(card, "2027-02-10T08:00:00+08:00")
    assert (late.from_month, late.to_month, late.months) == (SEPTEMBER, date(2027, 1, 1), 5)
    step, total = card, Decimal(0)
    for month in ("2026-10", "2026-11", "2026-12", "2027-01", "2027-02"):
        [one] = depreciated(step, f"{month}-01T00:10:00+08:00")
        assert one.months == 1
        step, total = evolve(step, one), total + one.amount_cny
    assert evolve(card, late) == step
    assert late.amount_cny == total == Decimal("714.25")


def test_the_last_month_takes_the_rest_and_then_it_is_over() -> None:
    card = evolve(None, registered(gross_cny=Decimal("1000.00"), useful_months=7))
    [all_of_it] = depreciated(card, "2040-01-01T08:00:00+08:00")
    assert (all_of_it.months, all_of_it.net_cny) == (7, Decimal("0.00"))
    assert all_of_it.to_month == date(2027, 3, 1)
    rest = all_of_it.amount_cny - all_of_it.monthly_cny * 6
    assert rest == Decimal("142.90")
    done = evolve(card, all_of_it)
    assert depreciation_due(done) is None
    assert depreciated(done, "2040-02-01T08:00:00+08:00") == []


def test_what_is_not_depreciated_is_never_due() -> None:
    relic = evolve(None, registered(category="A03010000", useful_months=0))
    assert depreciation_due(relic) is None
    assert depreciated(relic, "2040-01-01T08:00:00+08:00") == []


# -- revalue


def revalue(value: str, **more: Any) -> RevalueCard:
    return RevalueCard(value_cny=Decimal(value), reason="评估", document="评字1号", **more)


def test_revalues_and_spreads_the_rest_over_the_months_left() -> None:
    late = by("kuai", at="2026-12-05T08:00:00+08:00")
    made = given(cards, REGISTERED).when(revalue("10200.00"), by=late).outcome()
    assert [type(event) for event in made] == [AssetDepreciated, CardRevalued]
    assert made[1] == CardRevalued(
        asset_class=AssetClass.EQUIPMENT, holder=SCHOOL, gross_cny=Decimal("10200.00"),
        previous_cny=Decimal("7200.00"), accumulated_cny=Decimal("300.00"), months_left=69,
        reason="评估", document="评字1号",
    )  # fmt: skip
    card: Any = given(cards, REGISTERED, *made).state  # type: ignore[arg-type]
    assert card.plan.monthly_cny == Decimal("143.47")
    assert card.plan.next_month == date(2026, 12, 1)
    given(cards, REGISTERED, *made).when(revalue("10200.00"), by=late).then()  # type: ignore[arg-type]


def test_a_late_revaluation_takes_back_months_charged_too_far() -> None:
    card = evolve(None, REGISTERED)
    [charged] = depreciated(card, "2027-01-01T08:00:00+08:00")
    past = by("kuai", at="2026-10-20T08:00:00+08:00")
    back, changed = given(cards, REGISTERED, charged).when(revalue("7100.00"), by=past).outcome()
    assert back == DepreciationReversed(
        asset_class=AssetClass.EQUIPMENT, holder=SCHOOL, from_month=date(2026, 10, 1),
        to_month=date(2026, 12, 1), months=3, monthly_cny=Decimal("100.00"),
        amount_cny=Decimal("300.00"), accumulated_cny=Decimal("100.00"),
        net_cny=Decimal("7100.00"),
    )  # fmt: skip
    assert isinstance(changed, CardRevalued) and changed.months_left == 71


def test_never_below_what_is_depreciated_and_never_without_a_life() -> None:
    card = registered(gross_cny=Decimal("1000.00"), useful_months=7)
    [done] = depreciated(evolve(None, card), "2040-01-01T08:00:00+08:00")
    late = by("kuai", at="2040-01-05T08:00:00+08:00")
    past = given(cards, card, done)
    past.when(revalue("999.99"), by=late).refused("value_below_depreciation", field="value_cny")
    past.when(revalue("1200.00"), by=late).refused("extension_missing", field="extend_months")
    made = past.when(revalue("1200.00", extend_months=4), by=late).outcome()
    state: Any = given(cards, card, done, *made).state  # type: ignore[arg-type]
    assert (state.plan.months, state.plan.monthly_cny) == (4, Decimal("50.00"))
    given(cards, REGISTERED, LOST).when(revalue("1.00")).refused("card_gone")


def test_down_to_what_is_depreciated_and_not_depreciated_at_all() -> None:
    late = by("kuai", at="2026-12-05T08:00:00+08:00")
    made = given(cards, REGISTERED).when(revalue("300.00"), by=late).outcome()
    state: Any = given(cards, REGISTERED, *made).state  # type: ignore[arg-type]
    assert (state.net_cny, state.plan.monthly_cny) == (Decimal("0.00"), Decimal("0.00"))
    relic = registered(category="A03010000", useful_months=0)
    [changed] = given(cards, relic).when(revalue("300.00"), by=late).outcome()
    assert isinstance(changed, CardRevalued) and changed.months_left == 0
    assert given(cards, relic, changed).state.plan is None


# -- place, classify, split


def test_places_a_thing_and_keeps_its_keeper_unless_told() -> None:
    placed = CardPlaced(
        place="202教室", keeper="wang", previous_place="101教室", previous_keeper="wang"
    )
    given(cards, REGISTERED).when(PlaceCard(place="202教室")).then(placed)
    given(cards, REGISTERED, placed).when(PlaceCard(place="202教室")).then()
    given(cards, REGISTERED, LOST).when(PlaceCard(place="202教室")).refused("card_gone")


def test_reclassifies_with_the_life_of_the_new_class() -> None:
    to = ReclassifyCard(category="A05010000", reason="登记有误")
    at = by("kuai", at="2026-11-02T08:00:00+08:00")
    settling, changed = given(cards, REGISTERED).when(to, by=at).outcome()
    assert isinstance(settling, AssetDepreciated) and settling.months == 2
    assert changed == CardReclassified(
        category="A05010000", asset_class=AssetClass.FURNITURE,
        previous_class=AssetClass.EQUIPMENT, holder=SCHOOL, quantity=1,
        gross_cny=Decimal("7200.00"), accumulated_cny=Decimal("200.00"),
        depreciate_from=date(2026, 11, 1), months_left=178, reason="登记有误",
    )  # fmt: skip
    given(cards, REGISTERED, settling, changed).when(to, by=at).then()
    to_relic = ReclassifyCard(category="A03010000", reason="登记有误")
    made = given(cards, REGISTERED).when(to_relic, by=at).outcome()
    state: Any = given(cards, REGISTERED, *made).state  # type: ignore[arg-type]
    assert (state.plan, state.net_cny) == (None, Decimal("7000.00"))


def test_reclassifying_refuses_what_is_gone_and_what_is_no_class() -> None:
    to = ReclassifyCard(category="A09010000", reason="登记有误")
    given(cards, REGISTERED).when(to).refused("category_unknown", field="category")
    given(cards, REGISTERED, LOST).when(to).refused("card_gone")


SETS = registered(
    tag="KZ-1", name="课桌椅", category="A05010101", asset_class=AssetClass.FURNITURE,
    measure_unit="套", quantity=3, gross_cny=Decimal("100.00"), useful_months=10,
)  # fmt: skip
SPLIT = SplitCard(tag="KZ-2", quantity=1, reason="调往北校区")


def test_splits_a_card_so_that_nothing_is_lost_or_made() -> None:
    world, stream = World(), cards.id_of(SCHOOL, "KZ-1")
    whole = command(
        tag="KZ-1", name="课桌椅", category="A05010101", measure_unit="套", quantity=3,
        value_cny=Decimal("1000.00"), bulk=True,
    )  # fmt: skip
    world.do(cards, stream, whole)
    made = world.do(cards, stream, SPLIT, at="2026-11-07T08:00:00+08:00")
    assert [type(event) for event in made] == [AssetDepreciated, CardSplit, CardSeparated]
    left, part = world.states[stream], world.states[cards.id_of(SCHOOL, "KZ-2")]
    assert (left.quantity, part.quantity) == (2, 1)
    assert left.gross_cny + part.gross_cny == Decimal("1000.00")
    assert part.gross_cny == Decimal("333.33")
    assert left.accumulated_cny + part.accumulated_cny == made[0].amount_cny  # type: ignore[attr-defined]
    assert part.origin == stream and part.plan.next_month == left.plan.next_month
    assert world.do(cards, stream, SPLIT, at="2026-11-07T08:00:00+08:00") == []
    with pytest.raises(Refused, match="tag_taken"):
        world.do(cards, stream, SPLIT.model_copy(update={"quantity": 2}))
    ends = "2050-01-01T00:10:00+08:00"
    for card in (stream, cards.id_of(SCHOOL, "KZ-2")):
        world.do(cards, card, DepreciateMonth(), "system", at=ends)
        assert world.states[card].net_cny == 0
    world.do(cards, cards.id_of(SCHOOL, "KZ-9"), command(tag="KZ-9"))
    with pytest.raises(Refused, match="tag_taken"):
        world.do(cards, stream, SPLIT.model_copy(update={"tag": "KZ-9"}))


def test_what_may_not_be_split() -> None:
    given(cards, SETS).when(SPLIT.model_copy(update={"quantity": 3})).refused(
        "split_too_large", field="quantity"
    )
    given(cards, SETS, TRANSIT).when(SPLIT).refused("card_away")
    given(cards, SETS, LENT).when(SPLIT).refused("card_away")
    given(cards, REGISTERED, LOST).when(SPLIT).refused("card_gone")


def test_separating_is_done_once() -> None:
    fields = {name: getattr(SETS, name) for name in SETS.__struct_fields__}
    separate = SeparateCard(
        organisation=SCHOOL, origin=STREAM, accumulated_cny=Decimal(0), depreciate_from=SEPTEMBER,
        months_left=10, **fields,
    )  # fmt: skip
    separated = CardSeparated(
        origin=STREAM, entry=SETS, accumulated_cny=Decimal(0), depreciate_from=SEPTEMBER,
        months_left=10,
    )  # fmt: skip
    given(cards).when(separate).then(separated)
    given(cards, separated).when(separate).then()
    given(cards, SETS).when(separate).refused("tag_taken", field="tag")


# -- in other hands


PUT = PutInTransit(transfer=SENT, from_unit=SCHOOL, to_unit=NORTH)


def test_goes_into_transit_once_and_only_from_where_it_is() -> None:
    given(cards, REGISTERED).when(PUT).then(TRANSIT)
    given(cards, REGISTERED, TRANSIT).when(PUT).then()
    other = PUT.model_copy(update={"transfer": UUID(int=99)})
    given(cards, REGISTERED, TRANSIT).when(other).refused("card_in_transit", field="cards")
    given(cards, REGISTERED, LENT).when(PUT).refused("card_on_loan", field="cards")
    given(cards, REGISTERED, LOST).when(PUT).refused("card_gone", field="cards")
    away = PUT.model_copy(update={"from_unit": SOUTH})
    given(cards, REGISTERED).when(away).refused("card_elsewhere", field="cards")


def test_moves_with_its_depreciation_settled_where_it_was() -> None:
    move = MoveCard(transfer=SENT, to_unit=NORTH, place="N101")
    at = by("zhao", at="2026-10-05T08:00:00+08:00")
    settling, moved = given(cards, REGISTERED, TRANSIT).when(move, by=at).outcome()
    assert isinstance(settling, AssetDepreciated)
    assert (settling.holder, settling.to_month) == (SCHOOL, SEPTEMBER)
    assert moved == CardMoved(
        transfer=SENT, from_unit=SCHOOL, to_unit=NORTH, category="A02010105",
        asset_class=AssetClass.EQUIPMENT, measure_unit="台", quantity=1,
        gross_cny=Decimal("7200.00"), accumulated_cny=Decimal("100.00"), place="N101",
    )  # fmt: skip
    past = given(cards, REGISTERED, TRANSIT, settling, moved)
    past.when(move, by=at).then()
    assert past.state.holder == NORTH and past.state.status is CardStatus.IN_USE
    assert past.state.bound_to is None and past.state.place == "N101"
    [next_month] = depreciated(past.state, "2026-11-01T08:00:00+08:00")
    assert next_month.holder == NORTH
    given(cards, REGISTERED).when(move).refused("card_not_in_transit")


def test_what_did_not_arrive_is_the_senders_again() -> None:
    ended = CardTransitEnded(transfer=SENT, from_unit=SCHOOL)
    back = given(cards, REGISTERED, TRANSIT).when(EndTransit(transfer=SENT)).then(ended)
    assert back.state.status is CardStatus.IN_USE and back.state.to_unit is None
    given(cards, REGISTERED, TRANSIT, ended).when(EndTransit(transfer=SENT)).then()


def test_is_lent_prolonged_and_taken_back() -> None:
    lend = PutOnLoan(loan=LOAN, lender=SCHOOL, due_on=date(2026, 10, 1), borrower="zhou")
    longer = lend.model_copy(update={"due_on": date(2026, 11, 1)})
    other = lend.model_copy(update={"loan": UUID(int=98)})
    given(cards, REGISTERED).when(lend).then(LENT)
    given(cards, REGISTERED, LENT).when(lend).then()
    given(cards, REGISTERED, LENT).when(longer).then(replace(LENT, due_on=date(2026, 11, 1)))
    given(cards, REGISTERED, LENT).when(other).refused("card_on_loan", field="cards")
    back = given(cards, REGISTERED, LENT).when(TakeBackCard(loan=LOAN))
    back.then(CardReturned(loan=LOAN))
    again = given(cards, REGISTERED, LENT, CardReturned(loan=LOAN))
    again.when(TakeBackCard(loan=LOAN)).then()
    assert again.state.borrower == "" and again.state.due_on is None


# -- loss


LOSE = LoseAsset(damage=CASE, cause=LossCause.LOST, quantity=1)


def test_is_marked_as_gone_once_with_what_is_lost_of_its_value() -> None:
    gone = given(cards, REGISTERED).when(LOSE).then(LOST)
    assert gone.state.status is CardStatus.LOST and gone.state.gross_cny == 0
    assert depreciation_due(gone.state) is None
    given(cards, REGISTERED, LOST).when(LOSE).then()
    other = LOSE.model_copy(update={"damage": UUID(int=97)})
    given(cards, REGISTERED, LOST).when(other).refused("card_gone")
    given(cards, REGISTERED, TRANSIT).when(LOSE).refused("card_in_transit")
    two = LOSE.model_copy(update={"quantity": 2})
    given(cards, REGISTERED).when(two).refused("damage_beyond_quantity", field="quantity")


def test_the_month_of_leaving_is_not_charged() -> None:
    at = by("kuai", at="2026-11-20T08:00:00+08:00")
    charged, lost = given(cards, REGISTERED).when(LOSE, by=at).outcome()
    assert isinstance(charged, AssetDepreciated) and charged.to_month == date(2026, 10, 1)
    assert isinstance(lost, AssetLost) and lost.net_cny == Decimal("7000.00")


def test_a_part_of_a_lot_is_lost_and_the_lot_goes_on() -> None:
    made = given(cards, SETS, LENT).when(LOSE).outcome()
    [lost] = made
    assert isinstance(lost, AssetLost)
    assert (lost.remaining, lost.gross_cny, lost.loan) == (2, Decimal("33.33"), LOAN)
    left = given(cards, SETS, LENT, lost).state
    assert (left.quantity, left.gross_cny) == (2, Decimal("66.67"))
    assert left.status is CardStatus.ON_LOAN


def test_a_part_of_a_depreciated_lot_is_lost_and_found_as_it_was() -> None:
    [done] = depreciated(evolve(None, SETS), "2040-01-01T08:00:00+08:00")
    at = by("kuai", at="2040-02-05T08:00:00+08:00")
    [lost] = given(cards, SETS, done).when(LOSE, by=at).outcome()
    assert isinstance(lost, AssetLost) and lost.net_cny == 0
    less = given(cards, SETS, done, lost).state
    assert (less.gross_cny, less.accumulated_cny) == (Decimal("66.67"), Decimal("66.67"))
    [found] = given(cards, SETS, done, lost).when(FindAsset(damage=CASE, document="1")).outcome()
    assert isinstance(found, AssetFound)
    back = given(cards, SETS, done, lost, found).state
    assert (back.quantity, back.gross_cny, back.net_cny) == (3, Decimal("100.00"), 0)
    assert back.losses == {} and depreciation_due(back) is None


def test_what_is_lost_may_be_found_but_not_what_is_destroyed() -> None:
    find = FindAsset(damage=CASE, document="说明1")
    found = AssetFound(
        damage=CASE, cause=LossCause.LOST, asset_class=AssetClass.EQUIPMENT, holder=SCHOOL,
        quantity=1, gross_cny=Decimal("7200.00"), accumulated_cny=Decimal(0), document="说明1",
    )  # fmt: skip
    back = given(cards, REGISTERED, LOST).when(find).then(found)
    assert back.state.status is CardStatus.IN_USE and back.state.net_cny == Decimal("7200.00")
    assert depreciation_due(back.state) == month_end(SEPTEMBER)
    given(cards, REGISTERED, LOST, found).when(find).refused("loss_unknown", field="damage")
    destroyed = replace(LOST, cause=LossCause.DESTROYED)
    given(cards, REGISTERED, destroyed).when(find).refused("destroyed_for_good", field="damage")


# -- repairs and salvage


def repaired(number: int) -> CardRepaired:
    return CardRepaired(repair=UUID(int=number), times=number, cost_cny=Decimal("20.00"))


def count(number: int) -> CountRepair:
    return CountRepair(repair=UUID(int=number), cost_cny=Decimal("20.00"))


SUGGESTED = ReplacementSuggested(
    asset_class=AssetClass.EQUIPMENT, holder=SCHOOL, repairs=3, repair_cost_cny=Decimal("60.00"),
    gross_cny=Decimal("7200.00"), net_cny=Decimal("7200.00"),
)  # fmt: skip


def test_the_third_repair_suggests_replacement_once() -> None:
    given(cards, REGISTERED).when(count(1)).then(repaired(1))
    given(cards, REGISTERED, repaired(1)).when(count(1)).then()
    two = (REGISTERED, repaired(1), repaired(2))
    given(cards, *two).when(count(3)).then(repaired(3), SUGGESTED)
    given(cards, *two, repaired(3), SUGGESTED).when(count(4)).then(repaired(4))
    given(cards, REGISTERED, LOST).when(count(1)).then()


def test_a_lot_of_three_is_not_one_thing() -> None:
    given(cards, SETS, repaired(1), repaired(2)).when(count(3)).then(repaired(3))


SALVAGE = SalvageParts(
    slip="L-1", parts=(SalvagedLine(item="电源板", quantity=Decimal(2), measure_unit="块"),)
)
SALVAGED = PartsSalvaged(
    slip="L-1", parts=(SalvagedPart(item="电源板", quantity=Decimal(2), measure_unit="块"),)
)
WORN = (REGISTERED, SUGGESTED)


def test_gives_parts_only_when_it_is_old() -> None:
    given(cards, *WORN).when(SALVAGE).then(SALVAGED)
    given(cards, *WORN, SALVAGED).when(SALVAGE).then()
    other = SALVAGE.model_copy(update={"parts": SALVAGE.parts * 2})
    given(cards, *WORN, SALVAGED).when(other).refused("slip_used", field="slip")
    given(cards, REGISTERED).when(SALVAGE).refused("card_still_good")
    given(cards, REGISTERED, LOST).when(SALVAGE).refused("card_gone")
    destroyed = replace(LOST, cause=LossCause.DESTROYED)
    given(cards, REGISTERED, destroyed).when(SALVAGE).then(SALVAGED)


def test_a_salvaged_part_is_used_once_and_never_more_than_there_is() -> None:
    use = UseSalvagedPart(repair=UUID(int=5), slip="S:1", item="电源板", quantity=Decimal("1.5"))
    used = SalvagedPartUsed(repair=UUID(int=5), slip="S:1", item="电源板", quantity=Decimal("1.5"))
    given(cards, *WORN, SALVAGED).when(use).then(used)
    given(cards, *WORN, SALVAGED, used).when(use).then()
    more = use.model_copy(update={"slip": "S:2", "quantity": Decimal("0.501")})
    given(cards, *WORN, SALVAGED, used).when(more).refused("salvage_exceeded", field="parts")
    rest = use.model_copy(update={"slip": "S:2", "quantity": Decimal("0.5")})
    assert given(cards, *WORN, SALVAGED, used).when(rest).outcome()


# -- view


def test_the_ledger_shows_the_card_at_its_holder() -> None:
    state = given(cards, REGISTERED, TRANSIT).state
    [charged] = depreciated(state, "2026-10-01T08:00:00+08:00")
    moved = given(cards, REGISTERED, TRANSIT).when(
        MoveCard(transfer=SENT, to_unit=NORTH), by=by("z", at="2026-10-05T08:00:00+08:00")
    )
    card = given(cards, REGISTERED, TRANSIT, *moved.outcome()).state  # type: ignore[arg-type]
    moment = datetime.fromisoformat("2026-10-05T08:00:00+08:00")
    recorded = Recorded(
        id=UUID(int=1), stream=STREAM, version=4, organisation=SCHOOL, actor="z",
        occurred_at=moment, recorded_at=moment,
    )  # fmt: skip
    assert asset_ledger(evolve(None, REGISTERED), recorded).depreciated_to is None
    row = asset_ledger(card, recorded)
    assert (row.organisation, row.owner) == (NORTH, SCHOOL)
    assert (row.gross_cny, row.net_cny) == (Decimal("7200.00"), charged.net_cny)
    assert row.depreciated_to == SEPTEMBER and row.qr.endswith(str(STREAM))
