"""Complaints: filed once, answered in time or said to be late, published without anybody's words."""

from datetime import date, timedelta
from typing import Any
from uuid import uuid5

from services.organisation.complaint import (
    AnswerComplaint,
    AssignComplaint,
    Complaint,
    ComplaintAnswered,
    ComplaintAssigned,
    ComplaintFiled,
    ComplaintKind,
    ComplaintOverdue,
    ComplaintPublished,
    ComplaintStatus,
    ComplaintTopic,
    FileComplaint,
    NoteComplaintOverdue,
    PublishComplaint,
    complaint_list,
    complaints,
    overdue_at,
    published_complaints,
)  # fmt: skip
from services.organisation.staff import Post, Staff
from shared.kernel import By, Recorded
from shared.organisation import Role
from shared.testing import SCHOOL, STREAM, Result, by, given

TODAY = date(2026, 9, 7)
DUE = TODAY + timedelta(days=60)
FOOD = ComplaintTopic.FOOD
PRINCIPAL, DIRECTOR = by("zhao", Role.PRINCIPAL), by("sun", Role.LOGISTICS_DIRECTOR)
OFFICER = by("wang", Role.SAFETY_OFFICER)
FILED = ComplaintFiled(
    kind=ComplaintKind.COMPLAINT, topic=FOOD, text="周三午餐的肉没有熟", contact="",
    filed_on=TODAY, due_on=DUE,
)  # fmt: skip
ASSIGNED = ComplaintAssigned(handler="wang")


def answered(on: date = TODAY, *, in_time: bool = True) -> ComplaintAnswered:
    return ComplaintAnswered(topic=FOOD, answer="已更换供货商", answered_on=on, in_time=in_time)


def filing(*before: Any, **fields: Any) -> Result:
    wanted: dict[str, Any] = {"topic": FOOD, "text": "周三午餐的肉没有熟"} | fields
    return given(complaints, *before).when(
        FileComplaint(organisation=SCHOOL, **wanted), by=PRINCIPAL
    )


def assigning(
    *before: Any, role: Role | None = Role.SAFETY_OFFICER, handler: str = "wang"
) -> Result:
    post = uuid5(STREAM, "post")
    held = (
        Post(post=post, role=role, since=TODAY, until=None, contract_due_on=None) if role else None
    )
    person = Staff(person=handler, posts={post: held}) if held else None
    command = AssignComplaint(handler=handler)
    return given(complaints, *before).when(command, by=PRINCIPAL, person=person)


def answering(*before: Any, who: By = PRINCIPAL, answer: str = "已更换供货商") -> Result:
    return given(complaints, *before).when(AnswerComplaint(answer=answer), by=who)


def row(*events: Any) -> Any:
    return complaint_list(given(complaints, *events).state, _recorded())


def _recorded() -> Recorded:
    return Recorded(
        id=STREAM, stream=STREAM, version=1, organisation=SCHOOL, actor="system",
        occurred_at=PRINCIPAL.at, recorded_at=PRINCIPAL.now,
    )  # fmt: skip


def test_is_filed_once_and_due_by_rule() -> None:
    filing().then(FILED)
    filing(FILED).then()
    filing(FILED, text="别的什么事情").refused("complaint_exists", field="id")


def test_is_assigned_to_somebody_who_may_answer_it() -> None:
    assigning(FILED).then(ASSIGNED)
    assigning(FILED, ASSIGNED).then()
    for role in (Role.COOK, Role.ADMINISTRATOR, Role.INSPECTOR, None):
        assigning(FILED, role=role).refused("handler_may_not_answer", field="handler")
    assigning(FILED, answered(), handler="li").refused("complaint_answered")


def test_is_answered_once_by_who_handles_it() -> None:
    answering(FILED).then(answered())
    answering(FILED, answered()).then()
    answering(FILED, answered(), answer="别的答复").refused("complaint_answered")
    answering(FILED, ASSIGNED, who=OFFICER).then(answered())
    answering(FILED, who=OFFICER).refused("complaint_not_yours")
    late = by("zhao", Role.PRINCIPAL, at="2026-11-07T08:00:00+08:00")
    answering(FILED, who=late).then(answered(date(2026, 11, 7), in_time=False))


def test_one_that_is_not_answered_is_said_to_be_late_once() -> None:
    def noted(*before: Any, on: str) -> Result:
        who = by("system", at=f"{on}T00:00:00+08:00")
        return given(complaints, *before).when(NoteComplaintOverdue(), by=who)

    overdue = ComplaintOverdue(topic=FOOD, due_on=DUE)
    noted(FILED, on="2026-11-06").then()
    noted(FILED, on="2026-11-07").then(overdue)
    noted(FILED, overdue, on="2026-11-08").then()
    state: Complaint = given(complaints, FILED).state
    moment = overdue_at(state)
    assert moment is not None and str(moment) == "2026-11-07 00:00:00+08:00"
    assert overdue_at(given(complaints, FILED, answered()).state) is None


def test_what_is_published_is_written_for_it() -> None:
    command = PublishComplaint(summary="午餐肉未熟", outcome="已更换供货商并公示")
    published = ComplaintPublished(summary="午餐肉未熟", outcome="已更换供货商并公示")
    given(complaints, FILED).when(command, by=DIRECTOR).refused("complaint_unanswered")
    given(complaints, FILED, answered()).when(command, by=DIRECTOR).then(published)
    given(complaints, FILED, answered(), published).when(command, by=DIRECTOR).then()

    assert published_complaints(given(complaints, FILED).state, _recorded()) is None
    shown = published_complaints(given(complaints, FILED, answered(), published).state, _recorded())
    assert shown is not None and (shown.summary, shown.in_time) == ("午餐肉未熟", True)
    assert FILED.text not in str(shown) and "已更换供货商'" not in str(shown)


def test_the_list_shows_how_far_each_has_come() -> None:
    assert row(FILED).status is ComplaintStatus.FILED
    assert row(FILED, ASSIGNED).status is ComplaintStatus.ASSIGNED
    done = row(FILED, ASSIGNED, ComplaintOverdue(topic=FOOD, due_on=DUE), answered())
    assert (done.status, done.overdue, done.published) == (ComplaintStatus.ANSWERED, True, False)
