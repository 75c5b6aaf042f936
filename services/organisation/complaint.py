"""Complaints and suggestions: anybody files one, the school answers each in time and in the open.

投诉与建议，有举必查. Whoever files it needs neither account nor name: a receipt that only they
have shows how far it has come. What they wrote and where they can be reached is sealed; what is
published of it is written for that. Source: 信访工作条例 (2022).
"""

from __future__ import annotations

from copy import replace
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Annotated, ClassVar
from uuid import UUID

from pydantic import StringConstraints

from services.organisation.spans import midnight
from services.organisation.staff import Staff, staff
from shared.fields import Reason, Subject, personal
from shared.kernel import (
    Aggregate,
    By,
    Command,
    Creation,
    Event,
    From,
    Policy,
    Recorded,
    Refused,
    State,
    View,
)  # fmt: skip
from shared.organisation import BUREAU, MANAGERS, Role

READ_BY = (*MANAGERS, Role.SAFETY_OFFICER, *BUREAU)
"""Who may read what people complain of: whoever may have to answer it, and who sees to it that it
is answered. The page on which it is filed names them (services/portal/complaint_page.py).
"""

ANSWERED_BY = (*MANAGERS, Role.SAFETY_OFFICER, Role.BUREAU_OFFICER)


class ComplaintKind(StrEnum):
    COMPLAINT = "complaint"
    SUGGESTION = "suggestion"


class ComplaintTopic(StrEnum):
    """What it is about."""

    FOOD = "food"
    FEES = "fees"
    SAFETY = "safety"
    DORMITORY = "dormitory"
    FACILITIES = "facilities"
    PURCHASING = "purchasing"
    CONDUCT = "conduct"
    OTHER = "other"


class ComplaintStatus(StrEnum):
    """How far it has come."""

    FILED = "filed"
    ASSIGNED = "assigned"
    ANSWERED = "answered"


class ComplaintFiled(Event):
    """To be answered until the end of `due_on`."""

    kind: ComplaintKind
    topic: ComplaintTopic
    text: Annotated[str, personal()]
    contact: Annotated[str, personal()]
    filed_on: date
    due_on: date


class ComplaintAssigned(Event):
    handler: str


class ComplaintOverdue(Event):
    """The day by which it should have been answered is over."""

    topic: ComplaintTopic
    due_on: date


class ComplaintAnswered(Event):
    """What whoever filed it is told."""

    topic: ComplaintTopic
    answer: Annotated[str, personal()]
    answered_on: date
    in_time: bool


class ComplaintPublished(Event):
    """What everybody may read of it: what it was about, and what came of it."""

    summary: str
    outcome: str


type ComplaintEvent = (
    ComplaintFiled | ComplaintAssigned | ComplaintOverdue | ComplaintAnswered | ComplaintPublished
)


class Complaint(State):
    kind: ComplaintKind
    topic: ComplaintTopic
    text: str
    contact: str
    filed_on: date
    due_on: date
    handler: str = ""
    overdue: bool = False
    answer: str = ""
    answered_on: date | None = None
    in_time: bool | None = None
    summary: str = ""
    outcome: str = ""

    @property
    def status(self) -> ComplaintStatus:
        """How far it has come."""
        if self.answer:
            return ComplaintStatus.ANSWERED
        return ComplaintStatus.ASSIGNED if self.handler else ComplaintStatus.FILED


def evolve(state: Complaint | None, event: ComplaintEvent) -> Complaint:
    """The complaint after one more event."""
    if isinstance(event, ComplaintFiled):
        return Complaint(
            kind=event.kind,
            topic=event.topic,
            text=event.text,
            contact=event.contact,
            filed_on=event.filed_on,
            due_on=event.due_on,
        )
    assert state is not None, "it starts by being filed"
    match event:
        case ComplaintAssigned(handler=handler):
            return replace(state, handler=handler)
        case ComplaintOverdue():
            return replace(state, overdue=True)
        case ComplaintAnswered(answer=answer, answered_on=day, in_time=in_time):
            return replace(state, answer=answer, answered_on=day, in_time=in_time)
        case ComplaintPublished(summary=summary, outcome=outcome):
            return replace(state, summary=summary, outcome=outcome)


complaints = Aggregate("complaint", events=ComplaintEvent, state=Complaint, evolve=evolve)


class ComplaintsPolicy(Policy):
    """Within how many days of being filed a complaint is answered."""

    slug: ClassVar[str] = "organisation.complaints"

    answer_days_max: int


class FileComplaint(Creation):
    """`contact`: where the answer may be told; may be left out. On behalf of those who come in
    person, call or write; parents file their own by the school's public page.
    """

    kind: ComplaintKind = ComplaintKind.COMPLAINT
    topic: ComplaintTopic
    text: Annotated[str, StringConstraints(strip_whitespace=True, min_length=5, max_length=2000)]
    contact: Annotated[str, StringConstraints(strip_whitespace=True, max_length=100)] = ""


@complaints.post("/complaints", allow=(*ANSWERED_BY, Role.PARENTS_COMMITTEE))
def file_complaint(
    state: Complaint | None, command: FileComplaint, by: By, policy: ComplaintsPolicy
) -> ComplaintFiled | None:
    filed = ComplaintFiled(
        kind=command.kind,
        topic=command.topic,
        text=command.text,
        contact=command.contact,
        filed_on=by.day,
        due_on=by.day + timedelta(days=policy.answer_days_max),
    )
    if state is None:
        return filed
    if (state.kind, state.topic, state.text) != (filed.kind, filed.topic, filed.text):
        raise Refused("complaint_exists", field="id")
    return None


class AssignComplaint(Command):
    """To somebody of the school who may answer complaints."""

    handler: Subject


def handling(command: AssignComplaint, _: Complaint, by: By) -> UUID:
    """The stream of whoever is to handle it."""
    return staff.id_of(by.unit, command.handler)


@complaints.post("/complaints/{id}/assign", allow=(*MANAGERS, Role.BUREAU_OFFICER))
def assign(
    state: Complaint,
    command: AssignComplaint,
    by: By,
    person: Annotated[Staff | None, From(handling)],
) -> ComplaintAssigned | None:
    if state.handler == command.handler:
        return None
    refuse_answered(state)
    held = person.roles_in(by.day, None) if person else []
    if not set(held) & set(ANSWERED_BY):
        raise Refused("handler_may_not_answer", field="handler", roles=ANSWERED_BY)
    return ComplaintAssigned(handler=command.handler)


class AnswerComplaint(Command):
    """What was found and done, told to whoever filed it."""

    answer: Reason


@complaints.post("/complaints/{id}/answer", allow=ANSWERED_BY)
def answer(state: Complaint, command: AnswerComplaint, by: By) -> ComplaintAnswered | None:
    if state.answer == command.answer:
        return None
    refuse_answered(state)
    if by.person != state.handler and not by.holds(*MANAGERS, Role.BUREAU_OFFICER):
        raise Refused("complaint_not_yours", handler=state.handler or "-")
    return ComplaintAnswered(
        topic=state.topic,
        answer=command.answer,
        answered_on=by.day,
        in_time=by.day <= state.due_on,
    )


def refuse_answered(state: Complaint) -> None:
    """What was answered stays as it was answered."""
    if state.answer:
        raise Refused("complaint_answered")


class PublishComplaint(Command):
    """For everybody: without names, or anything that tells who filed it or whom it is about."""

    summary: Reason
    outcome: Reason


@complaints.post("/complaints/{id}/publish", allow=(*MANAGERS, Role.BUREAU_OFFICER))
def publish(state: Complaint, command: PublishComplaint, by: By) -> ComplaintPublished | None:
    if not state.answer:
        raise Refused("complaint_unanswered")
    if (state.summary, state.outcome) == (command.summary, command.outcome):
        return None
    return ComplaintPublished(summary=command.summary, outcome=command.outcome)


class NoteComplaintOverdue(Command):
    pass


def overdue_at(state: Complaint) -> datetime | None:
    """When it will be late, unless it is answered before."""
    due = not state.answer and not state.overdue
    return midnight(state.due_on + timedelta(days=1)) if due else None


@complaints.when_due(overdue_at)
def note_overdue(
    state: Complaint, command: NoteComplaintOverdue, by: By
) -> ComplaintOverdue | None:
    if state.answer or state.overdue or by.day <= state.due_on:
        return None
    return ComplaintOverdue(topic=state.topic, due_on=state.due_on)


class ComplaintRow(View):
    """`in_time`: whether it was answered by `due_on`."""

    id: UUID
    organisation: UUID
    topic: ComplaintTopic
    kind: ComplaintKind
    status: ComplaintStatus
    due_on: date
    handler: str
    overdue: bool
    filed_on: date
    text: Annotated[str, personal()]
    contact: Annotated[str, personal()]
    answer: Annotated[str, personal()]
    answered_on: date | None
    in_time: bool | None
    published: bool


@complaints.view(
    "/complaints",
    allow=READ_BY,
    filters=("status", "topic", "kind", "handler", "overdue", "filed_on", "due_on"),
    sorts=("due_on", "filed_on", "answered_on", "topic", "status"),
)
def complaint_list(state: Complaint, recorded: Recorded) -> ComplaintRow:
    return ComplaintRow(
        id=recorded.stream,
        organisation=recorded.organisation,
        topic=state.topic,
        kind=state.kind,
        status=state.status,
        due_on=state.due_on,
        handler=state.handler,
        overdue=state.overdue,
        filed_on=state.filed_on,
        text=state.text,
        contact=state.contact,
        answer=state.answer,
        answered_on=state.answered_on,
        in_time=state.in_time,
        published=bool(state.summary),
    )


class PublishedComplaintRow(View):
    """Every complaint that was answered, whether its texts were published or not."""

    id: UUID
    organisation: UUID
    topic: ComplaintTopic
    kind: ComplaintKind
    filed_on: date
    answered_on: date
    in_time: bool
    summary: str
    outcome: str


@complaints.view("/published-complaints", allow=READ_BY, sorts=("answered_on",), public=True)
def published_complaints(state: Complaint, recorded: Recorded) -> PublishedComplaintRow | None:
    if state.answered_on is None:
        return None
    return PublishedComplaintRow(
        id=recorded.stream,
        organisation=recorded.organisation,
        topic=state.topic,
        kind=state.kind,
        filed_on=state.filed_on,
        answered_on=state.answered_on,
        in_time=bool(state.in_time),
        summary=state.summary,
        outcome=state.outcome,
    )
