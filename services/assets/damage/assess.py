"""Reporting a damage, and its assessment by somebody else."""

from __future__ import annotations

from datetime import date
from typing import Annotated
from uuid import UUID

from pydantic import Field

from services.assets.card import Card, cards
from services.assets.card.events import LossCause
from services.assets.card.loss import LoseAsset
from services.assets.damage import (
    AssetDamaged,
    Damage,
    DamageCause,
    DamageDismissed,
    DamageReported,
    DamageStatus,
    PartyKind,
    Responsible,
    damages,
)
from services.assets.terms import CardId, Line
from shared.fields import Count, Money, Photo, Reason, Subject, Text, UnitId
from shared.kernel import By, Command, Creation, From, Part, Refused, Send
from shared.organisation import MANAGERS, SCHOOL_STAFF, Unit

LOSSES = {
    DamageCause.LOSS: LossCause.LOST,
    DamageCause.THEFT: LossCause.STOLEN,
}


class ReportDamage(Creation):
    """A thing with a card (held by `organisation`), or one without by its name: a window pane."""

    cause: DamageCause
    card: CardId | None = None
    item: Line = ""
    quantity: Count = 1
    place: Line = ""
    happened_on: date | None = None
    description: Text = ""
    photos: Annotated[tuple[Photo, ...], Field(max_length=9)] = ()


@damages.post("/damages", allow=SCHOOL_STAFF)
def report(
    state: Damage | None,
    command: ReportDamage,
    by: By,
    card: Annotated[Card | None, From("card")],
) -> DamageReported | None:
    if command.card is None and not command.item.strip():
        raise Refused("damaged_thing_missing", field="item")
    if command.card is not None:
        check_card(card, command)
    day = command.happened_on or by.day
    if day > by.day:
        raise Refused("happened_in_future", field="happened_on")
    reported = DamageReported(
        cause=command.cause,
        item=command.item or (card.entry.name if card else ""),
        quantity=command.quantity,
        place=command.place or (card.place if card else ""),
        happened_on=day,
        description=command.description,
        reporter=by.person,
        photos=command.photos,
        card=command.card,
        tag=card.entry.tag if card else "",
        category=card.category if card else "",
    )
    if state is None:
        return reported
    if state.report == reported:
        return None
    raise Refused("damage_exists", field="id")


def check_card(card: Card | None, command: ReportDamage) -> None:
    """Refuses a card that the unit does not hold, or holds fewer pieces of."""
    if card is None:
        raise Refused("card_unknown", field="card", card=command.card)
    if card.gone:
        raise Refused("card_gone", field="card", tag=card.entry.tag)
    if card.holder != command.organisation:
        raise Refused("card_elsewhere", field="card", tag=card.entry.tag)
    if command.quantity > card.quantity:
        raise Refused("damage_beyond_quantity", field="quantity", quantity=card.quantity)


class ResponsibleParty(Part):
    """Who answers for it. `reference` is opaque (a number of the register), never a name."""

    reference: Subject
    kind: PartyKind
    unit: UnitId | None = None


class AssessDamage(Command):
    """`replacement_cost_cny` is what it takes to make the thing good: the most that is charged."""

    cause: DamageCause
    replacement_cost_cny: Money
    beyond_repair: bool = False
    responsible: Annotated[tuple[ResponsibleParty, ...], Field(max_length=50)] = ()
    note: Text = ""


def units_of(command: AssessDamage, state: Damage, by: By) -> tuple[UUID, ...]:
    """The classes and units that the parties belong to."""
    units = (party.unit for party in command.responsible if party.unit is not None)
    return tuple(dict.fromkeys(units))


@damages.post("/damages/{id}/assess", allow=MANAGERS, weighty=True)
def assess(
    state: Damage,
    command: AssessDamage,
    by: By,
    units: Annotated[dict[UUID, Unit], From(units_of)],
) -> list[AssetDamaged | Send] | None:
    report = state.report
    assessed = AssetDamaged(
        card=report.card,
        tag=report.tag,
        item=report.item,
        category=report.category,
        quantity=report.quantity,
        cause=command.cause,
        wilful=command.cause is DamageCause.WILFUL,
        beyond_repair=command.beyond_repair,
        replacement_cost_cny=command.replacement_cost_cny,
        responsible=tuple(Responsible(**dict(party)) for party in command.responsible),
        happened_on=report.happened_on,
        place=report.place,
        assessor=by.person,
        note=command.note,
    )
    if state.assessment == assessed:
        return None
    if state.status is not DamageStatus.REPORTED:
        raise Refused("damage_assessed_already", field="id")
    if by.person == report.reporter:
        raise Refused("assessor_is_reporter", field="id")
    check_parties(command, by, units)
    cause = LOSSES.get(command.cause) or (LossCause.DESTROYED if command.beyond_repair else None)
    if report.card is None or cause is None:
        return [assessed]
    lose = LoseAsset(damage=by.id, cause=cause, quantity=report.quantity)
    return [assessed, Send(cards, report.card, lose)]


def check_parties(command: AssessDamage, by: By, units: dict[UUID, Unit]) -> None:
    """Refuses parties named twice, pupils without a class, foreign classes, and the assessor."""
    parties = command.responsible
    if command.cause is DamageCause.WEAR and parties:
        raise Refused("wear_not_charged", field="responsible")
    if len({party.reference for party in parties}) < len(parties):
        raise Refused("party_twice", field="responsible")
    for party in parties:
        if party.kind in (PartyKind.PUPIL, PartyKind.CLASS) and party.unit is None:
            raise Refused("class_missing", field="responsible", reference=party.reference)
        if party.unit is not None and party.unit not in units:
            raise Refused("class_unknown", field="responsible", reference=party.reference)
        if party.reference == by.person:
            raise Refused("assessor_is_responsible", field="responsible")


class DismissDamage(Command):
    """Reported by mistake, twice, or nothing is wrong."""

    reason: Reason


@damages.post("/damages/{id}/dismiss", allow=MANAGERS)
def dismiss(state: Damage, command: DismissDamage, by: By) -> DamageDismissed | None:
    if state.status is DamageStatus.DISMISSED:
        return None
    if state.status is not DamageStatus.REPORTED:
        raise Refused("damage_assessed_already", field="id")
    if by.person == state.report.reporter:
        raise Refused("assessor_is_reporter", field="id")
    return DamageDismissed(reason=command.reason)
