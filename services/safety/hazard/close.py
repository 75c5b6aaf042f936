"""Verifying what was put right, by somebody else, and striking it off the list."""

from __future__ import annotations

from datetime import timedelta

from services.safety.hazard import (
    VERIFIERS,
    Hazard,
    HazardClosed,
    HazardPolicy,
    HazardSentBack,
    HazardStatus,
    HazardVerified,
    about,
    hazards,
    refuse_earlier,
    refuse_lower,
    refuse_own,
)
from services.safety.hazard.report import HazardPhotos
from shared.fields import Reason, Text
from shared.kernel import By, Command, Refused


class VerifyHazard(Command):
    note: Text = ""
    photos: HazardPhotos = ()


@hazards.post("/hazards/{id}/verify", allow=VERIFIERS, weighty=True)
def verify(
    state: Hazard, command: VerifyHazard, by: By, policy: HazardPolicy
) -> HazardVerified | None:
    if state.status in (HazardStatus.VERIFIED, HazardStatus.CLOSED):
        return None
    rectified_by = rectifier_to_judge(state, by, policy)
    return HazardVerified(
        **about(state),
        verified_by=by.person,
        verified_at=by.at,
        rectified_by=rectified_by,
        photos=command.photos,
        note=command.note,
    )


class SendBackHazard(Command):
    """`reason`: what is not right yet."""

    reason: Reason
    photos: HazardPhotos = ()


@hazards.post("/hazards/{id}/send-back", allow=VERIFIERS)
def send_back(
    state: Hazard, command: SendBackHazard, by: By, policy: HazardPolicy
) -> HazardSentBack:
    rectified_by = rectifier_to_judge(state, by, policy)
    return HazardSentBack(
        **about(state),
        reason=command.reason,
        photos=command.photos,
        sent_back_by=by.person,
        rectified_by=rectified_by,
        round=state.rounds + 1,
    )


class CloseHazard(Command):
    pass


@hazards.post("/hazards/{id}/close", allow=VERIFIERS, weighty=True)
def close_out(state: Hazard, command: CloseHazard, by: By) -> HazardClosed | None:
    if state.status is HazardStatus.CLOSED:
        return None
    if state.status is not HazardStatus.VERIFIED:
        raise Refused("hazard_not_verified", status=state.status)
    refuse_own(state, by, VERIFIERS)
    refuse_earlier(by, state.verified_at)
    assert state.rectified_at is not None, "only what was put right is verified"
    return HazardClosed(
        **about(state),
        rectified_by=state.rectifiers[-1],
        rectified_at=state.rectified_at,
        rectified_in_minutes=(state.rectified_at - state.found_at) // timedelta(minutes=1),
        on_time=state.rectified_at <= state.due_at,
        due_at=state.due_at,
        rounds=state.rounds,
        extensions=state.extensions,
        verified_by=state.verified_by,
        closed_by=by.person,
    )


def rectifier_to_judge(state: Hazard, by: By, policy: HazardPolicy) -> str:
    """Who put it right; refuses what is not put right, and whoever may not judge it."""
    if state.status is not HazardStatus.RECTIFIED or state.rectifier is None:
        raise Refused("hazard_not_rectified", status=state.status)
    refuse_own(state, by, VERIFIERS)
    refuse_lower(by, VERIFIERS, policy.terms(state.grade).decided_at_level)
    refuse_earlier(by, state.rectified_at)
    return state.rectifier
