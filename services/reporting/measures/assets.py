"""Figures of things: what there is, what comes and goes, what breaks and is mended.

资产、维修、损坏赔偿. What there is (things, value) is the sum of all changes since the beginning,
each at the unit that held the thing then.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from uuid import UUID

from services.reporting.measure import Fact
from services.reporting.measuring import measures
from services.reporting.upstream.assets import (
    AssetDamaged,
    AssetDepreciated,
    AssetFound,
    AssetLost,
    AssetsLent,
    CardMoved,
    CardReclassified,
    CardRegistered,
    CardRevalued,
    CompensationCharged,
    CompensationPaid,
    CompensationWaived,
    DepreciationReversed,
    LoanOverdue,
    LoanReturned,
    LoanWrittenOff,
    RepairOverdue,
    RepairReopened,
    RepairReported,
    RepairSigned,
    TransferCancelled,
    TransferOverdue,
    TransferReceived,
    TransferSent,
)  # fmt: skip
from shared.kernel import Recorded

FURNITURE = "A05"
"""The class of furniture in GB/T 14885-2022."""

SET = "套"
"""The word that sets of desk and chair are counted in."""

type Change = tuple[UUID | None, str, int, Decimal, Decimal]
"""Holder, class, and by how much quantity, gross and accumulated value change there."""

HOLDINGS = (
    CardRegistered, CardReclassified, CardRevalued, AssetDepreciated, DepreciationReversed,
    CardMoved, AssetLost, AssetFound,
)  # fmt: skip
"""The events that change what a unit holds."""

_NONE = Decimal(0)


def changes(event: object) -> list[Change]:
    """What an event changes of the holdings; a card that is split or separated changes no sum."""
    match event:
        case CardRegistered(asset_class=of):
            return [(None, of, event.quantity, event.gross_cny, _NONE)]
        case CardReclassified(asset_class=of, previous_class=previous):
            values = (event.quantity, event.gross_cny, event.accumulated_cny)
            return [_less(event.holder, previous, *values), (event.holder, of, *values)]
        case CardRevalued(asset_class=of):
            return [(event.holder, of, 0, event.gross_cny - event.previous_cny, _NONE)]
        case AssetDepreciated(asset_class=of):
            return [(event.holder, of, 0, _NONE, event.amount_cny)]
        case DepreciationReversed(asset_class=of):
            return [(event.holder, of, 0, _NONE, -event.amount_cny)]
        case CardMoved(asset_class=of):
            values = (event.quantity, event.gross_cny, event.accumulated_cny)
            return [_less(event.from_unit, of, *values), (event.to_unit, of, *values)]
        case AssetLost(asset_class=of):
            values = (event.quantity, event.gross_cny, event.accumulated_cny)
            return [_less(event.holder, of, *values)]
        case AssetFound(asset_class=of):
            values = (event.quantity, event.gross_cny, event.accumulated_cny)
            return [(event.holder, of, *values)]
        case _:
            raise TypeError(type(event).__name__)


def _less(
    holder: UUID, of: str, quantity: int, gross_cny: Decimal, accumulated_cny: Decimal
) -> Change:
    return holder, of, -quantity, -gross_cny, -accumulated_cny


@measures.measure(
    "assets.gross_value", on=HOLDINGS, unit="CNY", dims={"asset_class": "AssetClass"},
    shows="amount", balance=True,
)  # fmt: skip
def gross_value(event: object, recorded: Recorded) -> Iterable[Fact]:
    return [
        Fact(
            count=0, amount=gross, quantity=Decimal(quantity), dims={"asset_class": of},
            organisation=holder,
        )
        for holder, of, quantity, gross, _ in changes(event)
        if gross or quantity
    ]  # fmt: skip


@measures.measure(
    "assets.depreciation", on=HOLDINGS, unit="CNY", dims={"asset_class": "AssetClass"},
    shows="amount", balance=True,
)  # fmt: skip
def depreciation(event: object, recorded: Recorded) -> Iterable[Fact]:
    """Accumulated on what there is."""
    return [
        Fact(count=0, amount=spent, dims={"asset_class": of}, organisation=holder)
        for holder, of, _, _, spent in changes(event)
        if spent
    ]


measures.derived(
    "assets.things", "assets.gross_value", unit="piece", shows="quantity", balance=True
)
measures.derived(
    "assets.net_value", "assets.gross_value", minus=["assets.depreciation"], unit="CNY",
    shows="amount", balance=True,
)  # fmt: skip


@measures.measure(
    "assets.cards_registered",
    on=CardRegistered,
    dims={"asset_class": "AssetClass", "fund": "AssetFund"},
    shows="count",
)
def cards_registered(event: CardRegistered, recorded: Recorded) -> Iterable[Fact]:
    return [
        Fact(
            amount=event.gross_cny,
            quantity=Decimal(event.quantity),
            dims={"asset_class": event.asset_class, "fund": event.fund},
            day=event.acquired_on,
        )
    ]


@measures.measure("assets.added_sets", on=CardRegistered, unit="set", shows="quantity")
def added_sets(event: CardRegistered, recorded: Recorded) -> Iterable[Fact]:
    if event.asset_class != FURNITURE or event.measure_unit != SET:
        return []
    return [Fact(amount=event.gross_cny, quantity=Decimal(event.quantity), day=event.acquired_on)]


@measures.measure("assets.transferred_sets", on=TransferReceived, unit="set", shows="quantity")
def transferred_sets(event: TransferReceived, recorded: Recorded) -> Iterable[Fact]:
    return [
        Fact(amount=total.gross_cny, quantity=Decimal(total.quantity), organisation=event.to_unit)
        for total in event.totals
        if total.category.startswith(FURNITURE) and total.measure_unit == SET
    ]


@measures.measure("assets.transfers_received", on=TransferReceived)
def transfers_received(event: TransferReceived, recorded: Recorded) -> Iterable[Fact]:
    arrived = sum((total.gross_cny for total in event.totals), _NONE)
    return [Fact(amount=arrived, organisation=event.to_unit)]


@measures.measure(
    "assets.transfers_under_way", on=(TransferSent, TransferReceived, TransferCancelled),
    balance=True,
)  # fmt: skip
def transfers_under_way(
    event: TransferSent | TransferReceived | TransferCancelled, recorded: Recorded
) -> Iterable[Fact]:
    """Sent and not yet received, at the sender's."""
    return [Fact(count=1 if isinstance(event, TransferSent) else -1)]


@measures.measure("assets.transfers_overdue", on=TransferOverdue)
def transfers_overdue(event: TransferOverdue, recorded: Recorded) -> Iterable[Fact]:
    """A transfer counts once, however often its lateness is said again higher up."""
    return [Fact()] if event.level <= 1 else []


@measures.measure(
    "assets.cards_on_loan", on=(AssetsLent, LoanReturned, LoanWrittenOff), unit="card", balance=True
)
def cards_on_loan(
    event: AssetsLent | LoanReturned | LoanWrittenOff, recorded: Recorded
) -> Iterable[Fact]:
    match event:
        case AssetsLent(totals=totals):
            return [Fact(count=sum(total.cards for total in totals))]
        case LoanReturned(cards=cards):
            return [Fact(count=-len(cards))]
        case LoanWrittenOff():
            return [Fact(count=-1)]


@measures.measure("assets.loans_overdue", on=LoanOverdue)
def loans_overdue(event: LoanOverdue, recorded: Recorded) -> Iterable[Fact]:
    return [Fact()] if event.level <= 1 else []


@measures.measure("assets.damage_cases", on=AssetDamaged, dims={"cause": "DamageCause"})
def damage_cases(event: AssetDamaged, recorded: Recorded) -> Iterable[Fact]:
    return [
        Fact(
            amount=event.replacement_cost_cny,
            quantity=Decimal(event.quantity),
            dims={"cause": event.cause},
            day=event.happened_on,
        )
    ]


@measures.measure(
    "assets.compensation_charged", on=(CompensationCharged, CompensationWaived), unit="CNY",
    dims={"cause": "DamageCause"}, shows="amount",
)  # fmt: skip
def compensation_charged(
    event: CompensationCharged | CompensationWaived, recorded: Recorded
) -> Iterable[Fact]:
    """What is charged, less what has been let off."""
    sign = 1 if isinstance(event, CompensationCharged) else -1
    return [Fact(count=sign, amount=sign * event.amount_cny, dims={"cause": event.cause})]


@measures.measure(
    "assets.compensation_paid",
    on=CompensationPaid,
    unit="CNY",
    dims={"cause": "DamageCause"},
    shows="amount",
)
def compensation_paid(event: CompensationPaid, recorded: Recorded) -> Iterable[Fact]:
    return [Fact(amount=event.amount_cny, dims={"cause": event.cause})]


@measures.measure(
    "assets.repairs_reported", on=RepairReported, dims={"kind": "RepairKind", "urgency": "Urgency"}
)
def repairs_reported(event: RepairReported, recorded: Recorded) -> Iterable[Fact]:
    return [Fact(dims={"kind": event.kind, "urgency": event.urgency})]


@measures.measure(
    "assets.repairs_done", on=RepairSigned, dims={"kind": "RepairKind", "in_time": "YesNo"}
)
def repairs_done(event: RepairSigned, recorded: Recorded) -> Iterable[Fact]:
    """Not signed is not done."""
    in_time = event.responded_in_time and event.finished_in_time
    dims = {"kind": event.kind, "in_time": "yes" if in_time else "no"}
    return [Fact(amount=event.cost_cny, quantity=Decimal(event.quantity), dims=dims)]


@measures.measure("assets.repairs_reopened", on=RepairReopened, dims={"kind": "RepairKind"})
def repairs_reopened(event: RepairReopened, recorded: Recorded) -> Iterable[Fact]:
    return [Fact(dims={"kind": event.kind})]


@measures.measure(
    "assets.repair_response_minutes", on=RepairSigned, unit="minute", shows="quantity"
)
def repair_response_minutes(event: RepairSigned, recorded: Recorded) -> Iterable[Fact]:
    return [Fact(quantity=Decimal(event.response_minutes))]


@measures.measure("assets.repair_finish_minutes", on=RepairSigned, unit="minute", shows="quantity")
def repair_finish_minutes(event: RepairSigned, recorded: Recorded) -> Iterable[Fact]:
    return [Fact(quantity=Decimal(event.finish_minutes))]


@measures.measure("assets.repairs_overdue", on=RepairOverdue, dims={"stage": "RepairStage"})
def repairs_overdue(event: RepairOverdue, recorded: Recorded) -> Iterable[Fact]:
    return [Fact(dims={"stage": event.stage})] if event.level <= 1 else []


measures.derived("assets.repair_cost", "assets.repairs_done", unit="CNY", shows="amount")
measures.derived(
    # Times, not tubes.
    "assets.lamp_tube_replacements", "assets.repairs_done", where={"kind": "lamp"}
)  # fmt: skip
measures.derived(
    "assets.valves_replaced", "assets.repairs_done", where={"kind": "valve"}, unit="piece",
    shows="quantity",
)  # fmt: skip
measures.derived("assets.drains_unblocked", "assets.repairs_done", where={"kind": "drain"})
measures.derived("assets.repairs_in_time", "assets.repairs_done", where={"in_time": "yes"})
measures.ratio(
    "assets.repair_in_time_rate",
    numerator="assets.repairs_in_time",
    denominator="assets.repairs_done",
)
measures.ratio(
    "assets.repair_response_minutes_mean",
    numerator="assets.repair_response_minutes",
    denominator="assets.repairs_done",
    unit="minute",
)
measures.ratio(
    "assets.repair_finish_minutes_mean",
    numerator="assets.repair_finish_minutes",
    denominator="assets.repairs_done",
    unit="minute",
)
