"""Files in: the template is filled in and taken back; every wrong cell is named by its place."""

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
import pytest
import python_calamine
import xlsxwriter
from pydantic import ValidationError

from contracts.schemas import command_schemas
from services.assets import assets
from services.assets.card.register import RegisterCard
from services.organisation import organisation
from services.organisation.unit.register import RegisterUnit
from services.portal import filled as module
from services.portal.filled import Filled, read
from services.portal.sheet import sheets, template
from shared.http import parse
from shared.problems import Problem, errors_of, invalid
from shared.rules import region_of
from shared.words import words_of
from tests.services import sheet, steps
from tests.shared.tally import OpenTally, tallies, tally

CARD = sheet(assets, RegisterCard)
REGISTER = assets.decisions()[RegisterCard]
WORDS = words_of("assets")

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
    """As the service takes them: strictly. A card goes by its tag, and not by the file's row."""
    bodies = [{**body, "id": None} for body in read(CARD, content).bodies]
    return [parse(REGISTER, msgspec.json.encode(body)) for body in bodies]


def refused(filled: Filled) -> dict[str, Any]:
    """What the service says of the rows, with the functions that it says it with."""
    errors = []
    for n, body in enumerate(filled.bodies):
        try:
            parse(REGISTER, msgspec.json.encode(body))
        except ValidationError as error:
            errors += errors_of(n, invalid(error, WORDS), WORDS)
    made = Problem("invalid", errors=errors).body(WORDS)
    return dict(msgspec.json.decode(msgspec.json.encode(made)))


def errors_in(content: bytes) -> dict[str, str]:
    """What people are told: cell -> what is wrong, by whoever of the two finds it."""
    try:
        filled = read(CARD, content)
        told = filled.placed(refused(filled))["errors"]
    except Problem as problem:
        assert problem.slug == "invalid" and problem.status == 422
        told = [msgspec.structs.asdict(error) for error in problem.errors]
    for error in told:
        assert error["zh"] != error["en"] and error["zh"] and error["en"]
    return {error["field"]: error["en"] for error in told}


def test_a_template_filled_in_comes_back_as_it_was_meant() -> None:
    """Round trip: the heading that people get, their labels and choices, dates and codes."""
    words = WORDS
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
    cells = [row.get(column.name) for column in CARD.columns]
    (made,) = cards(xlsx([heading, cells]))
    assert isinstance(made, RegisterCard)
    assert (made.tag, made.quantity, made.value_cny) == ("ZC-0001", 212, Decimal("41340.00"))
    assert (made.acquired_on, made.bulk, made.place) == (date(2024, 9, 1), True, "三楼")
    assert made.organisation == region_of("2143108101"), "people write codes, not ids"
    assert made.source.value == "purchase"


def test_headings_may_be_names_or_labels_in_either_language() -> None:
    words = WORDS
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
    errors = errors_in(xlsx(filled({**ROW, "tag": code})))
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
        errors = errors_in(content)
        assert set(errors) == {
            "F2 quantity", "G4 value_cny", "I4 source", "C5 name", "H6 acquired_on", "B6 tag",
        }  # fmt: skip
        assert "at least 1" in errors["F2 quantity"]
        assert "at most 2 decimals" in errors["G4 value_cny"]
        assert errors["C5 name"].endswith("is required")


def test_a_field_without_a_column_is_named_by_its_row() -> None:
    short = {name: value for name, value in ROW.items() if name != "tag"}
    assert set(errors_in(text(filled(short)))) == {"2 tag"}


def test_an_unknown_heading_is_refused_with_what_there_is() -> None:
    errors = errors_in(text(filled({**ROW, "colour": "red"})))
    assert list(errors) == ["J1"] and "allowed: " in errors["J1"] and "tag" in errors["J1"]


def test_blank_rows_are_passed_over_and_places_stay() -> None:
    rows = filled(ROW, {**ROW, "quantity": 0})
    rows.insert(2, [None] * len(rows[0]))
    rows.append([""] * len(rows[0]))
    assert set(errors_in(xlsx(rows))) == {"F4 quantity"}


def test_labels_and_values_are_both_choices() -> None:
    label = words_of("organisation").word("values", "UnitLevel.school")
    row: dict[str, object] = {"code": "2143108101", "name": "某小学", "parent_code": "431081"}
    rows = [{**row, "level": level} for level in ("school", label.zh, label.en)]
    made = steps(organisation, RegisterUnit, text(filled(*rows)))
    assert {step.command.level.value for step in made} == {"school"}  # type: ignore[attr-defined]
    assert {step.stream for step in made} == {region_of("2143108101")}
    assert {step.command.organisation for step in made} == {region_of("431081")}  # type: ignore[attr-defined]


def test_cells_become_what_the_command_wants() -> None:
    """Numbers and yes or no as such; what a text column holds stays a text, also if it says 是."""
    row = {**ROW, "quantity": "12.0", "bulk": "TRUE", "name": "是", "acquired_on": "2024-09-01"}
    for content in (text(filled(row)), xlsx(filled(row))):
        (body,) = read(CARD, content).bodies
        assert (body["quantity"], body["bulk"], body["name"]) == (12, True, "是")
    wrong = {**ROW, "quantity": "a dozen", "bulk": "perhaps"}
    assert set(errors_in(text(filled(wrong)))) == {"F2 quantity", "J2 bulk"}


def test_the_same_file_again_means_the_same_things() -> None:
    """Where nothing else names a thing, the row of the file does; another file means others."""
    decision = tally.decisions()[OpenTally]
    operation = {"operationId": "OpenTally", "tags": ["tally"]}
    document = {
        "components": {"schemas": command_schemas(decision, WORDS)},
        "paths": {"/tally/tallies": {"post": operation}},
    }
    toy = sheets("tally", document)["OpenTally"]
    row: dict[str, object] = {"organisation": "2143108101", "name": "a"}
    content = text(filled(row))
    assert read(toy, content).batch(dry_run=False) == read(toy, content).batch(dry_run=False)
    first, other = (ids(read(toy, file)) for file in (content, text(filled(row, row))))
    assert first == [tallies.id_of(hashlib.blake2b(content).hexdigest(), 2)]
    assert len({*first, *other}) == 3
    named = steps(assets, RegisterCard, text(filled(ROW, {**ROW, "quantity": 1})))
    assert named[0].stream == named[1].stream, "a natural key is the same thing in every file"


def ids(filled: Filled) -> list[UUID]:
    return [body["id"] for body in filled.bodies]


def test_a_refused_row_is_named_as_people_count_rows() -> None:
    """Blank rows count for people, and not for the service."""
    rows = filled(ROW, ROW)
    rows.insert(2, [None] * len(rows[0]))
    said = {"field": "commands.1.tag", "zh": "编号已用。请换一个。", "en": "taken. take another"}
    problem = {"slug": "tag_taken", "status": 422, "errors": [said]}
    assert read(CARD, text(rows)).placed(problem) == {
        "slug": "tag_taken",
        "status": 422,
        "errors": [
            {
                "field": "4 tag",
                "zh": "第4行：编号已用。请换一个。",
                "en": "row 4: taken. take another",
            }
        ],
    }
    whole = {
        "slug": "key_reused",
        "errors": [{"field": "Idempotency-Key", "zh": "键", "en": "key"}],
    }
    assert read(CARD, text(rows)).placed(whole) == whole


def test_what_cannot_be_read_is_said() -> None:
    for content in (b"", b"PK\x03\x04 not a workbook", b"\xff\xff\xff\x00"):
        with pytest.raises(Problem) as said:
            cards(content)
        assert said.value.slug in {"file_unreadable", "invalid"}, content


def test_a_file_has_a_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ROWS_MAX", 2)
    assert len(cards(text(filled(ROW, ROW)))) == 2
    with pytest.raises(Problem) as said:
        cards(text(filled(ROW, ROW, ROW)))
    assert (said.value.slug, said.value.values) == ("too_many_commands", {"count_max": 2})
