"""A file given back: every row where it stood, what is wrong at its cell, and readable again."""

from __future__ import annotations

import io
import re
import zipfile

import python_calamine

from services.assets import assets
from services.assets.card.register import RegisterCard
from services.portal.filled import rows_of
from services.portal.marked import marked
from tests.portal.test_filled import ROW, filled, text, xlsx
from tests.services import sheet

CARD = sheet(assets, RegisterCard)
ERRORS = [
    {"field": "G3 value_cny", "zh": "须为数字", "en": "must be a number"},
    {"field": "G3 value_cny", "zh": "须大于0", "en": "must be above 0"},
    {"field": "2 tag", "zh": "第2行：标签号已用", "en": "row 2: the tag is taken"},
    {"field": "4", "zh": "第4行：不可以", "en": "row 4: no"},
]


def parts(content: bytes) -> dict[str, str]:
    with zipfile.ZipFile(io.BytesIO(content)) as book:
        return {name: book.read(name).decode() for name in book.namelist()}


def test_rows_come_back_as_they_were_and_can_be_imported_again() -> None:
    rows = filled(ROW, ROW | {"tag": "007", "value_cny": "许多", "name": "=1+1"}, {})
    for content in (xlsx(rows), text(rows)):
        given = marked(CARD, content, ERRORS, "zh")
        assert [[str(cell) for cell in row] for row in rows_of(given)[:3]] == [
            [str(cell) for cell in row] for row in rows_of(content)[:3]
        ]


def test_what_is_wrong_stands_at_its_cell_and_in_a_list() -> None:
    rows = filled(ROW, ROW | {"value_cny": "许多"}, ROW)
    given = marked(CARD, xlsx(rows), ERRORS, "en")
    found = parts(given)
    comments = dict(
        re.findall(
            r'<comment ref="(\w+)".*?<t(?: xml:space="preserve")?>(.*?)</t>',
            found["xl/comments1.xml"],
            re.DOTALL,
        )
    )
    assert comments == {
        "B2": "row 2: the tag is taken", "G3": "must be a number\nmust be above 0",
        "A4": "row 4: no",
    }  # fmt: skip
    page = found["xl/worksheets/sheet1.xml"]
    plain, coloured = (re.search(rf'r="{cell}" s="(\d+)"', page) for cell in ("G2", "G3"))
    assert plain and coloured and plain[1] != coloured[1]
    book = python_calamine.CalamineWorkbook.from_filelike(io.BytesIO(given))
    assert book.get_sheet_by_index(1).to_python() == [
        ["Where", "Why"], ["B2", "row 2: the tag is taken"],
        ["G3", "must be a number; must be above 0"], ["A4", "row 4: no"],
    ]  # fmt: skip


def test_a_heading_that_nobody_knows_is_marked_too() -> None:
    rows = [["tag", "颜色"], ["1", "红"]]
    given = marked(CARD, xlsx(rows), [{"field": "B1", "zh": "不认识的列", "en": "unknown"}], "zh")
    assert 'ref="B1"' in parts(given)["xl/comments1.xml"]
    assert rows_of(given) == rows
