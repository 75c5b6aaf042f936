"""What a service has promised, as it was reviewed: the documents in `contracts/`, never made anew.

They lie beside `shared/` and `services/`, and must be shipped with them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent.parent / "contracts"


def openapi(service: str) -> dict[str, Any]:
    """The service's OpenAPI document; its schemas hold every command by name."""
    return _read(f"{service}.openapi.json")


def asyncapi(service: str, topic: str) -> dict[str, Any]:
    """The service's AsyncAPI document: its events on the topic they really go to."""
    document = _read(f"{service}.asyncapi.json")
    document["channels"][service]["address"] = topic
    return document


def _read(name: str) -> dict[str, Any]:
    try:
        return dict(json.loads((FOLDER / name).read_bytes()))
    except FileNotFoundError as error:
        error.add_note(f"contracts/{name} is not there: `make contracts` writes it")
        raise
