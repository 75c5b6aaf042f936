"""The contracts that follow from the declarations: OpenAPI of a service, and its event catalogue
with JSON Schemas and AsyncAPI. Generated; the committed copies in `contracts/` show changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from shared.discovery import refusals
from shared.kernel import Decision, Event, Service, View, ViewOf
from shared.problems import COMMON, STATUS
from shared.views import columns
from shared.words import Words

REF = "#/components/schemas/{name}"


class CommandSchema(GenerateJsonSchema):
    """Decimals as strings with their scale, and `X | None` as X marked nullable, so that a form
    or a template sees one type per field.
    """

    def decimal_schema(self, schema: core_schema.DecimalSchema) -> JsonSchemaValue:
        """A decimal as text."""
        made: JsonSchemaValue = {"type": "string", "format": "decimal"}
        for name in ("ge", "gt", "le", "lt"):
            if name in schema:
                made[f"x-{name}"] = str(schema[name])
        if "decimal_places" in schema:
            made["x-scale"] = schema["decimal_places"]
        return made

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        """The inner type, marked."""
        return {**self.generate_inner(schema["schema"]), "x-nullable": True}


def openapi(service: Service, words: Words, extra: dict[str, Any] | None = None) -> dict[str, Any]:
    """The OpenAPI 3.1 document of a service; `extra` brings paths of its own routers."""
    schemas: dict[str, Any] = {"Problem": _problem_schema()}
    paths: dict[str, Any] = {}
    base = f"/{service.name}"
    for decision in service.decisions().values():
        if decision.path is not None:
            path = paths.setdefault(base + decision.path, {})
            path["post"] = _operation(service, decision, words, schemas)
    for view in service.views():
        paths.setdefault(base + view.path, {})["get"] = _list(view, words, schemas)
        paths.setdefault(f"{base}{view.path}/{{id}}", {})["get"] = _detail(view, words)
        paths.setdefault(f"{base}{view.path}/{{id}}/history", {})["get"] = _history(view, words)
    paths[f"{base}/batch"] = {"post": _batch()}
    extra = extra or {}
    label = words.word("names", service.name)
    return {
        "openapi": "3.1.0",
        "info": {"title": f"后勤 · {label.zh} / Houqin {label.en}", "version": "1"},
        "servers": [{"url": "/"}],
        "security": [{"bearer": []}],
        "paths": {**paths, **extra.get("paths", {})},
        "components": {
            "schemas": {**extra.get("components", {}).get("schemas", {}), **schemas},
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
            },
        },
    }


def command_schema(decision: Decision, words: Words) -> tuple[dict[str, Any], dict[str, Any]]:
    """A command's JSON Schema with labels in both languages, and the schemas of its parts."""
    schema = decision.command.model_json_schema(
        schema_generator=CommandSchema, ref_template=REF.replace("{name}", "{model}")
    )
    parts = schema.pop("$defs", {})
    for made in (schema, *parts.values()):
        _label(made, words)
    return schema, parts


def _label(schema: dict[str, Any], words: Words) -> None:
    name = schema.get("title", "")
    for value in schema.get("enum", ()):
        label = words.find("values", f"{name}.{value}")
        if label:
            schema.setdefault("x-labels", {})[str(value)] = label._asdict()
    title = words.find("commands", name)
    if title:
        schema["title"], schema["x-title"] = title.zh, title._asdict()
    for field, made in schema.get("properties", {}).items():
        label = words.find("fields", field)
        if label:
            made["title"], made["x-title"] = label.zh, label._asdict()


def _operation(
    service: Service, decision: Decision, words: Words, schemas: dict[str, Any]
) -> dict[str, Any]:
    schema, parts = command_schema(decision, words)
    schemas.update(parts)
    schemas[decision.name] = schema
    label = words.word("commands", decision.name)
    own = refusals(decision, service)
    parameters = [
        _parameter("Idempotency-Key", "header", required=True),
        _parameter("If-Match", "header"),
        _parameter("Houqin-After", "header"),
    ]
    if "{id}" in (decision.path or ""):
        parameters.insert(0, _parameter("id", "path", required=True, format_="uuid"))
    return {
        "operationId": decision.name,
        "tags": [decision.aggregate.name],
        "summary": f"{label.zh} / {label.en}",
        "description": _roles(decision.allow, words),
        "parameters": parameters,
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"$ref": REF.format(name=decision.name)}}},
        },
        "responses": {
            "201" if decision.creates else "200": {
                "description": "已记录 / Recorded",
                "headers": {"ETag": {"schema": {"type": "string"}}},
                "content": {"application/json": {"schema": _answer_schema()}},
            },
            **refusal_responses((*COMMON, "posts_too_old", *own), words),
        },
        "x-refusals": list(own),
        "x-roles": list(decision.allow),
    }


def refusal_responses(slugs: Iterable[str], words: Words) -> dict[int | str, Any]:
    """One response per status, with every slug of that status as an example."""
    by_status: dict[int, dict[str, Any]] = {}
    for slug in dict.fromkeys(slugs):
        reason, next_step = words.refusal(slug)
        by_status.setdefault(STATUS.get(slug, 422), {})[slug] = {
            "summary": f"{reason.zh} / {reason.en}",
            "value": {
                "type": f"urn:houqin:problem:{slug}", "slug": slug,
                "zh": {"reason": reason.zh, "next_step": next_step.zh},
                "en": {"reason": reason.en, "next_step": next_step.en},
            },
        }  # fmt: skip
    return {
        str(status): {
            "description": ", ".join(examples),
            "content": {
                "application/problem+json": {
                    "schema": {"$ref": REF.format(name="Problem")}, "examples": examples,
                }
            },
        }
        for status, examples in sorted(by_status.items())
    }  # fmt: skip


def _roles(allow: Sequence[str], words: Words) -> str:
    labels = [words.word("values", f"Role.{role}") for role in allow]
    zh, en = "、".join(w.zh for w in labels), ", ".join(w.en for w in labels)
    return f"可由本单位或上级的{zh}办理。\n\nMay be called by, at the unit or above: {en}."


def _list(view: ViewOf, words: Words, schemas: dict[str, Any]) -> dict[str, Any]:
    label = words.word("views", view.name)
    schema, parts = row_schema(view.row, words)
    schemas.update(parts)
    schemas[view.row.__name__] = schema
    sorts = [way + name for name in view.sorts for way in ("", "-")]
    parameters = [
        *(_parameter(name, "query") for name in view.filters),
        {**_parameter("sort", "query"), "schema": {"type": "string", "enum": sorts}},
        *(_parameter(name, "query") for name in ("q", "unit", "cursor")),
        {**_parameter("limit", "query"), "schema": {"type": "integer", "default": 50}},
    ]
    items = {"type": "array", "items": {"$ref": REF.format(name=view.row.__name__)}}
    return {
        "operationId": view.name,
        "tags": [view.aggregate.name],
        "summary": f"{label.zh} / {label.en}",
        "description": _roles(view.allow, words),
        "parameters": parameters,
        "responses": {
            "200": _json_response(
                {"type": "object", "properties": {"items": items, "next": {"type": "string"}}}
            ),
            **refusal_responses(
                (
                    "unauthenticated", "no_post", "filter_unknown", "filter_malformed",
                    "sort_unknown", "cursor_broken", "after_unreached",
                ),
                words,
            ),
        },
        "x-columns": list(columns(view)),
    }  # fmt: skip


def _detail(view: ViewOf, words: Words) -> dict[str, Any]:
    label = words.word("views", view.name)
    one = {"$ref": REF.format(name=view.row.__name__)}
    many = {"type": "object", "properties": {"items": {"type": "array", "items": one}}}
    return {
        "operationId": f"{view.name}_detail",
        "tags": [view.aggregate.name],
        "summary": f"{label.zh}：一条 / {label.en}: one",
        "parameters": [_parameter("id", "path", required=True, format_="uuid")],
        "responses": {
            "200": _json_response(many if view.many else one),
            **refusal_responses(("unauthenticated", "no_post", "not_found"), words),
        },
    }


def _history(view: ViewOf, words: Words) -> dict[str, Any]:
    label = words.word("views", view.name)
    return {
        "operationId": f"{view.name}_history",
        "tags": [view.aggregate.name],
        "summary": f"{label.zh}：经过 / {label.en}: history",
        "parameters": [_parameter("id", "path", required=True, format_="uuid")],
        "responses": {
            "200": _json_response({"type": "object"}),
            **refusal_responses(("unauthenticated", "no_post", "not_found"), words),
        },
    }


def row_schema(row: type[View], words: Words) -> tuple[dict[str, Any], dict[str, Any]]:
    """A row class's JSON Schema with labels, and the schemas that it refers to."""
    (_,), parts = msgspec.json.schema_components((row,), ref_template=REF)
    schema = parts.pop(row.__name__)
    for made in (schema, *parts.values()):
        _label(made, words)
    return schema, parts


def _batch() -> dict[str, Any]:
    row = {
        "type": "object", "required": ["key", "command"],
        "properties": {
            "key": {"type": "string"}, "command": {"type": "string"},
            "id": {"type": "string", "format": "uuid"}, "if_match": {"type": "integer"},
            "body": {"type": "object"},
        },
    }  # fmt: skip
    commands = {"type": "array", "maxItems": 1000, "items": row}
    return {
        "operationId": "batch",
        "summary": "批量提交，逐条回答 / Up to 1,000 commands, each answered by itself",
        "requestBody": {
            "content": {
                "application/json": {
                    "schema": {"type": "object", "properties": {"commands": commands}}
                }
            }
        },
        "responses": {"200": _json_response({"type": "object"})},
    }


def _parameter(
    name: str, place: str, *, required: bool = False, format_: str | None = None
) -> dict[str, Any]:
    schema = {"type": "string"} | ({"format": format_} if format_ else {})
    return {"name": name, "in": place, "required": required, "schema": schema}


def _json_response(schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": "OK", "content": {"application/json": {"schema": schema}}}


def _answer_schema() -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {
            "id": {"type": "string", "format": "uuid"},
            "version": {"type": "integer"},
            "events": {"type": "array", "items": {"type": "string", "format": "uuid"}},
            "position": {"type": "string"},
            "row": {},
        },
    }


def _problem_schema() -> dict[str, Any]:
    text = {"type": "string"}
    advice = {"type": "object", "properties": {"reason": text, "next_step": text}}
    error = {"type": "object", "properties": {"field": text, "zh": text, "en": text}}
    return {
        "type": "object",
        "properties": {
            "type": text, "title": text, "status": {"type": "integer"}, "detail": text,
            "instance": text, "slug": text, "zh": advice, "en": advice,
            "errors": {"type": "array", "items": error},
        },
    }  # fmt: skip


def catalogue(service: Service, words: Words) -> dict[str, Any]:
    """Every event of a service: its JSON Schema and words, by name."""
    events: dict[str, type[Event]] = {}
    for aggregate in service.aggregates:
        events.update(aggregate.events)
    names = sorted(events)
    _, parts = msgspec.json.schema_components(
        tuple(events[name] for name in names), ref_template=REF
    )
    return {
        "service": service.name,
        "events": {name: words.word("events", name)._asdict() for name in names},
        "schemas": parts,
    }


def asyncapi(service: Service, words: Words, topic: str) -> dict[str, Any]:
    """The AsyncAPI 3.0 document of a service's topic: CloudEvents, binary mode, key = school."""
    known = catalogue(service, words)
    label = words.word("names", service.name)
    messages = {
        name: {
            "name": name,
            "title": word["zh"],
            "summary": word["en"],
            "contentType": "application/json",
            "payload": {"$ref": REF.format(name=name)},
        }
        for name, word in known["events"].items()
    }
    channel = {
        "address": topic,
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
    }
    return {
        "asyncapi": "3.0.0",
        "info": {"title": f"后勤 · {label.zh} / Houqin {label.en}", "version": "1"},
        "channels": {service.name: channel},
        "operations": {
            "publish": {"action": "send", "channel": {"$ref": f"#/channels/{service.name}"}}
        },
        "components": {"messages": messages, "schemas": known["schemas"]},
    }
