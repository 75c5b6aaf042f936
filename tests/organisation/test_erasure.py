"""Erasing a person's data: two persons, nothing that must be kept, a certificate."""

import hashlib
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

import pytest

from services.organisation.erasure import (
    ApproveErasure,
    CertifyErasure,
    DeclineErasure,
    DestroyedKey,
    ErasedKey,
    ErasureApproved,
    ErasureBasis,
    ErasureDeclined,
    ErasureRequested,
    ErasureStatus,
    RequestErasure,
    SubjectErased,
    certificate,
    erasure_list,
    erasures,
    years_after,
)
from services.organisation.staff import Contract, Post, Staff
from shared.kernel import Recorded
from shared.organisation import Role
from shared.testing import SCHOOL, STREAM, Result, by, given

PRINCIPAL, OFFICER = by("zhao", Role.PRINCIPAL), by("qian", Role.BUREAU_OFFICER)
ASKED = ErasureRequested(
    subject="wang", basis=ErasureBasis.PERSON_LEFT, reason="已调离", requester="zhao"
)
AGREED = ErasureApproved(approver="qian")
MADE, GONE = datetime(2026, 9, 1, tzinfo=UTC), datetime(2026, 9, 7, tzinfo=UTC)
KEY: dict[str, Any] = {
    "id": UUID(int=7), "algorithm": "aes-256-gcm", "fingerprint": "ab" * 16, "made_at": MADE,
    "destroyed_at": GONE,
}  # fmt: skip


def ask(*before: Any, person: Staff | None = None, subject: str = "wang") -> Result:
    command = RequestErasure(
        organisation=SCHOOL, subject=subject, basis=ErasureBasis.PERSON_LEFT, reason="已调离"
    )
    return given(erasures, *before).when(command, by=PRINCIPAL, person=person)


def agree(*before: Any, who: Any = OFFICER, person: Staff | None = None) -> Result:
    return given(erasures, *before).when(ApproveErasure(), by=who, person=person)


def staff_with(until: date | None = None, contract_until: date | None = date(2020, 1, 1)) -> Staff:
    post = Post(
        post=UUID(int=1), role=Role.COOK, since=date(2019, 9, 1), until=until, contract_due_on=None
    )
    contract = Contract(
        contract=UUID(int=2), number="1", signed_on=date(2019, 9, 1), first_day=date(2019, 9, 1),
        last_day=contract_until, document=None,
    )  # fmt: skip
    return Staff(person="wang", posts={post.post: post}, contracts={contract.contract: contract})


def test_one_asks_another_agrees_and_a_certificate_stays() -> None:
    ask().then(ASKED)
    ask(ASKED).then()
    agree(ASKED).then(AGREED)
    agree(ASKED, AGREED).then()
    certify = CertifyErasure(keys=(DestroyedKey(**KEY),))
    keys = (ErasedKey(**KEY),)
    text = certificate(STREAM, SCHOOL, keys, "zhao", "qian")
    assert str(KEY["id"]) in text and KEY["fingerprint"] in text and GONE.isoformat() in text
    digest = hashlib.sha256(text.encode()).hexdigest()
    erased = SubjectErased(keys=keys, requester="zhao", approver="qian", digest=digest)
    given(erasures, ASKED, AGREED).when(certify).then(erased)
    given(erasures, ASKED, AGREED, erased).when(certify).then()
    given(erasures, ASKED).when(certify).then()
    agree(ASKED, AGREED, erased).then()


def test_nobody_erases_alone_or_himself() -> None:
    agree(ASKED, who=PRINCIPAL).refused("erases_alone")
    agree(ASKED, who=by("wang", Role.PRINCIPAL)).refused("erases_himself")
    ask(ASKED, subject="li").refused("erasure_exists", field="id")


def test_declined_once_and_for_all_but_not_after_it_was_agreed() -> None:
    declined = ErasureDeclined(reason="仍需使用")
    command = DeclineErasure(reason="仍需使用")
    given(erasures, ASKED).when(command, by=OFFICER).then(declined)
    given(erasures, ASKED, declined).when(command, by=OFFICER).then()
    given(erasures, ASKED, AGREED).when(command, by=OFFICER).refused("erasure_approved_already")
    agree(ASKED, declined).refused("erasure_declined")


def test_what_must_be_kept_is_not_erased() -> None:
    ended = date(2020, 1, 1)
    ask(person=staff_with()).refused("erased_while_in_post", field="subject")
    ask(person=staff_with(ended, None)).refused("contract_still_holds", field="subject")
    ask(person=staff_with(ended, date(2024, 9, 7))).refused("contract_kept_until", field="subject")
    ask(person=staff_with(ended, date(2024, 9, 6))).then(ASKED)
    agree(ASKED, person=staff_with()).refused("erased_while_in_post", field="subject")


@pytest.mark.parametrize(
    ("day", "years", "then"),
    [
        (date(2024, 9, 7), 2, date(2026, 9, 7)),
        (date(2024, 2, 29), 2, date(2026, 3, 1)),
        (date(2024, 2, 29), 4, date(2028, 2, 29)),
    ],
)
def test_years_after(day: date, years: int, then: date) -> None:
    assert years_after(day, years) == then


def test_the_list_shows_how_far_it_has_come() -> None:
    recorded = Recorded(
        id=UUID(int=3), stream=STREAM, version=2, organisation=SCHOOL, actor="qian",
        occurred_at=GONE, recorded_at=GONE,
    )  # fmt: skip
    state = given(erasures, ASKED, AGREED).state
    row = erasure_list(state, recorded)
    assert (row.subject, row.status, row.approver) == ("wang", ErasureStatus.APPROVED, "qian")
