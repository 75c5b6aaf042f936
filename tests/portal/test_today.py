"""Each task of the first page, and each panel of the county's board, names views, columns, filters,
values and measures that there are.
"""

import pytest

from contracts.__main__ import NAMES
from services.portal.catalogue import Catalogue, Contracts
from services.portal.today import wrong


def test_every_task_names_what_its_view_has() -> None:
    whole = Catalogue(Contracts(NAMES), "en").whole()
    views = whole["views"]
    assert whole["today"]
    assert {one["name"]: wrong(one, views) for one in whole["today"] if wrong(one, views)} == {}


def test_every_panel_watches_what_there_is() -> None:
    whole = Catalogue(Contracts(NAMES), "en").whole()
    assert whole["board"]
    assert [one["name"] for one in whole["board"] if wrong(one, whole["views"])] == []
    measured = {one["name"] for one in whole["measures"]}
    watched = [one for one in whole["board"] if "measure" in one]
    assert {one["measure"] for one in watched} <= measured
    assert {one["bad"] for one in watched} <= {"high", "low"}


@pytest.mark.parametrize("declared", ["today", "board"])
def test_every_filter_asks_for_values_that_there_are(declared: str) -> None:
    whole = Catalogue(Contracts(NAMES), "en").whole()
    unknown = [
        (one["name"], column["name"], value)
        for one in whole[declared]
        for column in whole["views"][one["view"]]["columns"]
        for value in one.get("filters", {}).get(column["name"], ())
        if value not in [option["value"] for option in column.get("options", ())]
        and column["kind"] != "boolean"
    ]
    assert unknown == []


def test_a_task_that_names_what_there_is_not_is_found() -> None:
    view = {"columns": [{"name": "status"}], "filters": ["status"], "sorts": []}
    task = {"view": "v", "filters": {"status": ["a"]}, "urgent": "due_at", "sort": "-due_at"}
    assert wrong(task, {"v": view}) == ["due_at"]
    assert wrong(task, {}) == ["v"]
