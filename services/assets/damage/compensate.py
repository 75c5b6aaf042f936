"""Charging at cost, letting off for a reason, and paying at the cashier's."""

from __future__ import annotations

from services.assets.damage import (
    AssetDamaged,
    Charge,
    CompensationCharged,
    CompensationPaid,
    CompensationWaived,
    Damage,
    DamageCause,
    damages,
)
from shared.fields import Name, PositiveMoney, Reason, Subject
from shared.kernel import By, Command, Refused
from shared.organisation import MANAGERS, Role


class ChargeCompensation(Command):
    """What one party is to pay; all together never more than the replacement cost."""

    reference: Subject
    amount_cny: PositiveMoney


@damages.post("/damages/{id}/charge", allow=MANAGERS, weighty=True)
def charge(state: Damage, command: ChargeCompensation, by: By) -> CompensationCharged | None:
    assessed = assessment_of(state)
    if assessed.cause is DamageCause.WEAR:
        raise Refused("wear_not_charged", field="id")
    parties = {party.reference: party for party in assessed.responsible}
    if command.reference not in parties:
        raise Refused("party_unknown", field="reference", reference=command.reference)
    if by.person == command.reference:
        raise Refused("own_charge", field="reference")
    charged = state.charges.get(command.reference)
    if charged is not None and charged.amount_cny == command.amount_cny:
        return None
    if charged is not None:
        raise Refused("charged_already", field="reference", amount_cny=charged.amount_cny)
    free = assessed.replacement_cost_cny - state.charged_cny
    if command.amount_cny > free:
        raise Refused("charge_above_cost", field="amount_cny", free_cny=free)
    party = parties[command.reference]
    return CompensationCharged(
        reference=party.reference,
        kind=party.kind,
        unit=party.unit,
        cause=assessed.cause,
        category=assessed.category,
        amount_cny=command.amount_cny,
    )


class WaiveCompensation(Command):
    """Lets off what is still open, or `amount_cny` of it; once for each party."""

    reference: Subject
    reason: Reason
    amount_cny: PositiveMoney | None = None


@damages.post("/damages/{id}/waive", allow=(Role.PRINCIPAL,), weighty=True)
def waive(state: Damage, command: WaiveCompensation, by: By) -> CompensationWaived | None:
    assessed = assessment_of(state)
    owed = charge_of(state, command.reference)
    if by.person == command.reference:
        raise Refused("own_charge", field="reference")
    amount = owed.outstanding_cny if command.amount_cny is None else command.amount_cny
    if owed.waived_cny:
        if command.amount_cny == owed.waived_cny or not amount:
            return None
        raise Refused("waived_already", field="reference", amount_cny=owed.waived_cny)
    if not owed.outstanding_cny:
        raise Refused("nothing_outstanding", field="reference")
    if amount > owed.outstanding_cny:
        raise Refused(
            "beyond_outstanding", field="amount_cny", outstanding_cny=owed.outstanding_cny
        )
    return CompensationWaived(
        reference=command.reference,
        cause=assessed.cause,
        category=assessed.category,
        amount_cny=amount,
        reason=command.reason,
    )


class PayCompensation(Command):
    """Money taken by the cashier against a numbered receipt; a part is enough."""

    reference: Subject
    amount_cny: PositiveMoney
    receipt: Name


@damages.post("/damages/{id}/pay", allow=(Role.CASHIER,), weighty=True)
def pay(state: Damage, command: PayCompensation, by: By) -> CompensationPaid | None:
    assessed = assessment_of(state)
    paid = state.receipts.get(command.receipt)
    if paid is not None:
        if (paid.reference, paid.amount_cny) == (command.reference, command.amount_cny):
            return None
        raise Refused("receipt_used", field="receipt", receipt=command.receipt)
    owed = charge_of(state, command.reference)
    if by.person == assessed.assessor:
        raise Refused("cashier_assessed", field="id")
    if command.amount_cny > owed.outstanding_cny:
        raise Refused(
            "beyond_outstanding", field="amount_cny", outstanding_cny=owed.outstanding_cny
        )
    return CompensationPaid(
        reference=command.reference,
        cause=assessed.cause,
        category=assessed.category,
        amount_cny=command.amount_cny,
        receipt=command.receipt,
        outstanding_cny=owed.outstanding_cny - command.amount_cny,
    )


def assessment_of(state: Damage) -> AssetDamaged:
    """The assessment; refuses a case that has none."""
    if state.assessment is None:
        raise Refused("damage_not_assessed", field="id")
    return state.assessment


def charge_of(state: Damage, reference: str) -> Charge:
    """What the party was charged; refuses one that was not."""
    if reference not in state.charges:
        raise Refused("not_charged", field="reference", reference=reference)
    return state.charges[reference]
