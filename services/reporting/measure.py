"""The words in which figures are declared: a measure is a pure function from an event to facts.

A fact says how much happens to which figure: a count, an amount, a quantity, by some dimensions,
for a unit on a business day. A correction is a negative fact on the original day. Whatever figures
are shown (per unit and day, of a county and year, in a ranking, behind a drill-down) is the sum of
facts and nothing else; a ratio is formed from two such sums.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Literal, NamedTuple
from uuid import UUID

import msgspec

from shared.kernel import Event, Foreign, Recorded

type Shown = Literal["count", "amount", "quantity"]
"""Which of a fact's three numbers a measure shows as its value."""

SCALE = 10_000
"""Amounts and quantities are added up as whole ten-thousandths: exact, and fast to sum."""

RATIO_STEP = Decimal("0.0001")
"""Ratios have four decimals."""

_ZERO = Decimal(0)


class Fact(msgspec.Struct, frozen=True, kw_only=True):
    """What an event adds to a measure.

    `amount` in yuan, `quantity` in the measure's unit, at most four decimals each. `dims` names
    values of the measure's dimensions. `organisation`: the unit it counts for (default: the
    stream's); `day`: its business day (default: the day on which the event happened).
    """

    count: int = 1
    amount: Decimal = _ZERO
    quantity: Decimal = _ZERO
    dims: Mapping[str, str] = {}
    organisation: UUID | None = None
    day: date | None = None


type Facts = Callable[[Any, Recorded], Iterable[Fact]]
"""A measure's function: the decoded event and its envelope to facts."""


class Term(NamedTuple):
    """A stored measure as a part of a shown one: its facts whose dimensions are `where`, times
    `sign` (1 or -1).
    """

    measure: Measure
    sign: int
    where: Mapping[str, str]


@dataclass(frozen=True, slots=True, eq=False)
class Measure:
    """A measure with facts of its own, which are stored.

    `unit` is what its value is counted in, a key of [values] in words. A `balance` is what there
    is at the end of a period (things, value): the sum of all facts since the beginning; others are
    what happened within the period. `values` names the enumerations whose words its dimensions'
    values have.
    """

    name: str
    on: tuple[type[Event | Foreign], ...]
    function: Facts
    unit: str
    dims: tuple[str, ...]
    shows: Shown
    balance: bool
    values: Mapping[str, str]
    known: frozenset[str]
    no_labels: tuple[str, ...]

    def labels(self, fact: Fact) -> tuple[str, ...]:
        """The fact's values in the order of the dimensions, empty where it has none.

        ValueError for a dimension that the measure does not declare.
        """
        if not fact.dims:
            return self.no_labels
        if not fact.dims.keys() <= self.known:
            unknown = ", ".join(sorted(fact.dims.keys() - self.known))
            raise ValueError(f"{self.name} has no dimension {unknown}")
        return tuple([str(fact.dims.get(name, "")) for name in self.dims])

    @property
    def terms(self) -> tuple[Term, ...]:
        """Itself."""
        return (Term(self, 1, {}),)


@dataclass(frozen=True, slots=True, eq=False)
class Derived:
    """A measure shown from others' facts: another of their numbers, a part of them, a difference.

    Nothing is stored for it.
    """

    name: str
    terms: tuple[Term, ...]
    unit: str
    shows: Shown
    balance: bool

    @property
    def dims(self) -> tuple[str, ...]:
        """The dimensions that all its terms have, less those that are fixed."""
        first = self.terms[0].measure.dims
        fixed = {name for term in self.terms for name in term.where}
        return tuple(
            dim
            for dim in first
            if dim not in fixed and all(dim in term.measure.dims for term in self.terms)
        )

    @property
    def values(self) -> Mapping[str, str]:
        """The enumerations that its dimensions' values are of."""
        return self.terms[0].measure.values


@dataclass(frozen=True, slots=True, eq=False)
class Ratio:
    """Two sums divided; `dims` are those that both have."""

    name: str
    numerator: Measure | Derived
    denominator: Measure | Derived
    unit: str = "share"

    @property
    def dims(self) -> tuple[str, ...]:
        """The dimensions by which both parts can be told apart."""
        return tuple(dim for dim in self.numerator.dims if dim in self.denominator.dims)

    @property
    def values(self) -> Mapping[str, str]:
        """The enumerations that its dimensions' values are of."""
        return self.numerator.values


type Figure = Measure | Derived | Ratio
"""Whatever can be asked for by name."""


def share(numerator: Decimal | int, denominator: Decimal | int) -> Decimal | None:
    """A ratio with four decimals, rounded half up; None where there is nothing to divide by."""
    if denominator == 0:
        return None
    return (Decimal(numerator) / Decimal(denominator)).quantize(RATIO_STEP, ROUND_HALF_UP)


def scaled(value: Decimal) -> int:
    """A decimal as whole ten-thousandths; ValueError if it is finer than that."""
    whole = value * SCALE
    result = int(whole)
    if result != whole:
        raise ValueError(f"{value} is finer than a ten-thousandth")
    return result


def unscaled(value: int) -> Decimal:
    """The decimal of so many ten-thousandths, without superfluous zeros but never as 1E+3."""
    result = Decimal(value) / SCALE
    return result.quantize(Decimal(1)) if result == result.to_integral() else result.normalize()


class Measures:
    """Everything that can be asked for by name, and the measures that each event feeds."""

    def __init__(self) -> None:
        self.figures: dict[str, Figure] = {}

    @property
    def stored(self) -> list[Measure]:
        """The measures that have facts of their own."""
        return [figure for figure in self.figures.values() if isinstance(figure, Measure)]

    def measure[F: Facts](
        self,
        name: str,
        *,
        on: type[Event | Foreign] | Sequence[type[Event | Foreign]],
        unit: str = "count",
        dims: Sequence[str] | Mapping[str, str] = (),
        shows: Shown = "count",
        balance: bool = False,
    ) -> Callable[[F], F]:
        """Declares a measure on a pure function `(event, recorded) -> facts`.

        `dims` may map each dimension to the enumeration that its values are of.
        """
        classes = (on,) if isinstance(on, type) else tuple(on)

        def record(function: F) -> F:
            values = dict(dims) if isinstance(dims, Mapping) else {}
            self._put(
                Measure(
                    name=name, on=classes, function=function, unit=unit, dims=tuple(dims),
                    shows=shows, balance=balance, values=values, known=frozenset(dims),
                    no_labels=("",) * len(dims),
                )
            )  # fmt: skip
            return function

        return record

    def derived(
        self,
        name: str,
        *plus: str,
        minus: Sequence[str] = (),
        where: Mapping[str, str] | None = None,
        unit: str = "count",
        shows: Shown = "count",
        balance: bool = False,
    ) -> None:
        """Declares a measure shown from declared ones: the sum of `plus` less that of `minus`,
        of the facts whose dimensions are `where`. KeyError if one is not declared yet.
        """
        terms = [
            Term(term.measure, sign * term.sign, {**term.where, **(where or {})})
            for sign, names in ((1, plus), (-1, minus))
            for other in names
            for term in self._summed(other).terms
        ]
        self._put(Derived(name, tuple(terms), unit, shows, balance))

    def ratio(self, name: str, *, numerator: str, denominator: str, unit: str = "share") -> None:
        """Declares a ratio of two measures; KeyError if one of them is not declared yet."""
        self._put(Ratio(name, self._summed(numerator), self._summed(denominator), unit))

    def by_event(self) -> dict[tuple[str, str], tuple[type[Event | Foreign], tuple[Measure, ...]]]:
        """(service, event type) -> its class and the measures that it feeds.

        TypeError if two measures read the same event through different classes: it is decoded once.
        """
        found: dict[tuple[str, str], tuple[type[Event | Foreign], tuple[Measure, ...]]] = {}
        for measure in self.stored:
            for event in measure.on:
                place = (source_of(event), event.__name__)
                known, others = found.get(place, (event, ()))
                if known is not event:
                    raise TypeError(f"{event.__name__} is read through two classes")
                found[place] = (event, (*others, measure))
        return found

    def _summed(self, name: str) -> Measure | Derived:
        figure = self.figures[name]
        if isinstance(figure, Ratio):
            raise TypeError(f"{name} is a ratio: it does not add up")
        return figure

    def _put(self, figure: Figure) -> None:
        if figure.name in self.figures:
            raise TypeError(f"{figure.name} is declared twice")
        self.figures[figure.name] = figure


def source_of(event: type[Event | Foreign]) -> str:
    """The service in whose log an event class is written."""
    if issubclass(event, Foreign):
        return event.source
    return event.__module__.split(".")[1]
