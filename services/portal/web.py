"""The portal's web process: the one origin of pages, sign-in and every service's API (门户).

It owns no events and has no rights of its own: whatever is asked of a service is asked as the
person who is signed in.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

from hosting.tokens import Tokens
from services.portal import shelf, signing_in
from services.portal.audit import Trail
from services.portal.caller import Callers, People
from services.portal.complaints import Complaints
from services.portal.exports import Exports
from services.portal.files import named
from services.portal.files import routes as file_routes
from services.portal.files.blobs import blobs_at
from services.portal.files.ledger import Ledger
from services.portal.files.routes import Files
from services.portal.hardened import Hardened
from services.portal.health import Health
from services.portal.imports import Imports
from services.portal.labels import Labels
from services.portal.leaflet import told
from services.portal.lists import Lists
from services.portal.proxy import Gateway
from services.portal.public import Disclosure
from services.portal.sessions import Sessions
from services.portal.settings import Settings
from services.portal.shelf import Shelf
from services.portal.signing_in import SigningIn
from services.portal.static import Site
from shared.problems import answering, elsewhere
from shared.words import words_of

BOTH = ["GET", "POST"]
METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]
WORDS = words_of("portal")


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
    sessions = Sessions(settings)
    callers = Callers(settings, sessions)
    gateway = Gateway(settings, callers)
    people = People(callers, Tokens(settings, gateway.client))
    imports = Imports(people, gateway)
    own = SigningIn(settings, callers, gateway)
    known = Shelf(gateway.addresses)
    catalogue = partial(shelf.answer, known, own)
    events = partial(shelf.events, known, own, people)
    public, labels = Disclosure(settings, known, gateway), Labels(settings, known, gateway, own)
    box = Complaints(settings, known, gateway)
    exports = Exports(settings, gateway, known, own, imports.sheets)
    lists = Lists(known, gateway, own)
    files = Files(settings, Ledger(sessions, blobs_at(settings.file_place)), people, own)
    api = partial(gateway.pass_on, check=named.Check(known, files, WORDS))
    trail, health = Trail(gateway, exports, known, own), Health(gateway, callers)

    async def jwks(_: Request) -> Response:
        return JSONResponse(callers.signer.jwks())

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with sessions.stored(), gateway.client, own.provider.client, files.swept():
            yield

    return Starlette(
        routes=[
            Route("/health", _health),
            Route("/ready", _ready),
            Route("/metrics", _metrics),
            Route("/portal/jwks", jwks),
            Route("/portal/templates/{command}.xlsx", _edge(imports.template, "template")),
            Route("/portal/imports/{command}", _edge(imports.take, "import"), methods=["POST"]),
            Route(
                "/portal/imports/{command}/marked", _edge(imports.mark, "marked"), methods=["POST"]
            ),
            Route("/portal/exports/{view}.xlsx", _edge(exports.give, "export")),
            Route("/portal/catalogue", _edge(catalogue, "catalogue")),
            Route("/portal/audit", _edge(trail.page, "audit")),
            Route("/portal/audit.xlsx", _edge(trail.file, "audit_file")),
            Route("/portal/state", _edge(health.state, "state")),
            Route("/portal/runbook", _edge(health.runbook, "runbook")),
            Route("/portal/catalogue/events", _edge(events, "events")),
            Route("/portal/today", _edge(lists.today, "today")),
            Route("/portal/search", _edge(lists.search, "search")),
            Route("/portal/things/{view}/{id}", _edge(lists.thing, "thing")),
            Route("/portal/labels", _edge(told(labels.sheet), "labels")),
            Route("/go/{view}/{id:uuid}", _edge(told(labels.go), "go")),
            Route("/public/{unit}", _edge(told(public.school), "public")),
            Route("/public/{unit}/label", _edge(told(public.label), "poster")),
            *file_routes.routes(files, _edge),
            Route("/public/{unit}/complaint", _edge(told(box.file), "complaint"), methods=BOTH),
            Route("/public/{unit}/receipt", _edge(told(box.follow), "receipt"), methods=BOTH),
            *signing_in.routes(own, _edge),
            Route("/api/{service}/{rest:path}", _edge(api, "api"), methods=METHODS),
            Mount("/", Site(settings.web)),
        ],
        middleware=[Middleware(Hardened, secure=settings.secure)],
        exception_handlers={404: elsewhere(WORDS), 405: elsewhere(WORDS)},
        lifespan=lifespan,
    )
