"""Who is asking: verifies access tokens (RFC 9068) of any OIDC provider. What they may do follows
from posts in the local copy, never from the token's claims.
"""

from __future__ import annotations

import time
from typing import Any

import httpx
import msgspec
from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from shared.clock import since_1970
from shared.config import Settings
from shared.problems import Problem

ALGORITHMS = ["RS256"]
LEEWAY_S = 60
REFETCH_S = 30.0
CACHED_TOKENS = 20_000


class Issuer:
    """One who vouches for people. Keys are fetched when first needed and when an unknown key id
    appears, at most every 30 s; old ones serve on while the issuer is away.
    """

    def __init__(self, name: str, jwks_url: str, audience: str, client: httpx.AsyncClient) -> None:
        self.jwks_url, self.client = jwks_url, client
        self.registry = jwt.JWTClaimsRegistry(
            now=lambda: int(since_1970()),
            leeway=LEEWAY_S,
            iss={"essential": True, "value": name},
            aud={"essential": True, "value": audience},
            exp={"essential": True},
            sub={"essential": True},
        )
        self._keys: KeySet | None = None
        self._fetched_at = float("-inf")

    async def verify(self, token: str) -> dict[str, Any]:
        """The claims of an access token of this issuer; raises the problem `unauthenticated`."""
        # An unknown key id may be a rotated key: look once more before saying no.
        for again in (False, True):
            keys = await self._current_keys(again=again)
            try:
                return self._decode(token, keys)
            except (JoseError, ValueError) as error:
                wrong = error
        raise Problem("unauthenticated", field="Authorization") from wrong

    def _decode(self, token: str, keys: KeySet) -> dict[str, Any]:
        found = jwt.decode(token, keys, algorithms=ALGORITHMS)
        if str(found.header.get("typ", "")).lower() != "at+jwt":
            raise ValueError("not an access token")
        self.registry.validate(found.claims)
        return found.claims

    async def _current_keys(self, *, again: bool = False) -> KeySet:
        due = time.monotonic() - self._fetched_at > REFETCH_S
        if self._keys is None or (again and due):
            try:
                answer = await self.client.get(self.jwks_url)
                answer.raise_for_status()
                self._keys = KeySet.import_key_set(answer.json())
                self._fetched_at = time.monotonic()
            except (httpx.HTTPError, ValueError) as error:
                if self._keys is None:
                    raise Problem("provider_away") from error
        return self._keys


class Tokens:
    """Verifies tokens of the provider and, where it is configured, of the portal: each by its own
    keys alone.
    """

    def __init__(self, settings: Settings, client: httpx.AsyncClient | None = None) -> None:
        client = client or httpx.AsyncClient(timeout=5)
        urls = {settings.issuer: settings.jwks_url}
        if settings.portal_jwks_url:
            urls[settings.portal_issuer] = settings.portal_jwks_url
        self._issuers = {
            name: Issuer(name, url, settings.audience, client) for name, url in urls.items()
        }
        self._seen: dict[str, tuple[str, float]] = {}

    async def person(self, authorization: str | None) -> str:
        """The subject of a bearer token; raises the problem `unauthenticated`."""
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Problem("unauthenticated", field="Authorization")
        seen = self._seen.get(token)
        if seen is not None and seen[1] > since_1970():
            return seen[0]
        claims = await self._issuer(token).verify(token)
        if len(self._seen) >= CACHED_TOKENS:
            self._seen.clear()
        self._seen[token] = (claims["sub"], float(claims["exp"]))
        return str(claims["sub"])

    def _issuer(self, token: str) -> Issuer:
        """Whose keys must fit, by what the token says of itself."""
        try:
            said = msgspec.json.decode(jws.extract_compact(token.encode()).payload)
            return self._issuers[said["iss"]]
        except (JoseError, ValueError, LookupError, TypeError) as error:
            raise Problem("unauthenticated", field="Authorization") from error
