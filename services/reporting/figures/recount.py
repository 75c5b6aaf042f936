"""The events behind a figure, and the figure counted again from them.

The functions are those that the figures were folded with; the events are those received. So what
is listed is what was summed, and a sum that differs is a fault.
"""

from __future__ import annotations

import base64
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any
from uuid import UUID

import msgspec

from services.reporting.figures.fold import Folder, Placed, Sums
from services.reporting.figures.read import Where, chosen, sides
from services.reporting.figures.tree import Tree
from services.reporting.measure import Figure, Measure, Term, scaled, source_of
from services.reporting.period import BEGINNING, Period
from shared.kernel import Recorded, Refused
from shared.store import Connection

CHUNK = 2_000

_COLUMNS = (
    "month, source, epoch, tx, seq, id, stream, version, type, organisation, actor, occurred_at,"
    " recorded_at, day, data"
)

_ORDER = "day desc, source desc, epoch desc, tx desc, seq desc"

# Events of the units' own days, and those whose facts count for the units or days from elsewhere.
_CANDIDATES = f"""
select {_COLUMNS} from archive
where type = any($1) and organisation = any($2) and day between $3 and $4 and source = any($5)
union
select {", ".join(f"a.{name.strip()}" for name in _COLUMNS.split(","))}
from stray s join archive a using (month, source, epoch, tx, seq)
where s.type = any($1) and s.unit = any($2) and s.day between $3 and $4 and s.source = any($5)
"""

_PAGE = f"""
select * from ({_CANDIDATES}) c
where $6::date is null or (day, source, epoch, tx, seq) < ($6, $7::text, $8::int, $9::bigint,
                                                           $10::bigint)
order by {_ORDER} limit $11
"""


@dataclass(frozen=True, slots=True)
class Counted:
    """A fact as it counts for a figure."""

    side: int
    sign: int
    placed: Placed


@dataclass(slots=True)
class Behind:
    """An event with all that it adds to a figure."""

    row: Any
    facts: list[Counted]


@dataclass(slots=True)
class Recount:
    """What a figure's events come to."""

    sums: dict[int, Sums] = field(default_factory=lambda: defaultdict(lambda: [0, 0, 0, 0]))
    events: int = 0


class Recounter:
    """Counts one figure of one unit and period again."""

    def __init__(
        self, folder: Folder, tree: Tree, figure: Figure, unit: UUID, period: Period, where: Where
    ) -> None:
        self.folder, self.tree, self.unit, self.period = folder, tree, unit, period
        self.where, self.figure = where, figure
        self.terms: list[tuple[int, bool, Term]] = [
            (side, balance, term) for side, terms, balance in sides(figure) for term in terms
        ]
        self.names = frozenset(term.measure.name for _, _, term in self.terms)
        self.units = tree.ever_below(unit)

    @property
    def first(self) -> date:
        """The first day that matters."""
        balance = any(balance for _, balance, _ in self.terms)
        return BEGINNING if balance else self.period.first

    async def at_hand(self, connection: Connection) -> None:
        """Refuses where events of these days may lie in a month that is in a file."""
        rows = await connection.fetch(
            "select to_char(month, 'YYYY-MM') from detached_month"
            " where first_day <= $2 and last_day >= $1 order by month",
            self.first, self.period.last,
        )  # fmt: skip
        if rows:
            months = ", ".join(row[0] for row in rows)
            raise Refused("events_in_files", field="period", months=months)

    def facts(self, row: Any) -> list[Counted]:
        """What an archived event adds to the figure."""
        recorded = Recorded(
            id=row["id"], stream=row["stream"], version=row["version"],
            organisation=row["organisation"], actor=row["actor"],
            occurred_at=row["occurred_at"], recorded_at=row["recorded_at"],
        )  # fmt: skip
        found = self.folder.facts(row["source"], row["type"], row["data"], recorded, self.names)
        return [
            Counted(side, term.sign, placed)
            for placed in found
            if self.unit in self.tree.path_on(placed.unit, placed.day)
            for side, balance, term in self.terms
            if term.measure is placed.measure and self._counts(placed, term, balance=balance)
        ]

    def _counts(self, placed: Placed, term: Term, *, balance: bool) -> bool:
        first = BEGINNING if balance else self.period.first
        if not first <= placed.day <= self.period.last:
            return False
        labels = dict(zip(placed.measure.dims, placed.labels, strict=True))
        return chosen(labels, term, self.where)

    async def page(
        self, connection: Connection, cursor: str, limit: int
    ) -> tuple[list[Behind], str | None]:
        """Events behind the figure, latest first, and the cursor of the next page."""
        after: tuple[Any, ...] = cursor_values(cursor) if cursor else (None,) * 5
        found: list[Behind] = []
        while True:
            rows = await connection.fetch(_PAGE, *self._candidates(), *after, CHUNK)
            for row in rows:
                after = tuple(row[name] for name in ("day", "source", "epoch", "tx", "seq"))
                facts = self.facts(row)
                if facts:
                    found.append(Behind(row, facts))
                if len(found) > limit:
                    return found[:limit], cursor_of(found[limit - 1].row)
            if len(rows) < CHUNK:
                return found, None

    async def recount(self, connection: Connection, events_max: int) -> Recount:
        """The figure's sums, counted again; refuses where that would be too many events."""
        made = Recount()
        seen = 0
        async for row in self._every(connection):
            seen += 1
            if seen > events_max:
                raise Refused("check_too_large", field="period", events_max=events_max)
            facts = self.facts(row)
            made.events += bool(facts)
            for counted in facts:
                fact, sums, sign = counted.placed.fact, made.sums[counted.side], counted.sign
                sums[0] += 1
                sums[1] += sign * fact.count
                sums[2] += sign * scaled(fact.amount)
                sums[3] += sign * scaled(fact.quantity)
        return made

    async def _every(self, connection: Connection) -> AsyncIterator[Any]:
        async for row in connection.cursor(_CANDIDATES, *self._candidates(), prefetch=CHUNK):
            yield row

    def _candidates(self) -> tuple[Any, ...]:
        types, sources = types_of([term.measure for _, _, term in self.terms])
        return types, self.units, self.first, self.period.last, sources


def types_of(measures: Sequence[Measure]) -> tuple[list[str], list[str]]:
    """The event types and services that feed measures."""
    events = {event for measure in measures for event in measure.on}
    return (
        sorted({event.__name__ for event in events}), sorted({source_of(e) for e in events})
    )  # fmt: skip


def cursor_of(row: Any) -> str:
    """Where a page ends, as the next one's cursor."""
    place = [row["day"].isoformat(), *(row[name] for name in ("source", "epoch", "tx", "seq"))]
    return base64.urlsafe_b64encode(msgspec.json.encode(place)).decode()


def cursor_values(cursor: str) -> tuple[date, str, int, int, int]:
    """The place that a cursor names; refuses a broken one."""
    try:
        return msgspec.json.decode(
            base64.urlsafe_b64decode(cursor), type=tuple[date, str, int, int, int]
        )
    except (ValueError, msgspec.MsgspecError) as error:
        raise Refused("cursor_broken", field="cursor") from error
