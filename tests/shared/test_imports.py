"""Files in: the template is filled in and taken back; every wrong cell is named by its place."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pytest
import python_calamine
import xlsxwriter

from contracts.schemas import command_schemas
from services.assets import assets
from services.assets.card.events import AssetSource
from services.assets.card.register import RegisterCard
from services.organisation import organisation
from services.organisation.unit.register import RegisterUnit
from shared import imports
from shared.imports import Sheet, sheet_of, sheets, steps, template
from shared.kernel import Service
from shared.problems import Problem
from shared.rules import region_of
from shared.words import words_of
from tests.services import SERVICES, schemas_of, sheet
from tests.shared.tally import OpenTally, tally

CARD = sheet(assets, RegisterCard)
UNIT = sheet(organisation, RegisterUnit)
WORDS = {service.name: words_of(service.name) for service in (assets, organisation)}

ROW: dict[str, object] = {
    "organisation": "2143108101", "tag": "ZC-0001", "name": "课桌椅", "category": "A05010201",
    "measure_unit": "套", "quantity": 212, "value_cny": "41340.00", "acquired_on": "2024-09-01",
    "source": "purchase",
}  # fmt: skip


def xlsx(rows: Sequence[Sequence[object]]) -> bytes:
    buffer = io.BytesIO()
    with xlsxwriter.Workbook(
        buffer, {"in_memory": True, "default_date_format": "yyyy-mm-dd"}
    ) as book:
        sheet = book.add_worksheet()
        for n, row in enumerate(rows):
            for m, cell in enumerate(row):
                sheet.write(n, m, cell)
    return buffer.getvalue()


def text(rows: Sequence[Sequence[object]], encoding: str = "utf-8") -> bytes:
    buffer = io.StringIO()
    csv.writer(buffer).writerows(rows)
    return buffer.getvalue().encode(encoding)


def filled(*rows: dict[str, object], heading: Sequence[str] | None = None) -> list[list[object]]:
    names = list(dict.fromkeys(name for row in rows for name in row))
    return [list(heading or names), *([row.get(name) for name in names] for row in rows)]


def cards(content: bytes) -> list[Any]:
    return [step.command for step in steps(CARD, content, WORDS["assets"])]


def names_of(sheet: Sheet) -> list[str]:
    return [column.name for column in sheet.columns]


def errors_of(content: bytes) -> dict[str, str]:
    with pytest.raises(Problem) as refused:
        cards(content)
    assert refused.value.slug == "invalid" and refused.value.status == 422
    for error in refused.value.errors:
        assert error.zh != error.en and error.zh and error.en
    return {error.field: error.en for error in refused.value.errors}


def test_a_template_filled_in_comes_back_as_it_was_meant() -> None:
    """Round trip: the heading that people get, their labels and choices, dates and codes."""
    words = WORDS["assets"]
    book = python_calamine.CalamineWorkbook.from_filelike(io.BytesIO(template(CARD)))
    (heading, *rest) = book.get_sheet_by_index(0).to_python()
    assert not rest and len(heading) == len(CARD.columns)
    assert any(str(cell).endswith(" *") for cell in heading), "what is due is marked"
    row = {
        **ROW,
        "bulk": "是",
        "place": "三楼",
        "source": words.word("values", "AssetSource.purchase").zh,
    }
    cells = [row.get(name) for name in names_of(CARD)]
    (made,) = cards(xlsx([heading, cells]))
    assert isinstance(made, RegisterCard)
    assert (made.tag, made.quantity, made.value_cny) == ("ZC-0001", 212, Decimal("41340.00"))
    assert (made.acquired_on, made.bulk, made.place) == (date(2024, 9, 1), True, "三楼")
    assert made.organisation == region_of("2143108101"), "people write codes, not ids"
    assert made.source.value == "purchase"


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
def test_every_plain_creation_has_a_template(service: Service) -> None:
    for name, one in sheets(service, schemas_of(service)).items():
        book = python_calamine.CalamineWorkbook.from_filelike(io.BytesIO(template(one)))
        (heading,) = book.get_sheet_by_index(0).to_python()
        assert len(heading) == len(one.columns), name
        assert all(str(cell).strip() for cell in heading)
        assert len(set(heading)) == len(heading), f"{name}: a heading twice"


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
def test_columns_are_the_fields_in_their_order(service: Service) -> None:
    """As they are declared, the moment of the deed last; also through the shipped document."""
    for one in sheets(service, schemas_of(service)).values():
        declared = [name for name in one.decision.command.model_fields if name != "id"]
        assert names_of(one) == sorted(declared, key="occurred_at".__eq__)


def test_choices_are_offered_in_their_order() -> None:
    """In Chinese, as they are declared."""
    (source,) = (column for column in CARD.columns if column.name == "source")
    labels = [WORDS["assets"].word("values", f"AssetSource.{value}").zh for value in AssetSource]
    with zipfile.ZipFile(io.BytesIO(template(CARD))) as book:
        page = book.read("xl/worksheets/sheet1.xml").decode()
    assert f'"{",".join(labels)}"' in page
    assert list(dict.fromkeys(source.choices.values())) == [str(value) for value in AssetSource]


def test_headings_may_be_names_or_labels_in_either_language() -> None:
    words = WORDS["assets"]
    plain = cards(text(filled(ROW)))
    for language in (0, 1):
        labels = [(words.find("fields", name) or (name, name))[language] for name in ROW]
        assert cards(text(filled(ROW, heading=labels))) == plain
        assert cards(xlsx(filled(ROW, heading=[f"{label} *" for label in labels]))) == plain


def test_xlsx_and_csv_in_both_encodings_mean_the_same() -> None:
    rows = filled(ROW, {**ROW, "tag": "ZC-0002", "name": "黑板，双面"})
    made = cards(text(rows))
    assert [one.name for one in made] == ["课桌椅", "黑板，双面"]
    assert (
        cards(text(rows, "utf-8-sig")) == cards(text(rows, "gb18030")) == cards(xlsx(rows)) == made
    )


def test_numbers_and_dates_as_a_spreadsheet_keeps_them() -> None:
    row = {**ROW, "value_cny": 41340.5, "quantity": 212.0, "acquired_on": datetime(2024, 9, 1)}
    (made,) = cards(xlsx(filled(row)))
    assert made.value_cny == Decimal("41340.5") and str(made.value_cny) == "41340.5"
    assert made.quantity == 212 and made.acquired_on == date(2024, 9, 1)
    (made,) = cards(xlsx(filled({**ROW, "value_cny": 0.1, "quantity": 1})))
    assert made.value_cny == Decimal("0.1")


def test_a_long_code_in_a_number_cell_is_refused() -> None:
    """A spreadsheet has lost its last digits already: 18 digits do not fit a binary float."""
    code = 431081198001011234
    errors = errors_of(xlsx(filled({**ROW, "tag": code})))
    assert list(errors) == ["B2 tag"] and "text cell" in errors["B2 tag"]
    (made,) = cards(xlsx(filled({**ROW, "tag": str(code)})))
    assert made.tag == str(code)


def test_every_wrong_cell_is_named_with_its_place() -> None:
    rows = filled(
        {**ROW, "quantity": 0},
        ROW,
        {**ROW, "value_cny": "12.345", "source": "found on the street"},
        {name: value for name, value in ROW.items() if name != "name"},
        {**ROW, "acquired_on": "last year", "tag": ""},
    )
    for content in (xlsx(rows), text(rows)):
        errors = errors_of(content)
        assert set(errors) == {
            "F2 quantity", "G4 value_cny", "I4 source", "C5 name", "H6 acquired_on", "B6 tag",
        }  # fmt: skip
        assert "at least 1" in errors["F2 quantity"]
        assert "at most 2 decimals" in errors["G4 value_cny"]
        assert errors["C5 name"].endswith("is required")


def test_a_field_without_a_column_is_named_by_its_row() -> None:
    short = {name: value for name, value in ROW.items() if name != "tag"}
    assert set(errors_of(text(filled(short)))) == {"2 tag"}


def test_an_unknown_heading_is_refused_with_what_there_is() -> None:
    errors = errors_of(text(filled({**ROW, "colour": "red"})))
    assert list(errors) == ["J1"] and "allowed: " in errors["J1"] and "tag" in errors["J1"]


def test_blank_rows_are_passed_over_and_places_stay() -> None:
    rows = filled(ROW, {**ROW, "quantity": 0})
    rows.insert(2, [None] * len(rows[0]))
    rows.append([""] * len(rows[0]))
    assert set(errors_of(xlsx(rows))) == {"F4 quantity"}


def test_labels_and_values_are_both_choices() -> None:
    words = WORDS["organisation"]
    label = words.word("values", "UnitLevel.school")
    made = [
        steps(
            UNIT,
            text(
                filled(
                    {
                        "code": "2143108101",
                        "name": "某小学",
                        "level": level,
                        "parent_code": "431081",
                    }
                )
            ),
            words,
        )[0]
        for level in ("school", label.zh, label.en)
    ]
    assert {step.command.level.value for step in made} == {"school"}  # type: ignore[attr-defined]
    assert {step.stream for step in made} == {region_of("2143108101")}
    assert {step.command.organisation for step in made} == {region_of("431081")}  # type: ignore[attr-defined]


def test_the_same_file_again_means_the_same_things() -> None:
    """Where nothing else names a thing, the row of the file does; another file means others."""
    decision, words = tally.decisions()[OpenTally], WORDS["assets"]
    toy = sheet_of(decision, command_schemas(decision, words))
    row: dict[str, object] = {"organisation": "2143108101", "name": "a"}
    content = text(filled(row))
    first, again = (steps(toy, content, words) for _ in range(2))
    assert [step.stream for step in first] == [step.stream for step in again]
    other = steps(toy, text(filled(row, row)), words)
    assert len({step.stream for step in (*first, *other)}) == 3
    named = steps(CARD, text(filled(ROW, {**ROW, "quantity": 1})), words)
    assert named[0].stream == named[1].stream, "a natural key is the same thing in every file"


def test_only_commands_that_fit_one_row_are_imported() -> None:
    """A list within a command has no cell, also where it is named by an alias."""
    names = {name for service in SERVICES for name in sheets(service, schemas_of(service))}
    assert {"RegisterUnit", "AppointStaff", "RegisterCard"} <= names
    assert not names & {"AdoptBudget", "ReportHazard", "DraftChecklist", "DraftMenu"}


def test_what_cannot_be_read_is_said() -> None:
    for content in (b"", b"PK\x03\x04 not a workbook", b"\xff\xff\xff\x00"):
        with pytest.raises(Problem) as refused:
            cards(content)
        assert refused.value.slug in {"file_unreadable", "invalid"}, content


def test_a_file_has_a_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imports, "ROWS_MAX", 2)
    assert len(cards(text(filled(ROW, ROW)))) == 2
    with pytest.raises(Problem) as refused:
        cards(text(filled(ROW, ROW, ROW)))
    assert (refused.value.slug, refused.value.values) == ("too_many_commands", {"count_max": 2})
