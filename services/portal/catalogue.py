"""Everything that a screen can be made of: each service's commands, lists, events and measures.

It is read from the contracts and the words alone, so that a new capability has its form, its list
and its history without anybody touching the portal or the pages.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

from hosting import contract
from services.portal.fields import Fields, Made
from services.portal.sheet import sheets
from services.portal.today import SERVICES, panels, tasks
from shared.organisation import Level
from shared.words import Words, read, words_of

UNIT, UNITS = "unit", "unit_list"

PLACE = re.compile(r"\{(\w+)\}")


class Contracts:
    """The reviewed documents of the services that the portal knows, and where things are listed."""

    def __init__(self, services: Collection[str]) -> None:
        self.apis = {name: contract.openapi(name) for name in services}
        self.events = {name: contract.asyncapi(name, "") for name in services}
        self.sheets = {name for one, api in self.apis.items() for name in sheets(one, api)}
        self.views = {
            operation["operationId"]: (service, path, operation)
            for service, api in self.apis.items()
            for path, operations in api["paths"].items()
            for operation in operations.values()
            if "x-columns" in operation
        }
        self.public = {
            operations["get"]["x-public"]: path
            for api in self.apis.values()
            for path, operations in api["paths"].items()
            if "x-public" in operations.get("get", ())
        }
        """Where people without an account read a view."""
        self.finders = {
            operations["get"]["x-finds"]: f"/api{path}"
            for api in self.apis.values()
            for path, operations in api["paths"].items()
            if "x-finds" in operations.get("get", ())
        }
        """Where something is searched that is no list of its own: people."""

    def refer(self, service: str, target: str) -> Made:
        """Where to pick what an id points at: in the list of that name by its rows' keys, in the
        first list of that kind of thing, or nowhere.
        """
        if target in self.finders:
            return {"to": target, "view": None, "value": "id", "finder": self.finders[target]}
        if target in self.views:
            return {"to": target, "view": target, "value": "key"}
        if target == UNIT and UNITS in self.views:
            return {"to": target, "view": UNITS, "value": "id"}
        own = [
            (operation["x-many"], name)
            for name, (at, _, operation) in self.views.items()
            if at == service and operation["tags"] == [target]
        ]
        # Best a list with one row for each; min keeps their order otherwise.
        _, view = min(own, key=lambda one: one[0], default=(False, None))
        return {"to": target, "view": view, "value": "id"}


class Catalogue:
    """The catalogue in one language, still without what somebody may do."""

    def __init__(self, contracts: Contracts, lang: str) -> None:
        self.contracts, self.lang = contracts, lang
        self.words: dict[str, Words] = {name: words_of(name) for name in contracts.apis}
        self.fields = {name: self._fields(name, api) for name, api in contracts.apis.items()}
        self.views = {name: self._view(*where) for name, where in contracts.views.items()}
        self.commands = {made["name"]: made for made in self._commands()}
        for command in self.commands.values():
            for view in command["views"]:
                self.views[view]["commands"].append(command["name"])
        for view in self.views.values():
            view["sheet"] = self._sheet_of(view)

    def _fields(self, service: str, document: Mapping[str, Any]) -> Fields:
        return Fields(
            document["components"]["schemas"], self.lang, self.words[service],
            lambda target: self.contracts.refer(service, target),
        )  # fmt: skip

    def whole(self) -> Made:
        """All of it, as the pages read it."""
        portal = words_of("portal")
        named = portal.sections["values"]
        labels = {name: portal.word("values", name)._asdict()[self.lang] for name in named}
        return {
            "lang": self.lang,
            "services": [self._service(name) for name in self.contracts.apis],
            "commands": self.commands,
            "views": self.views,
            "events": self._events(),
            "measures": self._measures(),
            "routes": self._routes(),
            "today": tasks(self.contracts.apis, self.lang),
            "board": panels(self.contracts.apis, self.lang),
            "roles": _under("Role.", labels),
            "levels": {Level(int(n)).name.lower(): w for n, w in _under("Level.", labels).items()},
        }

    def _service(self, service: str) -> Made:
        kinds = [
            {
                "name": tag["name"],
                "label": tag["x-title"][self.lang],
                "commands": self._of(self.commands, service, tag["name"]),
                "views": self._of(self.views, service, tag["name"]),
            }
            for tag in self.contracts.apis[service]["tags"]
        ]
        label = self.words[service].word("names", service)._asdict()[self.lang]
        return {"name": service, "label": label, "aggregates": kinds}

    def _of(self, made: Mapping[str, Made], service: str, aggregate: str) -> list[str]:
        return [
            name for name, one in made.items()
            if (one["service"], one["aggregate"]) == (service, aggregate)
        ]  # fmt: skip

    def _commands(self) -> list[Made]:
        return [
            self._command(service, path, operations["post"])
            for service, api in self.contracts.apis.items()
            for path, operations in api["paths"].items()
            if "x-creates" in operations.get("post", ())
        ]

    def _command(self, service: str, path: str, operation: Mapping[str, Any]) -> Made:
        name, aggregate = operation["operationId"], operation["tags"][0]
        schema = self.contracts.apis[service]["components"]["schemas"][name]
        fields = self.fields[service].of(name, leaving_out=("id",))
        help_ = self.words[service].find("help", name)
        fields.sort(key=lambda field: field["name"] == "occurred_at")
        return {
            "name": name, "service": service, "aggregate": aggregate,
            "label": schema["x-title"][self.lang],
            "help": help_._asdict()[self.lang] if help_ else "",
            "method": "POST", "path": f"/api{path}", "params": PLACE.findall(path),
            "creates": operation["x-creates"], "weighty": operation["x-weighty"],
            "sheet": name in self.contracts.sheets, "roles": operation["x-roles"],
            "views": self._of(self.views, service, aggregate), "fields": fields,
        }  # fmt: skip

    def _sheet_of(self, view: Made) -> str | None:
        """The command whose template this list can be given out as: the only one of its kind of
        thing that a row can hold, in the first list that has all that is due in it.
        """
        sheets = [n for n in view["commands"] if self.commands[n]["sheet"]]
        if len(sheets) != 1:
            return None
        (name,) = sheets
        due = [one["name"] for one in self.commands[name]["fields"] if one["required"]]
        for other in self.commands[name]["views"]:
            shown = shown_as(self.views[other])
            if all(field in shown for field in due):
                return name if other == view["name"] else None
        return None

    def _view(self, service: str, path: str, operation: Mapping[str, Any]) -> Made:
        name, row = operation["operationId"], _row(operation)
        columns = self.fields[service].columns(row, operation["x-columns"])
        known = [column["name"] for column in columns]
        title = list(operation["x-search"]) or [one for one in ("name", "title") if one in known]
        api = f"/api{path}"
        return {
            "name": name, "service": service, "aggregate": operation["tags"][0],
            "label": self.words[service].word("views", name)._asdict()[self.lang],
            "path": api, "detail": f"{api}/{{id}}", "history": f"{api}/{{id}}/history",
            "can": f"{api}/{{id}}/can", "many": operation["x-many"],
            "public": self.contracts.public.get(name),
            "roles": operation["x-roles"], "columns": columns, "filters": operation["x-filters"],
            "sorts": operation["x-sorts"], "search": operation["x-search"],
            "title": title or known[1:2], "commands": [],
        }  # fmt: skip

    def _events(self) -> Made:
        made: Made = {}
        for service, document in self.contracts.events.items():
            fields = self._fields(service, document)
            for name, message in document["components"]["messages"].items():
                label = {"zh": message["title"], "en": message["summary"]}[self.lang]
                made[name] = {
                    "service": service, "aggregate": message["tags"][0]["name"], "label": label,
                    "fields": fields.of(name),
                }  # fmt: skip
        return made

    def _measures(self) -> list[Made]:
        named = (
            measure
            for api in self.contracts.apis.values()
            for operations in api["paths"].values()
            for measure in operations.get("get", {}).get("x-measures", ())
        )
        return [
            {
                **{name: value for name, value in one.items() if not name.endswith("words")},
                "name": one["measure"],
                "label": one["words"][self.lang],
                "unit_label": one["unit_words"][self.lang],
            }
            for one in named
        ]

    def _routes(self) -> dict[str, Made]:
        """Who may use what services have beside commands and lists, by the path within a service:
        whoever may in one of them.
        """
        made: dict[str, Made] = {}
        for service, api in self.contracts.apis.items():
            for path, operations in api["paths"].items():
                for operation in operations.values():
                    if "x-roles" in operation and not {"x-creates", "x-columns"} & operation.keys():
                        name = path.removeprefix(f"/{service}/")
                        roles = made.setdefault(name, {"roles": []})["roles"]
                        roles += [one for one in operation["x-roles"] if one not in roles]
        return made


def shown_as(view: Made) -> dict[str, Made]:
    """A command's field -> the column that shows it: of the same name, or as `[shown]` of the
    service's words says.
    """
    columns = {column["name"]: column for column in view["columns"]}
    others = read(SERVICES / view["service"] / "words.toml").get("shown", {})
    return columns | {name: columns[at] for name, at in others.items() if at in columns}


def _row(operation: Mapping[str, Any]) -> str:
    schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
    return str(schema["properties"]["items"]["items"]["$ref"].rpartition("/")[2])


def _under(prefix: str, labels: Mapping[str, str]) -> dict[str, str]:
    return {
        name.removeprefix(prefix): label
        for name, label in labels.items()
        if name.startswith(prefix)
    }
