"""The HTTP application of a running service: its routes, its contract, and how it is doing.

Both roles serve /health, /ready and /metrics; only the `api` answers requests.
"""

from __future__ import annotations

import asyncio

import asyncpg
from fastapi import FastAPI
from fastapi_offline import FastAPIOffline
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from hosting import (
    audit,
    contract,
    disclosure,
    feed,
    proof_routes,
    rulebook,
    state,
)
from hosting.compose import RoleName
from shared import http, problems
from shared.runtime import Runtime

HOSTED = (
    feed.router, proof_routes.router, disclosure.router, audit.router, rulebook.router,
    state.router,
)  # fmt: skip
"""The routes that every service has beyond its declarations."""


def application(rt: Runtime, role: RoleName = "all") -> FastAPI:
    """The HTTP application of a running service."""
    name = rt.service.name
    # The page's scripts come with the package: many schools have no way to a public network.
    app = FastAPIOffline(title=name, openapi_url=f"/{name}/openapi.json")
    for status in (404, 405):
        app.add_exception_handler(status, problems.elsewhere(rt.words))
    app.router.routes += [
        Route("/health", JSONResponse({"status": "ok"}), methods=["GET"]),
        Route("/ready", _ready(rt)),
        Route("/metrics", _metrics),
    ]
    if role in {"api", "all"}:
        for make in (*HOSTED, *rt.service.routers):
            app.include_router(make(rt))
        document = contract.openapi(name)
        app.openapi = lambda: document  # type: ignore[method-assign]
        events = JSONResponse(contract.asyncapi(name, rt.settings.topic(name)))
        app.router.routes += [
            *http.routes(rt),
            Route(f"/{name}/events", events, methods=["GET"]),
        ]
    return app


async def _metrics(_: object) -> Response:
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


def _ready(rt: Runtime) -> problems.Endpoint:
    async def ready(_: object) -> Response:
        try:
            is_open = await asyncio.wait_for(rt.pool.fetchval("select log_is_open()"), 2)
        except (TimeoutError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            return JSONResponse({"status": "no database", "why": str(error)}, 503)
        if not is_open:
            why = f"python -m services.{rt.service.name} after-restore"
            return JSONResponse({"status": "log restored", "why": why}, 503)
        if rt.directory.age_seconds == float("inf"):
            # Nothing weighty would be decided: nobody knows how much of the posts is missing.
            return JSONResponse({"status": "copy not current"}, 503)
        return JSONResponse({"status": "ready", "parked": sum(c.parked for c in rt.consumers)})

    return ready
