"""More time for a hazard: asked for before the deadline, agreed to by somebody else."""

from __future__ import annotations

from datetime import UTC, timedelta

from services.safety.hazard import (
    ASSIGNERS,
    VERIFIERS,
    ExtensionAsked,
    Hazard,
    HazardExtended,
    HazardExtensionDenied,
    HazardExtensionRequested,
    HazardPolicy,
    about,
    clock,
    hazards,
    refuse_lower,
    refuse_own,
    refuse_unless_open,
)
from services.safety.hazard.rectify import RECTIFIERS
from shared.fields import Moment, Reason
from shared.kernel import By, Command, Refused


class RequestHazardExtension(Command):
    until: Moment
    reason: Reason


@hazards.post("/hazards/{id}/extension/request", allow=RECTIFIERS)
def request_extension(
    state: Hazard, command: RequestHazardExtension, by: By, policy: HazardPolicy
) -> HazardExtensionRequested | None:
    until, asked = command.until.astimezone(UTC), state.extension
    if asked is not None and (asked.until, asked.requested_by) == (until, by.person):
        return None
    refuse_unless_open(state)
    if state.grade is None:
        raise Refused("hazard_not_graded")
    if by.person != state.rectifier and not by.holds(*ASSIGNERS):
        raise Refused("extension_not_yours")
    if asked is not None:
        raise Refused("extension_pending", requested_by=asked.requested_by)
    if state.extensions >= policy.extensions_max:
        raise Refused("extensions_used_up", extensions_max=policy.extensions_max)
    if by.at > state.due_at:
        raise Refused("extension_too_late", field="occurred_at", due_at=clock(state.due_at))
    if until <= state.due_at:
        raise Refused("extension_not_later", field="until", due_at=clock(state.due_at))
    hours = timedelta(hours=policy.terms(state.grade).extension_hours_max)
    latest = state.first_due_at + hours
    if until > latest:
        raise Refused("extension_too_long", field="until", latest=clock(latest))
    return HazardExtensionRequested(
        **about(state),
        until=until,
        due_at=state.due_at,
        reason=command.reason,
        requested_by=by.person,
    )


class ApproveHazardExtension(Command):
    pass


@hazards.post("/hazards/{id}/extension/approve", allow=VERIFIERS, weighty=True)
def approve_extension(
    state: Hazard, command: ApproveHazardExtension, by: By, policy: HazardPolicy
) -> HazardExtended:
    asked = extension_to_decide(state, by, policy)
    return HazardExtended(
        **about(state),
        due_at=asked.until,
        previous_due_at=state.due_at,
        requested_by=asked.requested_by,
        approved_by=by.person,
    )


class DenyHazardExtension(Command):
    reason: Reason


@hazards.post("/hazards/{id}/extension/deny", allow=VERIFIERS)
def deny_extension(
    state: Hazard, command: DenyHazardExtension, by: By, policy: HazardPolicy
) -> HazardExtensionDenied:
    asked = extension_to_decide(state, by, policy)
    return HazardExtensionDenied(
        **about(state),
        until=asked.until,
        reason=command.reason,
        requested_by=asked.requested_by,
        denied_by=by.person,
    )


def extension_to_decide(state: Hazard, by: By, policy: HazardPolicy) -> ExtensionAsked:
    """The extension that waits; refuses who asked for it, who works on it, and too low a post."""
    asked = state.extension
    if asked is None:
        raise Refused("no_extension_asked")
    lent = [post.delegated_by == asked.requested_by for post in by.posts if post.role in VERIFIERS]
    if by.person == asked.requested_by or (lent and all(lent)):
        raise Refused("decides_own_extension")
    refuse_own(state, by, VERIFIERS)
    refuse_lower(by, VERIFIERS, policy.terms(state.grade).decided_at_level)
    return asked
