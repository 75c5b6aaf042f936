"""What a measurement comes to: rows of a table, on the screen and as JSON."""

from __future__ import annotations

import random
import statistics
import unicodedata
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

import msgspec

RESULT = Path(__file__).parent.parent / "build" / "bench.json"

_HEAD = ("row", "value", "beside it", "ratio", "goal", "met")
_LEFT = (True, False, False, False, True, True)


class Row(msgspec.Struct, frozen=True):
    """One line: `limit` is what the same machine did at best in the same rounds, `ratio` the
    median over rounds of value ÷ limit. `met` is None where there is no goal.
    """

    name: str
    value: float
    unit: str
    limit: float | None = None
    ratio: float | None = None
    goal: str = ""
    met: bool | None = None


type Side = Callable[[], Awaitable[float]]


async def interleaved(rounds: int, sides: Mapping[str, Side]) -> dict[str, list[float]]:
    """What each side reached in each round. Within a round all run shortly after each other, in an
    order that changes: what else the machine does hits them alike.
    """
    found: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name in random.sample(list(sides), len(sides)):
            found[name].append(await sides[name]())
    return found


def compared(
    name: str,
    unit: str,
    values: Sequence[float],
    limits: Sequence[float],
    *,
    at_least: float | None = None,
    at_most: float | None = None,
) -> Row:
    """A row from the rounds of both sides; the goal is a bound of the ratio."""
    ratio = statistics.median(v / limit for v, limit in zip(values, limits, strict=True))
    goal, met = _goal(ratio, at_least, at_most, " ×")
    return Row(
        name, statistics.median(values), unit, statistics.median(limits), ratio, goal, met
    )  # fmt: skip


def plain(
    name: str,
    unit: str,
    values: Sequence[float],
    *,
    at_least: float | None = None,
    at_most: float | None = None,
) -> Row:
    """A row without a limit beside it; the goal is a bound of the value itself."""
    value = statistics.median(values)
    goal, met = _goal(value, at_least, at_most, f" {unit}")
    return Row(name, value, unit, goal=goal, met=met)


def either(row: Row, at_least: float) -> Row:
    """The row, met also where its value itself reaches `at_least`."""
    goal = f"{row.goal} or ≥ {at_least:,.0f} {row.unit}"
    return Row(
        row.name, row.value, row.unit, row.limit, row.ratio, goal,
        bool(row.met) or row.value >= at_least,
    )  # fmt: skip


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which `share` of the values lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def _goal(
    value: float, at_least: float | None, at_most: float | None, unit: str
) -> tuple[str, bool | None]:
    if at_least is not None:
        return f"≥ {at_least:,g}{unit}", value >= at_least
    if at_most is not None:
        return f"≤ {at_most:,g}{unit}", value <= at_most
    return "", None


def table(rows: Sequence[Row]) -> str:
    """The rows as a table in Markdown, aligned so that it reads well as it is."""
    lines = [_HEAD, *(_cells(row) for row in rows)]
    widths = [max(_width(line[n]) for line in lines) for n in range(len(_HEAD))]
    padded = [f"| {' | '.join(map(_padded, line, widths, _LEFT))} |" for line in lines]
    rule = "|".join(
        "-" * (width + 2) if left else "-" * (width + 1) + ":"
        for width, left in zip(widths, _LEFT, strict=True)
    )
    return "\n".join([padded[0], f"|{rule}|", *padded[1:]])


def _cells(row: Row) -> tuple[str, ...]:
    name = f"… {row.name.strip()}" if row.name.startswith(" ") else row.name
    return (
        name,
        f"{_number(row.value)} {row.unit}",
        "" if row.limit is None else _number(row.limit),
        "" if row.ratio is None else f"{row.ratio:.2f}",
        row.goal,
        "" if row.met is None else ("yes" if row.met else "**no**"),
    )


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _width(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)


def _padded(text: str, width: int, left: bool) -> str:
    space = " " * (width - _width(text))
    return text + space if left else space + text


def save(rows: Sequence[Row], path: Path = RESULT) -> None:
    """Writes the rows as JSON; rows of measurements not run this time stay as they were."""
    known: dict[str, Row] = {}
    if path.exists():
        known = {row.name: row for row in msgspec.json.decode(path.read_bytes(), type=_Saved).rows}
    known |= {row.name: row for row in rows}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(
        msgspec.json.format(msgspec.json.encode(_Saved(list(known.values()))), indent=1)
    )


class _Saved(msgspec.Struct):
    rows: list[Row]
