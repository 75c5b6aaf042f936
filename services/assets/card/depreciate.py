"""What is left of a thing's value: monthly depreciation by itself, revaluation by document.

折旧. Straight line over the useful life of the class, without residual value, from the month of
entry to the month before it leaves; books, relics and living things are not depreciated.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated

from pydantic import Field

from services.assets.card import Card, cards, evolve
from services.assets.card.events import AssetDepreciated, CardRevalued, DepreciationReversed
from services.assets.months import month_after, month_end, month_ended_by, month_of, months_from
from shared.fields import Name, PositiveMoney, Reason
from shared.kernel import By, Command, Refused
from shared.organisation import Role


def charged(card: Card, through: date) -> AssetDepreciated | None:
    """The charge of all months up to and with `through` that are not charged yet."""
    if card.plan is None or card.gone:
        return None
    months = min(months_from(card.plan.next_month, through), card.plan.months_left)
    if months <= 0:
        return None
    accumulated = card.plan.accumulated_cny(card.gross_cny, card.plan.charged + months)
    return AssetDepreciated(
        asset_class=card.asset_class,
        holder=card.holder,
        from_month=card.plan.next_month,
        to_month=month_after(card.plan.next_month, months - 1),
        months=months,
        monthly_cny=card.plan.monthly_cny,
        amount_cny=accumulated - card.accumulated_cny,
        accumulated_cny=accumulated,
        net_cny=card.gross_cny - accumulated,
    )


def uncharged(card: Card, through: date) -> DepreciationReversed | None:
    """Takes back the months after `through`, as far as the present plan goes."""
    if card.plan is None or card.gone:
        return None
    months = min(months_from(month_after(through), card.plan.next_month) - 1, card.plan.charged)
    if months <= 0:
        return None
    accumulated = card.plan.accumulated_cny(card.gross_cny, card.plan.charged - months)
    return DepreciationReversed(
        asset_class=card.asset_class,
        holder=card.holder,
        from_month=month_after(card.plan.next_month, -months),
        to_month=month_after(card.plan.next_month, -1),
        months=months,
        monthly_cny=card.plan.monthly_cny,
        amount_cny=card.accumulated_cny - accumulated,
        accumulated_cny=accumulated,
        net_cny=card.gross_cny - accumulated,
    )


def settled(card: Card, by: By) -> tuple[list[AssetDepreciated | DepreciationReversed], Card]:
    """Depreciation brought to the end of the month before the fact, and the card with it.

    The month in which a thing leaves or changes counts for what it is afterwards.
    """
    through = month_after(month_of(by.day), -1)
    event = charged(card, through) or uncharged(card, through)
    return ([event], evolve(card, event)) if event else ([], card)


def depreciation_due(state: Card) -> datetime | None:
    """The end of the first month not charged yet."""
    if state.plan is None or state.gone or state.plan.months_left <= 0:
        return None
    return month_end(state.plan.next_month)


class DepreciateMonth(Command):
    """Due at the end of each month; a card entered late catches up in one event."""


@cards.when_due(depreciation_due)
def depreciate(state: Card, command: DepreciateMonth, by: By) -> AssetDepreciated | None:
    return charged(state, month_ended_by(by.now))


class RevalueCard(Command):
    """A new gross value by a document; improvement may also prolong the useful life."""

    value_cny: PositiveMoney
    reason: Reason
    document: Name
    extend_months: Annotated[int, Field(ge=0, le=600)] = 0


@cards.post("/cards/{id}/revalue", allow=(Role.ACCOUNTANT, Role.FINANCE_OFFICER), weighty=True)
def revalue(
    state: Card, command: RevalueCard, by: By
) -> list[AssetDepreciated | DepreciationReversed | CardRevalued] | None:
    if state.gone:
        raise Refused("card_gone", field="id", tag=state.entry.tag)
    if state.gross_cny == command.value_cny:
        return None
    settling, card = settled(state, by)
    if command.value_cny < card.accumulated_cny:
        raise Refused("value_below_depreciation", field="value_cny", bound_cny=card.accumulated_cny)
    left = (card.plan.months_left if card.plan else 0) + command.extend_months
    if card.plan and left == 0:
        raise Refused("extension_missing", field="extend_months")
    return [
        *settling,
        CardRevalued(
            asset_class=card.asset_class,
            holder=card.holder,
            gross_cny=command.value_cny,
            previous_cny=card.gross_cny,
            accumulated_cny=card.accumulated_cny,
            months_left=left,
            reason=command.reason,
            document=command.document,
        ),
    ]
