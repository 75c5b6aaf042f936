"""A programme of inspection has a checklist, drafted item by item and published as a version.

检查标准. An inspection is judged by the version with which it began, so a published version never
changes: a revision is a new draft and then a new version. Points, veto items (一票否决) and the
grade of the hazard that a failed item becomes are said here once.
"""

from __future__ import annotations

from copy import replace
from datetime import datetime
from decimal import Decimal
from typing import Annotated
from uuid import UUID

import msgspec
from pydantic import Field

from services.safety.grades import HazardCategory, HazardGrade
from services.safety.programme import (
    BUREAU_INSPECTORS,
    INSPECTORS,
    InspectionPolicy,
    ProgrammeKind,
    terms_of,
)
from shared.fields import Name, Reason, Text
from shared.kernel import (
    Aggregate,
    By,
    Command,
    Creation,
    Event,
    Part,
    Recorded,
    Refused,
    State,
    View,
)  # fmt: skip
from shared.organisation import READERS

type Points = Annotated[Decimal, Field(ge=0, le=1000, max_digits=5, decimal_places=1)]
"""Points of an item, one decimal; a veto item may have none."""


class ChecklistItem(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to judge; `severity` and `category` are those of the hazard if it fails."""

    code: str
    text_zh: str
    text_en: str
    points: Decimal
    veto: bool
    severity: HazardGrade
    category: HazardCategory


class ChecklistDrafted(Event):
    title: str
    kind: ProgrammeKind
    items: tuple[ChecklistItem, ...]


class ChecklistRevised(Event):
    """`revision_of`: the published version that it is to replace, 0 before the first."""

    items: tuple[ChecklistItem, ...]
    revision_of: int
    reason: str


class ChecklistPublished(Event):
    title: str
    kind: ProgrammeKind
    checklist_version: int
    items: tuple[ChecklistItem, ...]
    full: Decimal


class ChecklistWithdrawn(Event):
    checklist_version: int
    reason: str


type ChecklistEvent = ChecklistDrafted | ChecklistRevised | ChecklistPublished | ChecklistWithdrawn


class Checklist(State):
    """`draft`: what the next version would say; `versions`: what each published one says."""

    title: str
    kind: ProgrammeKind
    draft: tuple[ChecklistItem, ...] | None
    versions: tuple[tuple[ChecklistItem, ...], ...] = ()
    withdrawn: bool = False

    @property
    def latest(self) -> int:
        """The number of the latest published version, 0 if there is none."""
        return len(self.versions)

    def items(self, version: int) -> dict[str, ChecklistItem]:
        """The items of a published version by their codes."""
        return {item.code: item for item in self.versions[version - 1]}


def evolve(state: Checklist | None, event: ChecklistEvent) -> Checklist:
    """The checklist after one more event."""
    if isinstance(event, ChecklistDrafted):
        return Checklist(title=event.title, kind=event.kind, draft=event.items)
    assert state is not None, "a checklist starts by being drafted"
    match event:
        case ChecklistRevised(items=items):
            return replace(state, draft=items)
        case ChecklistPublished(items=items):
            return replace(state, draft=None, versions=(*state.versions, items))
        case ChecklistWithdrawn():
            return replace(state, withdrawn=True)


checklists = Aggregate("checklist", events=ChecklistEvent, state=Checklist, evolve=evolve)


class ItemDrafted(Part):
    """One item of a checklist."""

    code: Name
    text_zh: Name
    text_en: Text = ""
    points: Points
    veto: bool = False
    severity: HazardGrade = HazardGrade.GENERAL
    category: HazardCategory = HazardCategory.OTHER


type ItemsDrafted = Annotated[tuple[ItemDrafted, ...], Field(min_length=1, max_length=300)]


class DraftChecklist(Creation):
    title: Name
    kind: ProgrammeKind
    items: ItemsDrafted


@checklists.post("/checklists", allow=INSPECTORS)
def draft(
    state: Checklist | None, command: DraftChecklist, by: By, policy: InspectionPolicy
) -> ChecklistDrafted | None:
    items = items_of(command.items)
    if state is not None:
        if (state.title, state.kind, state.draft) == (command.title, command.kind, items):
            return None
        raise Refused("checklist_exists", field="id")
    refuse_school_list_of_bureau(command.kind, by, policy)
    return ChecklistDrafted(title=command.title, kind=command.kind, items=items)


class ReviseChecklist(Command):
    items: ItemsDrafted
    reason: Reason


@checklists.post("/checklists/{id}/revise", allow=INSPECTORS)
def revise(
    state: Checklist, command: ReviseChecklist, by: By, policy: InspectionPolicy
) -> ChecklistRevised | None:
    refuse_withdrawn(state)
    refuse_school_list_of_bureau(state.kind, by, policy)
    items = items_of(command.items)
    current = state.draft or state.versions[-1]
    if items == current:
        return None
    return ChecklistRevised(items=items, revision_of=state.latest, reason=command.reason)


class PublishChecklist(Command):
    pass


@checklists.post("/checklists/{id}/publish", allow=INSPECTORS)
def publish(
    state: Checklist, command: PublishChecklist, by: By, policy: InspectionPolicy
) -> ChecklistPublished | None:
    refuse_withdrawn(state)
    refuse_school_list_of_bureau(state.kind, by, policy)
    if state.draft is None:
        return None
    return ChecklistPublished(
        title=state.title,
        kind=state.kind,
        checklist_version=state.latest + 1,
        items=state.draft,
        full=full_points(state.draft),
    )


class WithdrawChecklist(Command):
    reason: Reason


@checklists.post("/checklists/{id}/withdraw", allow=INSPECTORS)
def withdraw(
    state: Checklist, command: WithdrawChecklist, by: By, policy: InspectionPolicy
) -> ChecklistWithdrawn | None:
    if state.withdrawn:
        return None
    refuse_school_list_of_bureau(state.kind, by, policy)
    return ChecklistWithdrawn(checklist_version=state.latest, reason=command.reason)


def items_of(drafted: tuple[ItemDrafted, ...]) -> tuple[ChecklistItem, ...]:
    """The items as they are kept; refuses a code twice, and a list on which nothing counts."""
    items = tuple(ChecklistItem(**dict(item)) for item in drafted)
    codes = [item.code for item in items]
    twice = sorted({code for code in codes if codes.count(code) > 1})
    if twice:
        raise Refused("checklist_item_twice", field="items", codes="、".join(twice))
    if full_points(items) == 0:
        raise Refused("checklist_without_points", field="items")
    return items


def full_points(items: tuple[ChecklistItem, ...]) -> Decimal:
    """The points of a list on which everything is met."""
    return sum((item.points for item in items), Decimal(0))


def refuse_withdrawn(state: Checklist) -> None:
    """A withdrawn checklist is kept for what was judged by it, and serves nobody any more."""
    if state.withdrawn:
        raise Refused("checklist_withdrawn", field="checklist", title=state.title)


def refuse_school_list_of_bureau(kind: ProgrammeKind, by: By, policy: InspectionPolicy) -> None:
    """A school sets the list of its own checks; for others' inspections the bureau does."""
    if not by.holds(*BUREAU_INSPECTORS) and not terms_of(policy, kind).self_check:
        raise Refused("programme_of_bureau", field="kind", kind=kind)


def version_to_judge(checklist: Checklist | None, wanted: int | None) -> tuple[Checklist, int]:
    """The checklist and the number of the version that an inspection begun now is judged by.

    A phone that was offline names the version it carried.
    """
    if checklist is None:
        raise Refused("checklist_unknown", field="checklist")
    refuse_withdrawn(checklist)
    if checklist.latest == 0:
        raise Refused("checklist_not_published", field="checklist", title=checklist.title)
    version = wanted or checklist.latest
    if version > checklist.latest:
        raise Refused(
            "checklist_version_unknown", field="checklist_version", latest=checklist.latest
        )
    return checklist, version


class ChecklistRow(View):
    id: UUID
    organisation: UUID
    title: str
    kind: ProgrammeKind
    latest_version: int
    items_count: int
    full_points: Decimal
    drafting: bool
    withdrawn: bool
    changed_at: datetime


@checklists.view(
    "/checklists",
    allow=READERS,
    filters=("kind", "withdrawn", "drafting"),
    sorts=("title", "changed_at"),
    search=("title",),
)
def checklist_register(state: Checklist, recorded: Recorded) -> ChecklistRow:
    items = state.versions[-1] if state.versions else state.draft or ()
    return ChecklistRow(
        id=recorded.stream,
        organisation=recorded.organisation,
        title=state.title,
        kind=state.kind,
        latest_version=state.latest,
        items_count=len(items),
        full_points=full_points(items),
        drafting=state.draft is not None,
        withdrawn=state.withdrawn,
        changed_at=recorded.recorded_at,
    )


class ChecklistItemRow(View):
    """An item of the version in force, as the phone shows it."""

    id: UUID
    organisation: UUID
    title: str
    kind: ProgrammeKind
    latest_version: int
    place_in_list: int
    code: str
    text_zh: str
    text_en: str
    points: Decimal
    veto: bool
    severity: HazardGrade
    category: HazardCategory


@checklists.view(
    "/checklist-items",
    allow=READERS,
    filters=("kind", "veto", "category", "severity"),
    sorts=("place_in_list", "code"),
    search=("text_zh", "text_en"),
)
def checklist_items(state: Checklist, recorded: Recorded) -> dict[str, ChecklistItemRow]:
    if state.withdrawn or not state.versions:
        return {}
    return {
        item.code: ChecklistItemRow(
            id=recorded.stream,
            organisation=recorded.organisation,
            title=state.title,
            kind=state.kind,
            latest_version=state.latest,
            place_in_list=place,
            **msgspec.structs.asdict(item),
        )
        for place, item in enumerate(state.versions[-1], start=1)
    }
