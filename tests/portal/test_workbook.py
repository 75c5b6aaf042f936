"""A workbook is looked through before it is read: no small file makes the reader fill the memory."""

from __future__ import annotations

import io
import struct
import zipfile

import pytest

from services.portal import workbook
from services.portal.filled import rows_of
from shared.problems import Problem
from tests.portal.test_filled import xlsx

SHEET = "xl/worksheets/sheet1.xml"
HEAD = '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>'
ROW = '<row r="1"><c r="A1"><v>1</v></c></row>'


def book(rows: str) -> bytes:
    """A workbook with other rows in its sheet."""
    return _changed(f"{HEAD}{rows}</sheetData></worksheet>".encode())


def _changed(sheet: bytes) -> bytes:
    made = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(xlsx([["名称"]]))) as old,
        zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for name in old.namelist():
            new.writestr(name, sheet if name == SHEET else old.read(name))
    return made.getvalue()


def refused(content: bytes) -> str:
    with pytest.raises(Problem) as problem:
        rows_of(content)
    return problem.value.errors[0].field if problem.value.slug == "invalid" else problem.value.slug


@pytest.mark.parametrize(
    ("rows", "place"),
    [
        (ROW + '<row r="1048576"><c r="XFD1048576"><v>1</v></c></row>', "XFD1048576"),
        (ROW + '<row r="1048576"><c r="c1048576" t="inlineStr"><is/></c></row>', "C1048576"),
        ('<row r="1048576">' + "<c><v>1</v></c>" * 9 + "</row>", "C1048576"),
        ("<row/>" * 11_999 + "<row>" + "<c/>" * 199 + "<c><v>1</v></c></row>", "GR12000"),
        (ROW + '<row r="2"><c r="A0"><v>1</v></c></row>', "file_unreadable"),
        ('<row r="1"><c r="A1" r="XFD1048576"><v>1</v></c></row>', "file_unreadable"),
    ],
    ids=["far", "far below", "without places", "by counting", "no place", "two places"],
)
def test_a_cell_too_far_out_is_named_and_not_read(rows: str, place: str) -> None:
    assert refused(book(rows)) == place


def test_cells_that_hold_nothing_take_no_room() -> None:
    assert rows_of(book(ROW + '<row r="1048576"><c r="XFD1048576" s="0"/></row>')) == [[1.0]]


def test_what_unpacks_to_too_much_is_refused_whatever_it_says_of_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(workbook, "UNPACKED_MAX", 50_000)
    content = book(ROW + " " * 60_000)
    size = struct.pack("<I", len(f"{HEAD}{ROW}</sheetData></worksheet>") + 60_000)
    lying = content.replace(size, struct.pack("<I", 10))
    assert lying != content
    assert refused(content) == refused(lying) == "file"


def test_rows_in_another_format_are_not_read() -> None:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as new:
        new.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        new.writestr("content.xml", '<table:table-cell table:number-columns-repeated="1048576"/>')
    assert refused(made.getvalue()) == "file_unreadable"
