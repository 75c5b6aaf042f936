"""Stored figures back as sums: one query for all measures, units and months of a request.

A figure asked for is first picked apart into series (a measure's labels, with a sign). What is read
are whole months where the period holds them, and days at its ends.
"""

from __future__ import annotations

from collections import defaultdict
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
        "select no, measure, labels from series where measure = any($1)", list(names)
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


_SUMS = (
    "sum(f.entries)::bigint, sum(p.sign * f.count)::bigint, sum(p.sign * f.amount)::bigint,"
    " sum(p.sign * f.quantity)::bigint"
)


def cells(
    query: Query,
    series: Sequence[Picked],
    spans: tuple[tuple[date, date] | None, list[date]],
    place: str | None,
    added: Sequence[str] = (),
) -> str:
    """The stored rows of picked series within months and days; `place` says of whom (where not of
    everybody). `added`: only these numbers, added up by series and place.
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
    columns, group = "*", ""
    if added:
        sums = ", ".join(f"sum({name})::bigint as {name}" for name in added)
        columns, group = f"series, place, {sums}", " group by series, place"
    found = " union all ".join(
        f"select {columns} from figure where series = any({numbers}) and {span}{whom}{group}"
        for span in when
    )
    return f"({found}) f"


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
) -> Read:
    """The sums of figures for a unit over a period; with a tree also of the units below."""
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
            f" case when {bucket} >= {opening} then {bucket} end, {_SUMS}"
            f" from {cells(query, these, spans, own)} {counting(query, these, as_)} group by 1, 3"
        )
        first = BEGINNING if balance else period.first
        spells = by_spell(tree, unit, first, period.last) if tree else {}
        for spell, units in spells.items():
            spans = grains(Period("", *spell), balance=False, daily=False)
            below = cells(query, these, spans, places(query, units))
            selects.append(
                f"select p.as_, x.unit, null::date, {_SUMS}"
                f" from {below} {counting(query, these, as_)} join place x on x.no = f.place"
                " group by 1, 2"
            )
    found = Read()
    if selects:
        for row in await connection.fetch(" union all ".join(selects), *query.values):
            _take(found, series[row[0]], row[1], row[2], list(row)[3:])
    return found


def _take(found: Read, of: Picked, unit: UUID | None, bucket: date | None, sums: Sums) -> None:
    if unit is None:
        known: dict[Any, Sums] = found.own[of.figure, of.side]
        key: Any = (of.labels, bucket)
    else:
        known, key = found.parts[of.figure, of.side], unit
    before = known.get(key)
    known[key] = sums if before is None else [a + b for a, b in zip(before, sums, strict=True)]


_RANK = """
with sums as (
    select place, as_ as side, sum(entries)::bigint as entries, sum(number)::bigint as number
    from ({selects}) s group by 1, 2
), valued as (
    select w.unit, coalesce(n.number, 0) as top, coalesce(d.number, 0) as bottom,
           coalesce(n.entries, 0) + coalesce(d.entries, 0) as entries, {value} as value
    from place w left join sums n on n.place = w.no and n.side = 0
                 left join sums d on d.place = w.no and d.side = 1
    where w.unit = any({of})
)
select *, rank() over (order by value {order} nulls last) as rank from valued
order by value {order} nulls last, unit limit {limit} offset {offset}
"""

_NOTHING = "select 0 as place, 0 as as_, 0::bigint as entries, 0::bigint as number where false"


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
    query, selects = Query(), []
    for balance in sorted({one.balance for one in series}):
        these = [one for one in series if one.balance == balance]
        spans = grains(period, balance=balance, daily=False)
        # So many are not looked up one by one: everybody's are read, and theirs picked out.
        few = places(query, units) if len(units) <= PLACES_IN_INDEX_MAX else None
        rows = cells(query, these, spans, few, ("entries", *shown_by(figure)))
        selects.append(
            f"select f.place, p.as_, f.entries, p.sign * {_number(figure)} as number"
            f" from {rows} {counting(query, these, [one.side for one in these])}"
        )
    statement = _RANK.format(
        selects=" union all ".join(selects) or _NOTHING, value=_value(figure),
        of=query.bind(list(units), "uuid[]"), order="desc" if descending else "asc",
        limit=query.bind(limit, "int"), offset=query.bind(offset, "int"),
    )  # fmt: skip
    return await connection.fetch(statement, *query.values)  # type: ignore[no-any-return]


def shown_by(figure: Figure) -> list[str]:
    """The numbers that a figure shows or is formed from."""
    if not isinstance(figure, Ratio):
        return [figure.shows]
    return list(dict.fromkeys((figure.numerator.shows, figure.denominator.shows)))


def _number(figure: Figure) -> str:
    """The column that a figure shows, by side."""
    if isinstance(figure, Ratio):
        top, bottom = figure.numerator.shows, figure.denominator.shows
        return f"case p.as_ when 0 then f.{top} else f.{bottom} end"
    return f"f.{figure.shows}"


def _value(figure: Figure) -> str:
    """A figure's value in SQL, for sorting only."""
    if isinstance(figure, Ratio):
        return "coalesce(n.number, 0)::float8 / nullif(d.number, 0)"
    return "coalesce(n.number, 0)"
