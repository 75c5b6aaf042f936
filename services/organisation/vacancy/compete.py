"""Opening a competition, applying, selecting, closing."""

from __future__ import annotations

from datetime import date
from typing import Annotated

from pydantic import Field

from services.organisation.posts import (
    APPOINTERS,
    PostsPolicy,
    refuse_other_appointers,
    refuse_unfit_post,
)
from services.organisation.spans import after, last_day_of
from services.organisation.staff import staff
from services.organisation.staff.appoint import AppointStaff
from services.organisation.unit import TreeUnit
from services.organisation.vacancy import (
    ApplicantSelected,
    OpenPost,
    PostApplicationWithdrawn,
    PostApplied,
    Vacancy,
    VacancyClosed,
    VacancyOpened,
    VacancyStatus,
    vacancies,
)
from shared.fields import Name, Reason, Subject, Text
from shared.kernel import By, Command, Creation, Event, From, Part, Refused, Send
from shared.organisation import Role


class PostOffered(Part):
    """How many holders of a role are sought."""

    role: Role
    wanted: Annotated[int, Field(ge=1, le=1000)] = 1


class OpenVacancy(Creation):
    """`apply_by`: the last day for applications; the posts begin on `since`."""

    title: Name
    posts: Annotated[tuple[PostOffered, ...], Field(min_length=1, max_length=len(Role))]
    requirements: Text = ""
    apply_by: date
    since: date
    last_day: date | None = None


@vacancies.post("/vacancies", allow=APPOINTERS)
def open_vacancy(
    state: Vacancy | None,
    command: OpenVacancy,
    by: By,
    unit: Annotated[TreeUnit | None, From("organisation")],
    posts: PostsPolicy,
) -> VacancyOpened | None:
    opened = VacancyOpened(
        title=command.title,
        posts=tuple(OpenPost(role=one.role, wanted=one.wanted) for one in command.posts),
        requirements=command.requirements,
        apply_by=command.apply_by,
        since=command.since,
        until=after(command.last_day),
    )
    if state is not None:
        if (state.title, state.posts, state.apply_by) == (
            opened.title, opened.posts, opened.apply_by,
        ):  # fmt: skip
            return None
        raise Refused("vacancy_exists", field="id", title=state.title)
    if unit is None:
        raise Refused("unit_unknown", field="organisation", unit=command.organisation)
    if len({post.role for post in command.posts}) < len(command.posts):
        raise Refused("role_twice", field="posts")
    for post in command.posts:
        refuse_unfit_post(post.role, unit, posts)
        refuse_other_appointers(post.role, posts, by)
    if not by.day <= command.apply_by <= command.since:
        raise Refused("apply_by_out_of_order", field="apply_by", since=command.since)
    if command.last_day is not None and command.last_day < command.since:
        raise Refused("last_day_before_first", field="last_day", since=command.since)
    return opened


class ApplyForPost(Command):
    """`person`: for whom, where the unit enters a paper application; otherwise the caller."""

    role: Role
    statement: Text = ""
    person: Subject | None = None


@vacancies.post("/vacancies/{id}/apply", allow=tuple(Role))
def apply(state: Vacancy, command: ApplyForPost, by: By) -> PostApplied | None:
    person = command.person or by.person
    if person != by.person and not by.holds(*APPOINTERS):
        raise Refused("applies_for_another", field="person")
    known = state.find(person, command.role)
    if known is not None and known.statement == command.statement:
        return None
    refuse_closed(state)
    if not state.wanted(command.role):
        raise Refused("role_not_offered", field="role", role=command.role)
    if by.day > state.apply_by:
        raise Refused("applied_too_late", apply_by=state.apply_by)
    return PostApplied(person=person, role=command.role, statement=command.statement)


class WithdrawPostApplication(Command):
    role: Role
    person: Subject | None = None


@vacancies.post("/vacancies/{id}/withdraw-application", allow=tuple(Role))
def withdraw(
    state: Vacancy, command: WithdrawPostApplication, by: By
) -> PostApplicationWithdrawn | None:
    person = command.person or by.person
    if person != by.person and not by.holds(*APPOINTERS):
        raise Refused("applies_for_another", field="person")
    known = state.find(person, command.role)
    if known is None:
        return None
    refuse_closed(state)
    if known.selected:
        raise Refused("selected_already", field="role", role=command.role)
    return PostApplicationWithdrawn(person=person, role=command.role)


class SelectApplicant(Command):
    """Selects among those who applied, and appoints at once."""

    person: Subject
    role: Role
    reason: Reason


@vacancies.post("/vacancies/{id}/select", allow=APPOINTERS, weighty=True)
def select(state: Vacancy, command: SelectApplicant, by: By) -> list[Event | Send] | None:
    found = state.find(command.person, command.role)
    if found is not None and found.selected:
        return None
    refuse_closed(state)
    if found is None:
        raise Refused("not_an_applicant", field="person", role=command.role)
    if any(one.person == by.person for one in state.applications):
        raise Refused("selects_among_rivals", field="person")
    if by.day <= state.apply_by:
        raise Refused("applications_still_open", apply_by=state.apply_by)
    if state.filled(command.role) >= state.wanted(command.role):
        raise Refused("posts_filled_already", field="role", role=command.role)
    selected = ApplicantSelected(
        person=command.person,
        role=command.role,
        reason=command.reason,
        applicants=sum(one.role is command.role for one in state.applications),
    )
    appointment = AppointStaff(
        organisation=by.unit,
        person=command.person,
        role=command.role,
        since=max(state.since, by.day),
        last_day=last_day_of(state.until),
    )
    appoints = Send(staff, staff.id_of(by.unit, command.person), appointment)
    if state.unfilled > 1:
        return [selected, appoints]
    return [selected, closing(state, "", unfilled=0), appoints]


class CloseVacancy(Command):
    reason: Reason


@vacancies.post("/vacancies/{id}/close", allow=APPOINTERS)
def close(state: Vacancy, command: CloseVacancy, by: By) -> VacancyClosed | None:
    if state.status is VacancyStatus.CLOSED:
        return None
    refuse_closed(state)
    return closing(state, command.reason, unfilled=state.unfilled)


def closing(state: Vacancy, reason: str, *, unfilled: int) -> VacancyClosed:
    """The end of a competition, in numbers."""
    return VacancyClosed(
        reason=reason,
        filled=sum(post.wanted for post in state.posts) - unfilled,
        unfilled=unfilled,
        applicants=len(state.applications),
    )


def refuse_closed(state: Vacancy) -> None:
    """A competition that has ended stays as it ended."""
    if state.status is not VacancyStatus.OPEN:
        raise Refused("vacancy_closed", status=state.status)
