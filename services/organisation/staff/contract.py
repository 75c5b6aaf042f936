"""The labour contract (劳动合同): signed, ended, and found missing where a post needs one."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated
from uuid import UUID, uuid5

from pydantic import StringConstraints

from services.organisation.spans import after, last_day_of, midnight, overlap
from services.organisation.staff import (
    LabourContractEnded,
    LabourContractMissed,
    LabourContractSigned,
    Staff,
    staff,
)
from shared.fields import Document, Reason
from shared.kernel import By, Command, Refused
from shared.organisation import Role

KEEPERS = (
    Role.ADMINISTRATOR,
    Role.BUREAU_OFFICER,
    Role.PRINCIPAL,
    Role.LOGISTICS_DIRECTOR,
)
"""Who keeps the contracts."""


class SignLabourContract(Command):
    """`last_day` is left out for a contract without a fixed term."""

    number: Annotated[str, StringConstraints(max_length=100)] = ""
    signed_on: date
    first_day: date
    last_day: date | None = None
    document: Document | None = None


@staff.post("/staff/{id}/sign-contract", allow=KEEPERS)
def sign(state: Staff, command: SignLabourContract, by: By) -> LabourContractSigned | None:
    wanted = (command.number, command.signed_on, command.first_day, command.last_day)
    for known in state.contracts.values():
        if (known.number, known.signed_on, known.first_day, known.last_day) == wanted:
            return None
    if by.person == state.person:
        raise Refused("own_contract")
    if command.last_day is not None and command.last_day < command.first_day:
        raise Refused("contract_ends_first", field="last_day", first_day=command.first_day)
    if command.signed_on > by.day:
        raise Refused("signed_in_future", field="signed_on", today=by.day)
    for known in state.contracts.values():
        if overlap(known.first_day, known.until, command.first_day, after(command.last_day)):
            raise Refused("contract_overlaps", field="first_day", number=known.number or "-")
    return LabourContractSigned(
        contract=uuid5(by.id, f"contract:{len(state.contracts)}"),
        person=state.person,
        number=command.number,
        signed_on=command.signed_on,
        first_day=command.first_day,
        last_day=command.last_day,
        was_missing=state.missing_since is not None,
        document=command.document,
    )


class EndLabourContract(Command):
    """`ended_on` is the last day on which the contract holds."""

    contract: UUID
    ended_on: date
    reason: Reason


@staff.post("/staff/{id}/end-contract", allow=KEEPERS)
def end_contract(state: Staff, command: EndLabourContract, by: By) -> LabourContractEnded | None:
    contract = state.contracts.get(command.contract)
    if contract is None:
        raise Refused("contract_unknown", field="contract", person=state.person)
    if contract.ended_on == command.ended_on:
        return None
    if by.person == state.person:
        raise Refused("own_contract")
    if command.ended_on < contract.first_day:
        raise Refused("contract_ends_first", field="ended_on", first_day=contract.first_day)
    if contract.until is not None and command.ended_on >= contract.until:
        raise Refused("contract_over", field="ended_on", last_day=last_day_of(contract.until))
    return LabourContractEnded(
        contract=command.contract,
        person=state.person,
        ended_on=command.ended_on,
        reason=command.reason,
    )


class CheckLabourContracts(Command):
    pass


def contract_check_at(state: Staff) -> datetime | None:
    """When a needed contract will be missing, unless one is signed before."""
    if state.missing_since is not None or state.contract_missing_on is None:
        return None
    return midnight(state.contract_missing_on)


@staff.when_due(contract_check_at)
def check_contracts(
    state: Staff, command: CheckLabourContracts, by: By
) -> LabourContractMissed | None:
    day = state.contract_missing_on
    if state.missing_since is not None or day is None or day > by.day:
        return None
    roles = [post.role for post in state.needing_contract if state.uncovered_on(post) == day]
    return LabourContractMissed(person=state.person, roles=tuple(roles), since=day)
