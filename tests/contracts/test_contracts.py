"""What is served is what was reviewed: the shipped documents are those that the source yields."""

from __future__ import annotations

import json

import pytest

from contracts.__main__ import FOLDER, generate
from hosting import contract
from shared.kernel import Service
from tests.services import SERVICES

GENERATED = generate()


def test_every_contract_is_shipped_and_nothing_else() -> None:
    shipped = {path.name for path in FOLDER.iterdir() if path.suffix in {".json", ".csv"}}
    assert shipped == set(GENERATED)


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
def test_what_is_served_is_what_the_source_yields(service: Service) -> None:
    """In the same order, too: forms and templates show fields and choices in it."""
    name = service.name
    made = json.loads(GENERATED[f"{name}.openapi.json"])
    assert json.dumps(contract.openapi(name)) == json.dumps(made), "run `make contracts`"
    made = json.loads(GENERATED[f"{name}.asyncapi.json"])
    assert contract.asyncapi(name, f"houqin.{name}") == made, "run `make contracts`"


def test_events_are_on_the_topic_they_really_go_to() -> None:
    document = contract.asyncapi("assets", "elsewhere.assets")
    assert document["channels"]["assets"]["address"] == "elsewhere.assets"


def test_a_service_without_a_contract_says_what_to_do() -> None:
    with pytest.raises(FileNotFoundError) as missing:
        contract.openapi("canteen")
    (note,) = missing.value.__notes__
    assert "contracts/canteen.openapi.json" in note and "make contracts" in note
