"""Damages and what is owed for them."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Annotated
from uuid import UUID

from services.assets.damage import Damage, DamageCause, DamageStatus, damages
from shared.fields import personal
from shared.kernel import Recorded, View
from shared.organisation import READERS


class DamageRow(View):
    """Amounts are sums over all parties; who they are is in the case's history."""

    id: UUID
    organisation: UUID
    status: DamageStatus
    cause: DamageCause
    item: str
    tag: str
    card: UUID | None
    category: str
    quantity: int
    place: str
    happened_on: date
    reporter: str
    description: Annotated[str, personal()]
    photos: tuple[str, ...]
    beyond_repair: bool
    replacement_cost_cny: Decimal | None
    charged_cny: Decimal
    paid_cny: Decimal
    outstanding_cny: Decimal
    changed_at: datetime


@damages.view(
    "/damages",
    allow=READERS,
    filters=("status", "cause", "category", "card", "reporter", "happened_on"),
    sorts=("happened_on", "outstanding_cny", "replacement_cost_cny"),
    search=("item", "tag", "place"),
)
def asset_damages(state: Damage, recorded: Recorded) -> DamageRow:
    report, assessed = state.report, state.assessment
    return DamageRow(
        id=recorded.stream,
        organisation=recorded.organisation,
        status=state.status,
        cause=assessed.cause if assessed else report.cause,
        item=report.item,
        tag=report.tag,
        card=report.card,
        category=report.category,
        quantity=report.quantity,
        place=report.place,
        happened_on=report.happened_on,
        reporter=report.reporter,
        description=report.description,
        photos=report.photos,
        beyond_repair=assessed is not None and assessed.beyond_repair,
        replacement_cost_cny=assessed.replacement_cost_cny if assessed else None,
        charged_cny=state.charged_cny,
        paid_cny=sum((charge.paid_cny for charge in state.charges.values()), Decimal(0)),
        outstanding_cny=state.outstanding_cny,
        changed_at=recorded.recorded_at,
    )
