"""Who is asking: only a token of our provider, for us, that still holds. Everything else is 401."""

from __future__ import annotations

import base64
import hmac
import json
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from joserfc import jwt

from hosting import tokens as access
from hosting.tokens import LEEWAY_S, Tokens
from shared.problems import Problem
from tests.shared.identity import AUDIENCE, KEY, Provider, claims, new_key, providing, signed


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    async with providing(KEY) as made:
        yield made


def encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def by_hand(secret: bytes | None = None, **header: Any) -> str:
    """What no library would sign: without a signature, or with the public key as an HMAC secret."""
    head = {"typ": "at+jwt", "kid": "k1", **header}
    text = ".".join(encoded(json.dumps(part).encode()) for part in (head, claims()))
    mac = b"" if secret is None else hmac.digest(secret, text.encode(), "sha256")
    return f"{text}.{encoded(mac)}"


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
    made: dict[str, Callable[[], str]] = {
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
        "alg none": lambda: by_hand(alg="none"),
        "alg None": lambda: by_hand(alg="None"),
        "no alg": by_hand,
        # The public key as an HMAC secret (RFC 8725 2.1).
        "HS256 with the public key": lambda: by_hand(pem, alg="HS256"),
        "another algorithm": lambda: signed(alg="PS256"),
        "changed after signing": lambda: changed(signed()),
    }
    return made[case]()


def changed(token: str) -> str:
    head, body, signature = token.split(".")
    text = base64.urlsafe_b64decode(body + "==").replace(b'"li"', b'"lx"')
    return f"{head}.{encoded(text)}.{signature}"


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
    monkeypatch.setattr(access, "since_1970", lambda: later)
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
