"""From a batch of events to facts, and from facts to what each figure of each unit grows by.

All in memory: one pass over the events, one over the distinct (figure, unit, day) they came to.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from services.reporting.figures.tree import DEPTH_MAX, Tree
from services.reporting.measure import Fact, Measure, Measures, scaled
from shared.envelope import Delivered, Unappliable
from shared.fields import business_day
from shared.kernel import Recorded

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

type Cells = dict[int, Sums]
"""What stored figures grow by. Their key (series, grain, day, place) is packed into one number,
which is what makes adding up and sorting fast; `row_of` takes it apart.
"""

PLACE_BITS, DAY_BITS = 32, 20
_PLACE, _DAY = (1 << PLACE_BITS) - 1, (1 << DAY_BITS) - 1
_GRAIN_AT = PLACE_BITS + DAY_BITS
_SERIES_AT = _GRAIN_AT + 1


type FigureRow = tuple[int, int, date, int, int, int, int, int, int]
"""A row of `figure`: series, grain, day, place, lane, entries, count, amount, quantity."""


type ArchiveRow = tuple[Any, ...]
"""An event as it is kept; the order of its fields is that of `ARCHIVE`."""

ARCHIVE = (
    "month", "source", "epoch", "tx", "seq", "id", "stream", "version", "type", "organisation",
    "actor", "occurred_at", "recorded_at", "day", "correlation", "causation", "data",
    "trace",
)  # fmt: skip


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

    archive: list[ArchiveRow] = field(default_factory=list)
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

    def fold(self, events: Iterable[Delivered], folded: Folded) -> None:
        """Adds events to the effect of a batch; raises `Unappliable` for one that no measure can
        read.
        """
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
                labels = measure.labels(fact)
                add(leaves, ((measure.name, labels), unit, on), fact)

    def _stray(self, folded: Folded, unit: UUID, on: date) -> None:
        """Notes where else the event last archived counts."""
        month, source, epoch, tx, seq, _, _, _, type_, organisation, _, _, _, day, *_ = (
            folded.archive[-1]
        )
        if unit != organisation or on != day:
            folded.strays.add(Stray(type_, unit, on, month, source, epoch, tx, seq))

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


def _archived(event: Delivered, recorded: Recorded, source: str, day: date) -> ArchiveRow:
    headers = event.headers
    causation = headers.get("ce_causationid")
    return (
        _month(headers["ce_recordedat"]), source, *event.position, recorded.id, recorded.stream,
        recorded.version, event.type, recorded.organisation, recorded.actor, recorded.occurred_at,
        recorded.recorded_at, day, headers["ce_correlationid"].decode(),
        None if causation is None else causation.decode(), event.data, event.traceparent,
    )  # fmt: skip


def _month(recorded_at: bytes) -> date:
    """The month of recording, in which an event is kept."""
    if recorded_at.endswith(b"+00:00"):
        return _month_of(recorded_at[:7])
    return datetime.fromisoformat(recorded_at.decode()).astimezone(UTC).date().replace(day=1)


@lru_cache(64)
def _month_of(text: bytes) -> date:
    return date.fromisoformat(f"{text.decode()}-01")


class Numbers:
    """The short numbers of places, and of series (`live`, or those of a rebuild: `beside`), that a
    process knows.
    """

    def __init__(self, stand: str = "live") -> None:
        self.stand = stand
        self.series: dict[SeriesKey, int] = {}
        self.places: dict[UUID, int] = {}


class Spread:
    """Adds leaves up for the unit and everybody above it, per day and month.

    Level by level: schools into townships, those into counties. Further up there is ever less.
    """

    def __init__(self, tree: Tree, numbers: Numbers) -> None:
        self.tree, self.numbers = tree, numbers
        self._depths: dict[UUID, int] = {}
        self._above: dict[int, int] = {}

    def cells(self, leaves: dict[Leaf, Sums]) -> Cells:
        """Every stored figure that grows; series and places must have their numbers."""
        series, places, depths = self.numbers.series, self.numbers.places, self._depths
        levels: list[Cells] = [{} for _ in range(DEPTH_MAX + 1)]
        for (key, unit, day), sums in leaves.items():
            of_day = series[key] << _SERIES_AT | day.toordinal() << PLACE_BITS
            depth = depths.get(unit)
            if depth is None:
                depth = self._learn(unit)
            if depth:
                levels[depth][of_day | places[unit]] = sums
            else:  # it has moved, or somebody above it: who stood above depends on the day
                path = self.tree.path_on(unit, day)
                _add_up(levels[0], [(of_day | places[above], sums) for above in path])
        above = self._above
        for depth in range(DEPTH_MAX, 1, -1):
            lower = levels[depth].items()
            _add_up(
                levels[depth - 1],
                ((cell & ~_PLACE | above[cell & _PLACE], sums) for cell, sums in lower),
            )
        return _with_months(levels)

    def _learn(self, unit: UUID) -> int:
        """How deep the unit stands (a root: 1), or 0 if its path has ever changed."""
        paths = self.tree.over_time(unit)
        path = [self.numbers.places[above] for above in paths[0][1]]
        depth = self._depths[unit] = len(path) if len(paths) == 1 else 0
        if depth:
            self._above.update(pairwise(path))
        return depth


def _add_up(cells: Cells, grown: Iterable[tuple[int, Sums]]) -> None:
    """Adds sums to cells; the sums themselves stay as they are."""
    for cell, sums in grown:
        known = cells.get(cell)
        if known is None:
            cells[cell] = sums
        else:
            cells[cell] = [
                known[0] + sums[0], known[1] + sums[1], known[2] + sums[2], known[3] + sums[3],
            ]  # fmt: skip


def _with_months(levels: list[Cells]) -> Cells:
    """All levels' days, and the months that they add up to."""
    cells: Cells = {}
    for level in levels[1:]:
        cells |= level  # no place stands at two levels
    _add_up(cells, levels[0].items())
    back = _BackToMonth()
    months: Cells = {}
    _add_up(
        months, ((cell + back[cell >> PLACE_BITS & _DAY], sums) for cell, sums in cells.items())
    )
    cells |= months
    return cells


class _BackToMonth(dict[int, int]):
    """By a day's ordinal: what turns its cell into its month's when added."""

    def __missing__(self, ordinal: int) -> int:
        day = date.fromordinal(ordinal)
        back = self[ordinal] = (MONTH << _GRAIN_AT) - ((day.day - 1) << PLACE_BITS)
        return back


class _Dates(dict[int, date]):
    def __missing__(self, ordinal: int) -> date:
        day = self[ordinal] = date.fromordinal(ordinal)
        return day


def rows_of(cells: Cells, lane: int) -> list[FigureRow]:
    """Rows in the order of the key, so that two writers never lock them crosswise."""
    dates = _Dates()
    rows: list[Any] = [
        (
            cell >> _SERIES_AT, cell >> _GRAIN_AT & 1, dates[cell >> PLACE_BITS & _DAY],
            cell & _PLACE, lane, *cells[cell],
        )
        for cell in sorted(cells)
    ]  # fmt: skip
    return rows


def add(leaves: dict[Leaf, Sums], leaf: Leaf, fact: Fact) -> None:
    """Adds a fact to the sums of its leaf; ValueError if it is finer than can be stored."""
    amount = scaled(fact.amount) if fact.amount else 0
    quantity = scaled(fact.quantity) if fact.quantity else 0
    sums = leaves.get(leaf)
    if sums is None:
        leaves[leaf] = [1, fact.count, amount, quantity]
    else:
        sums[0] += 1
        sums[1] += fact.count
        sums[2] += amount
        sums[3] += quantity
