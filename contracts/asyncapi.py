"""The events that follow from the declarations: the AsyncAPI of a service's topic."""

from __future__ import annotations

from typing import Any

import msgspec

from contracts.meaning import references_of, tell
from contracts.schemas import REF, label
from shared.kernel import Event, Service
from shared.words import Words, words_of


def asyncapi(service: Service) -> dict[str, Any]:
    """The AsyncAPI 3.0 document of a service's topic: CloudEvents, binary mode, key = school."""
    words = words_of(service.name)
    events: dict[str, type[Event]] = {}
    owners: dict[str, str] = {}
    for aggregate in service.aggregates:
        events.update(aggregate.events)
        owners |= dict.fromkeys(aggregate.events, aggregate.name)
    names = sorted(events)
    _, schemas = msgspec.json.schema_components(
        tuple(events[name] for name in names), ref_template=REF
    )
    for schema in schemas.values():
        label(schema, words)
    tell(schemas, references_of(service))
    messages = {name: _message(name, owners[name], words) for name in names}
    title = words.word("names", service.name)
    channel = {
        "address": f"houqin.{service.name}",
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
    }
    return {
        "asyncapi": "3.0.0",
        "info": {"title": f"后勤 · {title.zh} / Houqin {title.en}", "version": "1"},
        "channels": {service.name: channel},
        "operations": {
            "publish": {"action": "send", "channel": {"$ref": f"#/channels/{service.name}"}}
        },
        "components": {"messages": messages, "schemas": schemas},
    }


def _message(name: str, aggregate: str, words: Words) -> dict[str, Any]:
    word = words.word("events", name)
    return {
        "name": name,
        "title": word.zh,
        "summary": word.en,
        "tags": [{"name": aggregate}],
        "contentType": "application/json",
        "payload": {"$ref": REF.format(name=name)},
    }
