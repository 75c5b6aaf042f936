"""The words in which figures are declared: a measure is a pure function from an event to facts.

A fact says how much happens to which figure: a count, an amount, a quantity, by some dimensions,
for a unit on a business day. A correction is a negative fact on the original day. Whatever figures
are shown (per unit and day, of a county and year, in a ranking, behind a drill-down) is the sum of
facts and nothing else; a ratio is formed from two such sums.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Literal
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


@dataclass(frozen=True, slots=True, eq=False)
class Measure:
    """One declared measure. `unit` is what its value is counted in, a key of [values] in words."""

    name: str
    on: tuple[type[Event | Foreign], ...]
    function: Facts
    unit: str
    dims: tuple[str, ...]
    shows: Shown
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


@dataclass(frozen=True, slots=True, eq=False)
class Ratio:
    """Two measures' sums divided; `dims` are those that both have."""

    name: str
    numerator: Measure
    denominator: Measure

    unit = "share"
    shows = "ratio"

    @property
    def dims(self) -> tuple[str, ...]:
        """The dimensions by which both parts can be told apart."""
        return tuple(dim for dim in self.numerator.dims if dim in self.denominator.dims)


def share(numerator: Decimal | int, denominator: Decimal | int) -> Decimal | None:
    """A ratio with four decimals, rounded half up; None where there is nothing to divide by."""
    if denominator == 0:
        return None
    return (Decimal(numerator) / Decimal(denominator)).quantize(RATIO_STEP, ROUND_HALF_UP)


def scaled(value: Decimal) -> int:
    """A decimal as whole ten-thousandths; ValueError if it is finer than that."""
    if not value:
        return 0
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
    """Every declared measure and ratio, by name and by the event that feeds it."""

    def __init__(self) -> None:
        self.by_name: dict[str, Measure] = {}
        self.ratios: dict[str, Ratio] = {}

    def measure[F: Facts](
        self,
        name: str,
        *,
        on: type[Event | Foreign] | Sequence[type[Event | Foreign]],
        unit: str = "count",
        dims: Sequence[str] = (),
        shows: Shown = "count",
    ) -> Callable[[F], F]:
        """Declares a measure on a pure function `(event, recorded) -> facts`."""
        classes = (on,) if isinstance(on, type) else tuple(on)

        def record(function: F) -> F:
            self._new(name)
            self.by_name[name] = Measure(
                name,
                classes,
                function,
                unit,
                tuple(dims),
                shows,
                frozenset(dims),
                ("",) * len(dims),
            )
            return function

        return record

    def ratio(self, name: str, *, numerator: str, denominator: str) -> Ratio:
        """Declares a ratio of two measures; KeyError if one of them is not declared yet."""
        self._new(name)
        made = Ratio(name, self.by_name[numerator], self.by_name[denominator])
        self.ratios[name] = made
        return made

    def find(self, name: str) -> Measure | Ratio | None:
        """The measure or ratio of that name, or None."""
        return self.by_name.get(name) or self.ratios.get(name)

    def every(self) -> Iterator[Measure | Ratio]:
        """All of them, by name."""
        for name in sorted((*self.by_name, *self.ratios)):
            yield self.by_name.get(name) or self.ratios[name]

    def by_event(self) -> dict[tuple[str, str], tuple[type[Event | Foreign], tuple[Measure, ...]]]:
        """(service, event type) -> its class and the measures that it feeds.

        TypeError if two measures read the same event through different classes: it is decoded once.
        """
        found: dict[tuple[str, str], tuple[type[Event | Foreign], tuple[Measure, ...]]] = {}
        for measure in self.by_name.values():
            for event in measure.on:
                place = (source_of(event), event.__name__)
                known, others = found.get(place, (event, ()))
                if known is not event:
                    raise TypeError(f"{event.__name__} is read through two classes")
                found[place] = (event, (*others, measure))
        return found

    def _new(self, name: str) -> None:
        if self.find(name) is not None:
            raise TypeError(f"{name} is declared twice")


def source_of(event: type[Event | Foreign]) -> str:
    """The service in whose log an event class is written."""
    if issubclass(event, Foreign):
        return event.source
    return event.__module__.split(".")[1]
