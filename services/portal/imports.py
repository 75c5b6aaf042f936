"""Spreadsheets for every service (表格导入).

It reads a file and sends its rows to the service in charge, as the person who asks: it holds no
data, decides nothing, and has no rights of its own.
"""

from __future__ import annotations

import asyncio

import httpx
import msgspec
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from hosting import contract
from services.portal.caller import People
from services.portal.filled import Filled, read
from services.portal.marked import marked
from services.portal.proxy import Gateway, body_of, bounded_body, read_whole
from services.portal.sheet import Sheet, sheets, template
from shared.asked import key_of
from shared.problems import Problem

FILE_BYTES_MAX = 20 * 1024 * 1024
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
PROBLEM = "application/problem+json"
ANSWERED = ("content-type", "idempotent-replayed", "retry-after", "www-authenticate")
"""What the caller is told of the service's answer beside status and body."""


class Imports:
    """Templates and imports of every command that a row can hold; names are unique throughout."""

    def __init__(self, people: People, gateway: Gateway) -> None:
        self.people, self.gateway = people, gateway
        self.sheets: dict[str, Sheet] = {}
        for service in gateway.addresses:
            self.sheets |= sheets(service, contract.openapi(service))

    async def template(self, request: Request) -> Response:
        """`GET /portal/templates/{command}.xlsx`: a file to fill in."""
        await self.people.subject(request)
        sheet = self._sheet(request)
        name = f'attachment; filename="{sheet.command}.xlsx"'
        return Response(template(sheet), 200, {"Content-Disposition": name}, XLSX)

    async def take(self, request: Request) -> Response:
        """`POST /portal/imports/{command}[?dry_run=1]`: every row of a file, or none."""
        sheet, content = await self._asked(request)
        dry_run = request.query_params.get("dry_run") in {"1", "true"}
        # In a thread: a file of thousands of rows must not keep others waiting.
        filled = await asyncio.to_thread(read, sheet, content)
        answer = await self._batch(request, filled, dry_run=dry_run)
        if answer.headers.get("content-type") == PROBLEM:
            return await _told(filled, answer, request.url.path)
        # What was entered is as much as the file again: it goes on as it comes.
        return StreamingResponse(
            body_of(answer), answer.status_code, _kept(answer),
            background=BackgroundTask(answer.aclose),
        )  # fmt: skip

    async def mark(self, request: Request) -> Response:
        """`POST /portal/imports/{command}/marked[?lang=]`: the file, tried and given back with what
        is wrong at its cells; as `take` answers a trial where nothing is.
        """
        sheet, content = await self._asked(request)
        try:
            filled = await asyncio.to_thread(read, sheet, content)
            answer = await self._batch(request, filled, dry_run=True)
            told = await _told(filled, answer, request.url.path)
            errors = msgspec.json.decode(told.body).get("errors", ())
        except Problem as problem:
            if not problem.errors:
                raise
            errors = [msgspec.structs.asdict(one) for one in problem.errors]
        if not errors:
            return told
        lang = "en" if request.query_params.get("lang") == "en" else "zh"
        file = await asyncio.to_thread(marked, sheet, content, errors, lang)
        name = f'attachment; filename="{sheet.command}.xlsx"'
        headers = {"Content-Disposition": name, "Cache-Control": "no-store"}
        return Response(file, 200, headers, XLSX)

    async def _asked(self, request: Request) -> tuple[Sheet, bytes]:
        await self.people.subject(request)
        sheet = self._sheet(request)
        key_of(request)
        return sheet, await bounded_body(request, FILE_BYTES_MAX)

    async def _batch(self, request: Request, filled: Filled, *, dry_run: bool) -> httpx.Response:
        """The service's answer, its body still to be read."""
        service, batch = filled.sheet.service, filled.batch(dry_run=dry_run)
        return await self.gateway.ask(
            service, request, f"/{service}/batch", content=batch, kind="application/json"
        )

    def _sheet(self, request: Request) -> Sheet:
        name = request.path_params["command"]
        if name not in self.sheets:
            raise Problem("command_unknown", field="command", command=name)
        return self.sheets[name]


async def _told(filled: Filled, answer: httpx.Response, path: str) -> Response:
    """The service's answer as it is; a no says where in the file."""
    content = await read_whole(answer)
    if answer.headers.get("content-type") == PROBLEM:
        problem = filled.placed(msgspec.json.decode(content))
        content = msgspec.json.encode({**problem, "instance": path})
    return Response(content, answer.status_code, _kept(answer))


def _kept(answer: httpx.Response) -> dict[str, str]:
    return {name: answer.headers[name] for name in ANSWERED if name in answer.headers}
