"""Which rules hold at a unit (规则), over HTTP: `GET /<service>/rulebook?unit=`.

Of every rule that the service goes by: what holds now, since when, of which region and source, what
comes next, and what held before, with its values in words.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any
from uuid import UUID

import msgspec
from fastapi import APIRouter, Query, Request, Response

from hosting.routing import refusing, routing
from shared.asked import person_of
from shared.clock import this_moment
from shared.fields import business_day
from shared.kernel import Policy
from shared.organisation import READERS, Unit, allowed
from shared.problems import Problem
from shared.rules import NATIONAL, Rule, decode, shipped
from shared.runtime import Runtime
from shared.words import Word, Words

TRUTH = {True: Word("是", "Yes"), False: Word("否", "No")}


class Line(msgspec.Struct, omit_defaults=True):
    """A value of a rule in words: a text of its own, or lines below it. `key`: its name or number
    in what it is part of; `value`: a single one as it is in the rule.
    """

    key: str | int
    label: dict[str, str] | None = None
    text: dict[str, str] | None = None
    value: Any = None
    lines: list[Line] = []


class Region(msgspec.Struct):
    """Whose rule it is; without an id the whole country's."""

    id: UUID | None
    name: dict[str, str]


class Spell(msgspec.Struct):
    """A time in which one version of a rule holds: from `first_day` to the day before the next.
    `since`: from when on its region has it; `shipped`: it came with the platform.
    """

    first_day: date
    since: date
    region: Region
    source: dict[str, str]
    mark: str
    shipped: bool
    values: dict[str, Any]
    lines: list[Line]


class RuleNow(msgspec.Struct):
    """A rule at a unit: as it holds, what comes next, what was before (the newest first)."""

    slug: str
    words: dict[str, str]
    now: Spell | None
    next: Spell | None
    past: list[Spell]


def router(rt: Runtime) -> APIRouter:
    """The rule book's route."""
    made = APIRouter(prefix=f"/{rt.service.name}", route_class=routing(rt), tags=["rules"])
    slugs = ("unauthenticated", "forbidden", "not_found", "filter_malformed", "after_unreached")

    @made.get("/rulebook", responses=refusing(*slugs), openapi_extra={"x-roles": list(READERS)})
    async def rulebook(
        request: Request,
        unit: Annotated[UUID, Query(description="单位 · unit")],
        day: Annotated[date | None, Query(description="日期，默认今天 · else today")] = None,
        slug: Annotated[str, Query(description="一项规则及其内容 · one, with its values")] = "",
    ) -> Response:
        """在这个单位适用的规则 · the rules that hold at a unit."""
        place = await _place(rt, request, unit)
        today = day or business_day(this_moment())
        policies = [one for one in rt.service.policies if slug in {"", one.slug}]
        book = Book(rt, place, whole=bool(slug))
        found = [book.rule(policy, today) for policy in policies]
        content = msgspec.json.encode({"day": today, "items": found})
        return Response(content, media_type="application/json")

    return made


async def _place(rt: Runtime, request: Request, unit: UUID) -> Unit:
    """The unit, for whoever holds a reading post there or above it."""
    person = await person_of(rt, request)
    place = rt.directory.unit(unit)
    if place is None:
        raise Problem("not_found", field="unit")
    if not allowed(rt.directory.held(person, place, business_day(this_moment())), READERS, place):
        raise Problem("forbidden", field="unit", unit=place.name, roles=READERS)
    return place


class Book:
    """The rules of a service as they hold at one unit; `whole`: with their values."""

    def __init__(self, rt: Runtime, unit: Unit, *, whole: bool) -> None:
        self.rt, self.words, self.unit, self.whole = rt, rt.words, unit, whole
        self.shipped = {id(rule) for rule in shipped(rt.service.name)}

    def rule(self, policy: type[Policy], today: date) -> RuleNow:
        """One rule: each day on which another version of it begins to hold begins a spell."""
        rules, slug = self.rt.directory.rules, policy.slug
        known = (rules.versions.get((slug, one), ()) for one in (NATIONAL, *self.unit.path))
        days = sorted({rule.since for some in known for rule in some})
        course: list[tuple[date, Rule]] = []
        for day in days:
            rule = rules.rule(slug, self.unit.path, day)
            if rule is not None and (not course or course[-1][1] is not rule):
                course.append((day, rule))
        begun = [self.spell(policy, *one) for one in course if one[0] <= today]
        coming = next((self.spell(policy, *one) for one in course if one[0] > today), None)
        name = self.words.word("names", slug)._asdict()
        now = begun.pop() if begun else None
        return RuleNow(slug, name, now, coming, begun[::-1])

    def spell(self, policy: type[Policy], day: date, rule: Rule) -> Spell:
        """A version of a rule, from the day on which it begins to hold here."""
        country = self.words.word("values", "Level.0")._asdict()
        unit = self.rt.directory.unit(rule.region)
        name = {"zh": unit.name, "en": unit.name} if unit else country
        return Spell(
            first_day=day, since=rule.since, mark=rule.mark, shipped=id(rule) in self.shipped,
            region=Region(None if rule.region == NATIONAL else rule.region, name),
            source={"zh": rule.source_zh, "en": rule.source_en},
            values=rule.values if self.whole else {},
            lines=list(lines(decode(policy, rule.values), self.words)) if self.whole else [],
        )  # fmt: skip


def lines(value: object, words: Words) -> Iterator[Line]:
    """What is in a value, line by line; nothing for what is empty."""
    named: Iterable[tuple[str | int, dict[str, str] | None, object]]
    match value:
        case msgspec.Struct():
            named = ((name, _label(name, words), one) for name, one in _fields(value).items())
        case Mapping():
            named = ((str(name), _text(name, words), one) for name, one in value.items())
        case list() | tuple():
            named = ((n, None, one) for n, one in enumerate(value))
        case _:
            raise TypeError(value)
    for key, label, one in named:
        if not _is_empty(one):
            yield line(Line(key, label), one, words)


def line(begun: Line, value: object, words: Words) -> Line:
    """One value: a list of plain values in one line, what is composed in lines below it."""
    if isinstance(value, list | tuple) and not any(map(_is_composed, value)):
        texts = [_text(one, words) for one in value]
        zh, en = "、".join(one["zh"] for one in texts), ", ".join(one["en"] for one in texts)
        begun.text = {"zh": zh, "en": en}
    elif _is_composed(value):
        begun.lines = list(lines(value, words))
    else:
        begun.text, begun.value = _text(value, words), msgspec.to_builtins(value)
    return begun


def _fields(value: msgspec.Struct) -> dict[str, object]:
    return {field.name: getattr(value, field.name) for field in msgspec.structs.fields(value)}


def _is_composed(value: object) -> bool:
    return isinstance(value, msgspec.Struct | Mapping | list | tuple)


def _is_empty(value: object) -> bool:
    return value is None or (isinstance(value, Mapping | list | tuple | str) and not value)


def _label(name: str, words: Words) -> dict[str, str]:
    return words.word("fields", name)._asdict()


def _text(value: object, words: Words) -> dict[str, str]:
    """A plain value: enumerations by their labels, all else as it is written."""
    if isinstance(value, bool):
        return TRUTH[value]._asdict()
    if isinstance(value, Enum):
        return words.word("values", f"{type(value).__name__}.{value}")._asdict()
    text = f"{value:f}" if isinstance(value, Decimal) else str(value)
    return {"zh": text, "en": text}
