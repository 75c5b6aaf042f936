"""Many commands from one file: a template per creating command, errors by row and cell, all or
nothing. Columns are the command's fields; a heading may be the field's name or its label.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
import python_calamine
import xlsxwriter
from pydantic import ValidationError

from shared.decide import Step
from shared.kernel import Creation, Decision, Service
from shared.openapi import command_schema
from shared.problems import FieldError, Problem, invalid
from shared.rules import region_of
from shared.words import Words

ROWS_MAX = 10_000
LONGEST_EXACT = 15
"""Digits that a spreadsheet's number keeps; a longer code must be in a text cell."""

type Cell = object


def importable(service: Service) -> dict[str, Decision]:
    """Commands whose fields are all plain, so that one row can hold one: name -> decision."""
    return {
        decision.name: decision
        for decision in service.decisions().values()
        if decision.path is not None and decision.creates and columns(decision)
    }


def columns(decision: Decision) -> list[str]:
    """The fields of a row in order, or nothing if one of them is not plain."""
    schema = decision.command.model_json_schema()
    parts = schema.get("$defs", {})
    fields = [name for name in schema["properties"] if name != "id"]
    for name in fields:
        if _types(schema["properties"][name], parts) & {"array", "object"}:
            return []
    fields.sort(key="occurred_at".__eq__)
    return fields


def _types(schema: dict[str, Any], parts: dict[str, Any]) -> set[str]:
    """The JSON types that a value may have, also where a part or a choice says them."""
    kinds = [*schema.get("anyOf", ()), _referred(schema, parts)]
    found = {schema["type"]} if "type" in schema else set()
    return found.union(*(_types(kind, parts) for kind in kinds if kind))


def choices(decision: Decision, words: Words) -> dict[str, dict[str, str]]:
    """Per field with an enumeration: what people may write (value or label) -> value."""
    schema, parts = command_schema(decision, words)
    found: dict[str, dict[str, str]] = {}
    for name in columns(decision):
        field = schema["properties"][name]
        listed = field if "enum" in field else _referred(field, parts)
        labels = listed.get("x-labels", {})
        for value in map(str, listed.get("enum", ())):
            label = labels.get(value, {})
            known = {text: value for text in (label.get("zh"), label.get("en")) if text}
            found.setdefault(name, {}).update(known | {value: value})
    return found


def template(decision: Decision, words: Words) -> bytes:
    """An xlsx to fill in: text columns (codes keep their digits), labels, choices, what is due."""
    schema, _ = command_schema(decision, words)
    allowed = choices(decision, words)
    buffer = io.BytesIO()
    book = xlsxwriter.Workbook(buffer, {"in_memory": True})
    sheet = book.add_worksheet(words.word("commands", decision.name).zh[:31])
    head = book.add_format({"bold": True, "bg_color": "#E8F0E8", "border": 1})
    text = book.add_format({"num_format": "@"})
    for n, name in enumerate(columns(decision)):
        label = words.find("fields", name)
        star = " *" if name in schema.get("required", ()) else ""
        sheet.set_column(n, n, 18, text)
        sheet.write(0, n, f"{label.zh if label else name}{star}", head)
        sheet.write_comment(0, n, f"{name}\n{label.en if label else ''}")
        if name in allowed:
            labels = {value: text for text, value in reversed(allowed[name].items())}
            rule = {"validate": "list", "source": list(labels.values())}
            sheet.data_validation(1, n, ROWS_MAX, n, rule)
    sheet.freeze_panes(1, 0)
    book.close()
    return buffer.getvalue()


def _referred(field: dict[str, Any], parts: dict[str, Any]) -> dict[str, Any]:
    name = str(field.get("$ref", "")).rpartition("/")[2]
    return parts.get(name, {})  # type: ignore[no-any-return]


def steps(decision: Decision, content: bytes, words: Words) -> list[Step]:
    """The file's rows as commands in order; every wrong cell is named, with its row and column."""
    rows = _rows(content)
    if not rows:
        raise Problem("file_unreadable", field="file", why="0")
    fields = _fields(decision, rows[0], words)
    body = [row for row in rows[1:] if any(cell not in (None, "") for cell in row)]
    if len(body) > ROWS_MAX:
        raise Problem("too_many_commands", field="file", count_max=ROWS_MAX)
    allowed = choices(decision, words)
    made: list[Step] = []
    errors: list[FieldError] = []
    for number, row in enumerate(rows[1:], start=2):
        if not any(cell not in (None, "") for cell in row):
            continue
        try:
            command = _command(decision, fields, row, allowed)
        except ValidationError as error:
            errors.extend(_at(problem, number, fields) for problem in invalid(error, words).errors)
        except _WrongCell as wrong:
            errors.append(_at(FieldError(wrong.field, wrong.zh, wrong.en), number, fields))
        else:
            key = decision.aggregate.key
            stream = decision.aggregate.id_of(key(command)) if key else command.id
            made.append(Step(decision, stream or _row_id(decision, content, number), command))
    if errors:
        raise Problem("invalid", errors=errors)
    return made


def _row_id(decision: Decision, content: bytes, number: int) -> UUID:
    """The same file imported again means the same things, not new ones."""
    return decision.aggregate.id_of(hashlib.blake2b(content).hexdigest(), number)


class _WrongCell(Exception):  # noqa: N818 - carried to the row's errors
    def __init__(self, field: str, zh: str, en: str) -> None:
        super().__init__(field)
        self.field, self.zh, self.en = field, zh, en


def _command(
    decision: Decision,
    fields: Sequence[str | None],
    row: Sequence[Cell],
    allowed: dict[str, dict[str, str]],
) -> Creation:
    values = {
        field: allowed.get(field, {}).get(str(cell).strip()) or _plain(field, cell)
        for field, cell in zip(fields, row, strict=False)
        if field is not None and cell not in (None, "")
    }
    # People know codes, not ids: a unit may be named by its code, and the unit that a new one
    # belongs to is the parent that the row names.
    owner = str(values.get("organisation") or values.get("parent_code") or values.get("code") or "")
    if not _is_uuid(owner) and "organisation" in decision.command.model_fields:
        values["organisation"] = str(region_of(owner))
    # A cell is text where a command wants a number: not strict, but every bound still holds.
    command = decision.command.model_validate_json(msgspec.json.encode(values), strict=False)
    assert isinstance(command, Creation)
    return command


def _plain(field: str, cell: object) -> object:
    """A cell as JSON: whole numbers without a fraction, everything else as text."""
    match cell:
        case bool():
            return cell
        case datetime():
            return cell.date().isoformat() if cell.time().isoformat() == "00:00:00" else str(cell)
        case date():
            return cell.isoformat()
        case float() | int():
            if abs(cell) >= 10**LONGEST_EXACT:
                raise _WrongCell(
                    field, "数字太长，表格已丢失末位；请设为文本格式后重新填写",
                    "a spreadsheet loses the last digits of so long a number; use a text cell",
                )  # fmt: skip
            return str(Decimal(str(cell)).normalize().__format__("f"))
        case _:
            text = cell.strip() if isinstance(cell, str) else cell
            return {"是": True, "否": False}.get(str(text), text)


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True


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


def _fields(decision: Decision, heading: Sequence[Cell], words: Words) -> list[str | None]:
    """Which field each column holds; refuses a heading that nobody knows."""
    known: dict[str, str] = {}
    for name in columns(decision):
        label = words.find("fields", name)
        known |= {name: name} | ({label.zh: name, label.en: name} if label else {})
    fields: list[str | None] = []
    errors: list[FieldError] = []
    for n, cell in enumerate(heading):
        text = str(cell or "").removesuffix("*").strip()
        if text and text not in known:
            allowed = ", ".join(columns(decision))
            errors.append(
                FieldError(
                    f"{_letter(n)}1", f"不认识的列“{text}”；可用：{allowed}",
                    f"unknown column {text!r}; allowed: {allowed}",
                )
            )  # fmt: skip
        fields.append(known.get(text))
    if errors:
        raise Problem("invalid", errors=errors)
    return fields


def _at(error: FieldError, number: int, fields: Sequence[str | None]) -> FieldError:
    """The error with its cell: column letter and row, as the spreadsheet shows them."""
    field = error.field.partition(".")[0]
    place = f"{_letter(fields.index(field))}{number}" if field in fields else str(number)
    return FieldError(f"{place} {error.field}", error.zh, error.en)


def _letter(n: int) -> str:
    return ("" if n < 26 else chr(64 + n // 26)) + chr(65 + n % 26)
