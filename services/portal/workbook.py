"""A workbook (xlsx) that somebody sent, unpacked with care before it is read.

A reader makes room for every cell up to the last one that holds something, and a few kilobytes can
claim one a thousand million cells away, or unpack to more than the memory holds. So it gets only
parts that were looked through here, in an archive of our own making.
"""

from __future__ import annotations

import io
import re
import zipfile
from xml.parsers import expat

from xlsxwriter.utility import xl_cell_to_rowcol, xl_rowcol_to_cell

from services.portal.sheet import ROWS_MAX
from shared.problems import FieldError, Problem

CELLS_MAX = (ROWS_MAX + 1_000) * 200
"""Of one sheet, from its first cell to the last that holds something, empty ones and all."""

UNPACKED_MAX = 64_000_000
"""Bytes of all parts together; rows as many as can be imported are a third of it."""

ENDLESS = 1 << 62

PARTS = re.compile(r"(xl/|_rels/|\[content_types\]).*(xml|rels)", re.IGNORECASE)
"""The parts in which an xlsx has its rows. Pictures are none, and neither are rows in any other
format, which the reader would understand as well.
"""

ROWS_WITHIN = b"sheetData"
"""A part that does not name this element has no rows to be read."""

PLACE, ROW = re.compile(r"[A-Z]{1,3}[1-9][0-9]{0,6}"), re.compile(r"[1-9][0-9]{0,6}")


def checked(content: bytes) -> io.BytesIO:
    """The same workbook, safe to be read: its rows within `CELLS_MAX`, all of it within
    `UNPACKED_MAX`. Raises the problem `invalid`, or what `zipfile` and `expat` raise for what is
    no workbook at all.
    """
    made, room = io.BytesIO(), UNPACKED_MAX
    with zipfile.ZipFile(io.BytesIO(content)) as book, zipfile.ZipFile(made, "w") as safe:
        parts = [one for one in book.infolist() if PARTS.fullmatch(_name(one))]
        if sum(one.file_size for one in parts) > room:
            raise _too_large()
        for one in parts:
            part = _unpacked(book, one, room)
            room -= len(part)
            if ROWS_WITHIN in part:
                _Cells().check(part)
            safe.writestr(_name(one), part)
    made.seek(0)
    return made


def _name(part: zipfile.ZipInfo) -> str:
    return part.filename.replace("\\", "/")


def _unpacked(book: zipfile.ZipFile, part: zipfile.ZipInfo, room: int) -> bytes:
    # What the archive says of a part's size is whatever its maker wrote there: it is read until
    # its own end.
    part.file_size = ENDLESS
    with book.open(part) as stream:
        content = stream.read(room + 1)
    if len(content) > room:
        raise _too_large()
    return content


class _Cells:
    """Walks through a sheet's cells, counted as the reader counts them."""

    def __init__(self) -> None:
        self.row = self.column = self.row_max = self.column_max = 0
        self.here: tuple[int, int] | None = None

    def check(self, part: bytes) -> None:
        """Raises the problem `invalid` at the first cell that lies too far out."""
        parser = expat.ParserCreate("UTF-8")
        parser.StartElementHandler = self._begun
        parser.EndElementHandler = self._ended
        parser.StartDoctypeDeclHandler = _no_doctype
        parser.Parse(part, True)

    def _begun(self, name: str, given: dict[str, str]) -> None:
        kind, named = name.rpartition(":")[2], given.get("r")
        if kind == "row":
            if named is not None:
                self.row = _number(named) - 1
        elif kind == "c":
            self.here = (self.row, self.column) if named is None else _place(named)
            self.column = self.here[1] + 1
        elif self.here is not None:
            self._hold(*self.here)

    def _ended(self, name: str) -> None:
        kind = name.rpartition(":")[2]
        if kind == "row":
            self.row, self.column = self.row + 1, 0
        elif kind == "c":
            self.here = None

    def _hold(self, row: int, column: int) -> None:
        """That cell holds something; one without anything in it takes no room."""
        self.row_max, self.column_max = max(self.row_max, row), max(self.column_max, column)
        if (self.row_max + 1) * (self.column_max + 1) > CELLS_MAX:
            raise Problem("invalid", errors=[_far(xl_rowcol_to_cell(row, column))])


def _number(row: str) -> int:
    if not ROW.fullmatch(row):
        raise ValueError(f"row {row}")
    return int(row)


def _place(cell: str) -> tuple[int, int]:
    if not PLACE.fullmatch(cell.upper()):
        raise ValueError(f"cell {cell}")
    row, column = xl_cell_to_rowcol(cell.upper())
    return row, column


def _no_doctype(*_: object) -> None:
    raise ValueError("a workbook has no document type")


def _far(place: str) -> FieldError:
    return FieldError(
        place, "离表头太远，表格过大；请删除多余的行和列，或把数据复制到空白模板中",
        "too far from the heading, the sheet grows too large; delete the rows and columns that"
        " are not needed, or copy the data into an empty template",
    )  # fmt: skip


def _too_large() -> Problem:
    return Problem("invalid", errors=[FieldError(
        "file", "表格内容过多；请分成几个文件，只保留要导入的一张表",
        "the workbook holds too much; split it, and keep only the sheet that is to be imported",
    )])  # fmt: skip
