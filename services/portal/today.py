"""What each service declares of the portal's own pages, so that these need no knowledge of any
capability: in `today.toml` what may wait for somebody, in `board.toml` what a bureau watches.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

SERVICES = Path(__file__).parent.parent
NAMING = ("role", "level", "person", "urgent")
"""What of a task names a column of its view."""


def tasks(services: Iterable[str], lang: str) -> list[dict[str, Any]]:
    """Every service's tasks in their order, in one language."""
    return declared(services, lang, "today.toml")


def panels(services: Iterable[str], lang: str) -> list[dict[str, Any]]:
    """Every service's panels of the county's board in their order, in one language."""
    return declared(services, lang, "board.toml")


def declared(services: Iterable[str], lang: str, file: str) -> list[dict[str, Any]]:
    """The tables of that file of each service, in one language."""
    made: list[dict[str, Any]] = []
    for service in services:
        path = SERVICES / service / file
        tables = tomllib.loads(path.read_text("utf-8")) if path.exists() else {}
        for name, table in tables.items():
            zh, en = table["label"]
            label = {"zh": zh, "en": en}[lang]
            made.append({**table, "name": name, "service": service, "label": label})
    return made


def wrong(task: Mapping[str, Any], views: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """What a task names that its view does not have."""
    view = views.get(task["view"])
    if view is None:
        return [task["view"]]
    columns = {column["name"] for column in view["columns"]}
    named = {task[name] for name in NAMING if name in task}
    filters = {*task.get("filters", ()), *filter(None, [task.get("person")])}
    sort = {task.get("sort", "").removeprefix("-")} - {""}
    return sorted((named - columns) | (filters - {*view["filters"]}) | (sort - {*view["sorts"]}))
