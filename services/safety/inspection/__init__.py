"""An inspection is planned, judged item by item on the phone, scored, signed, and answered.

检查. A veto item fails the whole whatever the score, every failed item becomes a hazard, and the
inspected unit signs or objects on record. Rule: inspections at random with results made public
(双随机、一公开); limits are dated data.
"""

from __future__ import annotations

from copy import replace
from datetime import date
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

import msgspec

from services.safety.grades import HazardCategory, HazardGrade
from services.safety.programme import ProgrammeKind
from shared.kernel import Aggregate, Event, Refused, State


class InspectionStatus(StrEnum):
    """How far it has come."""

    SCHEDULED = "scheduled"
    UNDER_WAY = "under_way"
    PASSED = "passed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class InspectionBasis(StrEnum):
    """Why this unit on this day."""

    PLAN = "plan"
    DRAW = "draw"
    ROUTE = "route"
    ON_THE_SPOT = "on_the_spot"


class UnitAnswer(StrEnum):
    """What the inspected unit says to the result."""

    NONE = "none"
    ACKNOWLEDGED = "acknowledged"
    DISPUTED = "disputed"


class InspectorCapacity(StrEnum):
    """As whom people from outside take part; their names are not kept."""

    PARENT = "parent"
    PUBLIC = "public"
    DEPUTY = "deputy"
    EXPERT = "expert"
    MEDIA = "media"


class Judgement(StrEnum):
    """Of one item."""

    MET = "met"
    NOT_MET = "not_met"
    NOT_APPLICABLE = "not_applicable"


class OutsideInspectors(msgspec.Struct, frozen=True, kw_only=True):
    """How many people took part as what."""

    capacity: InspectorCapacity
    count: int


class ItemResult(msgspec.Struct, frozen=True, kw_only=True):
    """An item as judged; `points`: those given."""

    code: str
    judgement: Judgement
    points: Decimal
    note: str
    place: str
    photos: tuple[str, ...]


class FailedItem(msgspec.Struct, frozen=True, kw_only=True):
    """An item that was not met, with the points it lost."""

    code: str
    text: str
    veto: bool
    note: str
    severity: HazardGrade
    category: HazardCategory
    place: str
    points_lost: Decimal
    photos: tuple[str, ...]


class InspectionScheduled(Event):
    """`origin`: the draw or route that it comes from; `stop`: its place in it."""

    checklist: UUID
    checklist_version: int
    programme: str
    kind: ProgrammeKind
    planned_on: date
    inspectors: tuple[str, ...]
    bodies: tuple[str, ...]
    outsiders: tuple[OutsideInspectors, ...]
    basis: InspectionBasis
    origin: UUID | None
    stop: int | None


class InspectionRescheduled(Event):
    kind: ProgrammeKind
    planned_on: date
    previous_on: date
    reason: str


class InspectionCancelled(Event):
    kind: ProgrammeKind
    basis: InspectionBasis
    planned_on: date
    reason: str


class InspectionItemsJudged(Event):
    results: tuple[ItemResult, ...]
    judged_by: str


class InspectionResult(Event):
    """`programme` the checklist's title; `full` leaves out what does not apply; `passed` iff
    `score` reaches `pass_score` and no veto item failed.
    """

    programme: str
    kind: ProgrammeKind
    checklist: UUID
    checklist_version: int
    basis: InspectionBasis
    score: Decimal
    full: Decimal
    pass_score: Decimal
    failed_items: tuple[FailedItem, ...]
    items_judged: int
    veto: bool
    bodies: tuple[str, ...]
    inspectors: tuple[str, ...]
    outsiders: tuple[OutsideInspectors, ...]
    concluded_by: str
    signature: str | None


class InspectionPassed(InspectionResult):
    pass


class InspectionFailed(InspectionResult):
    pass


class InspectionSigned(Event):
    """A second inspector puts his name to the result."""

    kind: ProgrammeKind
    signed_by: str
    signature: str | None


class InspectionAcknowledged(Event):
    """`after_dispute`: it had objected before."""

    kind: ProgrammeKind
    passed: bool
    acknowledged_by: str
    after_dispute: bool
    note: str
    signature: str | None


class InspectionDisputed(Event):
    """The inspected unit refuses to sign, and says why."""

    kind: ProgrammeKind
    passed: bool
    disputed_by: str
    reason: str
    photos: tuple[str, ...]


type InspectionEvent = (
    InspectionScheduled
    | InspectionRescheduled
    | InspectionCancelled
    | InspectionItemsJudged
    | InspectionPassed
    | InspectionFailed
    | InspectionSigned
    | InspectionAcknowledged
    | InspectionDisputed
)


class Inspection(State):
    status: InspectionStatus
    checklist: UUID
    checklist_version: int
    programme: str
    kind: ProgrammeKind
    planned_on: date
    inspectors: tuple[str, ...]
    bodies: tuple[str, ...]
    outsiders: tuple[OutsideInspectors, ...]
    basis: InspectionBasis
    origin: UUID | None
    stop: int | None
    results: dict[str, ItemResult] = {}
    result: InspectionResult | None = None
    signed: tuple[str, ...] = ()
    answer: UnitAnswer = UnitAnswer.NONE
    answered_by: str = ""
    objection: str = ""

    @property
    def pending(self) -> bool:
        """Whether it is still to be carried out or concluded."""
        return self.status in (InspectionStatus.SCHEDULED, InspectionStatus.UNDER_WAY)


def evolve(state: Inspection | None, event: InspectionEvent) -> Inspection:
    """The inspection after one more event."""
    if isinstance(event, InspectionScheduled):
        return Inspection(status=InspectionStatus.SCHEDULED, **msgspec.structs.asdict(event))
    assert state is not None, "an inspection starts by being scheduled"
    match event:
        case InspectionRescheduled(planned_on=day):
            return replace(state, planned_on=day)
        case InspectionCancelled():
            return replace(state, status=InspectionStatus.CANCELLED)
        case InspectionItemsJudged(results=results):
            judged = {**state.results, **{result.code: result for result in results}}
            return replace(state, status=InspectionStatus.UNDER_WAY, results=judged)
        case InspectionPassed():
            return _concluded(state, InspectionStatus.PASSED, event)
        case InspectionFailed():
            return _concluded(state, InspectionStatus.FAILED, event)
        case InspectionSigned(signed_by=person):
            return replace(state, signed=(*state.signed, person))
        case InspectionAcknowledged(acknowledged_by=person):
            return replace(state, answer=UnitAnswer.ACKNOWLEDGED, answered_by=person)
        case InspectionDisputed(disputed_by=person, reason=reason):
            return replace(state, answer=UnitAnswer.DISPUTED, answered_by=person, objection=reason)


def _concluded(state: Inspection, status: InspectionStatus, event: InspectionResult) -> Inspection:
    return replace(
        state,
        status=status,
        result=InspectionResult(**msgspec.structs.asdict(event)),
        bodies=event.bodies,
        outsiders=event.outsiders,
        signed=(event.concluded_by,),
    )


inspections = Aggregate("inspection", events=InspectionEvent, state=Inspection, evolve=evolve)


def refuse_unless_pending(state: Inspection) -> None:
    """A result stands as it was concluded; what was called off stays so."""
    if state.status is InspectionStatus.CANCELLED:
        raise Refused("inspection_cancelled")
    if not state.pending:
        raise Refused("inspection_concluded", status=state.status)


# The capabilities record themselves on `inspections`.
from services.safety.inspection import answer, carry_out, schedule, views  # noqa: E402, F401
