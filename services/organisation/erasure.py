"""A person's data at a unit are erased: one asks for it, another agrees, the key is destroyed, and
a certificate of that stays.

个人信息删除. Only the unit that keeps the data erases them, and not what it still must keep: a held
post, a labour contract within its years. What was sealed under the key is then read by nobody, in
no copy and no back-up. Source: the handler's duty to delete (个人信息保护法), keeping of labour
contracts (劳动合同法).
"""

from __future__ import annotations

import hashlib
from copy import replace
from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, ClassVar
from uuid import UUID

import msgspec
from pydantic import Field

from services.organisation.staff import Staff, staff
from shared.fields import Moment, Reason, Subject, personal
from shared.kernel import (
    Aggregate,
    By,
    Command,
    Creation,
    Event,
    From,
    Part,
    Policy,
    Recorded,
    Refused,
    State,
    View,
)  # fmt: skip
from shared.organisation import Role

KEEPERS = (Role.ADMINISTRATOR, Role.PRINCIPAL, Role.BUREAU_OFFICER)
"""Who asks for an erasure, and who agrees to another's asking."""


class ErasureBasis(StrEnum):
    """Why data need not, or must not, be kept any longer."""

    PURPOSE_FULFILLED = "purpose_fulfilled"
    CONSENT_WITHDRAWN = "consent_withdrawn"
    PERSON_LEFT = "person_left"
    UNLAWFUL = "unlawful"


class ErasureStatus(StrEnum):
    """How far an erasure has come."""

    REQUESTED = "requested"
    APPROVED = "approved"
    DECLINED = "declined"
    ERASED = "erased"


class ErasedKey(msgspec.Struct, frozen=True, kw_only=True):
    """A data key that is no more; the fingerprint told it from every other."""

    id: UUID
    algorithm: str
    fingerprint: str
    made_at: datetime
    destroyed_at: datetime


class ErasureRequested(Event):
    """`subject`: a sign-in name, a number of a register, or the id of a case; itself sealed."""

    subject: Annotated[str, personal("subject")]
    basis: ErasureBasis
    reason: Annotated[str, personal("subject")]
    requester: str


class ErasureApproved(Event):
    approver: str


class ErasureDeclined(Event):
    reason: Annotated[str, personal()]


class SubjectErased(Event):
    """The certificate. `digest`: SHA-256 of `certificate(...)`, for whoever holds it on paper."""

    keys: tuple[ErasedKey, ...]
    requester: str
    approver: str
    digest: str


type ErasureEvent = ErasureRequested | ErasureApproved | ErasureDeclined | SubjectErased


class Erasure(State):
    subject: str
    basis: ErasureBasis
    reason: str
    requester: str
    approver: str = ""
    declined: str = ""
    keys: tuple[ErasedKey, ...] = ()
    digest: str = ""
    status: ErasureStatus = ErasureStatus.REQUESTED


def evolve(state: Erasure | None, event: ErasureEvent) -> Erasure:
    """The erasure after one more event."""
    if isinstance(event, ErasureRequested):
        return Erasure(
            subject=event.subject,
            basis=event.basis,
            reason=event.reason,
            requester=event.requester,
        )
    assert state is not None, "an erasure starts by being asked for"
    match event:
        case ErasureApproved(approver=approver):
            return replace(state, approver=approver, status=ErasureStatus.APPROVED)
        case ErasureDeclined(reason=reason):
            return replace(state, declined=reason, status=ErasureStatus.DECLINED)
        case SubjectErased(keys=keys, digest=digest):
            return replace(state, keys=keys, digest=digest, status=ErasureStatus.ERASED)


erasures = Aggregate("erasure", events=ErasureEvent, state=Erasure, evolve=evolve)


class ErasurePolicy(Policy):
    """For how many years after its end a labour contract is kept."""

    slug: ClassVar[str] = "organisation.erasure"

    contract_years_min: int


class RequestErasure(Creation):
    """Names whose data: a sign-in name, a number of a register, or a case by its id."""

    subject: Subject
    basis: ErasureBasis
    reason: Reason


def staff_of(command: RequestErasure, state: Erasure | None, by: By) -> UUID:
    """Whose posts and contracts at the unit must be over."""
    return staff.id_of(by.unit, command.subject)


@erasures.post("/erasures", allow=KEEPERS, weighty=True)
def request(
    state: Erasure | None,
    command: RequestErasure,
    by: By,
    policy: ErasurePolicy,
    person: Annotated[Staff | None, From(staff_of)],
) -> ErasureRequested | None:
    if state is not None:
        if state.subject == command.subject:
            return None
        raise Refused("erasure_exists", field="id")
    refuse_kept(person, policy, by.day)
    return ErasureRequested(
        subject=command.subject,
        basis=command.basis,
        reason=command.reason,
        requester=by.person,
    )


def refuse_kept(person: Staff | None, policy: ErasurePolicy, day: date) -> None:
    """Refuses while the person holds a post, or a contract must be kept."""
    if person is None:
        return
    for post in person.posts.values():
        if post.until is None or post.until > day:
            raise Refused("erased_while_in_post", field="subject", role=post.role)
    for contract in person.contracts.values():
        if contract.until is None:
            raise Refused("contract_still_holds", field="subject")
        kept = years_after(contract.until, policy.contract_years_min)
        if day < kept:
            raise Refused("contract_kept_until", field="subject", kept_until=kept)


def years_after(day: date, years: int) -> date:
    """The same day so many years later; after a 29 February, the first of March."""
    try:
        return day.replace(year=day.year + years)
    except ValueError:
        return date(day.year + years, 3, 1)


class ApproveErasure(Command):
    pass


def staff_named(command: ApproveErasure, state: Erasure, by: By) -> UUID:
    """Whose posts and contracts at the unit must still be over."""
    return staff.id_of(by.unit, state.subject)


@erasures.post("/erasures/{id}/approve", allow=KEEPERS, weighty=True)
def approve(
    state: Erasure,
    command: ApproveErasure,
    by: By,
    policy: ErasurePolicy,
    person: Annotated[Staff | None, From(staff_named)],
) -> ErasureApproved | None:
    if state.status in (ErasureStatus.APPROVED, ErasureStatus.ERASED):
        return None
    if state.status is ErasureStatus.DECLINED:
        raise Refused("erasure_declined")
    if by.person == state.requester:
        raise Refused("erases_alone")
    if by.person == state.subject:
        raise Refused("erases_himself")
    refuse_kept(person, policy, by.day)
    return ErasureApproved(approver=by.person)


class DeclineErasure(Command):
    reason: Reason


@erasures.post("/erasures/{id}/decline", allow=KEEPERS)
def decline(state: Erasure, command: DeclineErasure, by: By) -> ErasureDeclined | None:
    if state.status is ErasureStatus.DECLINED:
        return None
    if state.status is not ErasureStatus.REQUESTED:
        raise Refused("erasure_approved_already")
    return ErasureDeclined(reason=command.reason)


class DestroyedKey(Part):
    """What is left of a data key."""

    id: UUID
    algorithm: str
    fingerprint: str
    made_at: Moment
    destroyed_at: Moment


class CertifyErasure(Command):
    """Sent when the keys have been destroyed."""

    keys: Annotated[tuple[DestroyedKey, ...], Field(min_length=1)]


@erasures.decision
def certify(state: Erasure, command: CertifyErasure, by: By) -> SubjectErased | None:
    if state.status is not ErasureStatus.APPROVED:
        return None
    keys = tuple(ErasedKey(**dict(key)) for key in command.keys)
    text = certificate(by.id, by.unit, keys, state.requester, state.approver)
    return SubjectErased(
        keys=keys,
        requester=state.requester,
        approver=state.approver,
        digest=hashlib.sha256(text.encode()).hexdigest(),
    )


def certificate(
    erasure: UUID, unit: UUID, keys: tuple[ErasedKey, ...], requester: str, approver: str
) -> str:
    """What was destroyed, when and by whom, line by line; moments in UTC."""
    lines = [f"erasure {erasure}", f"unit {unit}", f"requested {requester}", f"agreed {approver}"]
    for key in keys:
        lines.append(f"key {key.id} {key.algorithm} {key.fingerprint}")
        lines.append(f"made {key.made_at.isoformat()} destroyed {key.destroyed_at.isoformat()}")
    return "\n".join(lines)


class ErasureRow(View):
    """`keys`: those destroyed; `digest`: of the certificate."""

    id: UUID
    organisation: UUID
    subject: Annotated[str, personal("subject")]
    basis: ErasureBasis
    reason: Annotated[str, personal("subject")]
    status: ErasureStatus
    requester: str
    approver: str
    declined: Annotated[str, personal()]
    keys: tuple[ErasedKey, ...]
    digest: str
    changed_at: datetime


@erasures.view(
    "/erasures",
    allow=KEEPERS,
    filters=("status", "basis", "requester", "approver"),
    sorts=("changed_at", "status"),
)
def erasure_list(state: Erasure, recorded: Recorded) -> ErasureRow:
    return ErasureRow(
        id=recorded.stream,
        organisation=recorded.organisation,
        subject=state.subject,
        basis=state.basis,
        reason=state.reason,
        status=state.status,
        requester=state.requester,
        approver=state.approver,
        declined=state.declined,
        keys=state.keys,
        digest=state.digest,
        changed_at=recorded.recorded_at,
    )
