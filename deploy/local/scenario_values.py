"""What `${...}` in a scenario stands for, and on which days things happen.

- `${n}`, `${n:03}`: the number of the repetition, from 1
- `${day}`, `${day+2}`: its day, as 2011-09-05
- `${item}`, `${item.name}`: its item, or a part of it
- `${up.n}`, `${up.day}`, ...: the same of the repetition around it
- `${repair}`: the id of what was called so; a unit by its code or by what it is called
- `${check.row.place}`: something of the answer; `${cards.2}` the second of a repetition's things,
  `${cards.*}` all of them
- `${sha256 text}`: the hash that a file with that text would have
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from deploy.local.scenario import RESERVED, CalendarEntry, Template

_PLACE = re.compile(r"\$\{([^{}]*)\}")
_NUMBER = re.compile(r"n(?::0(\d))?")
_DAY = re.compile(r"day(?:([+-])(\d{1,4}))?")
_NAME = re.compile(r"[\w-]+")


class Meaningless(Exception):  # noqa: N818 - says what the expression is
    """An expression that stands for nothing."""

    def __init__(self, zh: str, en: str) -> None:
        super().__init__(en)
        self.zh, self.en = zh, en


@dataclass(frozen=True, slots=True)
class Ref:
    """Something of the answer to the command with that key; an empty path is the thing's id."""

    key: str
    path: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Pending:
    """A value that is known only once commands have been answered.

    `parts` of a text, in order; `whole`: it is the one part itself, not a text.
    """

    parts: tuple[Any, ...]
    whole: bool = False


@dataclass(slots=True)
class Scope:
    """What is known at a place of the file: names (a Ref, several, or an id) and the repetition."""

    names: dict[str, Any] = field(default_factory=dict)
    local: Mapping[str, Any] = field(default_factory=dict)
    up: Scope | None = None

    def find(self, name: str) -> Any:
        """What is called so, here or around; raises `Meaningless`."""
        scope: Scope | None = self
        while scope is not None:
            if name in scope.names:
                return scope.names[name]
            scope = scope.up
        raise Meaningless(f"没有叫 {name} 的东西", f"nothing is called {name}")

    def of_repetition(self, word: str) -> Any:
        """`n`, `day` or `item` of the innermost repetition that has it; raises `Meaningless`."""
        scope: Scope | None = self
        while scope is not None:
            if word in scope.local:
                return scope.local[word]
            scope = scope.up
        raise Meaningless(f"这里没有 ${{{word}}}", f"there is no ${{{word}}} here")

    def outer(self) -> Scope:
        """The scope around the innermost repetition."""
        scope: Scope | None = self
        while scope is not None and not scope.local:
            scope = scope.up
        if scope is None or scope.up is None:
            raise Meaningless("这里没有外层重复", "there is no repetition around this one")
        return scope.up


def render(value: Any, scope: Scope, blame: Callable[[int, Meaningless], None]) -> Any:
    """The value with every expression worked out as far as it can be before anything is sent.

    What is wrong is told to `blame` with its line.
    """
    match value:
        case Template():
            try:
                return rendered(value, scope)
            except Meaningless as error:
                blame(value.line, error)
                return str(value)
        case Mapping():
            return {key: render(one, scope, blame) for key, one in value.items()}
        case list() | tuple():
            return [render(one, scope, blame) for one in value]
        case _:
            return value


def rendered(text: str, scope: Scope) -> Any:
    """A text with its expressions worked out; alone it keeps its kind. Raises `Meaningless`."""
    alone = _PLACE.fullmatch(text)
    if alone:
        return evaluate(alone[1].strip(), scope)
    parts: list[Any] = []
    end = 0
    for found in _PLACE.finditer(text):
        made = evaluate(found[1].strip(), scope)
        parts += [text[end : found.start()], *(made.parts if isinstance(made, Pending) else [made])]
        end = found.end()
    parts.append(text[end:])
    if any("${" in part for part in parts if isinstance(part, str)):
        raise Meaningless("表达式没有写完", "an expression is not closed")
    if any(isinstance(part, Ref) for part in parts):
        return Pending(tuple(parts))
    return "".join(map(str, parts))


def evaluate(expression: str, scope: Scope) -> Any:
    """What one expression stands for: a value, or a Pending one. Raises `Meaningless`."""
    if expression.startswith("up."):
        return evaluate(expression.removeprefix("up."), scope.outer())
    if expression.startswith("sha256 "):
        return hashlib.sha256(expression.removeprefix("sha256 ").encode()).hexdigest()
    if number := _NUMBER.fullmatch(expression):
        n = scope.of_repetition("n")
        return f"{n:0{number[1]}}" if number[1] else n
    if moved := _DAY.fullmatch(expression):
        day: date = scope.of_repetition("day")
        days = int(moved[2] or 0) * (-1 if moved[1] == "-" else 1)
        return (day + timedelta(days=days)).isoformat()
    first, *path = expression.split(".")
    if not _NAME.fullmatch(first):
        raise Meaningless(f"看不懂 ${{{expression}}}", f"${{{expression}}} cannot be read")
    if first == "item":
        return within(scope.of_repetition("item"), path)
    if first in RESERVED:
        raise Meaningless(f"看不懂 ${{{expression}}}", f"${{{expression}}} cannot be read")
    return named(scope.find(first), path, first)


def named(found: Any, path: Sequence[str], name: str) -> Any:
    """What a name and the path after it stand for."""
    if isinstance(found, Ref):
        return Pending((Ref(found.key, tuple(path)),), whole=True)
    if not isinstance(found, list):
        return within(found, path)
    which, *rest = path or [""]
    if which == "*":
        return [named(one, rest, name) for one in found]
    if not which.isdecimal() or not 1 <= int(which) <= len(found):
        raise Meaningless(
            f"{name} 有 {len(found)} 个：写 {name}.1 或 {name}.*",
            f"{name} are {len(found)}: say {name}.1 or {name}.*",
        )
    return named(found[int(which) - 1], rest, name)


def within(value: Any, path: Sequence[str]) -> Any:
    """The part of a value at a path of keys and positions; raises `Meaningless`."""
    for part in path:
        if isinstance(value, Mapping) and part in value:
            value = value[part]
        elif isinstance(value, list) and part.isdecimal() and int(part) < len(value):
            value = value[int(part)]
        else:
            raise Meaningless(f"其中没有 {part}", f"it has no {part}")
    return value


def settled(value: Any, answers: Mapping[str, Any]) -> Any:
    """The value with everything filled in from the answers; raises `Meaningless`."""
    match value:
        case Pending(parts=parts, whole=True):
            return _answered(parts[0], answers)
        case Pending(parts=parts):
            texts = (_answered(one, answers) if isinstance(one, Ref) else one for one in parts)
            return "".join(map(str, texts))
        case dict():
            return {key: settled(one, answers) for key, one in value.items()}
        case list():
            return [settled(one, answers) for one in value]
        case _:
            return value


def _answered(ref: Ref, answers: Mapping[str, Any]) -> Any:
    return within(answers[ref.key], ref.path or ("id",))


def refs(value: Any) -> Iterable[Ref]:
    """Every answer that the value waits for."""
    match value:
        case Pending(parts=parts):
            yield from (one for one in parts if isinstance(one, Ref))
        case dict():
            for one in value.values():
                yield from refs(one)
        case list():
            for one in value:
                yield from refs(one)
        case _:
            return


def moment(value: str | date, zone: ZoneInfo) -> datetime:
    """A moment from `2011-09-05 08:30`; a day alone is its noon. Raises `Meaningless`."""
    try:
        found = datetime.fromisoformat(str(value).strip())
    except ValueError:
        raise Meaningless(
            f"时间 {value} 看不懂，例如 2011-09-05 08:30",
            f"{value} is no moment, such as 2011-09-05 08:30",
        ) from None
    if len(str(value).strip()) == len("2011-09-05"):
        found = found.replace(hour=12)
    return found if found.tzinfo else found.replace(tzinfo=zone)


class Days:
    """The calendar of a scenario: which days are school days."""

    def __init__(self, calendar: CalendarEntry) -> None:
        self.terms = [(one.first_day, one.last_day) for one in calendar.terms]
        self.off = [(one.first_day, one.last_day) for one in calendar.holidays]
        self.made_up = {one.day for one in calendar.make_up_days}

    def school_day(self, day: date) -> bool:
        """Whether there is school: as the platform's own calendar has it."""
        if self.terms and not any(first <= day <= last for first, last in self.terms):
            return False
        if day in self.made_up:
            return True
        return day.weekday() < 5 and not any(first <= day <= last for first, last in self.off)

    def between(self, over: str, first: date, last: date) -> list[date]:
        """Every day of that sort from the first to the last, both included."""
        days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
        if over == "days":
            return days
        school = [day for day in days if self.school_day(day)]
        if over == "school-days":
            return school
        named = (lambda day: day.isocalendar()[:2]) if over == "weeks" else _month
        return list({named(day): day for day in reversed(school)}.values())[::-1]


def _month(day: date) -> tuple[int, int]:
    return day.year, day.month


def spread[T](count: int, over: Sequence[T]) -> list[T]:
    """So many of them, as evenly as it goes: each in the middle of its share."""
    return [over[(2 * n + 1) * len(over) // (2 * count)] for n in range(count)]
