"""What may wait for somebody, as each service's `today.toml` declares it: views and whom they wait
for, so that the first page needs no knowledge of any capability.
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
    made: list[dict[str, Any]] = []
    for service in services:
        path = SERVICES / service / "today.toml"
        declared = tomllib.loads(path.read_text("utf-8")) if path.exists() else {}
        for name, task in declared.items():
            zh, en = task["label"]
            label = {"zh": zh, "en": en}[lang]
            made.append({**task, "name": name, "service": service, "label": label})
    return made


def wrong(task: Mapping[str, Any], views: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """What a task names that its view does not have."""
    view = views.get(task["view"])
    if view is None:
        return [task["view"]]
    columns = {column["name"] for column in view["columns"]}
    named = {task[name] for name in NAMING if name in task}
    filters = {*task["filters"], *filter(None, [task.get("person")])}
    sort = {task.get("sort", "").removeprefix("-")} - {""}
    return sorted((named - columns) | (filters - {*view["filters"]}) | (sort - {*view["sorts"]}))
