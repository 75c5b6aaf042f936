"""An identity provider's key address on a free port, and tokens signed with its keys."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from joserfc import jwt
from joserfc.jwk import RSAKey

from hosting.tokens import Tokens
from shared.config import Settings

ISSUER = "https://id.example.org"
AUDIENCE = "houqin"


def new_key(name: str) -> RSAKey:
    return RSAKey.generate_key(2048, {"kid": name})


KEY = new_key("k1")


@dataclass
class Provider:
    """What it shows, and how often it was asked."""

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

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/jwks"

    def tokens(self) -> Tokens:
        return Tokens(Settings(issuer=ISSUER, audience=AUDIENCE, jwks_url=self.url))


@asynccontextmanager
async def providing(*keys: RSAKey) -> AsyncIterator[Provider]:
    made = Provider(list(keys))
    server = await asyncio.start_server(made.answer, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    async with server:
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
    key: RSAKey = KEY, *, alg: str = "RS256", typ: str = "at+jwt", kid: str = "k1", **changes: Any
) -> str:
    header = {"alg": alg, "typ": typ, "kid": kid}
    return jwt.encode(header, claims(**changes), key, algorithms=[alg])
