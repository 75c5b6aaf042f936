"""What the provider decides: requests, codes, tokens, and the key that signs them.

Codes, refresh tokens and failures are kept in memory of this one process: after a restart people
sign in again. The key is kept in the state folder, so tokens stay valid.
"""

import asyncio
import base64
import hashlib
import secrets
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from joserfc import jwt
from joserfc.errors import JoseError
from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from services.portal.accounts import Accounts, Client, Person
from services.portal.keys import load_key
from shared.clock import since_1970

CODE_S = 60
REFRESH_S = 12 * 3600
SCOPES = ("openid", "profile", "offline_access")


class Settings(BaseSettings):
    """From HOUQIN_ISSUER and so on; `token_minutes` is how long an access token is good for."""

    model_config = SettingsConfigDict(env_prefix="HOUQIN_", extra="ignore")

    issuer: str
    accounts: Path
    state: Path
    audience: str = "houqin"
    host: str = "127.0.0.1"
    port: int = 8000
    token_minutes: Annotated[int, Field(ge=5, le=60)] = 15


class Refused(Exception):  # noqa: N818 - says what is, as the house's names do
    """An error of RFC 6749 §4.1.2.1 or §5.2."""

    def __init__(self, error: str, description: str, status: int = 400) -> None:
        super().__init__(error)
        self.error, self.description, self.status = error, description, status


@dataclass
class Grant:
    """What a person allowed a client: made by one sign-in, carried by code and refresh tokens."""

    client_id: str
    redirect_uri: str
    subject: str
    scope: str
    nonce: str
    challenge: str
    signed_in_at: int
    expires_at: float
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    spent: bool = False


class Provider:
    """Keys, accounts and what is in flight."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = since_1970) -> None:
        self.settings, self.clock = settings, clock
        self.issuer = settings.issuer.rstrip("/")
        self.accounts = Accounts(settings.accounts, clock)
        self.key = load_key(settings.state, "provider-key")
        self.codes: dict[str, Grant] = {}
        self.refreshes: dict[str, Grant] = {}
        # Hashing takes a core and 64 MB each time; more at once would starve the rest.
        self.hashing = asyncio.Semaphore(2)

    def client_of(self, asked: Mapping[str, str]) -> Client | None:
        """The client, if it exists and the redirect address is one of its own."""
        client = self.accounts.client(asked.get("client_id", ""))
        if client is None or not client.allows(asked.get("redirect_uri", "")):
            return None
        return client

    def check_request(self, asked: Mapping[str, str]) -> None:
        """What /authorize requires, beyond client and redirect address; raises Refused."""
        if asked.get("response_type") != "code":
            raise Refused("unsupported_response_type", "only code")
        method, challenge = asked.get("code_challenge_method"), asked.get("code_challenge", "")
        if method != "S256" or len(challenge) != 43:
            raise Refused("invalid_request", "PKCE with S256 is required")
        scopes = asked.get("scope", "").split()
        if "openid" not in scopes or not set(scopes) <= set(SCOPES):
            raise Refused("invalid_scope", f"openid is required; known: {' '.join(SCOPES)}")
        if asked.get("prompt") == "none":
            raise Refused("login_required", "there is no session here to go by")

    def new_code(self, asked: Mapping[str, str], subject: str) -> str:
        """A code for a person who has just signed in."""
        now = self.clock()
        # Spent codes are kept until they expire, to see whether somebody uses one again.
        self.codes = {code: grant for code, grant in self.codes.items() if grant.expires_at > now}
        code = secrets.token_urlsafe(32)
        self.codes[code] = Grant(
            client_id=asked["client_id"],
            redirect_uri=asked["redirect_uri"],
            subject=subject,
            scope=asked["scope"],
            nonce=asked.get("nonce", ""),
            challenge=asked["code_challenge"],
            signed_in_at=int(now),
            expires_at=now + CODE_S,
        )
        return code

    def redeem_code(self, form: Mapping[str, str]) -> dict[str, object]:
        """Tokens for a code; raises Refused."""
        grant = self.codes.get(form.get("code", ""))
        if grant is None or grant.expires_at <= self.clock():
            raise Refused("invalid_grant", "the code is unknown or has expired")
        if grant.spent:
            self.revoke(grant.id)
            raise Refused("invalid_grant", "the code was used before")
        grant.spent = True
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        if not secrets.compare_digest(challenge.encode(), grant.challenge.encode()):
            raise Refused("invalid_grant", "the code verifier does not fit")
        if (form.get("client_id"), form.get("redirect_uri")) != (
            grant.client_id, grant.redirect_uri,
        ):  # fmt: skip
            raise Refused("invalid_grant", "another client or redirect address")
        return self.tokens(grant)

    def redeem_refresh(self, form: Mapping[str, str]) -> dict[str, object]:
        """Tokens for a refresh token, which is good for once; raises Refused."""
        grant = self.refreshes.get(form.get("refresh_token", ""))
        if grant is None or grant.expires_at <= self.clock():
            raise Refused("invalid_grant", "the refresh token is unknown or has expired")
        if grant.client_id != form.get("client_id"):
            raise Refused("invalid_grant", "another client")
        if grant.spent:
            self.revoke(grant.id)
            raise Refused("invalid_grant", "the refresh token was used before")
        if not set(form.get("scope", grant.scope).split()) <= set(grant.scope.split()):
            raise Refused("invalid_scope", "more than was granted")
        grant.spent = True
        return self.tokens(grant)

    def revoke(self, grant_id: str) -> None:
        """Drop every refresh token that one sign-in led to."""
        self.refreshes = {t: grant for t, grant in self.refreshes.items() if grant.id != grant_id}

    def tokens(self, grant: Grant) -> dict[str, object]:
        """The answer of /token (RFC 6749 §5.1)."""
        person = self.accounts.person(grant.subject)
        if person is None:
            raise Refused("invalid_grant", "the person may no longer sign in")
        now, seconds = int(self.clock()), self.settings.token_minutes * 60
        claims = {"iss": self.issuer, "sub": person.subject, "iat": now, "exp": now + seconds}
        access = {"aud": self.settings.audience, "jti": uuid.uuid4().hex, "scope": grant.scope}
        access |= {"client_id": grant.client_id, "name": person.name_zh}
        identity = {"aud": grant.client_id, "auth_time": grant.signed_in_at, **names(person)}
        if grant.nonce:
            identity["nonce"] = grant.nonce
        answer: dict[str, object] = {
            "access_token": self.sign("at+jwt", claims | access),
            "token_type": "Bearer",
            "expires_in": seconds,
            "scope": grant.scope,
            "id_token": self.sign("JWT", claims | identity),
        }
        if "offline_access" in grant.scope.split():
            answer["refresh_token"] = self.new_refresh(grant)
        return answer

    def new_refresh(self, grant: Grant) -> str:
        """A refresh token of the same sign-in; the whole chain ends REFRESH_S after it."""
        now = self.clock()
        self.refreshes = {t: g for t, g in self.refreshes.items() if g.expires_at > now}
        token = secrets.token_urlsafe(32)
        self.refreshes[token] = Grant(
            client_id=grant.client_id,
            redirect_uri=grant.redirect_uri,
            subject=grant.subject,
            scope=grant.scope,
            nonce="",  # belongs to the first id token only
            challenge="",
            signed_in_at=grant.signed_in_at,
            expires_at=grant.signed_in_at + REFRESH_S,
            id=grant.id,
        )
        return token

    def sign(self, kind: str, claims: Mapping[str, object]) -> str:
        header = {"alg": "RS256", "typ": kind, "kid": self.key.kid}
        return jwt.encode(header, dict(claims), self.key, algorithms=["RS256"])

    def bearer(self, authorization: str) -> Person:
        """The person of an access token of ours; raises Refused with status 401."""
        scheme, _, token = authorization.partition(" ")
        try:
            if scheme.lower() != "bearer":
                raise Refused("invalid_token", "a bearer token is required", 401)
            found = jwt.decode(token.strip(), self.key, algorithms=["RS256"])
        except (JoseError, ValueError) as problem:
            raise Refused("invalid_token", "the token cannot be verified", 401) from problem
        claims = found.claims
        person = self.accounts.person(str(claims.get("sub")))
        good = found.header.get("typ") == "at+jwt" and claims.get("iss") == self.issuer
        if not good or person is None or claims.get("exp", 0) <= self.clock():
            raise Refused("invalid_token", "expired, or not an access token of this place", 401)
        return person

    def discovery(self) -> dict[str, object]:
        """OpenID Connect Discovery 1.0."""
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "userinfo_endpoint": f"{self.issuer}/userinfo",
            "jwks_uri": f"{self.issuer}/jwks",
            "response_types_supported": ["code"],
            "response_modes_supported": ["query"],
            "grant_types_supported": ["authorization_code", "refresh_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "token_endpoint_auth_methods_supported": ["none"],
            "code_challenge_methods_supported": ["S256"],
            "scopes_supported": list(SCOPES),
            "claims_supported": ["sub", "name", "name_en", "preferred_username"],
            "authorization_response_iss_parameter_supported": True,
            "ui_locales_supported": ["zh-CN", "en"],
        }


def names(person: Person) -> dict[str, object]:
    """What a client may show of a person."""
    return {
        "name": person.name_zh,
        "name_en": person.name_en,
        "preferred_username": person.subject,
    }
