"""A hazard is found, graded, assigned, put right with a photo, verified by another, closed.

隐患 → 定级 → 交办 → 整改 → 复查 → 销号. The deadline follows from the grade; what is late is said
again one level higher each time, until it is put right. Rule: screening and rectification of
hazards, with general and major ones; safety of schools and kindergartens.
"""

from __future__ import annotations

from copy import replace
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar
from uuid import UUID

import msgspec

from services.safety.grades import HazardCategory, HazardGrade
from services.safety.programme import ProgrammeKind
from shared.fields import SHANGHAI
from shared.kernel import Aggregate, By, Event, Policy, Refused, State
from shared.organisation import Level, Role


class HazardStatus(StrEnum):
    """What a hazard waits for, or how it ended."""

    FOUND = "found"
    GRADED = "graded"
    ASSIGNED = "assigned"
    RECTIFIED = "rectified"
    VERIFIED = "verified"
    CLOSED = "closed"
    DISMISSED = "dismissed"


class HazardSource(StrEnum):
    """How it came to light: daily, weekly or monthly check, another check, inspection, anybody."""

    DAILY_CHECK = "daily_check"
    WEEKLY_CHECK = "weekly_check"
    MONTHLY_CHECK = "monthly_check"
    SPECIAL_CHECK = "special_check"
    INSPECTION = "inspection"
    REPORT = "report"


class OfHazard(Event):
    """What every event tells of the hazard, so that a figure needs no other event."""

    category: HazardCategory
    source: HazardSource
    grade: HazardGrade | None
    programme: ProgrammeKind | None
    inspection: UUID | None
    item: str | None
    check: UUID | None
    place: str
    what: str
    found_at: datetime


class HazardFound(OfHazard):
    """`due_at`: the deadline of its grade, or by when it must be graded."""

    found_by: str
    photos: tuple[str, ...]
    due_at: datetime


class HazardGraded(OfHazard):
    previous: HazardGrade | None
    graded_by: str
    graded_at: datetime
    due_at: datetime
    reason: str


class HazardAssigned(OfHazard):
    rectifier: str
    previous: str | None
    assigned_by: str
    due_at: datetime


class HazardRectified(OfHazard):
    """`photos`: how it looks now."""

    done: str
    photos: tuple[str, ...]
    rectified_by: str
    rectified_at: datetime
    due_at: datetime
    on_time: bool


class HazardSentBack(OfHazard):
    """The verifier found it not put right; `round` counts how often."""

    reason: str
    photos: tuple[str, ...]
    sent_back_by: str
    rectified_by: str
    round: int


class HazardVerified(OfHazard):
    verified_by: str
    verified_at: datetime
    rectified_by: str
    photos: tuple[str, ...]
    note: str


class HazardClosed(OfHazard):
    """Struck off the list; counted from being found to being put right for the last time."""

    rectified_by: str
    rectified_at: datetime
    rectified_in_minutes: int
    on_time: bool
    due_at: datetime
    rounds: int
    extensions: int
    verified_by: str
    closed_by: str


class HazardDismissed(OfHazard):
    """It was none; it leaves the figures."""

    reason: str
    dismissed_by: str


class HazardExtensionRequested(OfHazard):
    until: datetime
    due_at: datetime
    reason: str
    requested_by: str


class HazardExtended(OfHazard):
    due_at: datetime
    previous_due_at: datetime
    requested_by: str
    approved_by: str


class HazardExtensionDenied(OfHazard):
    until: datetime
    reason: str
    requested_by: str
    denied_by: str


class HazardOverdue(OfHazard):
    """Said at `level`, the next time at `next_alarm_at` one level higher; `awaiting` says what
    is late: grading (found), or rectification.
    """

    level: Level
    awaiting: HazardStatus
    due_at: datetime
    hours_overdue: int
    rectifier: str | None
    next_alarm_at: datetime | None


type HazardEvent = (
    HazardFound
    | HazardGraded
    | HazardAssigned
    | HazardRectified
    | HazardSentBack
    | HazardVerified
    | HazardClosed
    | HazardDismissed
    | HazardExtensionRequested
    | HazardExtended
    | HazardExtensionDenied
    | HazardOverdue
)


class ExtensionAsked(msgspec.Struct, frozen=True, kw_only=True):
    """An extension that waits for an answer."""

    until: datetime
    reason: str
    requested_by: str


class Hazard(State):
    """`rectifiers`: everybody who has put hand to it; `alarm_at`: when lateness is said next."""

    status: HazardStatus
    category: HazardCategory
    source: HazardSource
    grade: HazardGrade | None
    programme: ProgrammeKind | None
    inspection: UUID | None
    item: str | None
    check: UUID | None
    place: str
    what: str
    found_at: datetime
    found_by: str
    photos: tuple[str, ...]
    due_at: datetime
    first_due_at: datetime
    graded_at: datetime | None = None
    rectifier: str | None = None
    rectifiers: tuple[str, ...] = ()
    done: str = ""
    after_photos: tuple[str, ...] = ()
    rectified_at: datetime | None = None
    verified_by: str = ""
    verified_at: datetime | None = None
    rounds: int = 0
    extension: ExtensionAsked | None = None
    extensions: int = 0
    alarm_at: datetime | None = None
    alarm_level: Level | None = None

    @property
    def open(self) -> bool:
        """Whether it still has to be graded, assigned or put right."""
        return self.status in (HazardStatus.FOUND, HazardStatus.GRADED, HazardStatus.ASSIGNED)


OF_HAZARD = OfHazard.__struct_fields__


def about(state: Hazard) -> dict[str, Any]:
    """The fields of `OfHazard`, for an event about this hazard."""
    return {name: getattr(state, name) for name in OF_HAZARD}


def evolve(  # noqa: C901 - one case per event
    state: Hazard | None, event: HazardEvent
) -> Hazard:
    """The hazard after one more event."""
    if isinstance(event, HazardFound):
        return _found(event)
    assert state is not None, "a hazard starts by being found"
    match event:
        case HazardGraded(grade=grade, graded_at=at):
            status = HazardStatus.ASSIGNED if state.rectifier else HazardStatus.GRADED
            graded = replace(
                state,
                status=status,
                grade=grade,
                graded_at=state.graded_at or at,
                first_due_at=event.due_at,
                extension=None,
            )
            return _due(graded, event.due_at)
        case HazardAssigned(rectifier=rectifier):
            return replace(state, status=HazardStatus.ASSIGNED, rectifier=rectifier)
        case HazardRectified(rectified_by=person):
            known = person in state.rectifiers
            return replace(
                state,
                status=HazardStatus.RECTIFIED,
                done=event.done,
                after_photos=event.photos,
                rectified_at=event.rectified_at,
                rectifiers=state.rectifiers if known else (*state.rectifiers, person),
                extension=None,
            )
        case HazardSentBack(round=number):
            return replace(state, status=HazardStatus.ASSIGNED, rounds=number)
        case HazardVerified(verified_by=person, verified_at=at):
            return replace(state, status=HazardStatus.VERIFIED, verified_by=person, verified_at=at)
        case HazardClosed():
            return replace(state, status=HazardStatus.CLOSED)
        case HazardDismissed():
            return replace(state, status=HazardStatus.DISMISSED, extension=None)
        case HazardExtensionRequested():
            asked = ExtensionAsked(
                until=event.until, reason=event.reason, requested_by=event.requested_by
            )
            return replace(state, extension=asked)
        case HazardExtended(due_at=due_at):
            extended = replace(state, extension=None, extensions=state.extensions + 1)
            return _due(extended, due_at)
        case HazardExtensionDenied():
            return replace(state, extension=None)
        case HazardOverdue(level=level, next_alarm_at=at):
            return replace(state, alarm_level=level, alarm_at=at)


def _found(event: HazardFound) -> Hazard:
    graded = event.grade is not None
    return Hazard(
        status=HazardStatus.GRADED if graded else HazardStatus.FOUND,
        found_by=event.found_by,
        photos=event.photos,
        due_at=event.due_at,
        first_due_at=event.due_at,
        graded_at=event.found_at if graded else None,
        alarm_at=event.due_at,
        **{name: getattr(event, name) for name in OF_HAZARD},
    )


def _due(state: Hazard, due_at: datetime) -> Hazard:
    """A new deadline begins a new count of alarms."""
    return replace(state, due_at=due_at, alarm_at=due_at, alarm_level=None)


hazards = Aggregate("hazard", events=HazardEvent, state=Hazard, evolve=evolve)


class GradeTerms(msgspec.Struct, frozen=True, kw_only=True):
    """Hours to put it right, the most that all extensions may add to them, and the lowest level
    of a post that may verify, extend, lower or dismiss.
    """

    deadline_hours: int
    extension_hours_max: int
    decided_at_level: Level


class HazardPolicy(Policy):
    """Deadlines by grade; `grading_hours` to grade; lateness climbs every `climb_hours`."""

    slug: ClassVar[str] = "safety.hazard"

    grading_hours: int
    climb_hours: int
    climb_levels: tuple[Level, ...]
    extensions_max: int
    general: GradeTerms
    major: GradeTerms
    critical: GradeTerms

    def terms(self, grade: HazardGrade | None) -> GradeTerms:
        """The terms of a grade; what has none yet is treated as general."""
        match grade:
            case HazardGrade.CRITICAL:
                return self.critical
            case HazardGrade.MAJOR:
                return self.major
            case HazardGrade.GENERAL | None:
                return self.general


GRADERS = (Role.SAFETY_OFFICER, Role.LOGISTICS_DIRECTOR, Role.PRINCIPAL, Role.INSPECTOR)
"""Who says how bad it is."""

VERIFIERS = (Role.SAFETY_OFFICER, Role.PRINCIPAL, Role.INSPECTOR, Role.BUREAU_OFFICER)
"""Who says that it is put right."""

ASSIGNERS = (
    Role.LOGISTICS_DIRECTOR,
    Role.PRINCIPAL,
    Role.SAFETY_OFFICER,
    Role.BUREAU_OFFICER,
)
"""Who says whose work it is."""


def refuse_unless_open(state: Hazard) -> None:
    """Only what is not yet put right can be graded, assigned, extended or dismissed."""
    if not state.open:
        raise Refused("hazard_not_open", status=state.status)


def refuse_earlier(by: By, moment: datetime | None) -> None:
    """A late entry must keep the order in which things happen."""
    if moment is not None and by.at < moment:
        raise Refused("earlier_than_last_step", field="occurred_at", moment=clock(moment))


def clock(moment: datetime) -> str:
    """A moment as people here read it."""
    return f"{moment.astimezone(SHANGHAI):%Y-%m-%d %H:%M}"


def refuse_lower(by: By, roles: tuple[Role, ...], level: Level) -> None:
    """A grave hazard is decided on higher up; a smaller level stands higher."""
    if not any(post.role in roles and post.level <= level for post in by.posts):
        raise Refused("decided_higher_up", level=level)


def refuse_own(state: Hazard, by: By, roles: tuple[Role, ...]) -> None:
    """Nobody judges what he put right himself, in person or under a post lent by who did."""
    hands = (*state.rectifiers, *([state.rectifier] if state.rectifier else []))
    lent = [post.delegated_by in hands for post in by.posts if post.role in roles]
    if by.person in hands or (lent and all(lent)):
        raise Refused("judges_own_rectification", rectifier=state.rectifier)


# The capabilities record themselves on `hazards`.
from services.safety.hazard import close, extend, grading, overdue, rectify, report, views  # noqa: E402, F401
