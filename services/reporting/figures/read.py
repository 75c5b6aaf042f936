"""Stored figures back as sums: one query per request, however many measures, units and months.

A figure asked for is picked apart into series (a measure's labels, with a sign). What is read are
whole months where the period holds them, and days at its ends.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any
from uuid import UUID

from services.reporting.figures.fold import Sums
from services.reporting.figures.tree import Tree
from services.reporting.period import BEGINNING, DAY, Period, days_between
from shared.measure import Figure, Ratio, Term
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


def picked(query: Query, figures: Sequence[Figure], where: Where) -> str:
    """Every series that the figures are formed from: (no, labels, figure, side, sign, balance)."""
    selects = []
    for index, figure in enumerate(figures):
        for side, terms, balance in sides(figure):
            for term in terms:
                wanted = {name: [value] for name, value in term.where.items()} | {
                    name: [v for v in values if term.where.get(name, v) == v]
                    for name, values in where.items()
                }
                dims = term.measure.dims
                filters = "".join(
                    f" and labels[{dims.index(name) + 1}] = any({query.bind(values, 'text[]')})"
                    for name, values in wanted.items()
                )
                shown = "".join(
                    f", labels[{dims.index(name) + 1}]" for name in figure.dims
                ).removeprefix(", ")
                selects.append(
                    f"select no, array[{shown}]::text[] as labels, {index} as figure,"
                    f" {side} as side, {term.sign} as sign, {balance} as balance from series"
                    f" where measure = {query.bind(term.measure.name, 'text')}{filters}"
                )
    return " union all ".join(selects)


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
    spans: tuple[tuple[date, date] | None, list[date]],
    place: str | None,
    *,
    balance: bool,
    added: Sequence[str] = (),
) -> str:
    """The stored rows, within months and days, of those picked series that are balances or not,
    joined with how they count; `place` says of whom (where not of everybody).

    `added`: only these numbers, added up by series and place before the join.
    """
    months, days = spans
    series = f"f.series = any(array(select no from picked where balance = {balance}))"
    when = []
    if months is not None:
        first, last = (query.bind(month, "date") for month in months)
        when.append(f"f.grain = 1 and f.day between {first} and {last}")
    if days or not when:
        when.append(f"f.grain = 0 and f.day = any({query.bind(days, 'date[]')})")
    whom = "" if place is None else f" and f.place = any({place})"
    columns, group = "*", ""
    if added:
        sums = ", ".join(f"sum({name})::bigint as {name}" for name in added)
        columns, group = f"series, place, {sums}", " group by series, place"
    found = " union all ".join(
        f"select {columns} from figure f where {series} and {span}{whom}{group}" for span in when
    )
    return f"({found}) f join picked p on p.no = f.series and p.balance = {balance}"


def places(query: Query, units: Iterable[UUID]) -> str:
    """The numbers of units, as an array."""
    return f"array(select no from place where unit = any({query.bind(list(units), 'uuid[]')}))"


def balances(figures: Iterable[Figure]) -> list[bool]:
    """Which of the two kinds of sums the figures need."""
    return sorted({balance for figure in figures for _, _, balance in sides(figure)})


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
    query, selects = Query(), []
    head = f"with picked as materialized ({picked(query, figures, where)})"
    daily = period.days <= DAILY_MAX
    opening = query.bind(period.first if daily else period.first.replace(day=1), "date")
    bucket = "f.day" if daily else "date_trunc('month', f.day)::date"
    own = places(query, [unit])
    for balance in balances(figures):
        of = cells(query, grains(period, balance=balance, daily=daily), own, balance=balance)
        when = f"case when {bucket} >= {opening} then {bucket} end"
        selects.append(
            f"select p.figure, p.side, null::uuid, p.labels, {when}, {_SUMS} from {of}"
            " group by 1, 2, 4, 5"
        )
        first = BEGINNING if balance else period.first
        spells = by_spell(tree, unit, first, period.last) if tree else {}
        for spell, units in spells.items():
            of = cells(
                query, grains(Period("", *spell), balance=False, daily=False),
                places(query, units), balance=balance,
            )  # fmt: skip
            selects.append(
                "select p.figure, p.side, x.unit, null::text[], null::date,"
                f" {_SUMS} from {of} join place x on x.no = f.place group by 1, 2, 3"
            )
    found = Read()
    for row in await connection.fetch(f"{head} {' union all '.join(selects)}", *query.values):
        _take(found, row)
    return found


def _take(found: Read, row: Any) -> None:
    index, side, unit, labels, bucket, *sums = row
    if unit is None:
        known: dict[Any, Sums] = found.own[index, side]
        key: Any = (tuple(labels), bucket)
    else:
        known, key = found.parts[index, side], unit
    before = known.get(key)
    known[key] = sums if before is None else [a + b for a, b in zip(before, sums, strict=True)]


_RANK = """
with picked as materialized ({picked}),
wanted as (select no, unit from place where unit = any({of})),
sums as (
    select place, side, sum(entries)::bigint as entries, sum(number)::bigint as number
    from ({selects}) s group by 1, 2
), valued as (
    select w.unit, coalesce(n.number, 0) as top, coalesce(d.number, 0) as bottom,
           coalesce(n.entries, 0) + coalesce(d.entries, 0) as entries, {value} as value
    from wanted w left join sums n on n.place = w.no and n.side = 0
                  left join sums d on d.place = w.no and d.side = 1
)
select *, rank() over (order by value {order} nulls last) as rank from valued
order by value {order} nulls last, unit limit {limit} offset {offset}
"""


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
    query = Query()
    chosen = picked(query, [figure], where)
    of = query.bind(list(units), "uuid[]")
    selects = []
    for balance in balances([figure]):
        # So many are not looked up one by one: everybody's are read, and theirs picked out.
        few = "array(select no from wanted)" if len(units) <= PLACES_IN_INDEX_MAX else None
        spans = grains(period, balance=balance, daily=False)
        rows = cells(query, spans, few, balance=balance, added=("entries", *shown_by(figure)))
        selects.append(
            f"select f.place, p.side, f.entries, p.sign * {_number(figure)} as number from {rows}"
        )
    statement = _RANK.format(
        picked=chosen, of=of, selects=" union all ".join(selects), value=_value(figure),
        order="desc" if descending else "asc", limit=query.bind(limit, "int"),
        offset=query.bind(offset, "int"),
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
        return f"case p.side when 0 then f.{top} else f.{bottom} end"
    return f"f.{figure.shows}"


def _value(figure: Figure) -> str:
    """A figure's value in SQL, for sorting only."""
    if isinstance(figure, Ratio):
        return "coalesce(n.number, 0)::float8 / nullif(d.number, 0)"
    return "coalesce(n.number, 0)"
