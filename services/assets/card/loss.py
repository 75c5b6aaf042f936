"""A thing that is gone: marked so by its damage case alone, and found again by document."""

from __future__ import annotations

from uuid import UUID

from services.assets.card import Card, cards, portion
from services.assets.card.depreciate import settled
from services.assets.card.events import (
    AssetDepreciated,
    AssetFound,
    AssetLost,
    CardStatus,
    DepreciationReversed,
    LossCause,
)
from shared.fields import Count, Name
from shared.kernel import By, Command, Refused
from shared.organisation import Role


class LoseAsset(Command):
    """Sent by the damage case when it is assessed."""

    damage: UUID
    cause: LossCause
    quantity: Count


@cards.decision
def lose(
    state: Card, command: LoseAsset, by: By
) -> list[AssetDepreciated | DepreciationReversed | AssetLost] | None:
    if command.damage in state.losses:
        return None
    if state.gone:
        raise Refused("card_gone", field="id", tag=state.entry.tag)
    if state.status is CardStatus.IN_TRANSIT:
        raise Refused("card_in_transit", field="id", tag=state.entry.tag)
    if command.quantity > state.quantity:
        raise Refused("damage_beyond_quantity", field="quantity", quantity=state.quantity)
    settling, card = settled(state, by)
    gross, accumulated = portion(card, command.quantity)
    return [
        *settling,
        AssetLost(
            damage=command.damage,
            cause=command.cause,
            category=card.category,
            asset_class=card.asset_class,
            holder=card.holder,
            measure_unit=card.entry.measure_unit,
            quantity=command.quantity,
            remaining=card.quantity - command.quantity,
            gross_cny=gross,
            accumulated_cny=accumulated,
            net_cny=gross - accumulated,
            loan=card.bound_to,
        ),
    ]


class FindAsset(Command):
    """What was lost or stolen is back."""

    damage: UUID
    document: Name


@cards.post("/cards/{id}/find", allow=(Role.LOGISTICS_DIRECTOR, Role.PRINCIPAL), at="holder")
def find(state: Card, command: FindAsset, by: By) -> AssetFound:
    loss = state.losses.get(command.damage)
    if loss is None:
        raise Refused("loss_unknown", field="damage")
    if loss.cause is LossCause.DESTROYED:
        raise Refused("destroyed_for_good", field="damage")
    return AssetFound(
        damage=command.damage,
        cause=loss.cause,
        asset_class=state.asset_class,
        holder=state.holder,
        quantity=loss.quantity,
        gross_cny=loss.gross_cny,
        accumulated_cny=loss.accumulated_cny,
        document=command.document,
    )
