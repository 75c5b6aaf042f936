"""The portal's web application: so far, spreadsheets for every service (表格导入).

It reads a file and sends its rows to the service in charge, as the person who asks: it holds no
data, decides nothing, and has no rights of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import httpx
import msgspec
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import Field
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from hosting import contract
from services.portal.filled import Filled, read
from services.portal.sheet import Sheet, sheets, template
from shared import config, observe
from shared.access import Tokens
from shared.asked import body_of, key_of
from shared.problems import Problem, answering, elsewhere
from shared.words import words_of

FILE_BYTES_MAX = 20 * 1024 * 1024
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
PROBLEM = "application/problem+json"
ASKED = ("authorization", "idempotency-key", "houqin-after")
"""What a service is told of the request."""

ANSWERED = ("content-type", "idempotent-replayed", "retry-after", "www-authenticate")
"""What the caller is told of the service's answer beside status and body."""

TIMEOUT = httpx.Timeout(60, connect=2)
LIMITS = httpx.Limits(max_connections=100, keepalive_expiry=4)
"""A service closes a connection that was idle for 5 s: it must not be just then that one asks."""

WORDS = words_of("portal")


class Settings(config.Settings):
    """As every process has them, and where the services are: `name=url` pairs with spaces."""

    services: str = Field("", pattern=r"^\s*(\w+=https?://\S+\s*)*$")

    def addresses(self) -> dict[str, str]:
        """Where each service is, by its name."""
        pairs = (pair.partition("=") for pair in self.services.split())
        return {name: url.rstrip("/") for name, _, url in pairs}


class Imports:
    """Templates and imports of every command that a row can hold; names are unique throughout."""

    def __init__(self, settings: Settings) -> None:
        self.addresses, self.tokens = settings.addresses(), Tokens(settings)
        self.client = httpx.AsyncClient(trust_env=False, timeout=TIMEOUT, limits=LIMITS)
        self.sheets: dict[str, Sheet] = {}
        for service in self.addresses:
            self.sheets |= sheets(service, contract.openapi(service))

    async def template(self, request: Request) -> Response:
        """`GET /portal/templates/{command}.xlsx`: a file to fill in."""
        await self.tokens.person(request.headers.get("authorization"))
        sheet = self._sheet(request)
        name = f'attachment; filename="{sheet.command}.xlsx"'
        return Response(template(sheet), 200, {"Content-Disposition": name}, XLSX)

    async def take(self, request: Request) -> Response:
        """`POST /portal/imports/{command}[?dry_run=1]`: every row of a file, or none."""
        await self.tokens.person(request.headers.get("authorization"))
        sheet = self._sheet(request)
        key_of(request)
        content = await body_of(request, FILE_BYTES_MAX)
        dry_run = request.query_params.get("dry_run") in {"1", "true"}
        # In a thread: a file of thousands of rows must not keep others waiting.
        filled = await asyncio.to_thread(read, sheet, content)
        answer = await self._send(sheet.service, filled.batch(dry_run=dry_run), request)
        return _told(filled, answer, request.url.path)

    def _sheet(self, request: Request) -> Sheet:
        name = request.path_params["command"]
        if name not in self.sheets:
            raise Problem("command_unknown", field="command", command=name)
        return self.sheets[name]

    async def _send(self, service: str, batch: bytes, request: Request) -> httpx.Response:
        headers = {name: request.headers[name] for name in ASKED if name in request.headers}
        trace = observe.traceparent()
        if trace is not None:
            headers["traceparent"] = trace
        url = f"{self.addresses[service]}/{service}/batch"
        try:
            return await self.client.post(url, content=batch, headers=headers)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise Problem("service_away") from error
        except httpx.TransportError as error:
            # It was asked and did not answer: it may have been entered.
            raise Problem("outcome_unknown") from error


def _told(filled: Filled, answer: httpx.Response, path: str) -> Response:
    """The service's answer as it is; a no says where in the file."""
    content, headers = answer.content, answer.headers
    if headers.get("content-type") == PROBLEM:
        problem = filled.placed(msgspec.json.decode(content))
        content = msgspec.json.encode({**problem, "instance": path})
    kept = {name: headers[name] for name in ANSWERED if name in headers}
    return Response(content, answer.status_code, kept)


async def _health(_: Request) -> Response:
    return JSONResponse({"status": "ok"})


async def _ready(_: Request) -> Response:
    """It can serve as soon as it runs; a service that is away is said to whoever needs it."""
    return JSONResponse({"status": "ready"})


async def _metrics(_: Request) -> Response:
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


_edge = partial(answering, "portal", WORDS)


def application(settings: Settings) -> Starlette:
    """The portal as an application; FileNotFoundError for a service without a contract."""
    imports = Imports(settings)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with imports.client:
            yield

    return Starlette(
        routes=[
            Route("/health", _health),
            Route("/ready", _ready),
            Route("/metrics", _metrics),
            Route("/portal/templates/{command}.xlsx", _edge(imports.template, "template")),
            Route("/portal/imports/{command}", _edge(imports.take, "import"), methods=["POST"]),
        ],
        exception_handlers={404: elsewhere(WORDS), 405: elsewhere(WORDS)},
        lifespan=lifespan,
    )
