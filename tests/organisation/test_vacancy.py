"""Competition for posts: an open list, applicants, a selection that appoints."""

from datetime import date
from typing import Any

from services.organisation.staff import staff
from services.organisation.staff.appoint import AppointStaff
from services.organisation.vacancy import (
    ApplicantSelected,
    OpenPost,
    PostApplicationWithdrawn,
    PostApplied,
    VacancyClosed,
    VacancyOpened,
    VacancyStatus,
    vacancies,
)  # fmt: skip
from services.organisation.vacancy.compete import (
    ApplyForPost,
    CloseVacancy,
    OpenVacancy,
    PostOffered,
    SelectApplicant,
    WithdrawPostApplication,
)  # fmt: skip
from services.organisation.vacancy.views import open_posts, post_applications
from shared.kernel import By, Recorded, Send
from shared.organisation import Role
from shared.testing import SCHOOL, STREAM, Result, by, given
from tests.organisation.places import SCHOOL as PLACE

BY_DAY, SINCE, UNTIL = date(2026, 9, 10), date(2026, 9, 20), date(2027, 9, 1)
PRINCIPAL = by("zhao", Role.PRINCIPAL)
AFTER = by("zhao", Role.PRINCIPAL, at="2026-09-11T08:00:00+08:00")
OFFERED = (PostOffered(role=Role.COOK, wanted=2), PostOffered(role=Role.GUARD))
OPENED = VacancyOpened(
    title="秋季竞聘", posts=(OpenPost(role=Role.COOK, wanted=2), OpenPost(role=Role.GUARD, wanted=1)),
    requirements="有健康证", apply_by=BY_DAY, since=SINCE, until=UNTIL,
)  # fmt: skip


def opening(*before: Any, who: By = PRINCIPAL, place: Any = PLACE, **fields: Any) -> Result:
    wanted: dict[str, Any] = {
        "organisation": SCHOOL, "title": "秋季竞聘", "posts": OFFERED, "requirements": "有健康证",
        "apply_by": BY_DAY, "since": SINCE, "last_day": date(2027, 8, 31),
    } | fields  # fmt: skip
    return given(vacancies, *before).when(OpenVacancy(**wanted), by=who, unit=place)


def applied(person: str, role: Role = Role.COOK, statement: str = "") -> PostApplied:
    return PostApplied(person=person, role=role, statement=statement)


def chosen(person: str, role: Role = Role.COOK, applicants: int = 1) -> ApplicantSelected:
    return ApplicantSelected(person=person, role=role, reason="得分最高", applicants=applicants)


CLOSED = VacancyClosed(reason="无人报名", filled=0, unfilled=3, applicants=0)


def test_opens_a_list_of_posts_once() -> None:
    opening().then(OPENED)
    opening(OPENED).then()
    opening(OPENED, title="别的").refused("vacancy_exists")


def test_refuses_posts_that_could_not_be_filled() -> None:
    opening(place=None).refused("unit_unknown", field="organisation")
    opening(posts=(OFFERED[0], OFFERED[0])).refused("role_twice", field="posts")
    opening(posts=(PostOffered(role=Role.INSPECTOR),)).refused("post_not_at_level")
    opening(posts=(PostOffered(role=Role.PRINCIPAL),)).refused("not_yours_to_appoint")
    opening(apply_by=date(2026, 9, 6)).refused("apply_by_out_of_order", field="apply_by")
    opening(apply_by=date(2026, 9, 21)).refused("apply_by_out_of_order")
    opening(last_day=date(2026, 9, 19)).refused("last_day_before_first", field="last_day")


def test_applies_once_and_withdraws() -> None:
    wang, command = by("wang", Role.TEACHER), ApplyForPost(role=Role.COOK)
    after = given(vacancies, OPENED).when(command, by=wang).then(applied("wang"))
    after.when(command, by=wang).then()
    changed = ApplyForPost(role=Role.COOK, statement="有证")
    again = after.when(changed, by=wang).then(applied("wang", statement="有证"))
    assert len(again.state.applications) == 1
    back = WithdrawPostApplication(role=Role.COOK)
    gone = after.when(back, by=wang).then(PostApplicationWithdrawn(person="wang", role=Role.COOK))
    gone.when(back, by=wang).then()


def test_paper_applications_are_entered_by_the_unit() -> None:
    paper = ApplyForPost(role=Role.COOK, person="sun")
    before = given(vacancies, OPENED)
    before.when(paper, by=PRINCIPAL).then(applied("sun"))
    before.when(paper, by=by("wang", Role.TEACHER)).refused("applies_for_another", field="person")
    back = WithdrawPostApplication(role=Role.COOK, person="sun")
    before.when(back, by=by("wang", Role.TEACHER)).refused("applies_for_another")


def test_refuses_applications_for_nothing_or_too_late() -> None:
    before, wang = given(vacancies, OPENED), by("wang", Role.TEACHER)
    before.when(ApplyForPost(role=Role.NURSE), by=wang).refused("role_not_offered", field="role")
    last = by("wang", Role.TEACHER, at="2026-09-10T23:00:00+08:00")
    assert before.when(ApplyForPost(role=Role.COOK), by=last).outcome()
    late = by("wang", Role.TEACHER, at="2026-09-11T00:00:00+08:00")
    before.when(ApplyForPost(role=Role.COOK), by=late).refused("applied_too_late")
    over = given(vacancies, OPENED, CLOSED)
    over.when(ApplyForPost(role=Role.COOK), by=wang).refused("vacancy_closed")


def select(*before: Any, person: str = "wang", role: Role = Role.COOK, who: By = AFTER) -> Result:
    command = SelectApplicant(person=person, role=role, reason="得分最高")
    return given(vacancies, OPENED, *before).when(command, by=who)


def appoints(person: str, role: Role = Role.COOK, since: date = SINCE) -> Send:
    command = AppointStaff(
        organisation=SCHOOL, person=person, role=role, since=since, last_day=date(2027, 8, 31)
    )
    return Send(staff, staff.id_of(SCHOOL, person), command)


def test_selects_an_applicant_and_appoints() -> None:
    after = select(applied("wang"), applied("sun")).then(
        chosen("wang", applicants=2), appoints("wang")
    )
    assert (after.state.filled(Role.COOK), after.state.unfilled) == (1, 2)
    select(applied("wang"), chosen("wang")).then()
    late = by("zhao", Role.PRINCIPAL, at="2026-10-08T08:00:00+08:00")
    assert select(applied("wang"), who=late).outcome()[1] == appoints("wang", since=late.day)


def test_the_last_selection_ends_the_competition() -> None:
    before = (
        applied("wang"), applied("sun"), applied("li", Role.GUARD), chosen("wang"),
        chosen("li", Role.GUARD),
    )  # fmt: skip
    after = select(*before, person="sun").then(
        chosen("sun", applicants=2),
        VacancyClosed(reason="", filled=3, unfilled=0, applicants=3),
        appoints("sun"),
    )
    assert after.state.status is VacancyStatus.FILLED


def test_refuses_selections_that_are_not_fair() -> None:
    select().refused("not_an_applicant", field="person")
    select(applied("wang", Role.GUARD)).refused("not_an_applicant")
    select(applied("zhao"), person="zhao").refused("selects_among_rivals", field="person")
    select(applied("zhao"), applied("wang")).refused("selects_among_rivals")
    last = by("zhao", Role.PRINCIPAL, at="2026-09-10T08:00:00+08:00")
    select(applied("wang"), who=last).refused("applications_still_open")
    full = (applied("wang"), applied("li", Role.GUARD), applied("sun", Role.GUARD))
    guard = select(*full, chosen("li", Role.GUARD), person="sun", role=Role.GUARD)
    guard.refused("posts_filled_already", field="role")
    select(applied("wang"), CLOSED).refused("vacancy_closed")
    back = WithdrawPostApplication(role=Role.COOK, person="wang")
    given(vacancies, OPENED, applied("wang"), chosen("wang")).when(back, by=PRINCIPAL).refused(
        "selected_already", field="role"
    )
    given(vacancies, OPENED, applied("wang"), CLOSED).when(back, by=PRINCIPAL).refused(
        "vacancy_closed"
    )


def test_closes_without_a_selection() -> None:
    command = CloseVacancy(reason="无人报名")
    after = given(vacancies, OPENED).when(command, by=PRINCIPAL).then(CLOSED)
    after.when(command, by=PRINCIPAL).then()
    assert after.state.status is VacancyStatus.CLOSED
    filled = VacancyClosed(reason="", filled=3, unfilled=0, applicants=3)
    given(vacancies, OPENED, filled).when(command, by=PRINCIPAL).refused("vacancy_closed")


def test_the_open_list_counts() -> None:
    at = by().at
    recorded = Recorded(
        id=STREAM, stream=STREAM, version=1, organisation=SCHOOL, actor="a", occurred_at=at,
        recorded_at=at,
    )  # fmt: skip
    state = given(vacancies, OPENED, applied("wang"), applied("sun"), chosen("wang")).state
    row = open_posts(state, recorded)["cook"]
    assert (row.wanted, row.filled, row.applicants, row.last_day) == (2, 1, 2, date(2027, 8, 31))
    assert [one.selected for one in post_applications(state, recorded).values()] == [True, False]
