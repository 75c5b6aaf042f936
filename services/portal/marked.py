"""Somebody's own file, given back with what is wrong at its cells (标注错误的表格).

Their rows stand where they stood, under their own headings; a wrong cell is coloured and says in a
comment what would be right. A second sheet lists them all, each a link to its cell. Only the first
sheet is read: corrected, the file is imported as it is.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any

import xlsxwriter
from xlsxwriter.utility import xl_cell_to_rowcol, xl_rowcol_to_cell

from services.portal.filled import Cell, columns_of, rows_of
from services.portal.sheet import Sheet
from shared.problems import Problem

PLACE = re.compile(r"([A-Z]{0,3})([0-9]+) ?(.*)")
COMMENTS_MAX = 5_000
"""Spreadsheets grow slow with more; further wrong cells are coloured and listed without a link."""

LISTED = {"zh": ("需要修改", "位置", "原因"), "en": ("To be corrected", "Where", "Why")}

type Wrong = dict[tuple[int, int], list[str]]


def marked(sheet: Sheet, content: bytes, errors: Iterable[Mapping[str, str]], lang: str) -> bytes:
    """The file with these errors, as an import answers them, at their cells; an xlsx."""
    rows = rows_of(content)
    wrong = _wrong(_names(sheet, rows[0] if rows else ()), errors, lang)
    buffer = io.BytesIO()
    with xlsxwriter.Workbook(buffer, {"constant_memory": True, "in_memory": True}) as book:
        page = book.add_worksheet(sheet.label[:31])
        page.freeze_panes(1, 0)
        page.set_column(0, max(map(len, rows), default=1) - 1, 18)
        _write(book, page, rows, wrong)
        _list(book, page.get_name(), wrong, lang)
    return buffer.getvalue()


def _names(sheet: Sheet, headings: Sequence[Cell]) -> list[str]:
    """The fields that stand in the columns; nothing where the headings are what is wrong."""
    try:
        return [one.name if one else "" for one in columns_of(sheet, headings)]
    except Problem:
        return []


def _wrong(names: Sequence[str], errors: Iterable[Mapping[str, str]], lang: str) -> Wrong:
    """Row and column, from 0 -> what is wrong there; of a whole row, at its first cell."""
    found: Wrong = {}
    for error in errors:
        place = PLACE.fullmatch(error["field"])
        if place is None:
            row, column = 0, 0
        elif place[1]:
            row, column = xl_cell_to_rowcol(place[1] + place[2])
        else:
            row, column = int(place[2]) - 1, names.index(place[3]) if place[3] in names else 0
        found.setdefault((row, column), []).append(error[lang])
    return dict(sorted(found.items()))


def _write(book: Any, page: Any, rows: Sequence[Sequence[Cell]], wrong: Wrong) -> None:
    head = book.add_format({"bold": True, "bg_color": "#E8F0E8", "border": 1})
    text, bad = ({"num_format": "@"}, {"bg_color": "#F8CBAD", "border": 1})
    formats = {
        (date, False): book.add_format({"num_format": "yyyy-mm-dd"}),
        (date, True): book.add_format(bad | {"num_format": "yyyy-mm-dd"}),
        (str, False): book.add_format(text), (str, True): book.add_format(bad | text),
        (float, False): None, (float, True): book.add_format(bad),
    }  # fmt: skip
    widths = {n: column + 1 for n, column in wrong}  # in order: the last of a row stays
    for n, row in enumerate(rows):
        width = max(len(row), widths.get(n, 0))
        for m, cell in enumerate([*row, *[""] * (width - len(row))]):
            place = n, m
            kind = date if isinstance(cell, date) else float if _is_number(cell) else str
            form = head if n == 0 and place not in wrong else formats[kind, place in wrong]
            _put(page, n, m, cell, form)
    for place in list(wrong)[:COMMENTS_MAX]:
        page.write_comment(*place, "\n".join(wrong[place]), {"x_scale": 2})


def _put(page: Any, row: int, column: int, cell: Cell, form: Any) -> None:
    match cell:
        case bool():
            page.write_boolean(row, column, cell, form)
        case datetime() | date():
            page.write_datetime(row, column, cell, form)
        case float() | int():
            page.write_number(row, column, cell, form)
        case None | "":
            page.write_blank(row, column, None, form)
        case _:
            page.write_string(row, column, str(cell), form)


def _is_number(cell: Cell) -> bool:
    return isinstance(cell, float | int) and not isinstance(cell, bool)


def _list(book: Any, first: str, wrong: Wrong, lang: str) -> None:
    name, *headings = LISTED[lang]
    page = book.add_worksheet(name)
    page.set_column(0, 0, 12)
    page.set_column(1, 1, 80)
    page.write_row(0, 0, headings, book.add_format({"bold": True}))
    for n, ((row, column), texts) in enumerate(wrong.items(), start=1):
        cell = xl_rowcol_to_cell(row, column)
        if n <= COMMENTS_MAX:
            page.write_url(n, 0, f"internal:'{first}'!{cell}", string=cell)
        else:
            page.write_string(n, 0, cell)
        page.write_string(n, 1, "；".join(texts) if lang == "zh" else "; ".join(texts))
