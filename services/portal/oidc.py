"""Signing in at any OpenID provider: code flow with PKCE (OpenID Connect Core 1.0, RFC 7636).

What the provider says of itself (Discovery 1.0) is kept for an hour, and longer while it is away.
Identity alone comes from there; what a person may do follows from posts.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
import time
from typing import Any
from urllib.parse import urlencode

import httpx
import msgspec
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from services.portal.settings import Settings
from shared.clock import since_1970
from shared.problems import Problem

ALGORITHMS = ["RS256", "PS256", "ES256"]
LEEWAY_S = 60
FRESH_S = 3600.0
REFETCH_S = 30.0


class Attempt(msgspec.Struct, frozen=True):
    """One sign-in on its way to the provider and back; kept by the browser that began it."""

    state: str
    nonce: str
    verifier: str
    to: str


class Identity(msgspec.Struct, frozen=True):
    """Who has signed in, as the provider says."""

    subject: str
    name: str
    id_token: str


class SignInFailed(Exception):  # noqa: N818 - says what is, as the house's names do
    """The provider's answer is not good for signing in; the message is for the log."""


def new_attempt(to: str) -> Attempt:
    """A fresh sign-in that ends at the own path `to`."""
    state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
    return Attempt(state, nonce, verifier, to)


class Provider:
    """The provider as this client knows it."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.issuer = settings.issuer.rstrip("/")
        self.redirect_uri = f"{settings.own_origin}/auth/callback"
        self.client = httpx.AsyncClient(trust_env=False, timeout=10)
        self._about: dict[str, Any] = {}
        self._fetched_at = float("-inf")
        self._keys: KeySet | None = None
        self._keys_at = float("-inf")

    async def authorize_url(self, attempt: Attempt, language: str) -> str:
        """Where to send the browser."""
        about = await self.about()
        digest = hashlib.sha256(attempt.verifier.encode()).digest()
        asked = {
            "response_type": "code",
            "client_id": self.settings.client_id,
            "redirect_uri": self.redirect_uri,
            "scope": self.settings.scope,
            "state": attempt.state,
            "nonce": attempt.nonce,
            "code_challenge": base64.urlsafe_b64encode(digest).decode().rstrip("="),
            "code_challenge_method": "S256",
            "ui_locales": {"zh": "zh-CN", "en": "en"}[language],
        }
        return _with(about["authorization_endpoint"], asked)

    async def check_issuer(self, said: str | None) -> None:
        """Whether an answer is this provider's own (RFC 9207); raises SignInFailed."""
        expected = (await self.about()).get("authorization_response_iss_parameter_supported")
        if (said is None and expected) or (said is not None and said.rstrip("/") != self.issuer):
            raise SignInFailed(f"an answer of {said}")

    async def identity(self, attempt: Attempt, code: str) -> Identity:
        """Who signed in, for the code that the browser brought; raises SignInFailed, or the
        problem `provider_away`.
        """
        about = await self.about()
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.redirect_uri,
            "client_id": self.settings.client_id,
            "code_verifier": attempt.verifier,
        }
        secret = self.settings.client_secret
        auth = httpx.BasicAuth(self.settings.client_id, secret) if secret else None
        try:
            answer = await self.client.post(
                about["token_endpoint"], data=form, auth=auth or httpx.USE_CLIENT_DEFAULT
            )
            tokens = answer.json()
        except httpx.HTTPError as error:
            raise Problem("provider_away") from error
        except ValueError as error:
            raise SignInFailed("the token endpoint's answer is no JSON") from error
        if answer.status_code != httpx.codes.OK or "id_token" not in tokens:
            raise SignInFailed(f"token endpoint: {answer.status_code} {tokens.get('error')}")
        claims = await self._verified(tokens["id_token"], attempt.nonce)
        name = claims.get("name") or claims.get("preferred_username") or claims["sub"]
        return Identity(str(claims["sub"]), str(name), tokens["id_token"])

    async def sign_out_url(self, id_token: str) -> str | None:
        """Where the provider ends its own session, if it says so (RP-Initiated Logout 1.0)."""
        about = await self.about()
        if "end_session_endpoint" not in about:
            return None
        asked = {
            "id_token_hint": id_token,
            "client_id": self.settings.client_id,
            "post_logout_redirect_uri": f"{self.settings.own_origin}/",
        }
        return _with(about["end_session_endpoint"], asked)

    async def about(self) -> dict[str, Any]:
        """The discovery document; raises the problem `provider_away` if it was never read."""
        if time.monotonic() - self._fetched_at > FRESH_S:
            try:
                url = f"{self.issuer}/.well-known/openid-configuration"
                found = await self._json(url)
                if str(found["issuer"]).rstrip("/") != self.issuer:
                    raise ValueError(f"{url} speaks for {found['issuer']}")  # noqa: TRY301
                self._about, self._fetched_at = found, time.monotonic()
            except (httpx.HTTPError, ValueError, KeyError) as error:
                if not self._about:
                    raise Problem("provider_away") from error
        return self._about

    async def _verified(self, id_token: str, nonce: str) -> dict[str, Any]:
        """The id token's claims (Core §3.1.3.7)."""
        own, issuer = self.settings.client_id, (await self.about())["issuer"]
        registry = jwt.JWTClaimsRegistry(
            now=lambda: int(since_1970()),
            leeway=LEEWAY_S,
            iss={"essential": True, "value": issuer},
            aud={"essential": True, "value": own},
            exp={"essential": True},
            iat={"essential": True},
            sub={"essential": True},
            nonce={"essential": True, "value": nonce},
        )
        claims: dict[str, Any] = {}
        for again in (False, True):
            keys = await self._signing_keys(again=again)
            try:
                claims = jwt.decode(id_token, keys, algorithms=ALGORITHMS).claims
                break
            except (JoseError, ValueError) as error:
                # An unknown key may be a new one: look once more before saying no.
                if again:
                    raise SignInFailed(f"id token: {error}") from error
        try:
            registry.validate(claims)
        except JoseError as error:
            raise SignInFailed(f"id token: {error}") from error
        if claims.get("azp", own) != own:
            raise SignInFailed("id token: meant for another client")
        return claims

    async def _signing_keys(self, *, again: bool) -> KeySet:
        due = time.monotonic() - self._keys_at > REFETCH_S
        if self._keys is None or (again and due):
            try:
                found = await self._json((await self.about())["jwks_uri"])
                self._keys, self._keys_at = KeySet.import_key_set(found), time.monotonic()  # type: ignore[arg-type]
            except (httpx.HTTPError, ValueError) as error:
                if self._keys is None:
                    raise Problem("provider_away") from error
        return self._keys

    async def _json(self, url: str) -> dict[str, Any]:
        answer = await self.client.get(url)
        answer.raise_for_status()
        return dict(answer.json())


def _with(url: str, parameters: dict[str, str]) -> str:
    return f"{url}{'&' if '?' in url else '?'}{urlencode(parameters)}"
