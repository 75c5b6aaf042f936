"""Posts are put up openly; whoever wants one applies, and the unit selects or closes without.

竞聘上岗. A selection appoints in the same transaction, so it is bound by every rule of appointing;
nobody who applied takes part in selecting. Source: open competition for posts in public
institutions (公开竞聘, 岗位空缺公示).
"""

from __future__ import annotations

from copy import replace
from datetime import date
from enum import StrEnum
from typing import Annotated

import msgspec

from shared.fields import personal
from shared.kernel import Aggregate, Event, State
from shared.organisation import Role


class VacancyStatus(StrEnum):
    """How far a competition has come."""

    OPEN = "open"
    FILLED = "filled"
    CLOSED = "closed"


class OpenPost(msgspec.Struct, frozen=True, kw_only=True):
    """How many holders of a role are wanted."""

    role: Role
    wanted: int


class VacancyOpened(Event):
    """Applications until `apply_by`; the posts run from `since` until the day before `until`."""

    title: str
    posts: tuple[OpenPost, ...]
    requirements: str
    apply_by: date
    since: date
    until: date | None


class PostApplied(Event):
    person: str
    role: Role
    statement: Annotated[str, personal("person")]


class PostApplicationWithdrawn(Event):
    person: str
    role: Role


class ApplicantSelected(Event):
    """`applicants`: among how many for that role."""

    person: str
    role: Role
    reason: Annotated[str, personal("person")]
    applicants: int


class VacancyClosed(Event):
    """`unfilled`: how many posts found nobody; 0 when the last one was filled."""

    reason: str
    filled: int
    unfilled: int
    applicants: int


type VacancyEvent = (
    VacancyOpened | PostApplied | PostApplicationWithdrawn | ApplicantSelected | VacancyClosed
)


class Application(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody's wish for one of the posts."""

    person: str
    role: Role
    statement: str
    selected: bool = False


class Vacancy(State):
    status: VacancyStatus
    title: str
    posts: tuple[OpenPost, ...]
    requirements: str
    apply_by: date
    since: date
    until: date | None
    applications: tuple[Application, ...] = ()
    closing_reason: str = ""

    def wanted(self, role: Role) -> int:
        """How many holders of a role are sought."""
        return sum(post.wanted for post in self.posts if post.role is role)

    def filled(self, role: Role) -> int:
        """How many have been selected for it."""
        return sum(one.selected for one in self.applications if one.role is role)

    def find(self, person: str, role: Role) -> Application | None:
        """The person's application for that role."""
        for one in self.applications:
            if (one.person, one.role) == (person, role):
                return one
        return None

    @property
    def unfilled(self) -> int:
        """How many posts have nobody yet."""
        return sum(post.wanted - self.filled(post.role) for post in self.posts)


def evolve(state: Vacancy | None, event: VacancyEvent) -> Vacancy:
    """The competition after one more event."""
    if isinstance(event, VacancyOpened):
        return Vacancy(
            status=VacancyStatus.OPEN,
            title=event.title,
            posts=event.posts,
            requirements=event.requirements,
            apply_by=event.apply_by,
            since=event.since,
            until=event.until,
        )
    assert state is not None, "a competition starts by being opened"
    match event:
        case PostApplied():
            one = Application(person=event.person, role=event.role, statement=event.statement)
            return replace(state, applications=(*_without(state, event), one))
        case PostApplicationWithdrawn():
            return replace(state, applications=_without(state, event))
        case ApplicantSelected():
            found = state.find(event.person, event.role)
            chosen = tuple(
                replace(one, selected=True) if one is found else one for one in state.applications
            )
            return replace(state, applications=chosen)
        case VacancyClosed(reason=reason, unfilled=unfilled):
            status = VacancyStatus.CLOSED if unfilled else VacancyStatus.FILLED
            return replace(state, status=status, closing_reason=reason)


def _without(
    state: Vacancy, event: PostApplied | PostApplicationWithdrawn
) -> tuple[Application, ...]:
    gone = (event.person, event.role)
    return tuple(one for one in state.applications if (one.person, one.role) != gone)


vacancies = Aggregate("vacancy", events=VacancyEvent, state=Vacancy, evolve=evolve)

# The capabilities record themselves on `vacancies`.
from services.organisation.vacancy import compete, views  # noqa: E402, F401
