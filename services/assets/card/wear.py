"""How often a thing was repaired, when to replace it, and the parts that it still gives."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, ClassVar
from uuid import UUID

from pydantic import Field

from services.assets.card import Card, cards
from services.assets.card.events import (
    CardRepaired,
    CardStatus,
    PartsSalvaged,
    ReplacementSuggested,
    SalvagedPart,
    SalvagedPartUsed,
)
from services.assets.terms import MeasureUnit
from shared.fields import Money, Name, Quantity
from shared.kernel import By, Command, Part, Policy, Refused
from shared.organisation import Role


class ReplacementPolicy(Policy):
    """After how many repairs a thing had better be replaced."""

    slug: ClassVar[str] = "assets.replacement"
    repairs: int


class CountRepair(Command):
    """Sent by a repair when it is signed."""

    repair: UUID
    cost_cny: Money


@cards.decision
def count_repair(
    state: Card, command: CountRepair, by: By, policy: ReplacementPolicy
) -> list[CardRepaired | ReplacementSuggested] | None:
    if command.repair in state.repairs or state.gone:
        return None
    times = len(state.repairs) + 1
    repaired = CardRepaired(repair=command.repair, times=times, cost_cny=command.cost_cny)
    if state.replacement_suggested or times < policy.repairs * state.quantity:
        return [repaired]
    suggested = ReplacementSuggested(
        asset_class=state.asset_class,
        holder=state.holder,
        repairs=times,
        repair_cost_cny=state.repair_cost_cny + command.cost_cny,
        gross_cny=state.gross_cny,
        net_cny=state.net_cny,
    )
    return [repaired, suggested]


class SalvagedLine(Part):
    """A part that was taken out and is still good."""

    item: Name
    quantity: Quantity
    measure_unit: MeasureUnit


class SalvageParts(Command):
    """Parts from a thing that is beyond repair or due for replacement; `slip` numbers the act."""

    slip: Name
    parts: Annotated[tuple[SalvagedLine, ...], Field(min_length=1, max_length=50)]


@cards.post(
    "/cards/{id}/salvage",
    allow=(Role.LOGISTICS_DIRECTOR, Role.STOREKEEPER, Role.REPAIRER),
    at="holder",
)
def salvage(state: Card, command: SalvageParts, by: By) -> PartsSalvaged | None:
    parts = tuple(SalvagedPart(**dict(line)) for line in command.parts)
    if command.slip in state.slips:
        if state.slips[command.slip] == parts:
            return None
        raise Refused("slip_used", field="slip", slip=command.slip)
    if state.status in (CardStatus.LOST, CardStatus.STOLEN):
        raise Refused("card_gone", field="id", tag=state.entry.tag)
    if state.status is not CardStatus.DESTROYED and not state.replacement_suggested:
        raise Refused("card_still_good", field="id", tag=state.entry.tag)
    return PartsSalvaged(slip=command.slip, parts=parts)


class UseSalvagedPart(Command):
    """Sent by the repair that builds the part in."""

    repair: UUID
    slip: Name
    item: Name
    quantity: Quantity


@cards.decision
def use_salvaged(state: Card, command: UseSalvagedPart, by: By) -> SalvagedPartUsed | None:
    used = SalvagedPartUsed(
        repair=command.repair,
        slip=command.slip,
        item=command.item,
        quantity=command.quantity,
    )
    if used in state.uses:
        return None
    left = salvaged_left(state, command.item)
    if command.quantity > left:
        raise Refused("salvage_exceeded", field="parts", item=command.item, quantity=left)
    return used


def salvaged_left(card: Card, item: str) -> Decimal:
    """How much of a part was taken from the card and is not built in yet."""
    taken = sum(
        (part.quantity for parts in card.slips.values() for part in parts if part.item == item),
        Decimal(0),
    )
    used = sum((use.quantity for use in card.uses if use.item == item), Decimal(0))
    return taken - used
