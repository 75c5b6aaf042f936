"""Registering a thing by hand or as a row of an import, placing, classifying, splitting it."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Annotated, ClassVar

from msgspec.structs import asdict
from pydantic import Field

from services.assets.card import Card, cards, portion
from services.assets.card.depreciate import settled
from services.assets.card.events import (
    AssetClass,
    AssetDepreciated,
    AssetFund,
    AssetSource,
    CardPlaced,
    CardReclassified,
    CardRegistered,
    CardSeparated,
    CardSplit,
    CardStatus,
    DepreciationReversed,
)
from services.assets.months import month_of, months_from
from services.assets.terms import CardId, Category, Line, MeasureUnit, Tag
from shared.fields import Count, Money, Name, PositiveMoney, Reason, UnitId
from shared.kernel import By, Command, Creation, From, Policy, Refused, Send
from shared.organisation import Role, Unit

KEEPERS = (Role.LOGISTICS_DIRECTOR, Role.STOREKEEPER)


class DepreciationPolicy(Policy):
    """Years of useful life by the beginning of the category's code (the longest match wins)."""

    slug: ClassVar[str] = "assets.depreciation"
    years: dict[str, int]
    years_least: dict[str, int]
    exempt: tuple[str, ...]
    capitalise_cny: Decimal
    nominal_cny: Decimal


class RegisterCard(Creation):
    """One thing, or several of the same kind bought together. One row of an import file.

    `value_cny` is the value of all `quantity` pieces. `bulk`: a large lot of the same kind counts
    as fixed assets though each piece is below the threshold.
    """

    tag: Tag
    name: Name
    category: Category
    measure_unit: MeasureUnit
    quantity: Count = 1
    value_cny: PositiveMoney
    acquired_on: date
    source: AssetSource
    fund: AssetFund = AssetFund.PUBLIC
    bulk: bool = False
    useful_years: Annotated[int, Field(ge=1, le=100)] | None = None
    holder: UnitId | None = None
    specification: Line = ""
    place: Line = ""
    keeper: Line = ""
    supplier: Line = ""
    document: Line = ""


@cards.post("/cards", allow=(*KEEPERS, Role.BUREAU_OFFICER))
def register(
    state: Card | None,
    command: RegisterCard,
    by: By,
    *,
    policy: DepreciationPolicy,
    unit: Unit,
    holder: Annotated[Unit | None, From("holder")],
) -> CardRegistered | None:
    if command.acquired_on > by.day:
        raise Refused("acquired_in_future", field="acquired_on", day=command.acquired_on)
    if command.holder and (holder is None or not holder.under(unit.id)):
        raise Refused("holder_outside", field="holder")
    asset_class = class_of(command.category)
    capitalised = (
        command.bulk or command.value_cny / command.quantity >= policy.capitalise_cny
    ) and command.value_cny > policy.nominal_cny
    registered = CardRegistered(
        tag=command.tag,
        name=command.name,
        category=command.category,
        asset_class=asset_class,
        measure_unit=command.measure_unit,
        quantity=command.quantity,
        gross_cny=command.value_cny,
        acquired_on=command.acquired_on,
        source=command.source,
        fund=command.fund,
        holder=command.holder or command.organisation,
        capitalised=capitalised,
        useful_months=useful_months(policy, command.category, command.useful_years)
        if capitalised
        else 0,
        specification=command.specification,
        place=command.place,
        keeper=command.keeper,
        supplier=command.supplier,
        document=command.document,
    )
    if state is None:
        return registered
    if state.entry == registered and state.origin is None:
        return None
    raise Refused("tag_taken", field="tag", tag=command.tag, name=state.entry.name)


class SeparateCard(Creation):
    """Sent by the card that is split."""

    tag: Tag
    name: Name
    category: Category
    asset_class: AssetClass
    measure_unit: MeasureUnit
    quantity: Count
    gross_cny: Money
    acquired_on: date
    source: AssetSource
    fund: AssetFund
    holder: UnitId
    capitalised: bool
    useful_months: int
    specification: Line = ""
    place: Line = ""
    keeper: Line = ""
    supplier: Line = ""
    document: Line = ""
    origin: CardId
    accumulated_cny: Money
    depreciate_from: date | None
    months_left: int


@cards.decision
def separate(state: Card | None, command: SeparateCard, by: By) -> CardSeparated | None:
    entry = CardRegistered(**command.model_dump(include=set(CardRegistered.__struct_fields__)))
    if state is None:
        return CardSeparated(
            origin=command.origin,
            entry=entry,
            accumulated_cny=command.accumulated_cny,
            depreciate_from=command.depreciate_from,
            months_left=command.months_left,
        )
    if state.origin == command.origin and state.entry == entry:
        return None
    raise Refused("tag_taken", field="tag", tag=command.tag, name=state.entry.name)


class SplitCard(Command):
    """Some of a card's pieces get a card of their own, so that they can go elsewhere."""

    tag: Tag
    quantity: Count
    reason: Reason
    place: Line = ""
    keeper: Line = ""


@cards.post("/cards/{id}/split", allow=KEEPERS, at="holder")
def split(
    state: Card, command: SplitCard, by: By
) -> list[AssetDepreciated | DepreciationReversed | CardSplit | Send] | None:
    part = cards.id_of(by.unit, command.tag)
    if part in state.parts:
        if state.parts[part] == (command.tag, command.quantity):
            return None
        raise Refused("tag_taken", field="tag", tag=command.tag, name=state.entry.name)
    if state.gone:
        raise Refused("card_gone", field="id", tag=state.entry.tag)
    if state.status is not CardStatus.IN_USE:
        raise Refused("card_away", field="id", tag=state.entry.tag)
    if command.quantity >= state.quantity:
        raise Refused("split_too_large", field="quantity", quantity=state.quantity)
    settling, card = settled(state, by)
    gross, accumulated = portion(card, command.quantity)
    entry = CardRegistered(
        tag=command.tag,
        name=card.entry.name,
        category=card.category,
        asset_class=card.asset_class,
        measure_unit=card.entry.measure_unit,
        quantity=command.quantity,
        gross_cny=gross,
        acquired_on=card.entry.acquired_on,
        source=card.entry.source,
        fund=card.entry.fund,
        holder=card.holder,
        capitalised=card.entry.capitalised,
        useful_months=card.entry.useful_months,
        specification=card.entry.specification,
        place=command.place or card.place,
        keeper=command.keeper or card.keeper,
        supplier=card.entry.supplier,
        document=card.entry.document,
    )
    separate_part = SeparateCard(
        organisation=by.unit,
        **asdict(entry),
        origin=by.id,
        accumulated_cny=accumulated,
        depreciate_from=card.plan.next_month if card.plan else None,
        months_left=card.plan.months_left if card.plan else 0,
    )
    return [
        *settling,
        CardSplit(
            part=part,
            tag=command.tag,
            quantity=command.quantity,
            gross_cny=gross,
            accumulated_cny=accumulated,
            reason=command.reason,
        ),
        Send(cards, part, separate_part),
    ]


class PlaceCard(Command):
    """Where the thing stands and who keeps it, from now on."""

    place: Name
    keeper: Line = ""


@cards.post("/cards/{id}/place", allow=KEEPERS, at="holder")
def place(state: Card, command: PlaceCard, by: By) -> CardPlaced | None:
    if state.gone:
        raise Refused("card_gone", field="id", tag=state.entry.tag)
    keeper = command.keeper or state.keeper
    if (state.place, state.keeper) == (command.place, keeper):
        return None
    return CardPlaced(
        place=command.place,
        keeper=keeper,
        previous_place=state.place,
        previous_keeper=state.keeper,
    )


class ReclassifyCard(Command):
    category: Category
    reason: Reason


@cards.post("/cards/{id}/reclassify", allow=(Role.ACCOUNTANT, *KEEPERS))
def reclassify(
    state: Card, command: ReclassifyCard, by: By, policy: DepreciationPolicy
) -> list[AssetDepreciated | DepreciationReversed | CardReclassified] | None:
    if state.gone:
        raise Refused("card_gone", field="id", tag=state.entry.tag)
    if state.category == command.category:
        return None
    asset_class = class_of(command.category)
    settling, card = settled(state, by)
    months = useful_months(policy, command.category, None) if card.entry.capitalised else 0
    start = card.plan.next_month if card.plan else month_of(by.day)
    used = months_from(month_of(card.entry.acquired_on), start) - 1
    return [
        *settling,
        CardReclassified(
            category=command.category,
            asset_class=asset_class,
            previous_class=state.asset_class,
            holder=state.holder,
            quantity=card.quantity,
            gross_cny=card.gross_cny,
            accumulated_cny=card.accumulated_cny,
            depreciate_from=start if months else None,
            months_left=max(months - used, 1 if card.net_cny else 0) if months else 0,
            reason=command.reason,
        ),
    ]


def class_of(category: str) -> AssetClass:
    """The class that a code of GB/T 14885-2022 begins with; refuses others."""
    try:
        return AssetClass(category[:3])
    except ValueError:
        raise Refused("category_unknown", field="category", category=category) from None


def useful_months(policy: DepreciationPolicy, category: str, years: int | None) -> int:
    """Useful life in months; 0 where the class is not depreciated. Refuses a life too short."""
    if category.startswith(policy.exempt):
        return 0
    least = _longest(policy.years_least, category)
    if years is not None and years < least:
        raise Refused("useful_life_too_short", field="useful_years", years=least)
    return 12 * (years if years is not None else _longest(policy.years, category))


def _longest(years: dict[str, int], category: str) -> int:
    known = [prefix for prefix in years if category.startswith(prefix)]
    return years[max(known, key=len)] if known else 0
