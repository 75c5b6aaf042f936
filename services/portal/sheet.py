"""A creating command as a spreadsheet (表格): a row per command, a column per field, as the
service's contract shows it. Services speak JSON; spreadsheets are people's business.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import xlsxwriter

ROWS_MAX = 10_000
"""As many commands as a service takes together."""


@dataclass(frozen=True, slots=True)
class Column:
    """A field of a command: its labels, whether it is due, and what may be written for a value.
    `kind`: the format of its JSON, else the type. `ref`: what its value points at.
    """

    name: str
    zh: str
    en: str
    kind: str
    due: bool
    choices: dict[str, str]
    ref: str = ""


ID = Column("id", "编号（勿改）", "Id (leave as it is)", "uuid", due=False, choices={})
"""What a list that is given out as a template says beside the command's own fields, so that the
same things come back as themselves.
"""


@dataclass(frozen=True, slots=True)
class Sheet:
    """A command, the service that takes it, what it makes one of, and its fields in order."""

    command: str
    service: str
    aggregate: str
    label: str
    columns: tuple[Column, ...]


def sheets(service: str, document: Mapping[str, Any]) -> dict[str, Sheet]:
    """The sheet of every command of a service that one row can hold, by name."""
    schemas = document["components"]["schemas"]
    operations = [path["post"] for path in document["paths"].values() if "post" in path]
    named = {operation["operationId"]: operation for operation in operations}
    return {
        name: _sheet(service, operation["tags"][0], name, schemas)
        for name, operation in named.items()
        if "x-columns" in schemas.get(name, ())
    }


def _sheet(service: str, aggregate: str, name: str, schemas: Mapping[str, Any]) -> Sheet:
    schema = schemas[name]
    due, columns = schema.get("required", ()), []
    for field in schema["x-columns"]:
        made = schema["properties"][field]
        label = made.get("x-title", {"zh": field, "en": ""})
        listed = schemas.get(made.get("$ref", "").rpartition("/")[2], made)
        kind = listed.get("format", listed.get("type", ""))
        ref = made.get("x-ref", listed.get("x-ref", ""))
        columns.append(
            Column(field, label["zh"], label["en"], kind, field in due, _choices(listed), ref)
        )
    return Sheet(name, service, aggregate, schema["title"], tuple(columns))


def _choices(schema: Mapping[str, Any]) -> dict[str, str]:
    """What people may write for a value of an enumeration (either label, or itself) -> value."""
    labels = schema.get("x-labels", {})
    return {
        text: value
        for value in map(str, schema.get("enum", ()))
        for text in (*labels.get(value, {}).values(), value)
    }


def heading(column: Column) -> str:
    """What stands above a column."""
    return f"{column.zh} *" if column.due else column.zh


def template(sheet: Sheet) -> bytes:
    """An xlsx to fill in: text columns (codes keep their digits), labels, choices, what is due."""
    buffer = io.BytesIO()
    book = xlsxwriter.Workbook(buffer, {"in_memory": True})
    page = book.add_worksheet(sheet.label[:31])
    head = book.add_format({"bold": True, "bg_color": "#E8F0E8", "border": 1})
    text = book.add_format({"num_format": "@"})
    for n, column in enumerate(sheet.columns):
        page.set_column(n, n, 18, text)
        page.write(0, n, heading(column), head)
        page.write_comment(0, n, f"{column.name}\n{column.en}")
        if column.choices:
            labels = {value: text for text, value in reversed(column.choices.items())}
            rule = {"validate": "list", "source": list(labels.values())[::-1]}
            page.data_validation(1, n, ROWS_MAX, n, rule)
    page.freeze_panes(1, 0)
    book.close()
    return buffer.getvalue()
