"""The catalogue: complete, resolved, in both languages, and drawn from nothing but declarations."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from services.portal.shelf import Shelf
from shared.kernel import Service
from tests.services import SERVICES

SHELF = Shelf([service.name for service in SERVICES])


def shown(lang: str = "zh", *roles: str, administrator: bool = False) -> dict[str, Any]:
    parts = SHELF.sent(lang, frozenset(roles), administrator), SHELF.events(lang)
    made, events = (msgspec.json.decode(gzip.decompress(content)) for content, _ in parts)
    return {**made, "events": events}


ZH, EN = shown(), shown("en")


def every(fields: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Fields, with those within them."""
    for field in fields:
        yield field
        yield from every([*field.get("fields", ()), *field.get("kinds", ())])
        if "item" in field:
            yield from every([field["item"]])


def fields_of(catalogue: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for part, member in (("commands", "fields"), ("views", "columns"), ("events", "fields")):
        for one in catalogue[part].values():
            yield from every(one[member])


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
def test_every_capability_list_and_event_is_in_it(service: Service) -> None:
    routed = {d.name: d for d in service.decisions().values() if d.path is not None}
    commands = {n: c for n, c in ZH["commands"].items() if c["service"] == service.name}
    assert commands.keys() == routed.keys()
    for name, decision in routed.items():
        assert commands[name]["path"] == f"/api/{service.name}{decision.path}"
        assert commands[name]["roles"] == list(decision.allow)
        assert commands[name]["creates"] == decision.creates
        assert commands[name]["weighty"] == decision.weighty
        wanted = set(decision.command.model_fields) - {"id"}
        assert {field["name"] for field in commands[name]["fields"]} == wanted
    views = {n: v for n, v in ZH["views"].items() if v["service"] == service.name}
    assert views.keys() == {view.name for view in service.views()}
    for view in service.views():
        made = views[view.name]
        assert (made["filters"], made["many"]) == (list(view.filters), view.many)
        assert made["title"], view.name
        assert made["commands"] == [c for c in commands if c in routed and (
            routed[c].aggregate is view.aggregate
        )]  # fmt: skip
    events = {name for aggregate in service.aggregates for name in aggregate.events}
    assert {n for n, e in ZH["events"].items() if e["service"] == service.name} == events


@pytest.mark.parametrize("catalogue", [ZH, EN], ids=["zh", "en"])
def test_a_screen_needs_to_know_no_schema(catalogue: dict[str, Any]) -> None:
    for field in fields_of(catalogue):
        assert "$ref" not in field and "anyOf" not in field
        match field["kind"]:
            case "choice":
                assert field["options"] and all(one["label"] for one in field["options"])
            case "ref" if field["ref"]["view"] is not None:
                assert field["ref"]["view"] in catalogue["views"]
                assert field["ref"]["value"] in {"id", "key"}
            case "list":
                assert field["item"]["kind"] != "any"
            case "object":
                assert field["fields"]
            case _:
                pass
    for command in catalogue["commands"].values():
        assert all(one["label"] != one["name"] for one in every(command["fields"]) if one["name"])


def test_both_languages_have_the_same_parts_in_other_words() -> None:
    for part in ("commands", "views", "events", "roles", "levels"):
        assert ZH[part].keys() == EN[part].keys()
    assert ZH["commands"]["RegisterCard"]["label"] == "登记资产"
    assert EN["commands"]["RegisterCard"]["label"] == "Register an asset"
    assert [m["name"] for m in ZH["measures"]] == [m["name"] for m in EN["measures"]]
    assert ZH["measures"] and all(m["label"] and m["unit_label"] for m in ZH["measures"])
    assert ZH["levels"]["school"] == "学校"


def test_an_id_says_where_to_pick_one() -> None:
    def field(command: str, name: str) -> dict[str, Any]:
        fields = every(ZH["commands"][command]["fields"])
        return next(one for one in fields if one["name"] == name)

    assert field("ReportRepair", "card")["ref"] == {
        "to": "card", "view": "asset_ledger", "value": "id",
    }  # fmt: skip
    assert field("RaiseRequisition", "budget")["ref"]["view"] is not None
    assert field("EndPost", "post")["ref"] == {
        "to": "post_list", "view": "post_list", "value": "key",
    }  # fmt: skip
    assert field("RegisterCard", "organisation")["ref"]["view"] == "unit_list"
    assert field("RegisterCard", "value_cny")["unit"] == {"code": "CNY", "label": "元"}
    assert field("RegisterCard", "useful_years")["unit"]["label"] == "年"
    assert field("ReportRepair", "photos")["item"]["kind"] == "file"


def test_what_somebody_may_follows_from_posts() -> None:
    keeper, nobody = shown("zh", "storekeeper"), shown("zh")
    chief = shown("zh", administrator=True)
    assert keeper["commands"]["RegisterCard"]["may"] and keeper["views"]["asset_ledger"]["may"]
    assert not keeper["commands"]["RevalueCard"]["may"]
    assert not any(one["may"] for one in nobody["commands"].values())
    assert all(one["may"] for one in chief["views"].values())
    assert not chief["commands"]["RevalueCard"]["may"]
    tags = {
        SHELF.sent("zh", frozenset(roles), False)[1] for roles in ((), ("cook",), ("storekeeper",))
    }
    assert len(tags) == 3
    assert SHELF.sent("zh", frozenset(("cook",)), False)[1] in tags


def test_codes_that_have_words_are_shown_by_them() -> None:
    column = next(one for one in EN["views"]["menu_board"]["columns"] if one["name"] == "allergens")
    assert {"value": "milk", "label": "Milk"} in column["item"]["options"]
    assert column["item"]["kind"] == "text"
