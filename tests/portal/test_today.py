"""Each task of the first page names a view, columns, filters and values that there are."""

from contracts.__main__ import NAMES
from services.portal.catalogue import Catalogue, Contracts
from services.portal.today import wrong


def test_every_task_names_what_its_view_has() -> None:
    whole = Catalogue(Contracts(NAMES), "en").whole()
    views = whole["views"]
    assert whole["today"]
    assert {one["name"]: wrong(one, views) for one in whole["today"] if wrong(one, views)} == {}


def test_every_filter_asks_for_values_that_there_are() -> None:
    whole = Catalogue(Contracts(NAMES), "en").whole()
    unknown = [
        (task["name"], column["name"], value)
        for task in whole["today"]
        for column in whole["views"][task["view"]]["columns"]
        for value in task["filters"].get(column["name"], ())
        if value not in [one["value"] for one in column.get("options", ())]
        and column["kind"] != "boolean"
    ]
    assert unknown == []


def test_a_task_that_names_what_there_is_not_is_found() -> None:
    view = {"columns": [{"name": "status"}], "filters": ["status"], "sorts": []}
    task = {"view": "v", "filters": {"status": ["a"]}, "urgent": "due_at", "sort": "-due_at"}
    assert wrong(task, {"v": view}) == ["due_at"]
    assert wrong(task, {}) == ["v"]
