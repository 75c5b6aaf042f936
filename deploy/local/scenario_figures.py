"""What reporting says of a scenario's figures, beside what must come out: read, judged, shown."""

from __future__ import annotations

import asyncio
import time
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

import httpx

from deploy.local.scenario import Expected, UnitEntry
from deploy.local.scenario_plan import Plan

LEVELS = (
    ("school", "学校", "school"),
    ("county", "县区", "county"),
    ("province", "省", "province"),
)
"""The columns of the table: a level with its label in both languages."""

type Headers = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Reading:
    """What reporting says of one figure at one unit. `events`: how many lie behind it, `equal`:
    whether counting those again gives the same.
    """

    value: Decimal | None
    events: int
    equal: bool = True


@dataclass(frozen=True, slots=True)
class Line:
    """One expected figure with what is reported, by unit (what the file calls it)."""

    expected: Expected
    place: list[UnitEntry]
    readings: dict[str, Reading]

    @property
    def asked(self) -> tuple[str, ...]:
        """The units at which the value is expected."""
        return self.expected.unit, *self.expected.same_at

    def met(self, name: str) -> bool:
        """Whether the figure at a unit is as expected."""
        reading = self.readings.get(name)
        if reading is None or reading.value is None or not reading.equal:
            return False
        wanted = Decimal(self.expected.value)
        if self.expected.bound == "at_least":
            return reading.value >= wanted
        return reading.value == wanted

    @property
    def right(self) -> bool:
        """Whether it is as expected at every unit asked for."""
        return all(self.met(name) for name in self.asked)

    def at_level(self, level: str) -> Reading | None:
        """The reading at the unit of that level, if there is one at or above the place."""
        return next(
            (self.readings[unit.code] for unit in self.place if unit.level == level
             and unit.code in self.readings),
            None,
        )  # fmt: skip


class Figures:
    """Reads figures from reporting."""

    def __init__(self, url: str, client: httpx.AsyncClient, headers: Headers) -> None:
        self.url, self.client, self.headers = url, client, headers

    async def until_right(
        self, plan: Plan, expected: Sequence[Expected], *, seconds: float
    ) -> list[Line]:
        """Every figure, asked again until all are as expected or the time is over: what reactions
        of the services add of themselves comes a moment after what was entered.
        """
        deadline = time.monotonic() + seconds
        while True:
            lines = await self._lines(plan, expected, path="")
            if all(line.right for line in lines) or time.monotonic() > deadline:
                break
            await asyncio.sleep(0.2)
        return await self._lines(plan, expected, path="/check")

    async def _lines(self, plan: Plan, expected: Sequence[Expected], *, path: str) -> list[Line]:
        return list(await asyncio.gather(*(self._line(plan, one, path) for one in expected)))

    async def _line(self, plan: Plan, expected: Expected, path: str) -> Line:
        place = plan.above(expected.unit)
        shown = {level for level, _, _ in LEVELS}
        names = {unit.code: unit.code for unit in place if unit.level in shown}
        names |= {name: name for name in (expected.unit, *expected.same_at)}
        found = await asyncio.gather(
            *(self._reading(expected, plan.units[name], path) for name in names)
        )
        return Line(expected, place, dict(zip(names, found, strict=True)))

    async def _reading(self, expected: Expected, unit: UUID, path: str) -> Reading:
        asked = {"unit": str(unit), "period": expected.period, "dims": dims_text(expected)}
        answer = await self.client.get(
            f"{self.url}/reporting/figures/{expected.measure}{path}",
            params=asked if path else {**asked, "by": "none"},
            headers=self.headers,
        )
        if answer.status_code != httpx.codes.OK:
            raise Unanswered(expected, answer)
        body = answer.json()
        if path:
            return Reading(decimal(body["figure"]), int(body["events"]), bool(body["equal"]))
        return Reading(decimal(body), int(body["entries"]))


class Unanswered(Exception):  # noqa: N818 - says what happened
    """Reporting did not answer for a figure; the message is what it said."""

    def __init__(self, expected: Expected, answer: httpx.Response) -> None:
        super().__init__(f"{expected.measure}: {answer.status_code} {answer.text[:500]}")
        self.expected = expected


def decimal(shown: Mapping[str, Any]) -> Decimal | None:
    """The value that reporting shows."""
    return None if shown["value"] is None else Decimal(str(shown["value"]))


def width(text: str) -> int:
    """Columns that a text takes on a terminal: Chinese characters take two."""
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )


def padded(text: str, columns: int, *, right: bool = False) -> str:
    """The text with spaces up to so many columns."""
    space = " " * max(0, columns - width(text))
    return space + text if right else text + space


def aligned(rows: Sequence[Sequence[str]], *, right: Sequence[int]) -> list[str]:
    """Rows as lines with columns one below the other; those in `right` stand to the right."""
    widths = [max(width(row[at]) for row in rows) for at in range(len(rows[0]))]
    return [
        "  ".join(
            padded(cell, widths[at], right=at in right) for at, cell in enumerate(row)
        ).rstrip()
        for row in rows
    ]


def table(lines: Sequence[Line]) -> list[str]:
    """The figures, each in Chinese with its numbers, and below it in English with its measure."""
    head = [
        ["公布的数字", "单位", "期间", "应为", *(zh for _, zh, _ in LEVELS), "事件", ""],
        ["figure", "unit", "period", "expected", *(en for _, _, en in LEVELS), "events", ""],
    ]
    made = aligned([*head, *map(_row, lines)], right=(3, 4, 5, 6, 7))
    rule = "─" * max(map(width, made))
    shown = [rule, *made[:2], rule]
    for line, text in zip(lines, made[2:], strict=True):
        shown += [text, f"  {line.expected.name.en} · {figure_text(line.expected)}"]
    return [*shown, rule]


def _row(line: Line) -> list[str]:
    expected = line.expected
    return [
        f"{expected.name.zh}（虚构）" if expected.invented else expected.name.zh,
        line.place[0].name,
        expected.period,
        f"{'≥ ' if expected.bound == 'at_least' else ''}{expected.value}",
        *(value_text(line.at_level(level)) for level, _, _ in LEVELS),
        str(line.readings[expected.unit].events),
        "✓" if line.right else "✗",
    ]


def figure_text(expected: Expected) -> str:
    """A figure's name in the API, with its dimensions."""
    dims, invented = dims_text(expected), " (invented)" if expected.invented else ""
    return f"{expected.measure}{' ' + dims if dims else ''}{invented}"


def dims_text(expected: Expected) -> str:
    """Its dimensions as the API takes them: `kind:lamp,fund:canteen`."""
    return ",".join(f"{name}:{value}" for name, value in expected.dims.items())


def value_text(reading: Reading | None) -> str:
    """A reading as it stands in the table; `!` where a recount differs."""
    if reading is None or reading.value is None:
        return "–"
    return f"{reading.value}{'' if reading.equal else '!'}"


def record(lines: Sequence[Line], plan: Plan) -> dict[str, Any]:
    """The table for machines: one entry per figure and unit at which it is expected."""
    return {
        "figures": [
            {
                "name": line.expected.name.zh,
                "name_en": line.expected.name.en,
                "measure": line.expected.measure,
                "dims": line.expected.dims,
                "unit": plan.entries[name].code,
                "unit_name": plan.entries[name].name,
                "period": line.expected.period,
                "expected": line.expected.value,
                "bound": line.expected.bound,
                "reported": value_text(line.readings[name]),
                "events": line.readings[name].events,
                "recount_equal": line.readings[name].equal,
                "invented": line.expected.invented,
                "right": line.met(name),
            }
            for line in lines
            for name in line.asked
        ]
    }
