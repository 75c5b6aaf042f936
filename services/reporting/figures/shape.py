"""From sums to what is shown: values, courses, shares."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from decimal import Decimal

from services.reporting.answers import OfTime, Shown, Value
from services.reporting.figures.fold import Sums
from services.reporting.figures.read import DENOMINATOR, NUMERATOR, Read, sides
from services.reporting.measure import Figure, Ratio, share, unscaled
from services.reporting.measure import Shown as Number
from services.reporting.period import Period, after_month, days_between

NOTHING = (0, 0, 0, 0)

type Pair = tuple[Iterable[int], Iterable[int]]
"""The sums of a figure's two sides."""


def total(sums: Iterable[Iterable[int]]) -> Sums:
    """Several sums added up."""
    added = [0, 0, 0, 0]
    for entries, count, amount, quantity in sums:
        added[0] += entries
        added[1] += count
        added[2] += amount
        added[3] += quantity
    return added


def number(shows: Number, sums: Iterable[int]) -> int | Decimal:
    """The number of a sum that a measure shows."""
    _, count, amount, quantity = sums
    match shows:
        case "count":
            return count
        case "amount":
            return unscaled(amount)
        case "quantity":
            return unscaled(quantity)


def shown(figure: Figure, top: Iterable[int], bottom: Iterable[int] = NOTHING) -> Shown:
    """The value of a figure whose sides came to that."""
    top, bottom = list(top), list(bottom)
    if isinstance(figure, Ratio):
        numerator = number(figure.numerator.shows, top)
        denominator = number(figure.denominator.shows, bottom)
        return Shown(
            value=share(numerator, denominator), numerator=numerator, denominator=denominator,
            entries=top[0] + bottom[0],
        )  # fmt: skip
    return Shown(value=number(figure.shows, top), entries=top[0])


def of_number(shows: Number, value: int) -> Sums:
    """A sum of which only the shown number is known."""
    return [0, *(value if name == shows else 0 for name in ("count", "amount", "quantity"))]


def ranked(figure: Figure, top: int, bottom: int, entries: int) -> Shown:
    """The value of a figure of which only the shown numbers are known."""
    if isinstance(figure, Ratio):
        sides_of = (figure.numerator.shows, figure.denominator.shows)
        made = shown(figure, of_number(sides_of[0], top), of_number(sides_of[1], bottom))
    else:
        made = shown(figure, of_number(figure.shows, top))
    return made.model_copy(update={"entries": entries})


def whole(figure: Figure, found: Read, index: int = 0) -> Shown:
    """The unit's figure over the whole period."""
    return shown(
        figure,
        total(found.own[index, NUMERATOR].values()),
        total(found.own[index, DENOMINATOR].values()),
    )


def by_labels(figure: Figure, found: Read) -> dict[tuple[str, ...], Shown]:
    """The figure by its dimensions' values, the greatest first."""
    labels = {key[0] for side in (NUMERATOR, DENOMINATOR) for key in found.own[0, side]}
    made = {
        label: shown(
            figure,
            *(
                total(sums for key, sums in found.own[0, side].items() if key[0] == label)
                for side in (NUMERATOR, DENOMINATOR)
            ),
        )
        for label in labels
    }
    return dict(sorted(made.items(), key=lambda item: (-_weight(item[1].value), item[0])))


def _weight(value: Value) -> Decimal:
    return Decimal(-1) if value is None else Decimal(value)


def buckets(period: Period, *, daily: bool) -> list[date]:
    """The days, or the first days of the months, that a period touches."""
    if daily:
        return days_between(period.first, period.last)
    found = [period.first.replace(day=1)]
    while after_month(found[-1]) <= period.last:
        found.append(after_month(found[-1]))
    return found


def course(
    figure: Figure, found: Read, period: Period, *, daily: bool, index: int = 0
) -> list[OfTime]:
    """The figure day by day or month by month; a balance as it stood at the end of each."""
    made: list[OfTime] = []
    per_side = {
        side: (_by_bucket(found, index, side), balance) for side, _, balance in sides(figure)
    }
    running = {side: list(sums.get(None, NOTHING)) for side, (sums, _) in per_side.items()}
    for day in buckets(period, daily=daily):
        now: dict[int, Sums] = {}
        for side, (sums, balance) in per_side.items():
            here = sums.get(day, list(NOTHING))
            if balance:
                here = running[side] = total([running[side], here])
            now[side] = here
        one = shown(figure, now[NUMERATOR], now.get(DENOMINATOR, NOTHING))
        made.append(OfTime(day=day, **one.model_dump()))
    return made


def _by_bucket(found: Read, index: int, side: int) -> dict[date | None, Sums]:
    made: dict[date | None, Sums] = {}
    for (_, bucket), sums in found.own[index, side].items():
        before = made.get(bucket)
        made[bucket] = sums if before is None else total([before, sums])
    return made


def own_part(whole_sums: Iterable[int], parts: Iterable[Sums]) -> Sums:
    """What of a unit's sum lies in none of its parts: its own facts."""
    below = total(parts)
    return [a - b for a, b in zip(whole_sums, below, strict=True)]
