"""Who asks, and with what the services are asked for them.

A browser brings the cookie of its session, and gets a token of ours, good for minutes, that only
the services see. Other clients bring their own token of the provider, which is passed on as it is.
"""

from __future__ import annotations

import hmac
from collections import OrderedDict
from http import HTTPMethod
from uuid import UUID, uuid4

from joserfc import jwt
from starlette.requests import Request
from starlette.responses import Response

from hosting.tokens import Tokens
from services.portal.keys import load_key
from services.portal.sessions import Session, Sessions
from services.portal.settings import Settings
from shared.clock import since_1970
from shared.problems import Problem

SAFE = {HTTPMethod.GET, HTTPMethod.HEAD, HTTPMethod.OPTIONS}
CSRF = "houqin-csrf"
EVENT_STREAM = "text/event-stream"
CACHED_TOKENS = 10_000


class Cookies:
    """Cookies that only this origin can set and read; on loopback, which has no https, plain ones
    (browsers other than Chrome refuse Secure there).
    """

    def __init__(self, settings: Settings) -> None:
        self.secure = settings.secure
        self.prefix = "__Host-" if self.secure else ""

    def get(self, request: Request, name: str) -> str | None:
        return request.cookies.get(self.prefix + name)

    def set(self, answer: Response, name: str, value: str, seconds: float | None = None) -> None:
        """A cookie for so long; without `seconds` for as long as the browser is open."""
        answer.set_cookie(
            self.prefix + name, value, max_age=None if seconds is None else int(seconds),
            path="/", secure=self.secure, httponly=True, samesite="lax",
        )  # fmt: skip

    def drop(self, answer: Response, name: str) -> None:
        answer.delete_cookie(
            self.prefix + name, path="/", secure=self.secure, httponly=True, samesite="lax"
        )


class Signer:
    """Makes the short tokens that services take for somebody who is signed in here (RFC 9068)."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.key = load_key(settings.state, "portal-key")
        self._made: OrderedDict[UUID, tuple[str, float]] = OrderedDict()

    def jwks(self) -> dict[str, object]:
        """The public key, for the services."""
        return {"keys": [self.key.as_dict(private=False)]}

    def authorization(self, session: Session) -> str:
        """What a service is told of the session; the same until a fifth of its time is left."""
        now, seconds = since_1970(), self.settings.token_seconds
        known = self._made.get(session.id)
        if known is None or known[1] - now < seconds / 5:
            known = self._made[session.id] = self._sign(session, int(now)), now + seconds
            if len(self._made) > CACHED_TOKENS:
                self._made.popitem(last=False)
        self._made.move_to_end(session.id)
        return f"Bearer {known[0]}"

    def _sign(self, session: Session, now: int) -> str:
        settings = self.settings
        claims = {
            "iss": settings.portal_issuer, "aud": settings.audience, "sub": session.subject,
            "client_id": settings.client_id, "iat": now, "exp": now + settings.token_seconds,
            "jti": uuid4().hex,
        }  # fmt: skip
        header = {"alg": "RS256", "typ": "at+jwt", "kid": self.key.kid}
        return jwt.encode(header, claims, self.key, algorithms=["RS256"])


class Callers:
    """Finds the session of a request, and refuses what another site made a browser send."""

    def __init__(self, settings: Settings, sessions: Sessions) -> None:
        self.origin, self.sessions = settings.own_origin, sessions
        self.cookies, self.signer = Cookies(settings), Signer(settings)

    async def session(self, request: Request) -> Session | None:
        """The live session of the request's cookie, if it is one of our own pages that asks."""
        session = await self.cookie_session(request)
        if session is not None:
            self._check(request, session)
        return session

    async def cookie_session(self, request: Request) -> Session | None:
        """The live session of the request's cookie, whoever made the browser send it."""
        secret = self.cookies.get(request, "houqin")
        if secret is None:
            return None
        # A live stream comes back by itself: it must not keep somebody signed in who has left.
        touch = EVENT_STREAM not in request.headers.get("accept", "")
        return await self.sessions.find(secret, touch=touch)

    async def required(self, request: Request) -> Session:
        """The session; raises the problem `signed_out`."""
        session = await self.session(request)
        if session is None:
            raise Problem("signed_out")
        return session

    async def authorization(self, request: Request) -> str:
        """What a service is told of who asks; raises `signed_out` or `csrf_refused`."""
        own = request.headers.get("authorization")
        return own or self.signer.authorization(await self.required(request))

    def check_origin(self, request: Request) -> None:
        """Refuses what comes from another site, as browsers say of themselves."""
        site = request.headers.get("sec-fetch-site", "none")
        origin = request.headers.get("origin", self.origin)
        if site not in {"same-origin", "none"} or origin != self.origin:
            raise Problem("csrf_refused")

    def _check(self, request: Request, session: Session) -> None:
        self.check_origin(request)
        if request.method not in SAFE:
            sent = request.headers.get(CSRF, "")
            if not hmac.compare_digest(sent.encode(), session.csrf.encode()):
                raise Problem("csrf_refused")


class People:
    """Who asks, by sign-in name: signed in here, or by a token of their own."""

    def __init__(self, callers: Callers, tokens: Tokens) -> None:
        self.callers, self.tokens = callers, tokens

    async def subject(self, request: Request) -> str:
        """The sign-in name; raises `signed_out`, `csrf_refused` or `unauthenticated`."""
        own = request.headers.get("authorization")
        if own is not None:
            return await self.tokens.person(own)
        return (await self.callers.required(request)).subject
