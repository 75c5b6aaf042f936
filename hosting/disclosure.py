"""What is published (公示), over HTTP for people without an account: `/<service>/public/...`.

A view that is declared `public` holds nothing but what is for everybody: its function gives only
such rows, its row class only such columns. It is read one school at a time, in small pages that
browsers and caches may keep, and no faster than the service can answer beside its daily work.
"""

from __future__ import annotations

import hashlib
import time
from functools import partial
from typing import Any

import msgspec
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from hosting.allowance import Allowance
from shared import views
from shared.asked import whole_of
from shared.ids import id_from
from shared.kernel import ViewOf
from shared.organisation import Level, Unit
from shared.personal import carries
from shared.problems import Problem, answering
from shared.rules import region_of
from shared.runtime import Runtime

LIMIT, LIMIT_MAX = 10, 50
KEPT_S = 60
"""How long an answer may be kept: a correction is seen within it."""


def router(rt: Runtime) -> APIRouter:
    """A route for each public view; TypeError for one that tells something personal."""
    made = APIRouter(prefix=f"/{rt.service.name}", tags=["public"])
    allowance = Allowance(rt.settings.public_reads_per_s, "too_many_readers")
    slugs = (
        "not_found", "filter_unknown", "filter_malformed", "sort_unknown", "cursor_broken",
        "too_many_readers",
    )  # fmt: skip
    for view in rt.service.views():
        if not view.public:
            continue
        if carries(view.row):
            raise TypeError(f"{view.name} is public, and {view.row.__name__} is personal")
        name = f"public_{view.name}"
        label = rt.words.word("views", view.name)
        made.add_api_route(
            f"/public{view.path}",
            answering(rt.service.name, rt.words, partial(_page, rt, view, allowance), name),
            methods=["GET"],
            name=name,
            summary=f"公开：{label.zh} / Public: {label.en}",
            responses={
                200: {"content": {"application/json": {"schema": _schema(view)}}},
                "default": {"x-refusals": slugs},
            },
            openapi_extra={
                "security": [], "x-public": view.name, "parameters": _parameters(view),
            },
        )  # fmt: skip
    return made


def _schema(view: ViewOf) -> dict[str, Any]:
    text = {"type": "string"}
    unit = {"id": {**text, "format": "uuid"}, "code": text, "name": text, "level": text}
    rows = {"type": "array", "items": {"$ref": f"#/components/schemas/{view.row.__name__}"}}
    following = {"anyOf": [text, {"type": "null"}]}
    answer = {"unit": {"type": "object", "properties": unit}, "items": rows, "next": following}
    return {"type": "object", "properties": answer}


def _parameters(view: ViewOf) -> list[dict[str, Any]]:
    text = {"type": "string"}
    limit = {"type": "integer", "default": LIMIT, "maximum": LIMIT_MAX}
    sorts = {**text, "enum": [way + name for name in view.sorts for way in ("", "-")]}
    schemas = {"limit": limit, "sort": sorts} | dict.fromkeys(("cursor", *view.filters), text)
    optional = [{"name": name, "in": "query", "schema": made} for name, made in schemas.items()]
    told = "学校的编号或代码 · the school's id or code"
    unit = {"name": "unit", "in": "query", "required": True, "schema": text, "description": told}
    return [unit, *optional]


async def _page(rt: Runtime, view: ViewOf, allowance: Allowance, request: Request) -> Response:
    """The newest rows of one school, by the first of the view's sorts."""
    allowance.take(time.monotonic())
    unit = school_of(rt, request.query_params.get("unit", ""))
    async with views.reading(rt.pool, str(unit.id)) as connection:
        items, following = await views.page(connection, view, _query(view, request))
    shown = {"id": unit.id, "code": unit.code, "name": unit.name, "level": unit.level.name.lower()}
    content = msgspec.json.encode({"unit": shown, "items": items, "next": following})
    tag = f'"{hashlib.sha256(content).hexdigest()[:20]}"'
    headers = {"ETag": tag, "Cache-Control": f"public, max-age={KEPT_S}"}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    return Response(content, 200, headers, "application/json")


def school_of(rt: Runtime, named: str) -> Unit:
    """A school (or a part of one) by id or code: nobody reads a whole county here."""
    try:
        id_ = id_from(named)
    except ValueError:
        id_ = region_of(named)
    unit = rt.directory.unit(id_)
    if unit is None or unit.level < Level.SCHOOL:
        raise Problem("not_found", field="unit")
    return unit


def _query(view: ViewOf, request: Request) -> views.Query:
    asked = dict(request.query_params)
    asked.pop("unit", None)
    return views.Query(
        sort=asked.pop("sort", f"-{view.sorts[0]}"),
        limit=min(whole_of(asked.pop("limit", str(LIMIT)), "limit"), LIMIT_MAX),
        cursor=asked.pop("cursor", ""),
        filters=asked,
    )
