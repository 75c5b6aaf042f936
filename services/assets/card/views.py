"""The asset ledger 固定资产台账: every card, at the unit that has the thing now."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

from services.assets.card import Card, cards
from services.assets.card.events import AssetClass, AssetFund, AssetSource, CardStatus
from services.assets.months import month_after
from shared.kernel import Recorded, View
from shared.organisation import READERS


class CardRow(View):
    """`organisation` is the holder, `owner` the unit that registered the card."""

    id: UUID
    organisation: UUID
    owner: UUID
    tag: str
    name: str
    specification: str
    category: str
    asset_class: AssetClass
    measure_unit: str
    quantity: int
    gross_cny: Decimal
    accumulated_cny: Decimal
    net_cny: Decimal
    depreciated_to: date | None
    acquired_on: date
    source: AssetSource
    fund: AssetFund
    capitalised: bool
    place: str
    keeper: str
    supplier: str
    document: str
    status: CardStatus
    to_unit: UUID | None
    borrower: str
    due_on: date | None
    repairs: int
    repair_cost_cny: Decimal
    replacement_suggested: bool
    qr: str
    changed_at: datetime


@cards.view(
    "/cards",
    allow=READERS,
    filters=("asset_class", "status", "category", "source", "place", "keeper", "capitalised",
             "replacement_suggested", "acquired_on"),
    sorts=("tag", "gross_cny", "net_cny", "acquired_on"),
    search=("tag", "name", "place", "keeper"),
)  # fmt: skip
def asset_ledger(state: Card, recorded: Recorded) -> CardRow:
    entry = state.entry
    started = state.plan is not None and state.accumulated_cny > 0
    return CardRow(
        id=recorded.stream,
        organisation=state.holder,
        owner=recorded.organisation,
        tag=entry.tag,
        name=entry.name,
        specification=entry.specification,
        category=state.category,
        asset_class=state.asset_class,
        measure_unit=entry.measure_unit,
        quantity=state.quantity,
        gross_cny=state.gross_cny,
        accumulated_cny=state.accumulated_cny,
        net_cny=state.net_cny,
        depreciated_to=month_after(state.plan.next_month, -1) if state.plan and started else None,
        acquired_on=entry.acquired_on,
        source=entry.source,
        fund=entry.fund,
        capitalised=entry.capitalised,
        place=state.place,
        keeper=state.keeper,
        supplier=entry.supplier,
        document=entry.document,
        status=state.status,
        to_unit=state.to_unit,
        borrower=state.borrower,
        due_on=state.due_on,
        repairs=len(state.repairs),
        repair_cost_cny=state.repair_cost_cny,
        replacement_suggested=state.replacement_suggested,
        qr=f"/assets/cards/{recorded.stream}",
        changed_at=recorded.recorded_at,
    )
