"""Many commands from one file: a template per creating command, errors by row and cell, all or
nothing. A column is a field of the command as its contract shows it, headed by name or label.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
import python_calamine
import xlsxwriter
from pydantic import ValidationError
from xlsxwriter.utility import xl_col_to_name

from shared.decide import Step
from shared.kernel import Creation, Decision, Service
from shared.problems import FieldError, Problem, invalid
from shared.rules import region_of
from shared.words import Words

ROWS_MAX = 10_000
LONGEST_EXACT = 15
"""Digits that a spreadsheet's number keeps; a longer code must be in a text cell."""

type Cell = object

type Schemas = Mapping[str, dict[str, Any]]
"""The JSON Schemas of a service's contract, by name."""


@dataclass(frozen=True, slots=True)
class Column:
    """A field of a command: its labels, whether it is due, and what may be written for a value."""

    name: str
    zh: str
    en: str
    due: bool
    choices: dict[str, str]


@dataclass(frozen=True, slots=True)
class Sheet:
    """A creating command as a spreadsheet: a row per command, columns in the order of fields."""

    decision: Decision
    label: str
    columns: tuple[Column, ...]


def sheets(service: Service, schemas: Schemas) -> dict[str, Sheet]:
    """The sheet of every command that one row can hold, by name."""
    return {
        decision.name: sheet_of(decision, schemas)
        for decision in service.decisions().values()
        if "x-columns" in schemas.get(decision.name, ())
    }


def sheet_of(decision: Decision, schemas: Schemas) -> Sheet:
    """A command as its contract shows it."""
    schema = schemas[decision.name]
    due, columns = schema.get("required", ()), []
    for name in schema["x-columns"]:
        field = schema["properties"][name]
        label = field.get("x-title", {"zh": name, "en": ""})
        listed = schemas.get(field.get("$ref", "").rpartition("/")[2], field)
        columns.append(Column(name, label["zh"], label["en"], name in due, _choices(listed)))
    return Sheet(decision, schema["title"], tuple(columns))


def _choices(schema: dict[str, Any]) -> dict[str, str]:
    """What people may write for a value of an enumeration (either label, or itself) -> value."""
    labels = schema.get("x-labels", {})
    return {
        text: value
        for value in map(str, schema.get("enum", ()))
        for text in (*labels.get(value, {}).values(), value)
    }


def template(sheet: Sheet) -> bytes:
    """An xlsx to fill in: text columns (codes keep their digits), labels, choices, what is due."""
    buffer = io.BytesIO()
    book = xlsxwriter.Workbook(buffer, {"in_memory": True})
    page = book.add_worksheet(sheet.label[:31])
    head = book.add_format({"bold": True, "bg_color": "#E8F0E8", "border": 1})
    text = book.add_format({"num_format": "@"})
    for n, column in enumerate(sheet.columns):
        page.set_column(n, n, 18, text)
        page.write(0, n, f"{column.zh} *" if column.due else column.zh, head)
        page.write_comment(0, n, f"{column.name}\n{column.en}")
        if column.choices:
            labels = {value: text for text, value in reversed(column.choices.items())}
            rule = {"validate": "list", "source": list(labels.values())[::-1]}
            page.data_validation(1, n, ROWS_MAX, n, rule)
    page.freeze_panes(1, 0)
    book.close()
    return buffer.getvalue()


def steps(sheet: Sheet, content: bytes, words: Words) -> list[Step]:
    """The file's rows as commands in order; every wrong cell is named, with its row and column."""
    rows = _rows(content)
    if not rows:
        raise Problem("file_unreadable", field="file", why="0")
    columns = _columns(sheet, rows[0])
    numbered = enumerate(rows[1:], start=2)
    body = [(n, row) for n, row in numbered if any(cell not in (None, "") for cell in row)]
    if len(body) > ROWS_MAX:
        raise Problem("too_many_commands", field="file", count_max=ROWS_MAX)
    made: list[Step] = []
    errors: list[FieldError] = []
    for number, row in body:
        try:
            command = _command(sheet.decision, columns, row, words)
        except Problem as wrong:
            errors.extend(_at(error, number, columns) for error in wrong.errors)
        else:
            stream = _stream_id(sheet.decision, command, content, number)
            made.append(Step(sheet.decision, stream, command))
    if errors:
        raise Problem("invalid", errors=errors)
    return made


def _stream_id(decision: Decision, command: Creation, content: bytes, number: int) -> UUID:
    """By key or as the row says; else of the file, so that it means the same things again."""
    aggregate = decision.aggregate
    if aggregate.key:
        return aggregate.id_of(aggregate.key(command))
    return command.id or aggregate.id_of(hashlib.blake2b(content).hexdigest(), number)


def _command(
    decision: Decision, columns: Sequence[Column | None], row: Sequence[Cell], words: Words
) -> Creation:
    values = {
        column.name: column.choices.get(str(cell).strip()) or _plain(column.name, cell)
        for column, cell in zip(columns, row, strict=False)
        if column is not None and cell not in (None, "")
    }
    # People know codes, not ids: a unit may be named by its code, and the unit that a new one
    # belongs to is the parent that the row names.
    owner = str(values.get("organisation") or values.get("parent_code") or values.get("code") or "")
    try:
        UUID(owner)
    except ValueError:
        values["organisation"] = str(region_of(owner))
    try:
        # A cell is text where a command wants a number: not strict, but every bound still holds.
        command = decision.command.model_validate_json(msgspec.json.encode(values), strict=False)
    except ValidationError as error:
        raise invalid(error, words) from error
    assert isinstance(command, Creation)
    return command


def _plain(field: str, cell: object) -> object:
    """A cell as JSON: whole numbers without a fraction, everything else as text."""
    match cell:
        case bool():
            return cell
        case date():
            return str(cell).removesuffix(" 00:00:00")
        case float() | int():
            if abs(cell) >= 10**LONGEST_EXACT:
                lost = FieldError(
                    field, "数字太长，表格已丢失末位；请设为文本格式后重新填写",
                    "a spreadsheet loses the last digits of so long a number; use a text cell",
                )  # fmt: skip
                raise Problem("invalid", errors=[lost])
            return str(Decimal(str(cell)).normalize().__format__("f"))
        case _:
            text = cell.strip() if isinstance(cell, str) else cell
            return {"是": True, "否": False}.get(str(text), text)


def _rows(content: bytes) -> list[list[Cell]]:
    if content[:2] == b"PK":
        try:
            book = python_calamine.CalamineWorkbook.from_filelike(io.BytesIO(content))
            return [list(row) for row in book.get_sheet_by_index(0).to_python()]
        except Exception as error:
            raise Problem("file_unreadable", field="file", why=str(error)) from error
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            return [list(row) for row in csv.reader(io.StringIO(content.decode(encoding)))]
        except (UnicodeDecodeError, csv.Error) as error:
            why = str(error)
    raise Problem("file_unreadable", field="file", why=why)


def _columns(sheet: Sheet, heading: Sequence[Cell]) -> list[Column | None]:
    """Which column each heading names; refuses one that nobody knows."""
    known = {text: one for one in sheet.columns for text in (one.name, one.zh, one.en) if text}
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


def _at(error: FieldError, number: int, columns: Sequence[Column | None]) -> FieldError:
    """The error with its cell: column letter and row, as the spreadsheet shows them."""
    field = error.field.partition(".")[0]
    letters = [xl_col_to_name(n) for n, one in enumerate(columns) if one and one.name == field]
    return FieldError(f"{''.join(letters[:1])}{number} {error.field}", error.zh, error.en)
