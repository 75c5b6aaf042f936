"""Each measure as the pure function that it is, and its foreign events beside their owners'."""

from __future__ import annotations

import importlib
import inspect
import types
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any, get_args
from uuid import UUID

import msgspec
import pytest

from services.reporting import upstream
from services.reporting.measure import (
    Derived,
    Fact,
    Measure,
    Measures,
    Ratio,
    scaled,
    share,
    unscaled,
)
from services.reporting.measures import (
    assets,
    measures,
    nutrition,
    organisation,
    procurement,
    safety,
)
from services.reporting.upstream import assets as a
from services.reporting.upstream import nutrition as n
from services.reporting.upstream import organisation as o
from services.reporting.upstream import procurement as p
from services.reporting.upstream import safety as s
from shared.kernel import Event, Foreign, Recorded
from shared.signature import hints_of, without_none
from shared.testing import SCHOOL
from shared.words import words_of
from tests.services import SERVICES

AT = datetime(2026, 9, 7, 2, tzinfo=UTC)
NOW = Recorded(
    id=UUID(int=1), stream=UUID(int=2), version=1, organisation=SCHOOL, actor="li", occurred_at=AT,
    recorded_at=AT,
)  # fmt: skip
OTHER, THIRD = UUID(int=8), UUID(int=9)
DAY = date(2026, 8, 1)
TEN = Decimal(10)


def repair(kind: str = "lamp", *, in_time: bool = True) -> a.RepairSigned:
    return a.RepairSigned(
        kind=kind, quantity=2, urgency="normal", cost_cny=TEN, response_minutes=5,
        finish_minutes=50, responded_in_time=in_time, finished_in_time=True,
    )  # fmt: skip


def card(measure_unit: str = "套", asset_class: str = "A05") -> a.CardRegistered:
    return a.CardRegistered(
        category=f"{asset_class}010201", asset_class=asset_class, measure_unit=measure_unit,
        quantity=20, gross_cny=TEN, acquired_on=DAY, fund="public",
    )  # fmt: skip


def received(measure_unit: str = "套", category: str = "A05010201") -> a.TransferReceived:
    total = a.AssetTotal(
        category=category, measure_unit=measure_unit, cards=1, quantity=100, gross_cny=TEN
    )
    return a.TransferReceived(to_unit=OTHER, totals=(total,))


MOVED = a.CardMoved(
    from_unit=OTHER, to_unit=THIRD, asset_class="A05", quantity=3, gross_cny=TEN,
    accumulated_cny=Decimal(4),
)  # fmt: skip
FURNITURE = {"asset_class": "A05"}


def held(quantity: int, gross: int, at: UUID | None, of: str = "A05") -> Fact:
    return Fact(
        count=0, amount=Decimal(gross), quantity=Decimal(quantity), dims={"asset_class": of},
        organisation=at,
    )  # fmt: skip


def spent(amount: int, at: UUID | None, of: str = "A05") -> Fact:
    return Fact(count=0, amount=Decimal(amount), dims={"asset_class": of}, organisation=at)


LOST: dict[str, Any] = {"asset_class": "A05", "holder": OTHER, "quantity": 1, "gross_cny": TEN,
        "accumulated_cny": Decimal(4)}  # fmt: skip
RECLASSED = a.CardReclassified(
    asset_class="A05", previous_class="A02", holder=OTHER, quantity=1, gross_cny=TEN,
    accumulated_cny=Decimal(4),
)  # fmt: skip
DONE = {"kind": "lamp", "in_time": "yes"}
FOUND_AT = datetime(2026, 8, 31, 17, tzinfo=UTC)
FOUND_ON = date(2026, 9, 1)
CLOSED = s.HazardClosed(category="fire", found_at=FOUND_AT, rectified_in_minutes=9, on_time=True)
DISMISSED = s.HazardDismissed(category="fire", found_at=FOUND_AT)
PASSED = s.InspectionPassed(kind="fire", score=Decimal("91.5"), full=Decimal(100))
FAILED = s.InspectionFailed(
    programme="x", kind="full_school", score=Decimal(50), full=Decimal(100),
    pass_score=Decimal(80), veto=False,
    failed_items=(s.FailedItem(code="1", text="灭火器过期", veto=False),),
)  # fmt: skip
BOUGHT = p.PurchaseApproved(category="food", fund="canteen", amount_cny=TEN, days=3)
LENT = a.AssetsLent(
    totals=(a.AssetTotal(category="A0", measure_unit="台", cards=2, quantity=2, gross_cny=TEN),)
)


def withdrawn(status: str) -> p.RequisitionWithdrawn:
    return p.RequisitionWithdrawn(category="food", amount_cny=TEN, withdrawn_from=status)


def menu(version: int = 1, *, late: bool = False) -> n.MenuPublished:
    return n.MenuPublished(canteen="", version=version, published_on=DAY, late=late)


MINUS = Fact(count=-1)
CASES: list[tuple[Any, Any, list[Fact]]] = [
    (assets.gross_value, card(), [held(20, 10, None)]),
    (assets.gross_value, MOVED, [held(-3, -10, OTHER), held(3, 10, THIRD)]),
    (assets.gross_value, a.AssetLost(**LOST), [held(-1, -10, OTHER)]),
    (assets.gross_value, a.AssetFound(**LOST), [held(1, 10, OTHER)]),
    (assets.gross_value, RECLASSED, [held(-1, -10, OTHER, "A02"), held(1, 10, OTHER)]),
    (
        assets.gross_value,
        a.CardRevalued(asset_class="A05", holder=OTHER, gross_cny=TEN, previous_cny=Decimal(12)),
        [held(0, -2, OTHER)],
    ),
    (assets.gross_value, a.AssetDepreciated(asset_class="A05", holder=OTHER, amount_cny=TEN), []),
    (assets.depreciation, card(), []),
    (assets.depreciation, MOVED, [spent(-4, OTHER), spent(4, THIRD)]),
    (
        assets.depreciation,
        a.AssetDepreciated(asset_class="A05", holder=OTHER, amount_cny=TEN),
        [spent(10, OTHER)],
    ),
    (
        assets.depreciation,
        a.DepreciationReversed(asset_class="A05", holder=OTHER, amount_cny=TEN),
        [spent(-10, OTHER)],
    ),
    (
        assets.cards_registered,
        card(),
        [Fact(amount=TEN, quantity=Decimal(20), day=DAY, dims={**FURNITURE, "fund": "public"})],
    ),
    (assets.added_sets, card(), [Fact(amount=TEN, quantity=Decimal(20), day=DAY)]),
    (assets.added_sets, card("张"), []),
    (assets.added_sets, card("套", "A02"), []),
    (
        assets.transferred_sets,
        received(),
        [Fact(amount=TEN, quantity=Decimal(100), organisation=OTHER)],
    ),
    (assets.transferred_sets, received("台"), []),
    (assets.transferred_sets, received("套", "A02010201"), []),
    (assets.transfers_received, received("台"), [Fact(amount=TEN, organisation=OTHER)]),
    (assets.transfers_under_way, a.TransferSent(), [Fact()]),
    (assets.transfers_under_way, received(), [MINUS]),
    (assets.transfers_under_way, a.TransferCancelled(), [MINUS]),
    (assets.transfers_overdue, a.TransferOverdue(level=1), [Fact()]),
    (assets.transfers_overdue, a.TransferOverdue(level=2), []),
    (assets.cards_on_loan, LENT, [Fact(count=2)]),
    (assets.cards_on_loan, a.LoanReturned(cards=(OTHER, THIRD)), [Fact(count=-2)]),
    (assets.cards_on_loan, a.LoanWrittenOff(), [MINUS]),
    (assets.loans_overdue, a.LoanOverdue(level=1), [Fact()]),
    (assets.loans_overdue, a.LoanOverdue(level=3), []),
    (
        assets.damage_cases,
        a.AssetDamaged(
            item="椅", quantity=2, cause="wilful", wilful=True, replacement_cost_cny=TEN,
            happened_on=DAY, place="",
        ),
        [Fact(amount=TEN, quantity=Decimal(2), dims={"cause": "wilful"}, day=DAY)],
    ),
    (
        assets.compensation_charged,
        a.CompensationCharged(cause="loss", amount_cny=TEN),
        [Fact(amount=TEN, dims={"cause": "loss"})],
    ),
    (
        assets.compensation_charged,
        a.CompensationWaived(cause="loss", amount_cny=TEN),
        [Fact(count=-1, amount=-TEN, dims={"cause": "loss"})],
    ),
    (
        assets.compensation_paid,
        a.CompensationPaid(cause="loss", amount_cny=TEN),
        [Fact(amount=TEN, dims={"cause": "loss"})],
    ),
    (
        assets.repairs_reported,
        a.RepairReported(kind="lamp", urgency="urgent"),
        [Fact(dims={"kind": "lamp", "urgency": "urgent"})],
    ),
    (assets.repairs_done, repair(), [Fact(amount=TEN, quantity=Decimal(2), dims=DONE)]),
    (
        assets.repairs_done,
        repair(in_time=False),
        [Fact(amount=TEN, quantity=Decimal(2), dims={**DONE, "in_time": "no"})],
    ),
    (assets.repairs_reopened, a.RepairReopened(kind="door"), [Fact(dims={"kind": "door"})]),
    (assets.repair_response_minutes, repair(), [Fact(quantity=Decimal(5))]),
    (assets.repair_finish_minutes, repair(), [Fact(quantity=Decimal(50))]),
    (
        assets.repairs_overdue,
        a.RepairOverdue(stage="finish", level=1, urgency="normal"),
        [Fact(dims={"stage": "finish"})],
    ),
    (assets.repairs_overdue, a.RepairOverdue(stage="finish", level=2, urgency="normal"), []),
    (safety.hazards_found, s.HazardFound(category="fire"), [Fact(dims={"category": "fire"})]),
    (
        safety.hazards_found,
        DISMISSED,
        [Fact(count=-1, dims={"category": "fire"}, day=FOUND_ON)],
    ),
    (safety.hazards_closed, CLOSED, [Fact(dims={"category": "fire", "on_time": "yes"})]),
    (safety.hazards_found_and_closed, CLOSED, [Fact(dims={"category": "fire"}, day=FOUND_ON)]),
    (
        safety.hazards_overdue,
        s.HazardOverdue(
            category="fire", grade=None, place="", what="x", level=3, awaiting="found", due_at=AT,
            hours_overdue=2,
        ),
        [Fact(dims={"category": "fire", "level": "3"})],
    ),
    (
        safety.inspections,
        PASSED,
        [Fact(quantity=Decimal("91.5"), dims={"kind": "fire", "result": "passed"})],
    ),
    (
        safety.inspections,
        FAILED,
        [Fact(quantity=Decimal(50), dims={"kind": "full_school", "result": "failed"})],
    ),
    (safety.failed_items, FAILED, [Fact(dims={"item": "灭火器过期"})]),
    (safety.inspection_points_full, PASSED, [Fact(quantity=Decimal(100), dims={"kind": "fire"})]),
    (
        safety.inspection_points_full,
        FAILED,
        [Fact(quantity=Decimal(100), dims={"kind": "full_school"})],
    ),
    (safety.full_school_inspections, FAILED, [Fact()]),
    (safety.full_school_inspections, PASSED, []),
    (safety.full_school_inspections, s.SafetyCheckDone(kind="full_school"), [Fact()]),
    (safety.checks, s.SafetyCheckDone(kind="fire"), [Fact(dims={"kind": "fire"})]),
    (safety.checks, s.SafetyCheckDone(kind="full_school"), []),
    (
        procurement.budget_adopted,
        p.BudgetAdopted(lines=(p.BudgetLine(fund="public", amount_cny=TEN),) * 2),
        [Fact(amount=Decimal(20))],
    ),
    (
        procurement.budget_adopted,
        p.BudgetAmended(amount_cny=TEN, previous_cny=Decimal(12)),
        [Fact(count=0, amount=Decimal(-2))],
    ),
    (procurement.budget_committed, p.BudgetCommitted(amount_cny=TEN), [Fact(amount=TEN)]),
    (
        procurement.budget_committed,
        p.BudgetReleased(amount_cny=TEN),
        [Fact(count=-1, amount=-TEN)],
    ),
    (
        procurement.budget_committed,
        p.BudgetSpent(fund="public", amount_cny=Decimal(9), committed_cny=TEN),
        [Fact(count=-1, amount=-TEN)],
    ),
    (
        procurement.budget_spent,
        p.BudgetSpent(fund="public", amount_cny=Decimal(9), committed_cny=TEN),
        [Fact(amount=Decimal(9), dims={"fund": "public"})],
    ),
    (
        procurement.requisitions_submitted,
        p.RequisitionSubmitted(category="food", amount_cny=TEN),
        [Fact(amount=TEN, dims={"category": "food"})],
    ),
    (
        procurement.purchases_approved,
        BOUGHT,
        [Fact(amount=TEN, quantity=Decimal(3), dims={"category": "food", "fund": "canteen"})],
    ),
    (
        procurement.requisitions_withdrawn,
        withdrawn("submitted"),
        [Fact(amount=TEN, dims={"category": "food"})],
    ),
    (procurement.requisitions_withdrawn, withdrawn("draft"), []),
    (
        procurement.requisitions_rejected,
        p.RequisitionRejected(category="food", amount_cny=TEN),
        [Fact(amount=TEN, dims={"category": "food"})],
    ),
    (
        procurement.steps_taken,
        p.RequisitionStepApproved(role="principal", waited_minutes=30),
        [Fact(quantity=Decimal(30), dims={"role": "principal"})],
    ),
    (
        procurement.splits_suspected,
        p.SplitSuspected(
            requisitions=(OTHER,), numbers=("1",), category="food", total_cny=TEN,
            threshold_cny=TEN, days=30,
        ),
        [Fact(amount=TEN, dims={"category": "food"})],
    ),
    (nutrition.menus_published, menu(), [Fact(dims={"in_time": "yes"}, day=DAY)]),
    (nutrition.menus_published, menu(late=True), [Fact(dims={"in_time": "no"}, day=DAY)]),
    (nutrition.menus_published, menu(2), []),
    (nutrition.menus_corrected, menu(2), [Fact(day=DAY)]),
    (nutrition.menus_corrected, menu(), []),
    (organisation.posts_unfilled, o.PostsEstablished(unfilled_change=3), [Fact(count=3)]),
    (organisation.posts_unfilled, o.PostFilled(unfilled_change=-1), [MINUS]),
    (organisation.posts_unfilled, o.PostVacated(unfilled_change=1), [Fact()]),
    (organisation.posts_unfilled, o.EstablishmentClosed(unfilled_change=0), []),
    (organisation.appointments, o.StaffAppointed(role="cook"), [Fact(dims={"role": "cook"})]),
    (organisation.contracts_missing, o.LabourContractMissed(person="li"), [Fact()]),
    (
        organisation.contracts_missing,
        o.LabourContractSigned(person="li", was_missing=True),
        [MINUS],
    ),
    (organisation.contracts_missing, o.LabourContractSigned(person="li", was_missing=False), []),
    (organisation.contracts_missing, o.PostEnded(contract_was_missing=True), [MINUS]),
    (organisation.contracts_missing, o.PostEnded(), []),
    (
        organisation.school_visits,
        o.SchoolVisited(school=OTHER, visits=1),
        [Fact(organisation=OTHER)],
    ),
    (
        organisation.school_visits_missed,
        o.SchoolVisitMissed(school=OTHER),
        [Fact(organisation=OTHER)],
    ),
    (
        organisation.complaints_filed,
        o.ComplaintFiled(kind="complaint", topic="food"),
        [Fact(dims={"topic": "food"})],
    ),
    (
        organisation.complaints_answered,
        o.ComplaintAnswered(topic="food", in_time=False),
        [Fact(dims={"topic": "food", "in_time": "no"})],
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("function", "event", "facts"), CASES,
    ids=[f"{case[0].__name__}-{type(case[1]).__name__}-{n}" for n, case in enumerate(CASES)],
)  # fmt: skip
def test_facts(function: Any, event: Any, facts: list[Fact]) -> None:
    assert list(function(event, NOW)) == facts
    for measure in measures.stored:
        if measure.function is function:
            assert type(event) in measure.on
            for fact in facts:
                assert len(measure.labels(fact)) == len(measure.dims)


def test_every_measure_is_tested_on_each_of_its_events() -> None:
    tested = {(case[0], type(case[1])) for case in CASES}
    holdings = {(assets.gross_value, event) for event in assets.HOLDINGS}
    depreciation = {(assets.depreciation, event) for event in assets.HOLDINGS}
    for measure in measures.stored:
        for event in measure.on:
            one = (measure.function, event)
            assert one in tested | holdings | depreciation, (measure.name, event.__name__)


OWN = {
    (service.name, name): event
    for service in SERVICES
    for aggregate in service.aggregates
    for name, event in aggregate.events.items()
}
FOREIGN: list[type[Foreign]] = [
    value
    for name in ("assets", "nutrition", "organisation", "procurement", "safety")
    for _, value in inspect.getmembers(
        importlib.import_module(f"{upstream.__name__}.{name}"), inspect.isclass
    )
    if issubclass(value, Foreign) and value is not Foreign
]


@pytest.mark.parametrize("foreign", FOREIGN, ids=lambda event: event.__name__)
def test_foreign_events_are_as_their_owner_writes_them(foreign: type[Foreign]) -> None:
    own = OWN.get((foreign.source, foreign.__name__))
    assert own is not None, f"{foreign.source} has no {foreign.__name__}"
    same(foreign, own)


def same(foreign: type[Any], own: type[Any]) -> None:
    """Every field that is read exists, and every value that it may have can be read."""
    theirs = hints_of(own)
    for name, hint in hints_of(foreign).items():
        if name == "source":
            continue
        assert name in theirs, f"{own.__name__} has no {name}"
        fits(f"{own.__name__}.{name}", hint, theirs[name])


def fits(place: str, mine: Any, theirs: Any) -> None:
    optional = without_none(theirs) is not theirs
    if optional:
        assert without_none(mine) is not mine, f"{place} may be null"
    mine, theirs = without_none(mine), without_none(theirs)
    inner = get_args(mine), get_args(theirs)
    if inner[0] and inner[1]:
        fits(place, inner[0][0], inner[1][0])
    elif isinstance(mine, type) and issubclass(mine, msgspec.Struct):
        same(mine, theirs)
    elif isinstance(theirs, type) and issubclass(theirs, Enum):
        assert issubclass(theirs, mine), f"{place}: {theirs} as {mine}"
    else:
        assert mine == theirs, f"{place}: {theirs} as {mine}"


def test_every_figure_has_words_and_a_unit_with_words() -> None:
    words = words_of("reporting")
    for figure in measures.figures.values():
        zh, en = words.word("measures", figure.name)
        assert zh.strip()
        assert en.strip()
        assert words.find("values", f"MeasureUnit.{figure.unit}"), figure.unit
    assert set(words.sections["measures"]) == set(measures.figures)
    dims = {name for figure in measures.figures.values() for name in figure.dims}
    assert set(words.sections["dims"]) == dims


def test_every_dimension_has_words_for_its_values() -> None:
    for measure in measures.stored:
        service = words_of(measure.name.partition(".")[0])
        own = words_of("reporting")
        for dim, kind in measure.values.items():
            prefix = f"{kind}."
            named = {*service.sections["values"], *own.sections["values"]}
            assert any(key.startswith(prefix) for key in named), (measure.name, dim)


@pytest.mark.parametrize(
    ("top", "bottom", "value"),
    [(1, 3, "0.3333"), (2, 3, "0.6667"), (0, 5, "0.0000"), (5, 5, "1.0000"), (1, 20000, "0.0001"),
     (4, 0, None), (0, 0, None)],
)  # fmt: skip
def test_a_ratio_has_four_decimals_or_none(top: int, bottom: int, value: str | None) -> None:
    found = share(top, bottom)
    assert found == (None if value is None else Decimal(value))
    assert found is None or str(found) == value


@pytest.mark.parametrize("text", ["0.0001", "12.5", "100", "-3", "1234567890123.45", "8388600"])
def test_numbers_come_back_as_they_went_in(text: str) -> None:
    assert str(unscaled(scaled(Decimal(text)))) == text


def test_what_is_finer_than_can_be_stored_is_refused() -> None:
    with pytest.raises(ValueError, match="finer"):
        scaled(Decimal("0.00001"))


class Happened(Event):
    n: int


def test_declarations_that_make_no_sense_are_refused() -> None:
    register = Measures()

    @register.measure("x.one", on=Happened, dims=("kind",))
    def one(event: Happened, recorded: Recorded) -> list[Fact]:
        return [Fact()]

    register.derived("x.two", "x.one", where={"kind": "a"})
    register.ratio("x.rate", numerator="x.two", denominator="x.one")
    with pytest.raises(TypeError, match="twice"):
        register.derived("x.one", "x.two")
    with pytest.raises(TypeError, match="ratio"):
        register.derived("x.sum", "x.rate")
    with pytest.raises(KeyError):
        register.ratio("x.other", numerator="x.one", denominator="x.none")
    measure = register.figures["x.one"]
    assert isinstance(measure, Measure)
    with pytest.raises(ValueError, match="colour"):
        measure.labels(Fact(dims={"colour": "red"}))
    assert measure.labels(Fact()) == ("",)
    derived, rate = register.figures["x.two"], register.figures["x.rate"]
    assert isinstance(derived, Derived)
    assert isinstance(rate, Ratio)
    assert (derived.dims, rate.dims) == ((), ())


def nothing(event: object, recorded: Recorded) -> list[Fact]:
    return []


def test_an_event_read_through_two_classes_is_refused() -> None:
    register = Measures()
    twin = types.new_class(
        "RepairSigned", (Foreign,), {}, lambda space: space.update(source="assets")
    )
    for number, event in enumerate((a.RepairSigned, twin)):
        register.measure(f"x.{number}", on=event)(nothing)
    with pytest.raises(TypeError, match="two classes"):
        register.by_event()


NAMED = """
assets.repairs_done assets.lamp_tube_replacements assets.valves_replaced assets.drains_unblocked
assets.transferred_sets assets.added_sets assets.damage_cases assets.compensation_charged
safety.full_school_inspections safety.checks safety.hazards_found safety.hazards_closed
safety.hazard_rectification_rate safety.inspections_failed safety.inspection_pass_rate
procurement.purchases_approved nutrition.menus_published
"""


def test_the_published_names_stay() -> None:
    assert set(NAMED.split()) <= set(measures.figures)
