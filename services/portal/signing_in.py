"""Signing in and out, and who is signed in: `/auth/…`, `/session`, `/sessions`."""

from __future__ import annotations

import base64
import copy
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import msgspec
import structlog
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from services.portal import page
from services.portal.caller import Callers
from services.portal.oidc import Attempt, Provider, SignInFailed, new_attempt
from services.portal.page import NO_STORE
from services.portal.proxy import Gateway, bounded_body
from services.portal.sessions import Session, Sessions
from services.portal.settings import Settings
from shared.asked import uuid_of
from shared.ids import id_from
from shared.problems import Endpoint, Problem

log = structlog.get_logger(__name__)

ATTEMPT_S = 600.0
"""How long somebody may take at the provider."""

type Edge = Callable[[Endpoint, str], Endpoint]
"""Makes of an endpoint one whose every no is a problem answer."""

LANGUAGE_S = 365 * 24 * 3600.0
LANGUAGES = ("zh", "en")
OWN_PATH = re.compile(r"/(?![/\\])[^\\\x00-\x1f]*")
"""Where a sign-in may end: here, and never at another host."""


class SigningIn:
    """The endpoints. `gateway`: organisation says which posts somebody holds."""

    def __init__(self, settings: Settings, callers: Callers, gateway: Gateway) -> None:
        self.callers, self.gateway = callers, gateway
        self.provider = Provider(settings)
        self.session_s = settings.session_hours * 3600

    @property
    def sessions(self) -> Sessions:
        """The sessions of the portal."""
        return self.callers.sessions

    async def sign_in(self, request: Request) -> Response:
        """`GET /auth/sign-in?to=`: to the provider, with what only this browser knows."""
        to = request.query_params.get("to", "/")
        attempt = new_attempt(to if OWN_PATH.fullmatch(to) else "/")
        language = request.query_params.get("language", "")
        language = language if language in LANGUAGES else self.language(request)
        try:
            url = await self.provider.authorize_url(attempt, language)
        except Problem as error:
            return self._failed(attempt, error.slug, 503)
        answer = RedirectResponse(url, 303, NO_STORE)
        kept = base64.urlsafe_b64encode(msgspec.json.encode(attempt)).decode()
        self.callers.cookies.set(answer, _name(attempt.state), kept, ATTEMPT_S)
        self.callers.cookies.set(answer, "houqin-language", language, LANGUAGE_S)
        return answer

    async def callback(self, request: Request) -> Response:
        """`GET /auth/callback`: the provider's answer becomes a session."""
        given = request.query_params
        attempt = self._attempt(request)
        if attempt is None:
            return self._failed(attempt, "the browser has not begun this sign-in")
        try:
            if "error" in given:
                raise SignInFailed(f"the provider says {given['error']}")  # noqa: TRY301
            await self.provider.check_issuer(given.get("iss"))
            identity = await self.provider.identity(attempt, given.get("code", ""))
        except SignInFailed as error:
            return self._failed(attempt, str(error))
        except Problem as error:
            return self._failed(attempt, error.slug, 503)
        agent = request.headers.get("user-agent", "")
        before = await self.callers.cookie_session(request)
        if before is not None:
            await self.sessions.end(before.id, before.subject)
        secret = await self.sessions.open(identity, agent)
        answer = RedirectResponse(attempt.to, 303, NO_STORE)
        self.callers.cookies.drop(answer, _name(attempt.state))
        self.callers.cookies.set(answer, "houqin", secret, self.session_s)
        return answer

    def _attempt(self, request: Request) -> Attempt | None:
        state = request.query_params.get("state", "")
        kept = self.callers.cookies.get(request, _name(state))
        try:
            attempt = msgspec.json.decode(base64.urlsafe_b64decode(kept or ""), type=Attempt)
        except (ValueError, msgspec.MsgspecError):
            return None
        return attempt if attempt.state == state and OWN_PATH.fullmatch(attempt.to) else None

    def _failed(self, attempt: Attempt | None, why: str, status: int = 400) -> Response:
        """A page that says so, with a way to try again; why is for the log."""
        log.warning("sign_in_failed", why=why)
        again = f"/auth/sign-in?{urlencode({'to': attempt.to if attempt else '/'})}"
        words = page.NOT_SIGNED_IN if status == 400 else page.PROVIDER_AWAY
        answer = page.html(lambda nonce: page.failure(nonce, *words, again), status)
        if attempt is not None:
            self.callers.cookies.drop(answer, _name(attempt.state))
        return answer

    async def sign_out(self, request: Request) -> Response:
        """`POST /auth/sign-out`: ends the session, and says where the provider ends its own."""
        session = await self.callers.required(request)
        await self.sessions.end(session.id, session.subject)
        try:
            to = await self.provider.sign_out_url(session.id_token)
        except Problem:
            to = None  # the provider is away: here it is done all the same
        answer = JSONResponse({"to": to or "/"}, headers=NO_STORE)
        self.callers.cookies.drop(answer, "houqin")
        return answer

    async def session(self, request: Request) -> Response:
        """`GET /session`: who is signed in, with which posts, for which unit."""
        return await self._shown(request, await self.callers.session(request))

    async def switch_unit(self, request: Request) -> Response:
        """`POST /session/unit`: the unit worked for now, at or below a post of one's own."""
        session = await self.callers.required(request)
        unit = uuid_of(str((await _body(request)).get("unit", "")), "unit", "filter_malformed")
        if (await self.posts(request, unit=str(unit)))["unit"] is None:
            raise Problem("no_post", field="unit")
        await self.sessions.work_for(session.id, unit)
        return await self._shown(request, copy.replace(session, unit=unit))

    async def switch_language(self, request: Request) -> Response:
        """`POST /session/language`, also for whoever is not signed in."""
        session = await self.callers.session(request)
        self.callers.check_origin(request)
        language = (await _body(request)).get("language")
        if language not in LANGUAGES:
            raise Problem("language_unknown", field="language")
        answer = await self._shown(request, session, language)
        self.callers.cookies.set(answer, "houqin-language", language, LANGUAGE_S)
        return answer

    async def own_sessions(self, request: Request) -> Response:
        """`GET /sessions`: where the person is signed in."""
        session = await self.callers.required(request)
        items = [
            {"current": one["id"] == session.id, **one}
            for one in await self.sessions.of(session.subject)
        ]
        return _json({"items": items})

    async def end_session(self, request: Request) -> Response:
        """`POST /sessions/{id}/revoke`: ends one of the person's own sessions."""
        session = await self.callers.required(request)
        id_ = id_from(str(request.path_params["id"]))
        if not await self.sessions.end(id_, session.subject):
            raise Problem("not_found", field="id")
        return Response(status_code=204, headers=NO_STORE)

    async def posts(self, request: Request, **parameters: str) -> dict[str, Any]:
        """What organisation knows of whoever asks."""
        path = f"/organisation/me?{urlencode(parameters)}"
        answer = await self.gateway.read("organisation", request, path, method="GET")
        if not answer.is_success:
            raise Problem("service_away")
        return dict(msgspec.json.decode(answer.content))

    async def held(self, request: Request, unit: UUID | None) -> dict[str, Any]:
        """The posts, with the unit worked for now: the one chosen, else the highest."""
        known = await self.posts(request, **({} if unit is None else {"unit": str(unit)}))
        return known | {"unit": known["unit"] or next(iter(known["units"]), None)}

    def language(self, request: Request) -> str:
        """The language chosen before, else Chinese unless the browser asks for English first."""
        chosen = self.callers.cookies.get(request, "houqin-language")
        if chosen in LANGUAGES:
            return str(chosen)
        return "en" if request.headers.get("accept-language", "").startswith("en") else "zh"

    async def _shown(
        self, request: Request, session: Session | None, language: str | None = None
    ) -> Response:
        language = language or self.language(request)
        if session is None:
            return _json({"signed_in": False, "language": language})
        shown = msgspec.structs.asdict(session)
        private = {"id", "id_token", "unit"}
        try:
            held = {"posts_known": True, **await self.held(request, session.unit)}
        except Problem:
            held = {"posts_known": False, "administrator": False, "posts": [], "units": []}
            held["unit"] = None
        known = {name: value for name, value in shown.items() if name not in private}
        return _json({"signed_in": True, "language": language, **held, **known})


def routes(signing_in: SigningIn, edge: Edge) -> list[Route]:
    """The endpoints with their paths; `edge` turns what they raise into problem answers."""
    made: list[tuple[str, str, Endpoint]] = [
        ("GET", "/auth/sign-in", signing_in.sign_in),
        ("GET", "/auth/callback", signing_in.callback),
        ("POST", "/auth/sign-out", signing_in.sign_out),
        ("GET", "/session", signing_in.session),
        ("POST", "/session/unit", signing_in.switch_unit),
        ("POST", "/session/language", signing_in.switch_language),
        ("GET", "/sessions", signing_in.own_sessions),
        ("POST", "/sessions/{id:uuid}/revoke", signing_in.end_session),
    ]
    return [
        Route(path, edge(endpoint, endpoint.__name__), methods=[method])
        for method, path, endpoint in made
    ]


def _name(state: str) -> str:
    """Each attempt has a cookie of its own, so that two windows do not disturb each other."""
    return f"houqin-in-{re.sub('[^A-Za-z0-9]', '', state)[:12]}"


async def _body(request: Request) -> dict[str, Any]:
    try:
        return msgspec.json.decode(await bounded_body(request, 10_000), type=dict[str, Any])
    except msgspec.MsgspecError as error:
        raise Problem("body_not_json") from error


def _json(body: object) -> Response:
    return Response(msgspec.json.encode(body), 200, NO_STORE, "application/json")
