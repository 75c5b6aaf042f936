"""Who is asking: only a token of our provider, for us, that still holds. Everything else is 401."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey

from shared import access
from shared.access import LEEWAY_S, Tokens
from shared.config import Settings
from shared.problems import Problem

ISSUER = "https://id.example.org"
AUDIENCE = "houqin"


@dataclass
class Provider:
    """A key address as a provider has it: real HTTP on a free port."""

    keys: list[RSAKey]
    asked: int = 0
    away: bool = False
    port: int = 0

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        self.asked += 1
        shown = {"keys": [key.as_dict(private=False) for key in self.keys]}
        body = b"away" if self.away else json.dumps(shown).encode()
        status = b"503 Away" if self.away else b"200 OK"
        writer.write(
            b"HTTP/1.1 %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n"
            b"Connection: close\r\n\r\n%b" % (status, len(body), body)
        )
        await writer.drain()
        writer.close()

    def tokens(self) -> Tokens:
        url = f"http://127.0.0.1:{self.port}/jwks"
        return Tokens(Settings(issuer=ISSUER, audience=AUDIENCE, jwks_url=url))


def new_key(name: str) -> RSAKey:
    return RSAKey.generate_key(2048, {"kid": name})


@asynccontextmanager
async def providing(*keys: RSAKey) -> AsyncIterator[Provider]:
    made = Provider(list(keys))
    server = await asyncio.start_server(made.answer, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    async with server:
        yield made


KEY = new_key("k1")


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    async with providing(KEY) as made:
        yield made


def claims(**changes: Any) -> dict[str, Any]:
    """A good token's claims, with some changed, or left out (None)."""
    now = int(time.time())
    made = {
        "iss": ISSUER, "aud": AUDIENCE, "sub": "li", "exp": now + 600, "iat": now,
        "client_id": "houqin-portal", "jti": "1",
    } | changes  # fmt: skip
    return {name: value for name, value in made.items() if value is not None}


def signed(
    key: Any = KEY, *, alg: str = "RS256", typ: str = "at+jwt", kid: str = "k1", **changes: Any
) -> str:
    header = {"alg": alg, "typ": typ, "kid": kid}
    return jwt.encode(header, claims(**changes), key, algorithms=[alg])


def unsigned(**header: Any) -> str:
    def part(value: dict[str, Any]) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    return f"{part({'typ': 'at+jwt', 'kid': 'k1', **header})}.{part(claims())}."


async def refused(tokens: Tokens, authorization: str | None, slug: str = "unauthenticated") -> None:
    with pytest.raises(Problem) as found:
        await tokens.person(authorization)
    assert found.value.slug == slug
    assert found.value.status == (401 if slug == "unauthenticated" else 503)


async def test_a_good_token_names_the_person(provider: Provider) -> None:
    tokens = provider.tokens()
    assert await tokens.person(f"Bearer {signed()}") == "li"
    assert await tokens.person(f"bearer {signed(sub='wang', aud=['other', AUDIENCE])}") == "wang"
    assert provider.asked == 1, "keys are fetched once"


HEADERS = (None, "", "Bearer", "Bearer ", "Basic bGk6eA==", "Bearer x", "Bearer a.b.c", signed())


@pytest.mark.parametrize("header", HEADERS, ids=lambda header: str(header)[:12])
async def test_what_is_no_bearer_token(provider: Provider, header: str | None) -> None:
    await refused(provider.tokens(), header)


def forged(case: str) -> str:
    """A token that is wrong in just one way."""
    now = int(time.time())
    pem = KEY.as_pem(private=False)
    return {
        "another audience": lambda: signed(aud="finance"),
        "no audience": lambda: signed(aud=None),
        "another issuer": lambda: signed(iss="https://id.example.com"),
        "no issuer": lambda: signed(iss=None),
        "expired": lambda: signed(exp=now - LEEWAY_S - 5),
        "no expiry": lambda: signed(exp=None),
        "not yet valid": lambda: signed(nbf=now + LEEWAY_S + 60),
        "no subject": lambda: signed(sub=None),
        "an id token": lambda: signed(typ="JWT"),
        "no type": lambda: jwt.encode({"alg": "RS256", "kid": "k1"}, claims(), KEY),
        "another's key under our kid": lambda: signed(new_key("k1")),
        "unknown kid": lambda: signed(new_key("k9"), kid="k9"),
        "alg none": lambda: unsigned(alg="none"),
        "alg None": lambda: unsigned(alg="None"),
        "no alg": lambda: unsigned(),
        # The public key as an HMAC secret (RFC 8725 2.1).
        "HS256 with the public key": lambda: signed(OctKey.import_key(pem), alg="HS256"),
        "another algorithm": lambda: signed(alg="PS256"),
        "changed after signing": lambda: changed(signed()),
    }[case]()


def changed(token: str) -> str:
    head, body, signature = token.split(".")
    text = base64.urlsafe_b64decode(body + "==").replace(b'"li"', b'"lx"')
    return f"{head}.{base64.urlsafe_b64encode(text).decode().rstrip('=')}.{signature}"


CASES = (
    "another audience", "no audience", "another issuer", "no issuer", "expired", "no expiry",
    "not yet valid", "no subject", "an id token", "no type", "another's key under our kid",
    "unknown kid", "alg none", "alg None", "no alg", "HS256 with the public key",
    "another algorithm", "changed after signing",
)  # fmt: skip


@pytest.mark.parametrize("case", CASES)
async def test_a_forged_token_is_refused(provider: Provider, case: str) -> None:
    tokens = provider.tokens()
    assert await tokens.person(f"Bearer {signed()}") == "li", "the keys are those of the good one"
    await refused(tokens, f"Bearer {forged(case)}")


async def test_clocks_may_differ_by_the_leeway_and_no_more(provider: Provider) -> None:
    now = int(time.time())
    tokens = provider.tokens()
    assert await tokens.person(f"Bearer {signed(exp=now - LEEWAY_S + 20)}") == "li"
    await refused(tokens, f"Bearer {signed(exp=now - LEEWAY_S - 20)}")


async def test_a_token_once_good_ends_all_the_same(
    provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is remembered of a token is not remembered beyond its time."""
    tokens = provider.tokens()
    token = f"Bearer {signed()}"
    assert await tokens.person(token) == "li"
    later = time.time() + 600 + LEEWAY_S + 1
    monkeypatch.setattr(time, "time", lambda: later)
    await refused(tokens, token)


async def test_a_rotated_key_is_found_but_not_asked_for_at_every_guess(
    provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens = provider.tokens()
    await tokens.person(f"Bearer {signed()}")
    fresh = new_key("k2")
    provider.keys.append(fresh)
    await refused(tokens, f"Bearer {signed(new_key('k3'), kid='k3')}")
    await refused(tokens, f"Bearer {signed(fresh, kid='k2')}")
    assert provider.asked == 1, "an unknown key id fetches at most every 30 s"
    monkeypatch.setattr(access, "REFETCH_S", 0.0)
    assert await tokens.person(f"Bearer {signed(fresh, kid='k2')}") == "li"
    assert provider.asked == 2
    provider.keys.remove(KEY)
    await refused(tokens, f"Bearer {signed(new_key('k3'), kid='k3')}")
    await refused(tokens, f"Bearer {signed(sub='wang')}")


async def test_known_keys_serve_on_while_the_provider_is_away(
    provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens = provider.tokens()
    await tokens.person(f"Bearer {signed()}")
    provider.away = True
    monkeypatch.setattr(access, "REFETCH_S", 0.0)
    assert await tokens.person(f"Bearer {signed(sub='wang')}") == "wang"
    await refused(tokens, f"Bearer {signed(new_key('k3'), kid='k3')}")
    assert provider.asked == 2


async def test_without_any_key_nobody_is_let_in_and_nobody_is_blamed(provider: Provider) -> None:
    provider.away = True
    tokens = provider.tokens()
    await refused(tokens, f"Bearer {signed()}", "provider_away")
    provider.away = False
    assert await tokens.person(f"Bearer {signed()}") == "li"
