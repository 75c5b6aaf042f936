"""A filled-in spreadsheet (填好的表格) as commands, and what is wrong with them as its cells.

Cells become the JSON that the service wants; whether it is right is the service's to say. What a
service says of `commands.3.amount_cny` is told to people as `D5 amount_cny`.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
import python_calamine
from xlsxwriter.utility import xl_col_to_name

from services.portal import workbook
from services.portal.sheet import ID, ROWS_MAX, Column, Sheet
from shared.ids import derived_id
from shared.problems import FieldError, Problem
from shared.rules import region_of

LONGEST_EXACT = 15
"""Digits that a spreadsheet's number keeps; a longer code must be in a text cell."""

WHOLE = re.compile(r"([+-]?[0-9]{1,18})(\.0*)?")
TRUTH = {
    "是": True, "true": True, "yes": True, "y": True, "1": True,
    "否": False, "false": False, "no": False, "n": False, "0": False,
}  # fmt: skip
UNIT = "unit"
PLACE = re.compile(r"commands\.([0-9]+)\.?(.*)")

type Cell = object


@dataclass(frozen=True, slots=True)
class Filled:
    """What a file holds: the commands in order, the row that each stands in, and the column that
    each of their fields stands in (None: a column without heading).
    """

    sheet: Sheet
    columns: Sequence[Column | None]
    numbers: Sequence[int]
    bodies: Sequence[dict[str, Any]]

    def batch(self, *, dry_run: bool) -> bytes:
        """As the service takes it, all or nothing; the same file is the same bytes."""
        rows = [{"command": self.sheet.command, "body": body} for body in self.bodies]
        return msgspec.json.encode({"commands": rows, "together": True, "dry_run": dry_run})

    def placed(self, problem: Mapping[str, Any]) -> dict[str, Any]:
        """A service's no, with each error at its row and cell."""
        by_cell = problem["slug"] == "invalid"
        return {**problem, "errors": [self._placed(one, by_cell) for one in problem["errors"]]}

    def _placed(self, error: Mapping[str, str], by_cell: bool) -> Mapping[str, str]:
        found = PLACE.fullmatch(error["field"])
        if found is None:
            return error
        row, field = self.numbers[int(found[1])], found[2]
        if by_cell:
            return {**error, "field": cell_of(self.columns, row, field)}
        zh, en = f"第{row}行：{error['zh']}", f"row {row}: {error['en']}"
        return {"field": f"{row} {field}".strip(), "zh": zh, "en": en}


def cell_of(columns: Sequence[Column | None], row: int, field: str) -> str:
    """A field's cell as the spreadsheet shows it, and its name; the row where it has no column."""
    name = field.partition(".")[0]
    letters = [xl_col_to_name(n) for n, one in enumerate(columns) if one and one.name == name]
    return f"{''.join(letters[:1])}{row} {field}".strip()


def read(sheet: Sheet, content: bytes) -> Filled:
    """The file's rows as commands in order; raises what makes it unreadable, and every number that
    the spreadsheet itself has spoilt.
    """
    rows = rows_of(content)
    if not rows:
        raise Problem("file_unreadable", field="file", why="0")
    columns = columns_of(sheet, rows[0])
    numbered = enumerate(rows[1:], start=2)
    kept = [(n, row) for n, row in numbered if any(cell not in (None, "") for cell in row)]
    if len(kept) > ROWS_MAX:
        raise Problem("too_many_commands", field="file", count_max=ROWS_MAX)
    lost = [
        _lost(cell_of(columns, n, column.name))
        for n, row in kept
        for column, cell in zip(columns, row, strict=False)
        if column and _spoilt(cell)
    ]
    if lost:
        raise Problem("invalid", errors=lost)
    digest = hashlib.blake2b(content).hexdigest()
    bodies = [
        # By the file and its row, so that the same file means the same things again; where the
        # service knows a thing by a key of its own, it goes by that.
        {"id": derived_id(f"{sheet.aggregate}:{digest}:{n}"), **_body(columns, row)}
        for n, row in kept
    ]
    return Filled(sheet, columns, [n for n, _ in kept], bodies)


def rows_of(content: bytes) -> list[list[Cell]]:
    """The rows of a file's first sheet as they stand there; raises `file_unreadable`, and `invalid`
    for a sheet that is too large.
    """
    if content[:2] == b"PK":
        try:
            book = python_calamine.CalamineWorkbook.from_filelike(workbook.checked(content))
            return [list(row) for row in book.get_sheet_by_index(0).to_python()]
        except Problem:
            raise
        except Exception as error:
            raise Problem("file_unreadable", field="file", why=str(error)) from error
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            return [list(row) for row in csv.reader(io.StringIO(content.decode(encoding)))]
        except (UnicodeDecodeError, csv.Error) as error:
            why = str(error)
    raise Problem("file_unreadable", field="file", why=why)


def columns_of(sheet: Sheet, heading: Sequence[Cell]) -> list[Column | None]:
    """Which column each heading names; refuses one that nobody knows."""
    fields = (*sheet.columns, ID)
    known = {text: one for one in fields for text in (one.name, one.zh, one.en) if text}
    names = [str(cell or "").removesuffix("*").strip() for cell in heading]
    allowed = ", ".join(column.name for column in sheet.columns)
    errors = [
        FieldError(
            f"{xl_col_to_name(n)}1", f"不认识的列“{name}”；可用：{allowed}",
            f"unknown column {name!r}; allowed: {allowed}",
        )
        for n, name in enumerate(names)
        if name and name not in known
    ]  # fmt: skip
    if errors:
        raise Problem("invalid", errors=errors)
    return [known.get(name) for name in names]


def _spoilt(cell: Cell) -> bool:
    return isinstance(cell, float | int) and abs(cell) >= 10**LONGEST_EXACT


def _lost(place: str) -> FieldError:
    return FieldError(
        place, "数字太长，表格已丢失末位；请设为文本格式后重新填写",
        "a spreadsheet loses the last digits of so long a number; use a text cell",
    )  # fmt: skip


def _body(columns: Sequence[Column | None], row: Sequence[Cell]) -> dict[str, Any]:
    values = {
        column.name: _value(column, cell)
        for column, cell in zip(columns, row, strict=False)
        if column is not None and cell not in (None, "")
    }
    # People know codes, not ids: a unit may be named by its code, and the unit that a new one
    # belongs to is the parent that the row names.
    owner = values.get("organisation") or values.get("parent_code") or values.get("code") or ""
    named = {one.name: values[one.name] for one in columns if one and one.name in values
             and one.ref == UNIT}  # fmt: skip
    for name, unit in (named | {"organisation": owner}).items():
        try:
            UUID(str(unit))
        except ValueError:
            values[name] = region_of(str(unit))
    return values


def _value(column: Column, cell: Cell) -> object:
    """A cell as the command wants it. What cannot be that is left as it is written, and the
    service says what would be right.
    """
    text = _text(cell)
    if isinstance(text, bool):
        return text
    text = column.choices.get(text, text)
    match column.kind:
        case "integer" if whole := WHOLE.fullmatch(text):
            return int(whole[1])
        case "boolean":
            return TRUTH.get(text.lower(), text)
        case "date":
            return text.removesuffix("T00:00:00").removesuffix(" 00:00:00")
        case _:
            return text


def _text(cell: Cell) -> str | bool:
    """A cell as people see it: whole numbers without a fraction, days without a time."""
    match cell:
        case bool():
            return cell
        case float() | int():
            return format(Decimal(str(cell)).normalize(), "f")
        case date():
            return str(cell).removesuffix(" 00:00:00")
        case _:
            return str(cell).strip()
