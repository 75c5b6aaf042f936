"""Routes that take and give files: a template per creating command, and its import."""

from __future__ import annotations

import msgspec
from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.routing import Route

from shared import imports, observe
from shared.asked import body_of, fingerprint, key_of, person_of
from shared.decide import Decided, Known, Request
from shared.http import answering, respond
from shared.problems import Problem
from shared.runtime import Runtime
from shared.writer import Key

FILE_BYTES_MAX = 20 * 1024 * 1024
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


def routes(rt: Runtime, schemas: imports.Schemas) -> list[Route]:
    """`GET templates/{command}.xlsx` and `POST imports/{command}` of every command with a sheet."""
    known = imports.sheets(rt.service, schemas)

    def sheet_of(request: HttpRequest) -> imports.Sheet:
        name = request.path_params["command"]
        if name not in known:
            raise Problem("command_unknown", field="command", command=name)
        return known[name]

    async def template(request: HttpRequest) -> Response:
        await rt.tokens.person(request.headers.get("authorization"))
        sheet = sheet_of(request)
        name = f'attachment; filename="{sheet.decision.name}.xlsx"'
        return Response(imports.template(sheet), 200, {"Content-Disposition": name}, XLSX)

    async def take(request: HttpRequest) -> Response:
        person = await person_of(rt, request)
        sheet, key = sheet_of(request), key_of(request)
        content = await body_of(request, FILE_BYTES_MAX)
        made = imports.steps(sheet, content, rt.words)
        asked = Request(made, person, trace=observe.traceparent())
        if request.query_params.get("dry_run") in {"1", "true"}:
            return await _dry_run(rt, asked)
        operation = f"import:{sheet.decision.name}"
        answer = await rt.writer.ask(asked, Key(person, key, operation, fingerprint(content)))
        return respond(answer)

    base = f"/{rt.service.name}"
    return [
        Route(f"{base}/templates/{{command}}.xlsx", answering(rt, template, "template")),
        Route(f"{base}/imports/{{command}}", answering(rt, take, "import"), methods=["POST"]),
    ]


async def _dry_run(rt: Runtime, asked: Request) -> Response:
    """What the import would do: decided like the real one, and nothing is written."""
    async with rt.pool.acquire() as connection:
        (outcome,) = await rt.writer.decide(connection, [asked], Known())
    if not isinstance(outcome, Decided):
        raise outcome
    body = {"count": len(asked.steps), "events": len(outcome.events), "dry_run": True}
    return Response(msgspec.json.encode(body), 200, media_type="application/json")
