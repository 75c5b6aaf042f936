"""From a batch of events to facts, and from facts to what each figure of each unit grows by.

All in memory: one pass over the events, one over the distinct (figure, unit, day) they came to.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from services.reporting.figures.tree import Tree
from shared.envelope import Delivered, Unappliable, Position
from shared.fields import business_day
from shared.kernel import Recorded
from shared.measure import Fact, Measure, Measures, scaled

DAY, MONTH = 0, 1
"""Grains at which figures are stored."""

_EAST_8 = timedelta(hours=8)
_LAST_SUMMER_TIME = datetime(1992, 1, 1, tzinfo=UTC)

type SeriesKey = tuple[str, tuple[str, ...]]
"""A measure's name and the labels of its dimensions."""

type Leaf = tuple[SeriesKey, UUID, date]
"""What facts are first added up by: a series, the unit itself, a day."""

type Sums = list[int]
"""Entries, count, amount and quantity (in ten-thousandths)."""

type Cell = tuple[int, int, date, int]
"""A stored figure: series, grain, day, place."""


class Archived(NamedTuple):
    """An event as it is kept; the order of fields is that of the table's columns."""

    month: date
    source: str
    epoch: int
    tx: int
    seq: int
    id: UUID
    stream: UUID
    version: int
    type: str
    organisation: UUID
    actor: str
    occurred_at: datetime
    recorded_at: datetime
    day: date
    correlation: UUID | None
    causation: UUID | None
    data: bytes


class Stray(NamedTuple):
    """A fact away from its event's unit or day; the order of fields is that of the columns."""

    type: str
    unit: UUID
    day: date
    month: date
    source: str
    epoch: int
    tx: int
    seq: int


@dataclass(slots=True)
class Folded:
    """What a batch comes to."""

    archive: list[Archived] = field(default_factory=list)
    strays: set[Stray] = field(default_factory=set)
    leaves: dict[Leaf, Sums] = field(default_factory=dict)


class Placed(NamedTuple):
    """A fact with all that it left to its event filled in."""

    measure: Measure
    labels: tuple[str, ...]
    unit: UUID
    day: date
    fact: Fact


class Folder:
    """Decodes the events that feed a measure, only the fields that are read, and folds them."""

    def __init__(self, measures: Measures) -> None:
        self.plans: dict[tuple[str, str], tuple[Any, tuple[Measure, ...]]] = {
            place: (msgspec.json.Decoder(event), of)
            for place, (event, of) in measures.by_event().items()
        }
        self._sources: dict[bytes, str] = {}

    def fold(self, events: Iterable[Delivered]) -> Folded:
        """The effect of a batch; raises `Unappliable` for an event that no measure can read."""
        folded = Folded()
        keep, sources, plans = folded.archive.append, self._sources, self.plans
        for event in events:
            try:
                recorded = event.recorded
                header = event.headers["ce_source"]
                source = sources.get(header)
                if source is None:
                    source = sources[header] = event.service
                day = day_of(recorded.occurred_at)
                keep(_archived(event, recorded, source, day))
                plan = plans.get((source, event.type))
                if plan is not None:
                    body = plan[0].decode(event.data)
                    self._add(folded, event, plan[1], body, day)
            except (ValueError, KeyError, TypeError, AttributeError, ArithmeticError) as error:
                raise Unappliable(event, f"{event.type}: {error!r}") from error
        return folded

    def _add(
        self, folded: Folded, event: Delivered, measures: Sequence[Measure], body: Any, day: date
    ) -> None:
        recorded, leaves = event.recorded, folded.leaves
        home = recorded.organisation
        for measure in measures:
            for fact in measure.function(body, recorded):
                unit, on = fact.organisation or home, fact.day or day
                if unit is not home or on is not day:
                    self._stray(folded, unit, on)
                key = ((measure.name, measure.labels(fact)), unit, on)
                amount = scaled(fact.amount) if fact.amount else 0
                quantity = scaled(fact.quantity) if fact.quantity else 0
                sums = leaves.get(key)
                if sums is None:
                    leaves[key] = [1, fact.count, amount, quantity]
                else:
                    sums[0] += 1
                    sums[1] += fact.count
                    sums[2] += amount
                    sums[3] += quantity

    def _stray(self, folded: Folded, unit: UUID, day: date) -> None:
        """Notes where else the event last archived counts."""
        row = folded.archive[-1]
        if unit != row.organisation or day != row.day:
            folded.strays.add(
                Stray(row.type, unit, day, row.month, row.source, row.epoch, row.tx, row.seq)
            )

    def facts(
        self, source: str, type_: str, data: bytes, recorded: Recorded, wanted: frozenset[str]
    ) -> list[Placed]:
        """The facts that an event gives to the wanted measures: what `fold` adds up."""
        plan = self.plans.get((source, type_))
        if plan is None:
            return []
        body, day = plan[0].decode(data), day_of(recorded.occurred_at)
        return [
            Placed(
                measure,
                measure.labels(fact),
                fact.organisation or recorded.organisation,
                fact.day or day,
                fact,
            )
            for measure in plan[1]
            if measure.name in wanted
            for fact in measure.function(body, recorded)
        ]


def day_of(moment: datetime) -> date:
    """The business day; China has kept one time all year since 1992."""
    if moment.tzinfo is UTC and moment >= _LAST_SUMMER_TIME:
        return (moment + _EAST_8).date()
    return business_day(moment)  # type: ignore[no-any-return]


def _archived(event: Delivered, recorded: Recorded, source: str, day: date) -> Archived:
    headers, (epoch, tx, seq) = event.headers, event.position
    recorded_at = recorded.recorded_at
    causation = headers.get("ce_causationid")
    return Archived(
        recorded_at.astimezone(UTC).date().replace(day=1), source, epoch, tx, seq,
        recorded.id, recorded.stream, recorded.version, event.type, recorded.organisation,
        recorded.actor, recorded.occurred_at, recorded_at, day, event.correlation,
        None if causation is None else UUID(causation.decode()), event.data,
    )  # fmt: skip


class Numbers:
    """The short numbers of series and places that a process knows."""

    def __init__(self) -> None:
        self.series: dict[SeriesKey, int] = {}
        self.places: dict[UUID, int] = {}


class Spread:
    """Adds leaves up for the unit and everybody above it, per day and month."""

    def __init__(self, tree: Tree, numbers: Numbers) -> None:
        self.tree, self.numbers = tree, numbers
        self._above: dict[tuple[UUID, date], tuple[int, ...]] = {}

    def cells(self, leaves: dict[Leaf, Sums]) -> dict[Cell, Sums]:
        """Every stored figure that grows; series and places must have their numbers."""
        cells: dict[Cell, Sums] = {}
        series, months = self.numbers.series, {}
        for (key, unit, day), sums in leaves.items():
            number = series[key]
            month = months.get(day)
            if month is None:
                month = months[day] = day.replace(day=1)
            for place in self._places(unit, day):
                _grow(cells, (number, DAY, day, place), sums)
                _grow(cells, (number, MONTH, month, place), sums)
        return cells

    def _places(self, unit: UUID, day: date) -> tuple[int, ...]:
        found = self._above.get((unit, day))
        if found is None:
            if len(self._above) > CACHED_PATHS:
                self._above.clear()
            places = self.numbers.places
            found = self._above[unit, day] = tuple(
                [places[above] for above in self.tree.path_on(unit, day)]
            )
        return found


CACHED_PATHS = 200_000


def _grow(cells: dict[Cell, Sums], cell: Cell, sums: Sums) -> None:
    known = cells.get(cell)
    if known is None:
        cells[cell] = sums.copy()
    else:
        known[0] += sums[0]
        known[1] += sums[1]
        known[2] += sums[2]
        known[3] += sums[3]


def position_of(row: Any) -> Position:
    """The order key of an archived event."""
    return row["epoch"], row["tx"], row["seq"]
