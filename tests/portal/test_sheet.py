"""Commands as spreadsheets: what every service's contract makes of them, and the file to fill in."""

from __future__ import annotations

import io
import zipfile
from collections import Counter

import pytest
import python_calamine

from services.assets import assets
from services.assets.card.events import AssetSource
from services.assets.card.register import RegisterCard
from services.portal.sheet import ROWS_MAX, Sheet, template
from shared.http import TOGETHER_MAX
from shared.kernel import Command, Service
from shared.words import words_of
from tests.services import SERVICES, sheet, sheets_of

CARD = sheet(assets, RegisterCard)
WORDS = words_of("assets")


def names_of(sheet: Sheet) -> list[str]:
    return [column.name for column in sheet.columns]


def command_of(service: Service, sheet: Sheet) -> type[Command]:
    return next(one for one in service.decisions() if one.__name__ == sheet.command)


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
def test_every_plain_creation_has_a_template(service: Service) -> None:
    for name, one in sheets_of(service).items():
        book = python_calamine.CalamineWorkbook.from_filelike(io.BytesIO(template(one)))
        (heading,) = book.get_sheet_by_index(0).to_python()
        assert len(heading) == len(one.columns), name
        assert all(str(cell).strip() for cell in heading)
        assert len(set(heading)) == len(heading), f"{name}: a heading twice"


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
def test_columns_are_the_fields_in_their_order(service: Service) -> None:
    """As they are declared, the moment of the deed last; also through the shipped document."""
    for one in sheets_of(service).values():
        declared = [name for name in command_of(service, one).model_fields if name != "id"]
        assert names_of(one) == sorted(declared, key="occurred_at".__eq__)


def test_choices_are_offered_in_their_order() -> None:
    """In Chinese, as they are declared."""
    (source,) = (column for column in CARD.columns if column.name == "source")
    labels = [WORDS.word("values", f"AssetSource.{value}").zh for value in AssetSource]
    with zipfile.ZipFile(io.BytesIO(template(CARD))) as book:
        page = book.read("xl/worksheets/sheet1.xml").decode()
    assert f'"{",".join(labels)}"' in page
    assert list(dict.fromkeys(source.choices.values())) == [str(value) for value in AssetSource]


def test_only_commands_that_fit_one_row_are_imported() -> None:
    """A list within a command has no cell, also where it is named by an alias."""
    names = {name for service in SERVICES for name in sheets_of(service)}
    assert {"RegisterUnit", "AppointStaff", "RegisterCard"} <= names
    assert not names & {"AdoptBudget", "ReportHazard", "DraftChecklist", "DraftMenu"}


def test_a_sheet_knows_who_takes_it_and_what_it_makes() -> None:
    """By the command's name alone: it is one of its kind on the whole platform."""
    names = Counter(name for service in SERVICES for name in sheets_of(service))
    assert set(names.values()) == {1}
    for service in SERVICES:
        for name, one in sheets_of(service).items():
            decision = service.decisions()[command_of(service, one)]
            assert (one.command, one.service) == (name, service.name)
            assert one.aggregate == decision.aggregate.name and decision.creates


def test_a_file_holds_as_many_rows_as_a_service_takes_together() -> None:
    assert ROWS_MAX == TOGETHER_MAX
