"""The OpenAPI document that follows from a service's declarations, every refusal with its words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from fastapi import FastAPI

from contracts.discovery import refusals
from contracts.meaning import references_of, tell
from contracts.schemas import REF, command_schemas, row_schemas
from hosting.application import HOSTED
from shared.config import Settings
from shared.http import BATCH_MAX, TOGETHER_MAX
from shared.kernel import Decision, Service, ViewOf
from shared.problems import STATUS
from shared.runtime import Runtime
from shared.views import columns
from shared.words import Words, words_of

COMMON = (
    "unauthenticated", "forbidden", "not_found", "stale", "conflict", "key_missing",
    "key_malformed", "key_reused", "match_malformed", "body_not_json", "body_too_large", "invalid",
    "unit_unknown", "occurred_in_future", "event_too_large", "rule_missing", "outcome_unknown",
    "unstorable",
)  # fmt: skip
"""Slugs that every command may answer with."""

BATCH = """
逐条：最多 {apart} 条，每条有自己的 key，逐条回答（`results` 中的 status 与 body 或 problem）。

`together`：最多 {together} 条，依次办理，要么全部录入、要么都不录；整批用一个 Idempotency-Key，
每条不用 key。错误指出第几条（从 0 数起）的哪个栏目：`commands.3.amount_cny`。
`dry_run`（须 together）：只试算，不录入。

Apart: up to {apart}, each with a key of its own and answered by itself (`results`: status, and
body or problem).

`together`: up to {together}, in their order, all entered or none; one Idempotency-Key for the
whole, none for each. An error names the command (counted from 0) and its field:
`commands.3.amount_cny`. `dry_run` (only with together): what would come of it; nothing is entered.
"""


def openapi(service: Service) -> dict[str, Any]:
    """The OpenAPI 3.1 document of a service, with the routes of its own routers."""
    words = words_of(service.name)
    paths: dict[str, Any] = {}
    commands: dict[str, Any] = {}
    rows: dict[str, Any] = {}
    base = f"/{service.name}"
    for decision in service.decisions().values():
        if decision.path is not None:
            commands |= command_schemas(decision, words)
            path = paths.setdefault(base + decision.path, {})
            path["post"] = _operation(service, decision, words)
    for view in service.views():
        rows |= row_schemas(view.row, words)
        paths.setdefault(base + view.path, {})["get"] = _list(view, words)
        paths.setdefault(f"{base}{view.path}/{{id}}", {})["get"] = _detail(view, words)
        paths.setdefault(f"{base}{view.path}/{{id}}/history", {})["get"] = _history(view, words)
        paths.setdefault(f"{base}{view.path}/{{id}}/can", {})["get"] = _can(view, words)
    paths[f"{base}/batch"] = {"post": _batch(words)}
    own = _own_routes(service, words)
    label = words.word("names", service.name)
    # Where a list has an enumeration of a command, the command says in which order it is offered.
    schemas = {"Problem": _problem_schema(), **rows, **commands}
    tell(schemas, references_of(service))
    return {
        "openapi": "3.1.0",
        "info": {"title": f"后勤 · {label.zh} / Houqin {label.en}", "version": "1"},
        "servers": [{"url": "/"}],
        "security": [{"bearer": []}],
        "tags": [_tag(aggregate.name, words) for aggregate in service.aggregates],
        "paths": {**paths, **own["paths"]},
        "components": {
            "schemas": {**own.get("components", {}).get("schemas", {}), **schemas},
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
            },
        },
    }


def _own_routes(service: Service, words: Words) -> dict[str, Any]:
    """What FastAPI says of a service's own routers. They name their refusals by slug, as
    `x-refusals` of the default response; here each gets its status and its words.
    """
    # Routers are only described here: nothing they hold is asked for before a request comes.
    nothing: Any = None
    rt = Runtime(
        service=service, settings=Settings(), pool=nothing, directory=nothing, writer=nothing,
        tokens=nothing, words=words,
    )  # fmt: skip
    app = FastAPI(title=service.name)
    for make in (*HOSTED, *service.routers):
        app.include_router(make(rt))
    document = app.openapi()
    for path in document["paths"].values():
        for operation in path.values():
            slugs = operation["responses"].pop("default")["x-refusals"]
            operation["responses"] |= _refusals(slugs, words)
    return document


def _operation(service: Service, decision: Decision, words: Words) -> dict[str, Any]:
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
            **_refusals((*COMMON, "posts_too_old", *own), words),
        },
        "x-refusals": list(own),
        "x-roles": list(decision.allow),
        "x-creates": decision.creates,
        "x-weighty": decision.weighty,
    }


def _tag(aggregate: str, words: Words) -> dict[str, Any]:
    label = words.word("names", aggregate)
    return {"name": aggregate, "x-title": label._asdict()}


def _refusals(slugs: Iterable[str], words: Words) -> dict[str, Any]:
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


def _list(view: ViewOf, words: Words) -> dict[str, Any]:
    label = words.word("views", view.name)
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
            **_refusals(
                (
                    "unauthenticated", "no_post", "filter_unknown", "filter_malformed",
                    "sort_unknown", "cursor_broken", "after_unreached",
                ),
                words,
            ),
        },
        "x-columns": list(columns(view)),
        "x-roles": list(view.allow),
        "x-filters": list(view.filters),
        "x-sorts": list(view.sorts),
        "x-search": list(view.search),
        "x-many": view.many,
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
            **_refusals(("unauthenticated", "no_post", "not_found"), words),
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
            **_refusals(("unauthenticated", "no_post", "not_found"), words),
        },
    }


def _can(view: ViewOf, words: Words) -> dict[str, Any]:
    label = words.word("views", view.name)
    chance = {
        "type": "object", "required": ["command", "may", "tried", "problem"],
        "properties": {
            "command": {"type": "string"}, "may": {"type": "boolean"}, "tried": {"type": "boolean"},
            "problem": {"anyOf": [{"$ref": REF.format(name="Problem")}, {"type": "null"}]},
        },
    }  # fmt: skip
    items = {"version": {"type": "integer"}, "items": {"type": "array", "items": chance}}
    return {
        "operationId": f"{view.name}_can",
        "tags": [view.aggregate.name],
        "summary": f"{label.zh}：现在可以办理的事 / {label.en}: what may be done now",
        "parameters": [_parameter("id", "path", required=True, format_="uuid")],
        "responses": {
            "200": _json_response({"type": "object", "properties": items}),
            **_refusals(("unauthenticated", "no_post", "not_found"), words),
        },
    }


def _batch(words: Words) -> dict[str, Any]:
    row = {
        "type": "object", "required": ["command"],
        "properties": {
            "key": {"type": "string"}, "command": {"type": "string"},
            "id": {"type": "string", "format": "uuid"}, "if_match": {"type": "integer"},
            "body": {"type": "object"},
        },
    }  # fmt: skip
    body = {
        "type": "object", "required": ["commands"], "additionalProperties": False,
        "properties": {
            "commands": {"type": "array", "maxItems": TOGETHER_MAX, "items": row},
            "together": {"type": "boolean", "default": False},
            "dry_run": {"type": "boolean", "default": False},
        },
    }  # fmt: skip
    slugs = (
        "unauthenticated", "after_malformed", "after_unreached", "body_not_json", "body_too_large",
        "batch_malformed", "too_many_commands", "dry_run_alone", "command_unknown", "key_missing",
        "key_malformed", "key_reused", "invalid", "forbidden", "conflict", "outcome_unknown",
    )  # fmt: skip
    return {
        "operationId": "batch",
        "summary": "批量提交 / Many commands at once",
        "description": BATCH.strip().format(apart=BATCH_MAX, together=TOGETHER_MAX),
        "parameters": [
            _parameter("Idempotency-Key", "header"), _parameter("Houqin-After", "header")
        ],
        "requestBody": {"required": True, "content": {"application/json": {"schema": body}}},
        "responses": {"200": _json_response(_batch_answer()), **_refusals(slugs, words)},
    }  # fmt: skip


def _batch_answer() -> dict[str, Any]:
    apart = {
        "type": "object", "required": ["results"],
        "properties": {
            "results": {
                "type": "array",
                "items": {
                    "type": "object", "required": ["key", "status"],
                    "properties": {
                        "key": {"type": "string"}, "status": {"type": "integer"},
                        "body": _answer_schema(), "problem": {"$ref": REF.format(name="Problem")},
                    },
                },
            }
        },
    }  # fmt: skip
    results = {"type": "array", "items": _answer_schema()}
    together = {
        "type": "object", "required": ["count", "results"],
        "properties": {
            "count": {"type": "integer"}, "results": results, "position": {"type": "string"},
        },
    }  # fmt: skip
    tried = {
        "type": "object", "required": ["count", "events", "dry_run"],
        "properties": {
            "count": {"type": "integer"}, "events": {"type": "integer"},
            "dry_run": {"const": True},
        },
    }  # fmt: skip
    return {"anyOf": [apart, together, tried]}


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
