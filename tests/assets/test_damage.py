"""Damage: reported, assessed by another, charged at cost and never for wear."""

from copy import replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from services.assets.card import cards
from services.assets.card.events import AssetLost, CardStatus, LossCause
from services.assets.card.loss import LoseAsset
from services.assets.damage import (
    AssetDamaged,
    CompensationCharged,
    CompensationPaid,
    CompensationWaived,
    DamageCause,
    DamageDismissed,
    DamageReported,
    DamageStatus,
    PartyKind,
    Responsible,
    damages,
)  # fmt: skip
from services.assets.damage.assess import (
    AssessDamage,
    DismissDamage,
    ReportDamage,
    ResponsibleParty,
)  # fmt: skip
from services.assets.damage.compensate import (
    ChargeCompensation,
    PayCompensation,
    WaiveCompensation,
)  # fmt: skip
from services.assets.damage.views import asset_damages
from shared.kernel import Recorded, Refused, Send
from shared.testing import SCHOOL, STREAM, by, given
from tests.assets.test_card import LOST, REGISTERED, command
from tests.assets.world import CLASS, NORTH, World, class_unit

CARD = UUID(int=31)
THING = given(cards, REGISTERED).state
TEACHER, DIRECTOR = by("teacher"), by("director")
PRINCIPAL, CASHIER = by("principal"), by("cashier")

REPORT = ReportDamage(organisation=SCHOOL, cause=DamageCause.ACCIDENT, card=CARD)
REPORTED = DamageReported(
    cause=DamageCause.ACCIDENT, item="触控一体机", quantity=1, place="101教室",
    happened_on=date(2026, 9, 7), description="", reporter="teacher", photos=(), card=CARD,
    tag="ZX-0001", category="A02010105",
)  # fmt: skip
PUPIL = ResponsibleParty(reference="C32-017", kind=PartyKind.PUPIL, unit=CLASS)
OTHER = ResponsibleParty(reference="C32-018", kind=PartyKind.PUPIL, unit=CLASS)
ASSESS = AssessDamage(
    cause=DamageCause.WILFUL, replacement_cost_cny=Decimal("300.00"), responsible=(PUPIL, OTHER)
)
DAMAGED = AssetDamaged(
    card=CARD, tag="ZX-0001", item="触控一体机", category="A02010105", quantity=1,
    cause=DamageCause.WILFUL, wilful=True, beyond_repair=False,
    replacement_cost_cny=Decimal("300.00"),
    responsible=(
        Responsible(reference="C32-017", kind=PartyKind.PUPIL, unit=CLASS),
        Responsible(reference="C32-018", kind=PartyKind.PUPIL, unit=CLASS),
    ),
    happened_on=date(2026, 9, 7), place="101教室", assessor="director", note="",
)  # fmt: skip
DISMISSED = DamageDismissed(reason="重复报告")
UNITS = {CLASS: class_unit}


def charged(reference: str = "C32-017", amount: str = "200.00") -> CompensationCharged:
    return CompensationCharged(
        reference=reference, kind=PartyKind.PUPIL, unit=CLASS, cause=DamageCause.WILFUL,
        category="A02010105", amount_cny=Decimal(amount),
    )  # fmt: skip


def waived(amount: str = "50.00") -> CompensationWaived:
    return CompensationWaived(
        reference="C32-017", cause=DamageCause.WILFUL, category="A02010105",
        amount_cny=Decimal(amount), reason="家庭困难",
    )  # fmt: skip


def paid(amount: str = "200.00", rest: str = "0.00", receipt: str = "S-1") -> CompensationPaid:
    return CompensationPaid(
        reference="C32-017", cause=DamageCause.WILFUL, category="A02010105",
        amount_cny=Decimal(amount), receipt=receipt, outstanding_cny=Decimal(rest),
    )  # fmt: skip


def report(change: dict[str, Any] | None = None, *events: Any, card: Any = THING) -> Any:
    return given(damages, *events).when(REPORT.model_copy(update=change), by=TEACHER, card=card)


def assess(change: dict[str, Any] | None = None, *events: Any, who: Any = DIRECTOR) -> Any:
    past = events or (REPORTED,)
    return given(damages, *past).when(ASSESS.model_copy(update=change), by=who, units=UNITS)


# -- report


def test_anybody_reports_a_thing_with_a_card_or_without() -> None:
    report().then(REPORTED)
    report({}, REPORTED).then()
    report({"quantity": 1, "place": "别处"}, REPORTED).refused("damage_exists", field="id")
    pane = report({"card": None, "item": "窗玻璃", "quantity": 3}, card=None).outcome()[0]
    assert (pane.item, pane.quantity, pane.card, pane.category) == ("窗玻璃", 3, None, "")


def test_refuses_a_report_about_nothing_or_about_a_thing_elsewhere() -> None:
    report({"card": None, "item": " "}).refused("damaged_thing_missing", field="item")
    report(card=None).refused("card_unknown", field="card")
    report(card=given(cards, REGISTERED, LOST).state).refused("card_gone", field="card")
    report(card=replace(THING, holder=NORTH)).refused("card_elsewhere", field="card")
    report({"quantity": 2}).refused("damage_beyond_quantity", field="quantity")
    report({"happened_on": date(2026, 9, 8)}).refused("happened_in_future", field="happened_on")


# -- assess


def test_another_person_assesses_once() -> None:
    assess().then(DAMAGED)
    assess({}, REPORTED, DAMAGED).then()
    assess({"note": "另议"}, REPORTED, DAMAGED).refused("damage_assessed_already")
    assess({}, REPORTED, DISMISSED).refused("damage_assessed_already")
    assess(who=TEACHER).refused("assessor_is_reporter")


@pytest.mark.parametrize(
    ("cause", "beyond_repair", "lost"),
    [
        (DamageCause.LOSS, False, LossCause.LOST),
        (DamageCause.THEFT, False, LossCause.STOLEN),
        (DamageCause.ACCIDENT, True, LossCause.DESTROYED),
        (DamageCause.ACCIDENT, False, None),
    ],
)
def test_loss_theft_and_ruin_close_the_card(
    cause: DamageCause, beyond_repair: bool, lost: LossCause | None
) -> None:
    change = {"cause": cause, "beyond_repair": beyond_repair}
    event = replace(DAMAGED, cause=cause, wilful=False, beyond_repair=beyond_repair)
    sends = [Send(cards, CARD, LoseAsset(damage=STREAM, cause=lost, quantity=1))] if lost else []
    assess(change).then(event, *sends)
    pane = replace(REPORTED, card=None)
    assess(change, pane).then(replace(event, card=None))


def test_nobody_is_charged_for_wear() -> None:
    assess({"cause": DamageCause.WEAR}).refused("wear_not_charged", field="responsible")
    worn = replace(DAMAGED, cause=DamageCause.WEAR, wilful=False, responsible=())
    settled = assess({"cause": DamageCause.WEAR, "responsible": ()}).then(worn)
    assert settled.state.status is DamageStatus.SETTLED
    charge = ChargeCompensation(reference="C32-017", amount_cny=Decimal(1))
    given(damages, REPORTED, replace(DAMAGED, cause=DamageCause.WEAR)).when(
        charge, by=DIRECTOR
    ).refused("wear_not_charged")


def test_parties_are_references_with_a_class() -> None:
    assess({"responsible": (PUPIL, PUPIL)}).refused("party_twice", field="responsible")
    nowhere = PUPIL.model_copy(update={"unit": None})
    assess({"responsible": (nowhere,)}).refused("class_missing", field="responsible")
    unknown = PUPIL.model_copy(update={"unit": UUID(int=77)})
    assess({"responsible": (unknown,)}).refused("class_unknown", field="responsible")
    himself = ResponsibleParty(reference="director", kind=PartyKind.STAFF)
    assess({"responsible": (himself,)}).refused("assessor_is_responsible", field="responsible")
    colleague = ResponsibleParty(reference="guard", kind=PartyKind.STAFF)
    assert assess({"responsible": (colleague,)}).outcome()


def test_a_report_without_substance_is_dismissed() -> None:
    dismiss = DismissDamage(reason="重复报告")
    given(damages, REPORTED).when(dismiss, by=DIRECTOR).then(DISMISSED)
    given(damages, REPORTED, DISMISSED).when(dismiss, by=DIRECTOR).then()
    given(damages, REPORTED, DAMAGED).when(dismiss, by=DIRECTOR).refused("damage_assessed_already")
    given(damages, REPORTED).when(dismiss, by=TEACHER).refused("assessor_is_reporter")


# -- charge


def charge(reference: str, amount: str, *events: Any, who: Any = DIRECTOR) -> Any:
    asked = ChargeCompensation(reference=reference, amount_cny=Decimal(amount))
    return given(damages, *events).when(asked, by=who)


def test_charges_never_exceed_the_replacement_cost() -> None:
    charge("C32-017", "300.00", REPORTED, DAMAGED).then(charged(amount="300.00"))
    charge("C32-017", "300.01", REPORTED, DAMAGED).refused("charge_above_cost", field="amount_cny")
    past = (REPORTED, DAMAGED, charged())
    charge("C32-018", "100.00", *past).then(charged("C32-018", "100.00"))
    charge("C32-018", "100.01", *past).refused("charge_above_cost", field="amount_cny")
    charge("C32-018", "150.00", *past, waived()).then(charged("C32-018", "150.00"))


def test_charges_only_who_answers_for_it_and_once() -> None:
    past = (REPORTED, DAMAGED, charged())
    charge("C32-017", "200.00", *past).then()
    charge("C32-017", "100.00", *past).refused("charged_already", field="reference")
    charge("C32-099", "1.00", *past).refused("party_unknown", field="reference")
    charge("C32-017", "1.00", REPORTED).refused("damage_not_assessed")
    staff = Responsible(reference="director", kind=PartyKind.STAFF, unit=None)
    own = replace(DAMAGED, responsible=(staff,), assessor="principal")
    charge("director", "1.00", REPORTED, own).refused("own_charge", field="reference")


# -- waive


def waive(amount: str | None, *events: Any, who: Any = PRINCIPAL) -> Any:
    asked = WaiveCompensation(
        reference="C32-017", reason="家庭困难", amount_cny=Decimal(amount) if amount else None
    )
    return given(damages, *events).when(asked, by=who)


def test_waives_a_part_or_all_that_is_open_once() -> None:
    past = (REPORTED, DAMAGED, charged())
    waive("50.00", *past).then(waived())
    waive("50.00", *past, waived()).then()
    waive("60.00", *past, waived()).refused("waived_already", field="reference")
    waive(None, *past, waived()).refused("waived_already", field="reference")
    waive(None, *past).then(waived("200.00"))
    waive(None, *past, waived("200.00")).then()
    waive(None, *past, paid("150.00", "50.00")).then(waived("50.00"))


def test_waives_only_what_is_owed_and_never_ones_own() -> None:
    past = (REPORTED, DAMAGED, charged())
    waive("200.01", *past).refused("beyond_outstanding", field="amount_cny")
    waive(None, *past, paid()).refused("nothing_outstanding", field="reference")
    waive(None, REPORTED, DAMAGED).refused("not_charged", field="reference")
    waive(None, REPORTED).refused("damage_not_assessed")
    waive("1.00", *past, who=by("C32-017")).refused("own_charge", field="reference")


# -- pay


def pay(amount: str, receipt: str, *events: Any, who: Any = CASHIER) -> Any:
    asked = PayCompensation(reference="C32-017", amount_cny=Decimal(amount), receipt=receipt)
    return given(damages, *events).when(asked, by=who)


def test_the_cashier_takes_the_money_against_a_receipt() -> None:
    past = (REPORTED, DAMAGED, charged())
    pay("150.00", "S-1", *past).then(paid("150.00", "50.00"))
    first = (*past, paid("150.00", "50.00"))
    pay("150.00", "S-1", *first).then()
    pay("50.00", "S-1", *first).refused("receipt_used", field="receipt")
    pay("50.00", "S-2", *first).then(paid("50.00", "0.00", "S-2"))
    pay("50.01", "S-2", *first).refused("beyond_outstanding", field="amount_cny")
    pay("1.00", "S-2", REPORTED, DAMAGED).refused("not_charged", field="reference")
    pay("1.00", "S-2", REPORTED).refused("damage_not_assessed")


def test_who_has_assessed_does_not_take_the_money() -> None:
    past = (REPORTED, DAMAGED, charged())
    pay("200.00", "S-1", *past, who=DIRECTOR).refused("cashier_assessed")


def test_is_settled_when_every_party_is_charged_and_nothing_is_open() -> None:
    past = (REPORTED, DAMAGED, charged(), paid())
    assert given(damages, *past).state.status is DamageStatus.CHARGED
    both = (*past, charged("C32-018", "100.00"))
    assert given(damages, *both).state.status is DamageStatus.CHARGED
    let_off = replace(waived("100.00"), reference="C32-018")
    assert given(damages, *both, let_off).state.status is DamageStatus.SETTLED


# -- together


def test_a_stolen_thing_leaves_the_ledger() -> None:
    world, card = World(), cards.id_of(SCHOOL, "ZX-0001")
    world.do(cards, card, command())
    world.do(damages, STREAM, REPORT.model_copy(update={"card": card, "cause": DamageCause.THEFT}))
    theft = ASSESS.model_copy(update={"cause": DamageCause.THEFT, "responsible": ()})
    damaged, lost = world.do(damages, STREAM, theft, "director")
    assert isinstance(damaged, AssetDamaged) and isinstance(lost, AssetLost)
    assert lost.damage == STREAM and world.states[card].status is CardStatus.STOLEN
    with pytest.raises(Refused, match="card_gone"):
        world.do(damages, UUID(int=2), REPORT.model_copy(update={"card": card}))


def test_the_list_shows_sums_and_no_person() -> None:
    moment = datetime.fromisoformat("2026-09-07T08:00:00+08:00")
    recorded = Recorded(
        id=UUID(int=1), stream=STREAM, version=3, organisation=SCHOOL, actor="x",
        occurred_at=moment, recorded_at=moment,
    )  # fmt: skip
    before = asset_damages(given(damages, REPORTED).state, recorded)
    assert before.cause is DamageCause.ACCIDENT and before.replacement_cost_cny is None
    past = (REPORTED, DAMAGED, charged(), waived(), paid("100.00", "50.00"))
    row = asset_damages(given(damages, *past).state, recorded)
    assert row.cause is DamageCause.WILFUL
    assert (row.charged_cny, row.paid_cny) == (Decimal("150.00"), Decimal("100.00"))
    assert row.outstanding_cny == Decimal("50.00")
    assert "C32-017" not in repr(row)
