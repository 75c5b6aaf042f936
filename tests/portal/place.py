"""A portal as people meet it: real HTTP, real Postgres, a provider to sign in at, and a service
behind it that checks tokens as every service does and says what reached it.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from deploy.local.supervisor import ACCOUNTS
from deploy.local.token import demo_password
from hosting.tokens import Tokens
from services.portal import grants
from services.portal.provider import create_app
from services.portal.settings import Settings
from services.portal.web import application
from shared import config
from tests.shared.identity import AUDIENCE

UNIT = {
    "id": "6f1c8d7e-0000-7000-8000-000000000001",
    "code": "1",
    "name": "一小",
    "level": "school",
}


@contextmanager
def free_port() -> Iterator[int]:
    """A port on which nobody listens, for as long as this is open."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


def any_port() -> int:
    with free_port() as port:
        return port


@asynccontextmanager
async def serving(app: Any, port: int) -> AsyncIterator[None]:
    """An application on that port."""
    server = uvicorn.Server(
        uvicorn.Config(app, port=port, log_level="warning", timeout_graceful_shutdown=1)
    )
    task = asyncio.create_task(server.serve())
    async with asyncio.timeout(20):
        while not server.started:
            if task.done():
                await task
            await asyncio.sleep(0.01)
    try:
        yield
    finally:
        server.should_exit = True
        await task


@asynccontextmanager
async def own_provider(folder: Path) -> AsyncIterator[str]:
    """Our own provider with the people of the demonstration."""
    port = any_port()
    issuer = f"http://127.0.0.1:{port}"
    settings = grants.Settings(issuer=issuer, accounts=ACCOUNTS, state=folder, port=port)
    async with serving(create_app(settings), port):
        yield issuer


class Behind:
    """A service: who may reach it, and what it was told. It streams until it is let go."""

    def __init__(self, trusted: config.Settings) -> None:
        self.client = httpx.AsyncClient(trust_env=False)
        self.tokens = Tokens(trusted, self.client)
        self.asked: list[dict[str, str]] = []
        self.posts: dict[str, Any] = {
            "administrator": False, "posts": [], "units": [UNIT], "unit": UNIT,
        }  # fmt: skip
        self.closed: set[str] = set()
        """Units at which nobody holds a post."""
        self.left = asyncio.Event()

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/organisation/me", self.me),
                Route("/assets/stream", self.stream),
                Route("/assets/{rest:path}", self.echo, methods=["GET", "POST"]),
            ]
        )

    async def me(self, request: Request) -> Response:
        person = await self.tokens.person(request.headers.get("authorization"))
        unit = None if request.query_params.get("unit") in self.closed else self.posts["unit"]
        return JSONResponse({"subject": person, **self.posts, "unit": unit})

    async def echo(self, request: Request) -> Response:
        person = await self.tokens.person(request.headers.get("authorization"))
        self.asked.append(dict(request.headers))
        body = {"person": person, "path": str(request.url.path), "query": request.url.query}
        body |= {"method": request.method, "body": (await request.body()).decode()}
        return JSONResponse(body, headers={"ETag": '"7"', "X-Inner": "secret"})

    async def stream(self, request: Request) -> Response:
        await self.tokens.person(request.headers.get("authorization"))

        async def events() -> AsyncIterator[bytes]:
            try:
                yield f"data: {request.headers.get('last-event-id')}\n\n".encode()
                await asyncio.Event().wait()
            finally:
                self.left.set()

        return StreamingResponse(events(), media_type="text/event-stream")


@dataclass
class Place:
    """A portal, the service behind it, and where its people sign in."""

    url: str
    issuer: str
    behind: Behind
    settings: Settings

    def browser(self, **headers: str) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=self.url, headers=headers, trust_env=False, timeout=20)


@asynccontextmanager
async def place(database: str, folder: Path, issuer: str, **changes: Any) -> AsyncIterator[Place]:
    """A portal that signs people in at `issuer`."""
    port, inner = any_port(), any_port()
    url = f"http://127.0.0.1:{port}"
    where = f"http://127.0.0.1:{inner}"
    changes.setdefault("services", f"organisation={where} assets={where}")
    settings = Settings(
        database=database, state=folder, port=port, issuer=issuer, audience=AUDIENCE,
        jwks_url=f"{issuer}/jwks", web=folder / "web", **changes,
    )  # fmt: skip
    trusted = config.Settings(
        issuer=issuer, jwks_url=f"{issuer}/jwks", audience=AUDIENCE,
        portal_jwks_url=f"{url}/portal/jwks",
    )  # fmt: skip
    behind = Behind(trusted)
    app = application(settings)
    async with behind.client, serving(behind.app(), inner), serving(app, port):
        yield Place(url, issuer, behind, settings)


type AtProvider = Callable[[httpx.AsyncClient, str], Any]
"""What a person does at a provider, sent there: the address at which the browser comes back."""


def at_provider_with(username: str, password: str) -> AtProvider:
    """What the form of our own provider's sign-in page sends."""

    async def there_and_back(browser: httpx.AsyncClient, there: str) -> str:
        asked = dict(parse_qsl(urlsplit(there).query))
        form = {**asked, "username": username, "password": password}
        answer = await browser.post(there.partition("?")[0], data=form)
        assert answer.status_code == 303, answer.text
        return answer.headers["location"]

    return there_and_back


at_own_provider = at_provider_with("principal", demo_password("principal"))
"""One click on the sign-in page of the demonstration."""


async def at_mock_provider(browser: httpx.AsyncClient, there: str) -> str:
    """The form of `oidc-provider-mock`."""
    answer = await browser.post(there, data={"sub": "principal"})
    assert answer.is_redirect, answer.text
    return answer.headers["location"]


async def sign_in(
    browser: httpx.AsyncClient, at_provider: AtProvider = at_own_provider, to: str = "/"
) -> httpx.Response:
    """The whole way there and back; the answer that brings the session."""
    there = await browser.get("/auth/sign-in", params={"to": to})
    assert there.status_code == 303, there.text
    return await browser.get(await at_provider(browser, there.headers["location"]))


async def csrf(browser: httpx.AsyncClient) -> dict[str, str]:
    """What a page of the portal sends along to change anything."""
    session = (await browser.get("/session")).json()
    return {"Houqin-Csrf": session["csrf"]}
