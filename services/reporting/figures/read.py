"""Stored figures back as sums: one query for all measures, units and months of a request.

A figure asked for is first picked apart into series (a measure's labels, with a sign). What is read
are whole months where the period holds them, and days at its ends.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, NamedTuple
from uuid import UUID

from services.reporting.figures.fold import Sums
from services.reporting.figures.tree import Tree
from services.reporting.measure import Figure, Ratio, Term
from services.reporting.period import BEGINNING, DAY, Period, days_between
from shared.store import Connection

NUMERATOR, DENOMINATOR = 0, 1
SIDES = 2

DAILY_MAX = 62
"""Up to so many days a figure's course is shown by days, beyond that by months."""

PLACES_IN_INDEX_MAX = 2_000
"""Up to so many units are looked up one by one; more are picked out of all."""

type Where = Mapping[str, Sequence[str]]
"""Dimension -> the values wanted of it."""

type Side = tuple[int, int]
"""Which of the figures asked for, and which of its sums (a ratio has two)."""


@dataclass(slots=True)
class Read:
    """What was found. `own`: of the unit itself by (labels, bucket), where the bucket is a day or
    month, or None for all before the period (of a balance); `parts`: by child unit.
    """

    own: dict[Side, dict[tuple[tuple[str, ...], date | None], Sums]] = field(
        default_factory=lambda: defaultdict(dict)
    )
    parts: dict[Side, dict[UUID, Sums]] = field(default_factory=lambda: defaultdict(dict))


class Query:
    """A statement under construction: parameters are numbered as they are bound."""

    def __init__(self) -> None:
        self.values: list[Any] = []

    def bind(self, value: Any, sql_type: str) -> str:
        """The parameter's place in the statement."""
        self.values.append(value)
        return f"${len(self.values)}::{sql_type}"


def sides(figure: Figure) -> list[tuple[int, tuple[Term, ...], bool]]:
    """The sums that a figure is formed from: side, terms, and whether it is a balance."""
    if isinstance(figure, Ratio):
        top, bottom = figure.numerator, figure.denominator
        return [
            (NUMERATOR, top.terms, top.balance), (DENOMINATOR, bottom.terms, bottom.balance),
        ]  # fmt: skip
    return [(NUMERATOR, figure.terms, figure.balance)]


class Picked(NamedTuple):
    """A series that a figure is formed from: its labels as the figure shows them, and its sign."""

    no: int
    figure: int
    side: int
    sign: int
    balance: bool
    labels: tuple[str, ...]


async def pick(connection: Connection, figures: Sequence[Figure], where: Where) -> list[Picked]:
    """Every series that the figures are formed from."""
    terms = [
        (index, side, term, balance)
        for index, figure in enumerate(figures)
        for side, terms, balance in sides(figure)
        for term in terms
    ]
    names = {term.measure.name for _, _, term, _ in terms}
    rows = await connection.fetch(
        "select no, measure, labels from series where measure = any($1) and stand = 'live'",
        list(names),
    )
    found = []
    for index, side, term, balance in terms:
        for row in rows:
            if row["measure"] == term.measure.name:
                labels = dict(zip(term.measure.dims, row["labels"], strict=True))
                if chosen(labels, term, where):
                    shown = tuple(labels[name] for name in figures[index].dims)
                    found.append(Picked(row["no"], index, side, term.sign, balance, shown))
    return found


def chosen(labels: Mapping[str, str], term: Term, where: Where) -> bool:
    """Whether facts with these labels count for a term, and are wanted."""
    return all(labels[name] == value for name, value in term.where.items()) and all(
        labels[name] in values for name, values in where.items()
    )


def grains(
    period: Period, *, balance: bool, daily: bool
) -> tuple[tuple[date, date] | None, list[date]]:
    """The months (first, last) and the days to read."""
    if not balance:
        return (None, days_between(period.first, period.last)) if daily else (
            period.months(), period.odd_days(),
        )  # fmt: skip
    if not daily:
        whole = Period("", BEGINNING, period.last)
        return whole.months(), whole.odd_days()
    month = period.first.replace(day=1)
    before = Period("", BEGINNING, month - DAY)
    return before.months(), days_between(month, period.last)


SUMS = (
    "sum(f.entries)::bigint, sum(p.sign * f.count)::bigint, sum(p.sign * f.amount)::bigint,"
    " sum(p.sign * f.quantity)::bigint"
)


def cells(
    query: Query,
    series: Sequence[Picked],
    spans: tuple[tuple[date, date] | None, list[date]],
    place: str | None,
    columns: str = "*",
) -> str:
    """The stored rows of picked series within months and days; `place` says of whom (where not of
    everybody).
    """
    months, days = spans
    numbers = query.bind(sorted({one.no for one in series}), "int[]")
    when = []
    if months is not None:
        first, last = (query.bind(month, "date") for month in months)
        when.append(f"grain = 1 and day between {first} and {last}")
    if days or not when:
        when.append(f"grain = 0 and day = any({query.bind(days, 'date[]')})")
    whom = "" if place is None else f" and place = any({place})"
    return " union all ".join(
        f"select {columns} from figure where series = any({numbers}) and {span}{whom}"
        for span in when
    )


def counting(query: Query, series: Sequence[Picked], of: Sequence[int]) -> str:
    """How series count: `p` with the series' number, what it is counted `as_`, and its sign."""
    columns = ([one.no for one in series], list(of), [one.sign for one in series])
    numbers, of_, signs = (query.bind(column, "int[]") for column in columns)
    return f"join unnest({numbers}, {of_}, {signs}) p(no, as_, sign) on p.no = f.series"


def places(query: Query, units: Iterable[UUID]) -> str:
    """The numbers of units, as an array."""
    return f"array(select no from place where unit = any({query.bind(list(units), 'uuid[]')}))"


def by_spell(
    tree: Tree, unit: UUID, first: date, last: date
) -> dict[tuple[date, date], list[UUID]]:
    """The units directly below, by when within the span they were."""
    found: dict[tuple[date, date], list[UUID]] = defaultdict(list)
    for child, spells in tree.children_within(unit, (first, last)).items():
        for spell in spells:
            found[spell].append(child)
    return found


async def read(
    connection: Connection,
    figures: Sequence[Figure],
    unit: UUID,
    period: Period,
    *,
    where: Where,
    tree: Tree | None,
    series: Sequence[Picked] | None = None,
) -> Read:
    """The sums of figures for a unit over a period; with a tree also of the units below. `series`:
    what has been picked for these figures already.
    """
    if series is None:
        series = await pick(connection, figures, where)
    query, selects = Query(), []
    daily = period.days <= DAILY_MAX
    opening = query.bind(period.first if daily else period.first.replace(day=1), "date")
    bucket = "f.day" if daily else "date_trunc('month', f.day)::date"
    own = places(query, [unit])
    for balance in sorted({one.balance for one in series}):
        these = [one for one in series if one.balance == balance]
        as_ = [series.index(one) for one in these]
        spans = grains(period, balance=balance, daily=daily)
        selects.append(
            "select p.as_, null::uuid,"
            f" case when {bucket} >= {opening} then {bucket} end, {SUMS}"
            f" from ({cells(query, these, spans, own)}) f {counting(query, these, as_)}"
            " group by 1, 3"
        )
        as_ = [_side_number(one.figure, one.side) for one in these]
        first = BEGINNING if balance else period.first
        spells = by_spell(tree, unit, first, period.last) if tree else {}
        for spell, units in spells.items():
            spans = grains(Period("", *spell), balance=False, daily=False)
            below = cells(query, these, spans, places(query, units))
            selects.append(
                f"select p.as_, x.unit, null::date, {SUMS}"
                f" from ({below}) f {counting(query, these, as_)} join place x on x.no = f.place"
                " group by 1, 2"
            )
    found = Read()
    if selects:
        for row in await connection.fetch(" union all ".join(selects), *query.values):
            of, below, bucket, *sums = row
            if below is None:
                one = series[of]
                _add(found.own[one.figure, one.side], (one.labels, bucket), sums)
            else:
                _add(found.parts[divmod(of, SIDES)], below, sums)
    return found


def _side_number(figure: int, side: int) -> int:
    return figure * SIDES + side


def _add[K](known: dict[K, Sums], key: K, sums: Sums) -> None:
    before = known.get(key)
    known[key] = sums if before is None else [a + b for a, b in zip(before, sums, strict=True)]


_RANK = """
with sums as (
    select place, sum(entries)::bigint as entries, sum(top)::bigint as top,
           sum(bottom)::bigint as bottom
    from ({selects}) s group by place
), valued as (
    select unit, coalesce(top, 0) as top, coalesce(bottom, 0) as bottom,
           coalesce(entries, 0) as entries, {value} as value
    from unnest({of}) as asked(unit) join place using (unit) left join sums on place = no
)
select *, rank() over (order by value {order} nulls last) as rank from valued
order by value {order} nulls last, unit limit {limit} offset {offset}
"""

_NOTHING = "select 0 as place, 0 as entries, 0 as top, 0 as bottom where false"


async def rank(
    connection: Connection,
    figure: Figure,
    units: Sequence[UUID],
    period: Period,
    *,
    where: Where,
    descending: bool,
    limit: int,
    offset: int,
) -> list[Any]:
    """Units in the order of a figure: rows of unit, the numbers `top` and `bottom` that it shows or
    is formed from, `entries`, rank.
    """
    series = await pick(connection, [figure], where)
    query = Query()
    # So many are not looked up one by one: everybody's are read, and theirs picked out.
    few = places(query, units) if series and len(units) <= PLACES_IN_INDEX_MAX else None
    alike: dict[tuple[bool, int, int, int], list[Picked]] = defaultdict(list)
    times: Counter[tuple[int, int, int]] = Counter()
    for one in series:  # a series that is in a sum twice counts twice
        times[one.no, one.side, one.sign] += 1
        alike[one.balance, one.side, one.sign, times[one.no, one.side, one.sign]].append(one)
    selects = [
        cells(
            query, these, grains(period, balance=balance, daily=False), few,
            f"place, entries, {_numbers(figure, side, sign)}",
        )
        for (balance, side, sign, _), these in alike.items()
    ]  # fmt: skip
    statement = _RANK.format(
        selects=" union all ".join(selects) or _NOTHING, value=_value(figure),
        of=query.bind(list(units), "uuid[]"), order="desc" if descending else "asc",
        limit=query.bind(limit, "int"), offset=query.bind(offset, "int"),
    )  # fmt: skip
    return await connection.fetch(statement, *query.values)  # type: ignore[no-any-return]


def _numbers(figure: Figure, side: int, sign: int) -> str:
    """The number that a side shows, as the side that it belongs to."""
    if isinstance(figure, Ratio):
        shows = (figure.denominator if side else figure.numerator).shows
    else:
        shows = figure.shows
    top, bottom = ("0", f"{sign} * {shows}") if side else (f"{sign} * {shows}", "0")
    return f"{top} as top, {bottom} as bottom"


def _value(figure: Figure) -> str:
    """A figure's value in SQL, for sorting only."""
    if isinstance(figure, Ratio):
        return "coalesce(top, 0)::float8 / nullif(bottom, 0)"
    return "coalesce(top, 0)"
