"""Something is damaged, lost or stolen: it is reported, somebody else assesses it, and whoever is
answerable makes it good at cost, or is let off for a reason.

损坏赔偿, 照价赔偿. A charge never exceeds the replacement cost, and wear is never charged. Persons
are opaque references and a class, never names; these and what is told of the case are sealed.
Rule: care of public property in schools (爱护公物) and 钱账物 apart: reporting, assessing and
taking the money are three persons' work.
"""

from __future__ import annotations

from copy import replace
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Annotated
from uuid import UUID

import msgspec

from shared.fields import personal
from shared.kernel import Aggregate, Event, State


class DamageCause(StrEnum):
    """Why it happened."""

    WEAR = "wear"
    ACCIDENT = "accident"
    WILFUL = "wilful"
    LOSS = "loss"
    THEFT = "theft"


class DamageStatus(StrEnum):
    """How far a case has come."""

    REPORTED = "reported"
    ASSESSED = "assessed"
    CHARGED = "charged"
    SETTLED = "settled"
    DISMISSED = "dismissed"


class PartyKind(StrEnum):
    """Who answers for a damage."""

    PUPIL = "pupil"
    CLASS = "class"
    STAFF = "staff"
    OUTSIDER = "outsider"


class Responsible(msgspec.Struct, frozen=True, kw_only=True):
    """Who answers for it: an opaque reference, and the class (or unit) it belongs to."""

    reference: Annotated[str, personal("reference")]
    kind: PartyKind
    unit: UUID | None


class DamageReported(Event):
    cause: DamageCause
    item: str
    quantity: int
    place: str
    happened_on: date
    description: Annotated[str, personal()]
    reporter: str
    photos: tuple[str, ...]
    card: UUID | None
    tag: str
    category: str


class AssetDamaged(Event):
    """The damage as assessed: what reporting counts, with its cause and what it costs."""

    card: UUID | None
    tag: str
    item: str
    category: str
    quantity: int
    cause: DamageCause
    wilful: bool
    beyond_repair: bool
    replacement_cost_cny: Decimal
    responsible: tuple[Responsible, ...]
    happened_on: date
    place: str
    assessor: str
    note: Annotated[str, personal()]


class DamageDismissed(Event):
    reason: str


class CompensationCharged(Event):
    reference: Annotated[str, personal("reference")]
    kind: PartyKind
    unit: UUID | None
    cause: DamageCause
    category: str
    amount_cny: Decimal


class CompensationWaived(Event):
    reference: Annotated[str, personal("reference")]
    cause: DamageCause
    category: str
    amount_cny: Decimal
    reason: Annotated[str, personal("reference")]


class CompensationPaid(Event):
    reference: Annotated[str, personal("reference")]
    cause: DamageCause
    category: str
    amount_cny: Decimal
    receipt: str
    outstanding_cny: Decimal


type DamageEvent = (
    DamageReported
    | AssetDamaged
    | DamageDismissed
    | CompensationCharged
    | CompensationWaived
    | CompensationPaid
)


class Charge(msgspec.Struct, frozen=True, kw_only=True):
    """What one party owes, and what has become of it."""

    amount_cny: Decimal
    waived_cny: Decimal = Decimal(0)
    paid_cny: Decimal = Decimal(0)

    @property
    def outstanding_cny(self) -> Decimal:
        """What is still to be paid."""
        return self.amount_cny - self.waived_cny - self.paid_cny


class Damage(State):
    report: DamageReported
    assessment: AssetDamaged | None = None
    status: DamageStatus = DamageStatus.REPORTED
    charges: dict[str, Charge] = {}
    receipts: dict[str, CompensationPaid] = {}

    @property
    def charged_cny(self) -> Decimal:
        """All charges, less what was waived."""
        return sum(
            (charge.amount_cny - charge.waived_cny for charge in self.charges.values()), Decimal(0)
        )

    @property
    def outstanding_cny(self) -> Decimal:
        """What is still to be paid by all."""
        return sum((charge.outstanding_cny for charge in self.charges.values()), Decimal(0))


def evolve(state: Damage | None, event: DamageEvent) -> Damage:
    """The case after one more event."""
    if isinstance(event, DamageReported):
        return Damage(report=event)
    assert state is not None, "a damage starts by being reported"
    match event:
        case AssetDamaged():
            owed = event.replacement_cost_cny if event.responsible else 0
            status = DamageStatus.ASSESSED if owed else DamageStatus.SETTLED
            return replace(state, assessment=event, status=status)
        case DamageDismissed():
            return replace(state, status=DamageStatus.DISMISSED)
        case CompensationCharged(reference=reference, amount_cny=amount):
            return _with(state, reference, Charge(amount_cny=amount))
        case CompensationWaived(reference=reference, amount_cny=amount):
            charge = state.charges[reference]
            waived = replace(charge, waived_cny=charge.waived_cny + amount)
            return _with(state, reference, waived)
        case CompensationPaid(reference=reference, amount_cny=amount):
            charge = state.charges[reference]
            paid = _with(state, reference, replace(charge, paid_cny=charge.paid_cny + amount))
            return replace(paid, receipts={**state.receipts, event.receipt: event})


def _with(state: Damage, reference: str, charge: Charge) -> Damage:
    """Settled once nothing is open and every party has been charged (or let off)."""
    changed = replace(state, charges={**state.charges, reference: charge})
    parties = state.assessment.responsible if state.assessment else ()
    all_charged = all(party.reference in changed.charges for party in parties)
    done = all_charged and changed.outstanding_cny == 0
    return replace(changed, status=DamageStatus.SETTLED if done else DamageStatus.CHARGED)


damages = Aggregate("damage", events=DamageEvent, state=Damage, evolve=evolve)

# The capabilities declare themselves on the handle.
from services.assets.damage import assess, compensate, views  # noqa: E402, F401
