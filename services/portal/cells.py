"""Values of a list's columns as a spreadsheet's cells, said as its page says them: labels for
choices, names for ids, business time; numbers that a spreadsheet would round are texts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from services.portal.fields import Made
from services.portal.filled import LONGEST_EXACT
from shared.fields import SHANGHAI

type Cell = str | int | Decimal | date | datetime
type NameOf = Callable[[str], str | None]
"""What the thing of an id is called, if that is known."""

CELL_CHARACTERS_MAX = 32_767
"""What the file format holds in one cell."""

MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d")
DAY = re.compile(r"\d{4}-\d\d-\d\d")
TRUTH = {"zh": {True: "是", False: "否"}, "en": {True: "Yes", False: "No"}}
BETWEEN = {"zh": ("、", "，"), "en": (", ", "; ")}
"""What stands between a list's items, and between a thing's parts."""


class Cells:
    """How values become cells in one language."""

    def __init__(self, lang: str, name_of: NameOf) -> None:
        self.lang, self.name_of = lang, name_of

    def cell(self, field: Made, value: object) -> Cell | None:
        """A cell of its own kind where a spreadsheet keeps that exactly, else a text."""
        if value is None or value == "":
            return None
        if isinstance(value, str) and field["kind"] == "decimal":
            number = Decimal(value)
            return number if len(number.as_tuple().digits) <= LONGEST_EXACT else value
        if type(value) is int and field["kind"] == "integer":
            return value if abs(value) < 10**LONGEST_EXACT else str(value)
        if isinstance(value, str) and DAY.fullmatch(value):
            return date.fromisoformat(value)
        if isinstance(value, str) and MOMENT.match(value):
            return _business_time(value)
        text = self.text(field, value)
        return text if len(text) <= CELL_CHARACTERS_MAX else text[: CELL_CHARACTERS_MAX - 1] + "…"

    def text(self, field: Made, value: object) -> str:
        """A value as one text; nothing for nothing."""
        match value:
            case None:
                return ""
            case bool():
                return TRUTH[self.lang][value]
            case list():
                items = (self.text(item_of(field), one) for one in value)
                return BETWEEN[self.lang][0].join(filter(None, items))
            case dict():
                return BETWEEN[self.lang][1].join(self._parts(field, value))
            case _:
                return self._plain(field, str(value))

    def _parts(self, field: Made, value: Mapping[str, object]) -> Iterator[str]:
        for part in parts_of(field, value):
            if text := self.text(part, value[part["name"]]):
                yield f"{part['label']} {text}"

    def _plain(self, field: Made, text: str) -> str:
        for option in field.get("options", ()):
            if str(option["value"]) == text:
                return str(option["label"])
        if MOMENT.match(text):
            return f"{_business_time(text):%Y-%m-%d %H:%M}"
        return (self.name_of(text) if "ref" in field else None) or text


def item_of(field: Made) -> Made:
    """What a list's items are; the list's own kind of thing where nothing else is said."""
    return dict(field.get("item") or {"name": "", "label": "", "kind": "any"})


def parts_of(field: Made, value: Mapping[str, object]) -> list[Made]:
    """The fields of an object, and by their names what it has beside them."""
    known = {part["name"]: part for part in field.get("fields", ())}
    return [known.get(name) or {"name": name, "label": name, "kind": "any"} for name in value]


def references(field: Made, value: object) -> Iterator[tuple[str, str]]:
    """What a value points at by id: the list in which that stands (or where it is looked for), and
    the id.
    """
    if isinstance(value, list):
        for one in value:
            yield from references(item_of(field), one)
    elif isinstance(value, dict):
        for part in parts_of(field, value):
            yield from references(part, value[part["name"]])
    elif value and (ref := field.get("ref")) and ref["value"] == "id":
        where = ref["view"] or ref.get("finder")
        yield from [(where, str(value))] if where else []


NAMES = ("name", "title")
"""Columns that name a thing by themselves, where others of its title only tell it apart."""


def name_of_row(view: Made, row: Mapping[str, Any]) -> str:
    """What people call the thing of a row: its name, else whatever its list shows of it."""
    own = [str(row[name]) for name in NAMES if name in view["title"] and row.get(name)]
    return own[0] if own else " · ".join(str(row[name]) for name in view["title"] if row.get(name))


def _business_time(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(SHANGHAI).replace(tzinfo=None)
