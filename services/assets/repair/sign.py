"""The reporter signs, or sends the repairer back: only signed is done."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated

from pydantic import Field

from services.assets.card import cards
from services.assets.card.wear import CountRepair
from services.assets.climbing import check_order
from services.assets.repair import (
    Repair,
    RepairPolicy,
    RepairReopened,
    RepairSigned,
    RepairStatus,
    repairs,
)
from shared.fields import Reason
from shared.kernel import By, Command, Refused, Send
from shared.organisation import MANAGERS, SCHOOL_STAFF


class SignRepair(Command):
    """It works again. `rating`: 1 (poor) to 5 (very good)."""

    rating: Annotated[int, Field(ge=1, le=5)] | None = None


@repairs.post("/repairs/{id}/sign", allow=SCHOOL_STAFF)
def sign(
    state: Repair, command: SignRepair, by: By, policy: RepairPolicy
) -> list[RepairSigned | Send] | None:
    if state.status is RepairStatus.SIGNED:
        return None
    finished_at = finish_of(state)
    check_signer(state, by, finished_at, policy)
    check_order(by, finished_at)
    report = state.report
    started_at = state.started_at or finished_at
    signed = RepairSigned(
        kind=report.kind,
        quantity=report.quantity,
        measure_unit=report.measure_unit,
        urgency=report.urgency,
        place=report.place,
        card=report.card,
        category=report.category,
        round=report.round,
        parts=state.parts,
        parts_cny=state.parts_cny,
        labour_cny=state.labour_cny,
        cost_cny=state.parts_cny + state.labour_cny,
        repairer=state.repairer,
        reported_at=report.reported_at,
        started_at=started_at,
        finished_at=finished_at,
        response_minutes=minutes(report.reported_at, started_at),
        finish_minutes=minutes(report.reported_at, finished_at),
        responded_in_time=started_at <= report.respond_by,
        finished_in_time=finished_at <= report.finish_by,
        reopened=state.reopened,
        signed_for=by.person != report.reporter,
        rating=command.rating,
    )
    if report.card is None:
        return [signed]
    return [
        signed,
        Send(cards, report.card, CountRepair(repair=by.id, cost_cny=signed.cost_cny)),
    ]


def finish_of(state: Repair) -> datetime:
    """When the work was finished; refuses a repair that does not wait for a signature."""
    if state.status in (RepairStatus.SIGNED, RepairStatus.CANCELLED):
        raise Refused("repair_over", field="id")
    if state.status is not RepairStatus.FINISHED or state.finished_at is None:
        raise Refused("repair_not_finished", field="id")
    return state.finished_at


def check_signer(state: Repair, by: By, finished_at: datetime, policy: RepairPolicy) -> None:
    """The reporter signs. The director or principal may instead, once the reporter has had the
    days to do it, or at once where reporter and repairer are the same person. The repairer never.
    """
    reporter = state.report.reporter
    if by.person == state.repairer:
        raise Refused("repairer_signs", field="id")
    if by.person == reporter:
        return
    if not by.holds(*MANAGERS):
        raise Refused("not_your_report", field="id")
    early = by.at < finished_at + timedelta(days=policy.sign_days)
    if early and reporter != state.repairer:
        raise Refused("reporter_signs_first", field="id", days=policy.sign_days)


def minutes(start: datetime, end: datetime) -> int:
    """Whole minutes from one moment to another."""
    return int((end - start).total_seconds() // 60)


class ReopenRepair(Command):
    """It does not work: back to the repairer, with a new deadline."""

    reason: Reason


@repairs.post("/repairs/{id}/reopen", allow=SCHOOL_STAFF)
def reopen(state: Repair, command: ReopenRepair, by: By, policy: RepairPolicy) -> RepairReopened:
    finished_at = finish_of(state)
    check_signer(state, by, finished_at, policy)
    check_order(by, finished_at)
    hours = policy.finish_hours[state.report.urgency]
    return RepairReopened(
        reason=command.reason,
        kind=state.report.kind,
        times=state.reopened + 1,
        finish_by=by.at + timedelta(hours=hours),
    )
