"""What a school has lately asked for in one category, so that a need cut into pieces is seen.

拆分采购. One stream per school and category owns the sliding window: every submission is noted in
it in the same transaction, so two pieces sent at once still meet. A suspicion is flagged, and the
piece that crosses a threshold gets the approval chain of the whole sum: a refusal would only be
evaded by waiting or hurt honest repeated needs, whereas so the pieces agreed to under a lower chain
never add up to the threshold. Rule: splitting a purchase to evade a threshold is forbidden
(government purchasing); thresholds and days are dated data.
"""

from __future__ import annotations

from copy import replace
from datetime import date, timedelta
from decimal import Decimal
from typing import ClassVar
from uuid import UUID

import msgspec

from services.procurement.category import Category
from shared.fields import Name, PositiveMoney
from shared.kernel import (
    Aggregate,
    By,
    Command,
    Creation,
    Event,
    Policy,
    Recorded,
    State,
    View,
)  # fmt: skip
from shared.organisation import READERS

KEPT = timedelta(days=366)
"""How long a piece is remembered: no window is longer than a year."""


class SpendingNoted(Event):
    """A submitted requisition entered the window."""

    requisition: UUID
    number: str
    category: Category
    amount_cny: Decimal
    day: date


class SpendingForgotten(Event):
    """A rejected or withdrawn requisition left the window."""

    requisition: UUID
    category: Category
    amount_cny: Decimal


class SplitSuspected(Event):
    """Requisitions that each stay below `threshold_cny` reach it together within `days`."""

    requisitions: tuple[UUID, ...]
    numbers: tuple[str, ...]
    category: Category
    total_cny: Decimal
    threshold_cny: Decimal
    days: int
    day: date


type SpendingEvent = SpendingNoted | SpendingForgotten | SplitSuspected


class Noted(msgspec.Struct, frozen=True, kw_only=True):
    """One submitted requisition in the window."""

    requisition: UUID
    number: str
    amount_cny: Decimal
    day: date


class Suspicion(msgspec.Struct, frozen=True, kw_only=True):
    """Pieces that together reach a threshold; the last one crossed it."""

    requisitions: tuple[UUID, ...]
    numbers: tuple[str, ...]
    total_cny: Decimal
    threshold_cny: Decimal
    days: int
    day: date


class SpendingWatch(State):
    """`submitted`: how many requisitions were submitted in a year, from which numbers are made."""

    category: Category
    submitted: dict[int, int]
    noted: tuple[Noted, ...] = ()
    suspicions: tuple[Suspicion, ...] = ()


def evolve(state: SpendingWatch | None, event: SpendingEvent) -> SpendingWatch:
    """The watch after one more event."""
    watch = state or SpendingWatch(category=event.category, submitted={})
    match event:
        case SpendingNoted(day=day):
            piece = Noted(
                requisition=event.requisition,
                number=event.number,
                amount_cny=event.amount_cny,
                day=day,
            )
            kept = tuple(noted for noted in watch.noted if day - noted.day <= KEPT)
            count = watch.submitted.get(day.year, 0) + 1
            return replace(
                watch, noted=(*kept, piece), submitted={**watch.submitted, day.year: count}
            )
        case SpendingForgotten(requisition=gone):
            return replace(
                watch, noted=tuple(noted for noted in watch.noted if noted.requisition != gone)
            )
        case SplitSuspected():
            suspicion = Suspicion(
                requisitions=event.requisitions,
                numbers=event.numbers,
                total_cny=event.total_cny,
                threshold_cny=event.threshold_cny,
                days=event.days,
                day=event.day,
            )
            return replace(watch, suspicions=(*watch.suspicions, suspicion))


spending_watches = Aggregate(
    "spending_watch",
    events=SpendingEvent,
    state=SpendingWatch,
    evolve=evolve,
    key=lambda command: f"{command.organisation}:{command.category}",
)


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """Which sums matter within how many days; each threshold is watched by itself."""

    days: int
    thresholds_cny: tuple[Decimal, ...]


class SplitPolicy(Policy):
    """Per category the window in which pieces of one need are added up; absent: not watched."""

    slug: ClassVar[str] = "procurement.split"

    watched: dict[Category, Window]


def next_number(watch: SpendingWatch | None, category: Category, day: date) -> str:
    """The number (请购单号) of the next requisition of that category in that year."""
    count = watch.submitted.get(day.year, 0) if watch else 0
    return f"QG{day.year}-{category.upper()}-{count + 1:04}"


def suspect(
    watch: SpendingWatch | None, piece: Noted, category: Category, policy: SplitPolicy
) -> Suspicion | None:
    """The highest threshold that `piece` reaches only together with other pieces below it."""
    window = policy.watched.get(category)
    if watch is None or window is None:
        return None
    near = [
        noted
        for noted in watch.noted
        if noted.requisition != piece.requisition and abs(noted.day - piece.day).days < window.days
    ]
    for threshold in sorted(window.thresholds_cny, reverse=True):
        pieces = [*(noted for noted in near if noted.amount_cny < threshold), piece]
        total = sum((noted.amount_cny for noted in pieces), Decimal(0))
        if piece.amount_cny < threshold <= total:
            return Suspicion(
                requisitions=tuple(noted.requisition for noted in pieces),
                numbers=tuple(noted.number for noted in pieces),
                total_cny=total,
                threshold_cny=threshold,
                days=window.days,
                day=piece.day,
            )
    return None


class NoteSpending(Creation):
    category: Category
    requisition: UUID
    number: Name
    amount_cny: PositiveMoney


@spending_watches.decision
def note(
    state: SpendingWatch | None, command: NoteSpending, by: By, policy: SplitPolicy
) -> list[Event] | None:
    if state and any(noted.requisition == command.requisition for noted in state.noted):
        return None
    piece = Noted(
        requisition=command.requisition,
        number=command.number,
        amount_cny=command.amount_cny,
        day=by.day,
    )
    events: list[Event] = [
        SpendingNoted(
            requisition=piece.requisition,
            number=piece.number,
            category=command.category,
            amount_cny=piece.amount_cny,
            day=piece.day,
        )
    ]
    if suspicion := suspect(state, piece, command.category, policy):
        events.append(
            SplitSuspected(category=command.category, **msgspec.structs.asdict(suspicion))
        )
    return events


class ForgetSpending(Command):
    requisition: UUID


@spending_watches.decision
def forget(state: SpendingWatch, command: ForgetSpending, by: By) -> SpendingForgotten | None:
    for noted in state.noted:
        if noted.requisition == command.requisition:
            return SpendingForgotten(
                requisition=noted.requisition,
                category=state.category,
                amount_cny=noted.amount_cny,
            )
    return None


class SpendingWatchRow(View):
    id: UUID
    organisation: UUID
    category: Category
    requisitions_count: int
    total_cny: Decimal
    latest_on: date | None
    suspicions_count: int


@spending_watches.view(
    "/spending-watches", allow=READERS, filters=("category",), sorts=("total_cny", "latest_on")
)
def recent_spending(state: SpendingWatch, recorded: Recorded) -> SpendingWatchRow:
    return SpendingWatchRow(
        id=recorded.stream,
        organisation=recorded.organisation,
        category=state.category,
        requisitions_count=len(state.noted),
        total_cny=sum((noted.amount_cny for noted in state.noted), Decimal(0)),
        latest_on=max((noted.day for noted in state.noted), default=None),
        suspicions_count=len(state.suspicions),
    )


class SplitSuspicionRow(View):
    id: UUID
    organisation: UUID
    category: Category
    numbers: str
    requisitions: tuple[UUID, ...]
    total_cny: Decimal
    threshold_cny: Decimal
    days: int
    suspected_on: date


@spending_watches.view(
    "/split-suspicions",
    allow=READERS,
    filters=("category", "threshold_cny"),
    sorts=("suspected_on", "total_cny"),
    search=("numbers",),
)
def split_suspicions(state: SpendingWatch, recorded: Recorded) -> dict[str, SplitSuspicionRow]:
    return {
        str(suspicion.requisitions[-1]): SplitSuspicionRow(
            id=recorded.stream,
            organisation=recorded.organisation,
            category=state.category,
            numbers="、".join(suspicion.numbers),
            requisitions=suspicion.requisitions,
            total_cny=suspicion.total_cny,
            threshold_cny=suspicion.threshold_cny,
            days=suspicion.days,
            suspected_on=suspicion.day,
        )
        for suspicion in state.suspicions
    }
