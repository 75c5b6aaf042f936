"""Hazards: found, graded, assigned, put right with a new photo, judged by another, closed."""

from copy import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest

from services.safety.grades import HazardCategory, HazardGrade
from services.safety.hazard import (
    Hazard,
    HazardAssigned,
    HazardClosed,
    HazardDismissed,
    HazardEvent,
    HazardExtended,
    HazardExtensionDenied,
    HazardExtensionRequested,
    HazardFound,
    HazardGraded,
    HazardOverdue,
    HazardPolicy,
    HazardRectified,
    HazardSentBack,
    HazardSource,
    HazardStatus,
    HazardVerified,
    hazards,
)
from services.safety.hazard.close import CloseHazard, SendBackHazard, VerifyHazard
from services.safety.hazard.extend import (
    ApproveHazardExtension,
    DenyHazardExtension,
    RequestHazardExtension,
)
from services.safety.hazard.grading import AssignHazard, DismissHazard, GradeHazard
from services.safety.hazard.overdue import RaiseHazardOverdue
from services.safety.hazard.rectify import RectifyHazard
from services.safety.hazard.report import (
    OpenHazard,
    ReportHazard,
    open_for_failed_inspection,
    open_for_passed_inspection,
)
from services.safety.hazard.views import Correction, hazard_register, published_corrections
from services.safety.inspection import (
    FailedItem,
    InspectionBasis,
    InspectionFailed,
    InspectionPassed,
)
from services.safety.programme import ProgrammeKind
from shared.kernel import By, Recorded
from shared.organisation import Level, Role, Unit
from shared.rules import RuleBook, shipped
from shared.testing import COUNTY, SCHOOL, STREAM, Given, by, given, school

BEFORE, AFTER, AGAIN = "a" * 64, "b" * 64, "c" * 64
POLICY = RuleBook(shipped("safety")).in_force(HazardPolicy, school, by().day)
WEEK = timedelta(hours=168)


def at(text: str) -> datetime:
    return datetime.fromisoformat(f"{text}+08:00").astimezone(UTC)


MONDAY = at("2026-09-07T08:00:00")
OF: dict[str, Any] = {
    "category": HazardCategory.SPORTS_EQUIPMENT, "source": HazardSource.REPORT,
    "grade": HazardGrade.GENERAL, "programme": None, "inspection": None, "item": None,
    "check": None, "place": "北校区操场", "what": "单杠开裂", "found_at": MONDAY,
}  # fmt: skip
UNGRADED = {**OF, "grade": None}
CRITICAL = {**OF, "grade": HazardGrade.CRITICAL}
FOUND = HazardFound(
    **UNGRADED, found_by="teacher", photos=(BEFORE,), due_at=MONDAY + timedelta(hours=24)
)
GRADED = HazardGraded(
    **OF, previous=None, graded_by="officer", graded_at=MONDAY, due_at=MONDAY + WEEK, reason=""
)
ASSIGNED = HazardAssigned(
    **OF, rectifier="wang", previous=None, assigned_by="director", due_at=MONDAY + WEEK
)
TUESDAY = at("2026-09-08T08:00:00")
RECTIFIED = HazardRectified(
    **OF, done="焊接", photos=(AFTER,), rectified_by="wang", rectified_at=TUESDAY,
    due_at=MONDAY + WEEK, on_time=True,
)  # fmt: skip
VERIFIED = HazardVerified(
    **OF, verified_by="officer", verified_at=TUESDAY + timedelta(hours=1), rectified_by="wang",
    photos=(), note="",
)  # fmt: skip
ASKED = HazardExtensionRequested(
    **OF, until=MONDAY + 2 * WEEK, due_at=MONDAY + WEEK, reason="等材料", requested_by="wang"
)


def officer(moment: str = "2026-09-08T09:00:00", person: str = "officer", **more: Any) -> By:
    return by(person, Role.SAFETY_OFFICER, at=f"{moment}+08:00", **more)


def director(moment: str = "2026-09-07T08:00:00") -> By:
    return by("director", Role.LOGISTICS_DIRECTOR, at=f"{moment}+08:00")


def wang(moment: str = "2026-09-08T08:00:00") -> By:
    return by("wang", Role.REPAIRER, at=f"{moment}+08:00")


def inspector(moment: str = "2026-09-08T09:00:00") -> By:
    return by("inspector", Role.INSPECTOR, at=f"{moment}+08:00", unit=COUNTY, level=Level.COUNTY)


def critical(*more: HazardEvent) -> Given:
    """A critical hazard with wang, due within 24 hours."""
    graded = replace(GRADED, grade=HazardGrade.CRITICAL, due_at=MONDAY + timedelta(hours=24))
    return given(hazards, FOUND, graded, ASSIGNED, *more)


def report(**more: Any) -> ReportHazard:
    content: dict[str, Any] = {
        "organisation": SCHOOL, "place": "北校区操场", "what": "单杠开裂",
        "category": HazardCategory.SPORTS_EQUIPMENT, "photos": (BEFORE,),
    }  # fmt: skip
    return ReportHazard(**content | more)


def test_anybody_reports_and_it_must_be_graded_within_a_day() -> None:
    reported = given(hazards).when(report(), by=by("teacher", Role.TEACHER)).then(FOUND)
    assert reported.state.status is HazardStatus.FOUND
    given(hazards, FOUND).when(report(), by=by("teacher", Role.TEACHER)).then()


def test_who_may_grade_reports_with_the_grade_and_its_deadline() -> None:
    graded = given(hazards).when(report(grade=HazardGrade.GENERAL), by=director()).then(
        HazardFound(**OF, found_by="director", photos=(BEFORE,), due_at=MONDAY + WEEK)
    )  # fmt: skip
    assert (graded.state.status, graded.state.graded_at) == (HazardStatus.GRADED, MONDAY)


def test_refuses_reports_that_cannot_be() -> None:
    graded = report(grade=HazardGrade.GENERAL)
    given(hazards).when(graded, by=by("t", Role.TEACHER)).refused(
        "grading_not_yours", field="grade"
    )
    given(hazards, FOUND).when(report(what="另一件")).refused("hazard_exists", field="id")
    given(hazards).when(report(source=HazardSource.INSPECTION)).refused("source_needs_inspection")


def failed_inspection(kind: type[InspectionFailed | InspectionPassed]) -> Any:
    items = tuple(
        FailedItem(
            code=code, text="灭火器在有效期内", veto=False, note="压力不足",
            severity=HazardGrade.MAJOR, category=HazardCategory.FIRE, place=place,
            points_lost=5, photos=(BEFORE,),  # type: ignore[arg-type]
        )
        for code, place in (("X1", "一楼"), ("X2", ""))
    )  # fmt: skip
    return kind(
        programme="消防检查表", kind=ProgrammeKind.FIRE, checklist=UUID(int=1),
        checklist_version=1, basis=InspectionBasis.PLAN, score=90, full=100, pass_score=80,  # type: ignore[arg-type]
        failed_items=items, items_judged=10, veto=False, bodies=(), inspectors=("zhao",),
        outsiders=(), concluded_by="zhao", signature=None,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "reaction"),
    [
        (InspectionFailed, open_for_failed_inspection),
        (InspectionPassed, open_for_passed_inspection),
    ],
)
def test_every_failed_item_opens_one_hazard_passed_or_not(kind: Any, reaction: Any) -> None:
    recorded = Recorded(
        id=UUID(int=3), stream=UUID(int=4), version=3, organisation=SCHOOL, actor="zhao",
        occurred_at=MONDAY, recorded_at=TUESDAY,
    )  # fmt: skip
    sends = reaction(failed_inspection(kind), recorded)
    assert sends == reaction(failed_inspection(kind), recorded)
    assert [send.id for send in sends] == [hazards.id_of(UUID(int=4), c) for c in ("X1", "X2")]
    first, second = (send.command for send in sends)
    assert isinstance(first, OpenHazard) and isinstance(second, OpenHazard)
    assert (first.place, second.place) == ("一楼", "消防检查表")
    assert (first.what, first.occurred_at) == ("灭火器在有效期内：压力不足", MONDAY)
    opened = given(hazards).when(first, by=by("system", stream=sends[0].id)).then(
        HazardFound(
            category=HazardCategory.FIRE, source=HazardSource.INSPECTION, grade=HazardGrade.MAJOR,
            programme=ProgrammeKind.FIRE, inspection=UUID(int=4), item="X1", check=None,
            place="一楼", what="灭火器在有效期内：压力不足", found_at=MONDAY, found_by="zhao",
            photos=(BEFORE,), due_at=MONDAY + timedelta(hours=72),
        )
    )  # fmt: skip
    Given.when(opened, first, by=by("system")).then()


def test_nothing_failed_opens_nothing() -> None:
    clean = replace(failed_inspection(InspectionPassed), failed_items=())
    recorded = Recorded(
        id=STREAM, stream=STREAM, version=1, organisation=SCHOOL, actor="z", occurred_at=MONDAY,
        recorded_at=MONDAY,
    )  # fmt: skip
    assert open_for_passed_inspection(clean, recorded) == []


def test_a_grade_sets_the_deadline_once() -> None:
    command = GradeHazard(grade=HazardGrade.GENERAL)
    graded = given(hazards, FOUND).when(command, by=officer("2026-09-07T08:00:00")).then(GRADED)
    assert graded.state.status is HazardStatus.GRADED
    given(hazards, FOUND, GRADED).when(command, by=officer()).then()


def test_a_graver_grade_shortens_and_never_prolongs() -> None:
    command = GradeHazard(grade=HazardGrade.CRITICAL, reason="裂缝扩大")
    raised = given(hazards, FOUND, GRADED, ASSIGNED).when(command, by=officer()).outcome()
    assert [event.due_at for event in raised if isinstance(event, HazardGraded)] == [
        at("2026-09-09T09:00:00")
    ]
    late = given(hazards, FOUND, GRADED).when(command, by=officer("2026-09-14T07:00:00")).outcome()
    assert isinstance(late[0], HazardGraded)
    assert late[0].due_at == MONDAY + WEEK


def test_a_lighter_grade_counts_from_the_first_grading_and_ends_a_pending_extension() -> None:
    command = GradeHazard(grade=HazardGrade.MAJOR, reason="已加固")
    asked = critical(replace(ASKED, until=MONDAY + timedelta(hours=30)))
    lowered = asked.when(command, by=inspector()).then(
        HazardGraded(
            **{**OF, "grade": HazardGrade.MAJOR}, previous=HazardGrade.CRITICAL,
            graded_by="inspector", graded_at=at("2026-09-08T09:00:00"),
            due_at=MONDAY + timedelta(hours=72), reason="已加固",
        )
    )  # fmt: skip
    assert lowered.state.status is HazardStatus.ASSIGNED
    assert (lowered.state.extension, lowered.state.graded_at) == (None, MONDAY)


def test_refuses_to_grade_without_reason_too_low_one_s_own_or_too_late() -> None:
    lower = GradeHazard(grade=HazardGrade.GENERAL, reason="看错")
    blank = GradeHazard(grade=HazardGrade.MAJOR, reason=" ")
    given(hazards, FOUND, GRADED).when(blank, by=officer()).refused("regrading_without_reason")
    critical().when(lower, by=officer()).refused("decided_higher_up")
    own = replace(GRADED, grade=HazardGrade.MAJOR)
    given(hazards, FOUND, own, ASSIGNED).when(lower, by=officer(person="wang")).refused(
        "judges_own_rectification"
    )
    given(hazards, FOUND, GRADED, ASSIGNED, RECTIFIED).when(blank, by=officer()).refused(
        "hazard_not_open"
    )
    given(hazards, FOUND).when(lower, by=officer("2026-09-07T07:59:00")).refused(
        "earlier_than_last_step", field="occurred_at"
    )


def test_assigns_and_assigns_anew() -> None:
    command = AssignHazard(rectifier="wang")
    given(hazards, FOUND, GRADED).when(command, by=director()).then(ASSIGNED)
    given(hazards, FOUND, GRADED, ASSIGNED).when(command, by=director()).then()
    other = AssignHazard(rectifier="sun")
    moved = given(hazards, FOUND, GRADED, ASSIGNED).when(other, by=director()).then(
        replace(ASSIGNED, rectifier="sun", previous="wang")
    )  # fmt: skip
    assert moved.state.rectifier == "sun"


def test_refuses_to_assign_what_has_no_grade_is_put_right_or_was_not_found_yet() -> None:
    command = AssignHazard(rectifier="wang")
    given(hazards, FOUND).when(command, by=director()).refused("hazard_not_graded")
    given(hazards, FOUND, GRADED, ASSIGNED, RECTIFIED).when(command, by=director()).refused(
        "hazard_not_open"
    )
    given(hazards, FOUND, GRADED).when(command, by=director("2026-09-06T08:00:00")).refused(
        "earlier_than_last_step"
    )


def test_dismisses_what_is_none() -> None:
    command = DismissHazard(reason="误报")
    dismissed = given(hazards, FOUND).when(command, by=officer()).then(
        HazardDismissed(**UNGRADED, reason="误报", dismissed_by="officer")
    )  # fmt: skip
    assert not dismissed.state.open
    dismissed.when(command, by=officer()).then()


def test_refuses_to_dismiss_findings_grave_ones_one_s_own_and_what_is_done() -> None:
    command = DismissHazard(reason="误报")
    inspected = replace(FOUND, source=HazardSource.INSPECTION)
    given(hazards, inspected).when(command, by=officer()).refused("finding_of_inspection_stands")
    critical().when(command, by=officer()).refused("decided_higher_up")
    assigned = given(hazards, FOUND, GRADED, ASSIGNED)
    assigned.when(command, by=officer(person="wang")).refused("judges_own_rectification")
    assigned.when(command, by=officer("2026-09-06T08:00:00")).refused("earlier_than_last_step")
    given(hazards, FOUND, GRADED, ASSIGNED, RECTIFIED).when(command, by=officer()).refused(
        "hazard_not_open"
    )


RECTIFY = RectifyHazard(done="焊接", photos=(AFTER,))


def test_is_put_right_with_a_new_photo() -> None:
    given(hazards, FOUND, GRADED, ASSIGNED).when(RECTIFY, by=wang()).then(RECTIFIED)
    given(hazards, FOUND, GRADED, ASSIGNED, RECTIFIED).when(RECTIFY, by=wang()).then()
    late = given(hazards, FOUND, GRADED, ASSIGNED).when(RECTIFY, by=wang("2026-09-14T08:00:01"))
    assert [event.on_time for event in late.outcome() if isinstance(event, HazardRectified)] == [
        False
    ]


def test_refuses_to_rectify_without_photo_by_others_or_out_of_order() -> None:
    assigned = given(hazards, FOUND, GRADED, ASSIGNED)
    assigned.when(RectifyHazard(done="焊接", photos=()), by=wang()).refused(
        "after_photo_missing", field="photos"
    )
    assigned.when(RectifyHazard(done="焊接", photos=(BEFORE,)), by=wang()).refused(
        "after_photo_not_new"
    )
    assigned.when(RECTIFY, by=by("sun", Role.REPAIRER)).refused("not_the_rectifier")
    assigned.when(RECTIFY, by=wang("2026-09-07T07:00:00")).refused("earlier_than_last_step")
    given(hazards, FOUND, GRADED).when(RECTIFY, by=wang()).refused("hazard_not_assigned")
    other = RectifyHazard(done="再焊", photos=(AGAIN,))
    given(hazards, FOUND, GRADED, ASSIGNED, RECTIFIED).when(other, by=wang()).refused(
        "hazard_not_open"
    )


def test_another_person_verifies() -> None:
    rectified = given(hazards, FOUND, GRADED, ASSIGNED, RECTIFIED)
    verified = rectified.when(VerifyHazard(), by=officer()).then(VERIFIED)
    verified.when(VerifyHazard(), by=officer()).then()


def test_nobody_judges_his_own_not_even_under_a_lent_post() -> None:
    rectified = given(hazards, FOUND, GRADED, ASSIGNED, RECTIFIED)
    rectified.when(VerifyHazard(), by=officer(person="wang")).refused("judges_own_rectification")
    rectified.when(VerifyHazard(), by=officer(delegated_by="wang")).refused(
        "judges_own_rectification"
    )
    moved = replace(ASSIGNED, rectifier="sun", previous="wang")
    back = HazardSentBack(
        **OF, reason="未焊牢", photos=(), sent_back_by="officer", rectified_by="wang", round=1
    )
    again = replace(RECTIFIED, rectified_by="sun", photos=(AGAIN,))
    given(hazards, FOUND, GRADED, ASSIGNED, RECTIFIED, back, moved, again).when(
        VerifyHazard(), by=officer(person="wang")
    ).refused("judges_own_rectification")


def test_a_critical_one_is_judged_by_the_county() -> None:
    rectified = critical(RECTIFIED)
    rectified.when(VerifyHazard(), by=officer()).refused("decided_higher_up")
    rectified.when(VerifyHazard(), by=inspector()).then(
        replace(VERIFIED, **CRITICAL, verified_by="inspector")
    )


def test_refuses_to_verify_what_is_not_put_right_or_before_it_was() -> None:
    given(hazards, FOUND, GRADED, ASSIGNED).when(VerifyHazard(), by=officer()).refused(
        "hazard_not_rectified"
    )
    given(hazards, FOUND, GRADED, ASSIGNED, RECTIFIED).when(
        VerifyHazard(), by=officer("2026-09-08T07:00:00")
    ).refused("earlier_than_last_step")


def test_is_sent_back_with_the_reason_and_needs_another_photo() -> None:
    command = SendBackHazard(reason="未焊牢")
    sent = given(hazards, FOUND, GRADED, ASSIGNED, RECTIFIED).when(command, by=officer()).then(
        HazardSentBack(
            **OF, reason="未焊牢", photos=(), sent_back_by="officer", rectified_by="wang", round=1
        )
    )  # fmt: skip
    assert (sent.state.status, sent.state.due_at) == (HazardStatus.ASSIGNED, MONDAY + WEEK)
    sent.when(command, by=officer()).refused("hazard_not_rectified")
    sent.when(RECTIFY, by=wang("2026-09-08T10:00:00")).refused("after_photo_not_new")
    anew = RectifyHazard(done="补焊", photos=(AGAIN,))
    sent.when(anew, by=wang("2026-09-08T07:00:00")).refused("earlier_than_last_step")
    again = sent.when(anew, by=wang("2026-09-08T10:00:00")).outcome()
    assert isinstance(again[0], HazardRectified)


def test_sending_back_is_refused_to_the_rectifier_and_to_too_low_a_post() -> None:
    command = SendBackHazard(reason="未焊牢")
    given(hazards, FOUND, GRADED, ASSIGNED, RECTIFIED).when(
        command, by=officer(person="wang")
    ).refused("judges_own_rectification")
    critical(RECTIFIED).when(command, by=officer()).refused("decided_higher_up")


def test_closes_with_what_the_figures_need() -> None:
    verified = given(hazards, FOUND, GRADED, ASSIGNED, RECTIFIED, VERIFIED)
    closed = verified.when(CloseHazard(), by=officer("2026-09-08T10:00:00")).then(
        HazardClosed(
            **OF, rectified_by="wang", rectified_at=TUESDAY, rectified_in_minutes=1440,
            on_time=True, due_at=MONDAY + WEEK, rounds=0, extensions=0, verified_by="officer",
            closed_by="officer",
        )
    )  # fmt: skip
    closed.when(CloseHazard(), by=officer()).then()
    closed.when(VerifyHazard(), by=officer()).then()


def test_refuses_to_close_what_is_not_verified_one_s_own_or_too_early() -> None:
    given(hazards, FOUND, GRADED, ASSIGNED, RECTIFIED).when(CloseHazard(), by=officer()).refused(
        "hazard_not_verified"
    )
    verified = given(hazards, FOUND, GRADED, ASSIGNED, RECTIFIED, VERIFIED)
    verified.when(CloseHazard(), by=officer(person="wang")).refused("judges_own_rectification")
    verified.when(CloseHazard(), by=officer("2026-09-08T08:30:00")).refused(
        "earlier_than_last_step"
    )


def extension(hours: int) -> RequestHazardExtension:
    return RequestHazardExtension(until=MONDAY + timedelta(hours=hours), reason="等材料")


def test_more_time_is_asked_for_and_agreed_to_by_another() -> None:
    assigned = given(hazards, FOUND, GRADED, ASSIGNED)
    asked = assigned.when(extension(336), by=wang()).then(ASKED)
    asked.when(extension(336), by=wang()).then()
    extended = asked.when(ApproveHazardExtension(), by=officer()).then(
        HazardExtended(
            **OF, due_at=MONDAY + 2 * WEEK, previous_due_at=MONDAY + WEEK, requested_by="wang",
            approved_by="officer",
        )
    )  # fmt: skip
    state = extended.state
    assert (state.due_at, state.alarm_at, state.extensions) == (
        MONDAY + 2 * WEEK, MONDAY + 2 * WEEK, 1,
    )  # fmt: skip
    extended.when(ApproveHazardExtension(), by=officer()).refused("no_extension_asked")


def test_more_time_is_denied() -> None:
    asked = given(hazards, FOUND, GRADED, ASSIGNED, ASKED)
    denied = asked.when(DenyHazardExtension(reason="材料已到"), by=officer()).then(
        HazardExtensionDenied(
            **OF, until=MONDAY + 2 * WEEK, reason="材料已到", requested_by="wang",
            denied_by="officer",
        )
    )  # fmt: skip
    assert (denied.state.extension, denied.state.due_at) == (None, MONDAY + WEEK)
    denied.when(DenyHazardExtension(reason="再次"), by=officer()).refused("no_extension_asked")


def test_refuses_requests_for_more_time() -> None:
    assigned = given(hazards, FOUND, GRADED, ASSIGNED)
    assigned.when(extension(336), by=by("sun", Role.REPAIRER)).refused("extension_not_yours")
    assigned.when(extension(168), by=wang()).refused("extension_not_later", field="until")
    assigned.when(extension(168 + 360), by=wang()).outcome()
    assigned.when(extension(168 + 361), by=wang()).refused("extension_too_long", field="until")
    assigned.when(extension(336), by=wang("2026-09-14T08:00:01")).refused("extension_too_late")
    given(hazards, FOUND).when(extension(336), by=director()).refused("hazard_not_graded")
    given(hazards, FOUND, GRADED, ASSIGNED, ASKED).when(extension(340), by=director()).refused(
        "extension_pending"
    )
    given(hazards, FOUND, GRADED, ASSIGNED, RECTIFIED).when(extension(336), by=wang()).refused(
        "hazard_not_open"
    )
    extended = HazardExtended(
        **OF, due_at=MONDAY + 2 * WEEK, previous_due_at=MONDAY + WEEK, requested_by="wang",
        approved_by="officer",
    )  # fmt: skip
    given(hazards, FOUND, GRADED, ASSIGNED, ASKED, extended, ASKED, extended).when(
        extension(340), by=wang()
    ).refused("extensions_used_up")


@pytest.mark.parametrize("command", [ApproveHazardExtension(), DenyHazardExtension(reason="不行")])
def test_refuses_to_decide_on_one_s_own_request_or_work_or_too_low(command: Any) -> None:
    by_director = replace(ASKED, requested_by="director")
    asked = given(hazards, FOUND, GRADED, ASSIGNED, by_director)
    asked.when(command, by=officer(person="director")).refused("decides_own_extension")
    asked.when(command, by=officer(delegated_by="director")).refused("decides_own_extension")
    asked.when(command, by=officer(person="wang")).refused("judges_own_rectification")
    critical(by_director).when(command, by=officer()).refused("decided_higher_up")


def test_putting_it_right_ends_a_pending_request() -> None:
    state = given(hazards, FOUND, GRADED, ASSIGNED, ASKED, RECTIFIED).state
    assert state.extension is None


def overdue(level: Level, now: str, *, last: bool = False) -> HazardOverdue:
    moment = at(now)
    return HazardOverdue(
        **OF, level=level, awaiting=HazardStatus.ASSIGNED, due_at=MONDAY + WEEK,
        hours_overdue=(moment - MONDAY - WEEK) // timedelta(hours=1), rectifier="wang",
        next_alarm_at=None if last else moment + timedelta(hours=24),
    )  # fmt: skip


def system(now: str) -> By:
    return by("system", at=f"{now}+08:00")


def due(state: Hazard) -> datetime | None:
    timer = hazards.timer
    assert timer is not None and timer.timer is not None
    return timer.timer(state)


def test_lateness_climbs_from_school_to_province_and_stops() -> None:
    late = given(hazards, FOUND, GRADED, ASSIGNED)
    assert due(late.state) == MONDAY + WEEK
    late.when(RaiseHazardOverdue(), by=system("2026-09-14T07:59:59")).then()
    steps = [
        (Level.SCHOOL, "2026-09-14T08:00:00"), (Level.TOWNSHIP, "2026-09-15T08:00:00"),
        (Level.COUNTY, "2026-09-16T08:00:00"), (Level.PROVINCE, "2026-09-17T08:00:00"),
    ]  # fmt: skip
    for level, now in steps:
        event = overdue(level, now, last=level is Level.PROVINCE)
        late = late.when(RaiseHazardOverdue(), by=system(now)).then(event)
        late.when(RaiseHazardOverdue(), by=system(now)).then()
    assert due(late.state) is None
    assert late.state.alarm_level is Level.PROVINCE


def test_lateness_is_silent_once_put_right_and_goes_on_where_it_stopped() -> None:
    said = overdue(Level.SCHOOL, "2026-09-14T08:00:00")
    done = given(hazards, FOUND, GRADED, ASSIGNED, said, RECTIFIED)
    assert due(done.state) is None
    done.when(RaiseHazardOverdue(), by=system("2026-09-16T08:00:00")).then()
    back = HazardSentBack(
        **OF, reason="未焊牢", photos=(), sent_back_by="officer", rectified_by="wang", round=1
    )
    again = given(hazards, FOUND, GRADED, ASSIGNED, said, RECTIFIED, back)
    assert due(again.state) == at("2026-09-15T08:00:00")
    again.when(RaiseHazardOverdue(), by=system("2026-09-15T09:00:00")).then(
        overdue(Level.TOWNSHIP, "2026-09-15T09:00:00")
    )


def test_what_nobody_grades_is_late_too() -> None:
    found = given(hazards, FOUND).when(RaiseHazardOverdue(), by=system("2026-09-08T10:00:00"))
    event = found.outcome()[0]
    assert isinstance(event, HazardOverdue)
    assert (event.awaiting, event.hours_overdue, event.level) == (
        HazardStatus.FOUND, 2, Level.SCHOOL,
    )  # fmt: skip
    graded = given(hazards, FOUND, event, GRADED)
    assert (graded.state.alarm_level, due(graded.state)) == (None, MONDAY + WEEK)


def test_the_unit_s_own_level_starts_the_ladder() -> None:
    county = Unit(id=COUNTY, code="", name="县", level=Level.COUNTY, path=(COUNTY,))
    late = given(hazards, FOUND, GRADED, ASSIGNED)
    now = system("2026-09-14T08:00:00")
    events = late.when(RaiseHazardOverdue(), by=now, unit=county).outcome()
    assert [event.level for event in events if isinstance(event, HazardOverdue)] == [Level.COUNTY]
    country = replace(county, level=Level.COUNTRY)
    events = late.when(RaiseHazardOverdue(), by=now, unit=country).outcome()
    assert [(e.level, e.next_alarm_at) for e in events if isinstance(e, HazardOverdue)] == [
        (Level.COUNTRY, None)
    ]


def test_a_shortened_ladder_ends_the_climb() -> None:
    said = overdue(Level.COUNTY, "2026-09-14T08:00:00")
    shorter = replace(POLICY, climb_levels=(Level.SCHOOL, Level.COUNTY))
    late = given(hazards, FOUND, GRADED, ASSIGNED, said)
    events = late.when(
        RaiseHazardOverdue(), by=system("2026-09-15T08:00:00"), policy=shorter
    ).outcome()
    assert [(e.level, e.next_alarm_at) for e in events if isinstance(e, HazardOverdue)] == [
        (Level.COUNTY, None)
    ]


def test_the_register_shows_lateness_and_whether_it_was_on_time() -> None:
    recorded = Recorded(
        id=UUID(int=9), stream=STREAM, version=4, organisation=SCHOOL, actor="wang",
        occurred_at=TUESDAY, recorded_at=TUESDAY,
    )  # fmt: skip
    said = overdue(Level.SCHOOL, "2026-09-14T08:00:00")
    late = hazard_register(given(hazards, FOUND, GRADED, ASSIGNED, said).state, recorded)
    assert (late.overdue, late.alarm_level, late.on_time) == (True, Level.SCHOOL, None)
    row = hazard_register(given(hazards, FOUND, GRADED, ASSIGNED, RECTIFIED).state, recorded)
    assert (row.overdue, row.on_time, row.rectified_at) == (False, True, TUESDAY)


def test_a_correction_is_published_by_its_steps_and_nothing_but_what_an_inspection_found() -> None:
    recorded = Recorded(
        id=UUID(int=9), stream=STREAM, version=4, organisation=SCHOOL, actor="wang",
        occurred_at=TUESDAY, recorded_at=TUESDAY,
    )  # fmt: skip
    assert published_corrections(given(hazards, FOUND).state, recorded) is None
    found = replace(FOUND, inspection=UUID(int=5), item="B")
    steps = (GRADED, ASSIGNED, RECTIFIED, VERIFIED)
    rows = [
        published_corrections(given(hazards, found, *steps[:count]).state, recorded)
        for count in range(len(steps) + 1)
    ]
    assert [row.status for row in rows if row] == [
        Correction.UNDER_WAY, Correction.UNDER_WAY, Correction.UNDER_WAY, Correction.RECTIFIED,
        Correction.VERIFIED,
    ]  # fmt: skip
    last = rows[-1]
    assert last is not None and last.item == "B"
    assert last.rectified_on == last.verified_on == date(2026, 9, 8)
    assert rows[2] is not None and rows[2].rectified_on is None
    assert not {"wang", "officer", "北校区操场"} & set(map(str, msgspec.structs.astuple(last)))
