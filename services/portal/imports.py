"""Spreadsheets for every service (表格导入).

It reads a file and sends its rows to the service in charge, as the person who asks: it holds no
data, decides nothing, and has no rights of its own.
"""

from __future__ import annotations

import asyncio

import httpx
import msgspec
from starlette.requests import Request
from starlette.responses import Response

from hosting import contract
from services.portal.caller import People
from services.portal.filled import Filled, read
from services.portal.proxy import Gateway, bounded_body
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
        await self.people.subject(request)
        sheet = self._sheet(request)
        key_of(request)
        content = await bounded_body(request, FILE_BYTES_MAX)
        dry_run = request.query_params.get("dry_run") in {"1", "true"}
        # In a thread: a file of thousands of rows must not keep others waiting.
        filled = await asyncio.to_thread(read, sheet, content)
        service, batch = sheet.service, filled.batch(dry_run=dry_run)
        answer = await self.gateway.read(
            service, request, f"/{service}/batch", content=batch, kind="application/json"
        )
        return _told(filled, answer, request.url.path)

    def _sheet(self, request: Request) -> Sheet:
        name = request.path_params["command"]
        if name not in self.sheets:
            raise Problem("command_unknown", field="command", command=name)
        return self.sheets[name]


def _told(filled: Filled, answer: httpx.Response, path: str) -> Response:
    """The service's answer as it is; a no says where in the file."""
    content, headers = answer.content, answer.headers
    if headers.get("content-type") == PROBLEM:
        problem = filled.placed(msgspec.json.decode(content))
        content = msgspec.json.encode({**problem, "instance": path})
    kept = {name: headers[name] for name in ANSWERED if name in headers}
    return Response(content, answer.status_code, kept)
