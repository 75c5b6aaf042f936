"""Lists as spreadsheets: how values become cells, and what the file says of itself."""

from __future__ import annotations

import io
import zipfile
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import python_calamine

from services.portal.cells import Cells, references
from services.portal.exports import Book, columns_again
from services.portal.filled import columns_of
from services.portal.sheet import ID
from services.portal.shelf import Shelf
from tests.services import SERVICES, sheets_of

UNIT = "6f1c8d7e-0000-7000-8000-000000000001"
VIEW: dict[str, Any] = {"name": "shelf_list", "label": "书架/清单"}


def field(kind: str, **more: Any) -> dict[str, Any]:
    return {"name": "it", "label": "它", "kind": kind, **more}


REF = field("ref", ref={"to": "unit", "view": "unit_list", "value": "id"})
CHOICE = field("choice", options=[{"value": "a", "label": "甲"}, {"value": 2, "label": "乙"}])
LINE = field("object", fields=[field("text") | {"name": "what", "label": "物品"}])


@pytest.mark.parametrize(
    ("column", "value", "cell"),
    [
        (field("text"), "007", "007"),
        (field("id"), UNIT, UNIT),
        (field("decimal"), "1200.50", Decimal("1200.50")),
        (field("decimal"), "12345678901234567.89", "12345678901234567.89"),
        (field("integer"), 10**15, "1000000000000000"),
        (field("integer"), 3, 3),
        (field("boolean"), False, "否"),
        (field("date"), "2026-11-21", date(2026, 11, 21)),
        (field("text"), "2026-11-20T17:30:00Z", datetime(2026, 11, 21, 1, 30)),
        (CHOICE, "a", "甲"),
        (CHOICE, 2, "乙"),
        (REF, UNIT, "一小"),
        (REF, "unknown", "unknown"),
        (field("list", item=CHOICE), ["a", 2], "甲、乙"),
        (field("list", item=LINE), [{"what": "课桌"}, {"what": ""}], "物品 课桌"),
        (field("text"), "", None),
        (field("text"), None, None),
    ],
)
def test_a_value_is_a_cell_of_its_own_kind(column: Any, value: object, cell: object) -> None:
    made = Cells("zh", {UNIT: "一小"}.get).cell(column, value)
    assert made == cell and type(made) is type(cell)


def test_what_a_row_points_at_is_found_within_lists_and_things() -> None:
    nested = field("list", item=field("object", fields=[REF | {"name": "at"}]))
    assert list(references(nested, [{"at": UNIT}, {"at": None}])) == [("unit_list", UNIT)]
    assert list(references(REF | {"ref": {**REF["ref"], "value": "key"}}, UNIT)) == []


def test_no_text_becomes_a_formula_and_a_file_says_where_it_was_cut(tmp_path: Path) -> None:
    texts = ["=HYPERLINK(1)", "+1", "-1", "@SUM(A1)", "\t=1", "http://x", "12", "007"]
    book = Book(tmp_path, VIEW, [field("text")], "zh")
    book.write([{"it": text} for text in texts], {}.get)
    book.close("keeper", {"q": "书"}, cut=True)
    content = book.path.read_bytes()
    with zipfile.ZipFile(io.BytesIO(content)) as parts:
        page = parts.read("xl/worksheets/sheet1.xml").decode()
        assert not any("hyperlink" in name for name in parts.namelist())
    assert "<f>" not in page and "<hyperlink" not in page
    read = python_calamine.CalamineWorkbook.from_filelike(io.BytesIO(content))
    (heading,), *rows, (last,) = read.get_sheet_by_index(0).to_python()
    assert read.sheet_names == ["书架 清单", "说明"]
    assert heading == "它" and [row[0] for row in rows] == texts and "前 8 行" in str(last)
    about = {row[0]: row[1] for row in read.get_sheet_by_index(1).to_python()}
    assert about["导出人"] == "keeper" and about["行数"] == len(texts)


def test_a_list_that_is_given_out_as_a_template_is_one() -> None:
    """An import knows each heading, and nothing that is due is missing."""
    whole = Shelf([service.name for service in SERVICES]).whole("zh")
    sheets = {name: one for service in SERVICES for name, one in sheets_of(service).items()}
    given = {name: view for name, view in whole["views"].items() if view["sheet"]}
    assert {"asset_ledger", "post_list", "unit_list"} <= given.keys()
    for view in given.values():
        sheet = sheets[view["sheet"]]
        columns = columns_of(sheet, [one["label"] for one in columns_again(view, sheet)])
        known = {one.name for one in columns if one is not None}
        assert len(known) == len(columns) and ID.name in known
        assert {one.name for one in sheet.columns if one.due} <= known
