"""The open list of posts, and who has applied."""

from __future__ import annotations

from datetime import date
from typing import Annotated
from uuid import UUID

from services.organisation.posts import APPOINTERS
from services.organisation.spans import last_day_of
from services.organisation.vacancy import Vacancy, VacancyStatus, vacancies
from shared.fields import personal
from shared.kernel import Recorded, View
from shared.organisation import Role


class OpenPostRow(View):
    """One role of one competition: the open list of posts."""

    id: UUID
    organisation: UUID
    title: str
    status: VacancyStatus
    role: Role
    wanted: int
    filled: int
    applicants: int
    requirements: str
    apply_by: date
    since: date
    last_day: date | None
    closing_reason: str


@vacancies.view(
    "/vacancies",
    allow=tuple(Role),
    filters=("status", "role"),
    sorts=("apply_by", "since", "role"),
    search=("title", "requirements"),
)
def open_posts(state: Vacancy, recorded: Recorded) -> dict[str, OpenPostRow]:
    return {
        post.role.value: OpenPostRow(
            id=recorded.stream,
            organisation=recorded.organisation,
            title=state.title,
            status=state.status,
            role=post.role,
            wanted=post.wanted,
            filled=state.filled(post.role),
            applicants=sum(one.role is post.role for one in state.applications),
            requirements=state.requirements,
            apply_by=state.apply_by,
            since=state.since,
            last_day=last_day_of(state.until),
            closing_reason=state.closing_reason,
        )
        for post in state.posts
    }


class PostApplicationRow(View):
    id: UUID
    organisation: UUID
    title: str
    role: Role
    person: str
    statement: Annotated[str, personal("person")]
    selected: bool


@vacancies.view(
    "/post-applications",
    allow=APPOINTERS,
    filters=("role", "person", "selected"),
    sorts=("role", "person"),
    search=("person", "title"),
)
def post_applications(state: Vacancy, recorded: Recorded) -> dict[str, PostApplicationRow]:
    return {
        f"{one.role}:{one.person}": PostApplicationRow(
            id=recorded.stream,
            organisation=recorded.organisation,
            title=state.title,
            role=one.role,
            person=one.person,
            statement=one.statement,
            selected=one.selected,
        )
        for one in state.applications
    }
