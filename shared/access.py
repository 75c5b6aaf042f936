"""Who is asking: verifies access tokens (RFC 9068) of any OIDC provider. What they may do follows
from posts in the local copy, never from the token's claims.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import httpx
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from shared.clock import since_1970, this_moment
from shared.config import Settings
from shared.directory import Directory
from shared.fields import business_day
from shared.organisation import Role
from shared.problems import Problem

ALGORITHMS = ["RS256"]
LEEWAY_S = 60
REFETCH_S = 30.0
CACHED_TOKENS = 20_000


class Tokens:
    """Verifies tokens against the provider's keys. Keys are fetched when first needed and when an
    unknown key id appears, at most every 30 s; old ones serve on while the provider is away.
    """

    def __init__(self, settings: Settings, client: httpx.AsyncClient | None = None) -> None:
        self.settings = settings
        self.client = client or httpx.AsyncClient(timeout=5)
        self.registry = jwt.JWTClaimsRegistry(
            now=lambda: int(since_1970()),
            leeway=LEEWAY_S,
            iss={"essential": True, "value": settings.issuer},
            aud={"essential": True, "value": settings.audience},
            exp={"essential": True},
            sub={"essential": True},
        )
        self._keys: KeySet | None = None
        self._fetched_at = float("-inf")
        self._seen: dict[str, tuple[str, float]] = {}

    async def person(self, authorization: str | None) -> str:
        """The subject of a bearer token; raises the problem `unauthenticated`."""
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Problem("unauthenticated", field="Authorization")
        seen = self._seen.get(token)
        if seen is not None and seen[1] > since_1970():
            return seen[0]
        claims = await self._verify(token)
        if len(self._seen) >= CACHED_TOKENS:
            self._seen.clear()
        self._seen[token] = (claims["sub"], float(claims["exp"]))
        return str(claims["sub"])

    async def _verify(self, token: str) -> dict[str, Any]:
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
                answer = await self.client.get(self.settings.jwks_url)
                answer.raise_for_status()
                self._keys = KeySet.import_key_set(answer.json())
                self._fetched_at = time.monotonic()
            except (httpx.HTTPError, ValueError) as error:
                if self._keys is None:
                    raise Problem("provider_away") from error
        return self._keys


async def scope_of(directory: Directory, person: str, allow: Sequence[Role]) -> str:
    """The units at and below which a person may read what `allow` names: ids with commas, `*` for
    an administrator of the platform; raises the problem `forbidden` where there are none.
    """
    if person in directory.administrators:
        return "*"
    today = business_day(this_moment())
    units = {
        str(post.unit)
        for post in await directory.posts_of(person)
        if post.role in allow and post.holds_on(today)
    }
    if not units:
        raise Problem("no_post")
    return ",".join(sorted(units))
