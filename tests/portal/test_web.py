"""The portal's web application by itself: who is let in, what is refused, and who does not answer."""

from __future__ import annotations

import asyncio
import io
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import python_calamine
from pydantic import ValidationError

from services.portal import imports
from services.portal.settings import Settings
from services.portal.web import application
from tests.portal.test_filled import ROW, filled, text
from tests.shared.identity import AUDIENCE, ISSUER, KEY, Provider, providing, signed

IMPORT, TEMPLATE = "/portal/imports/RegisterCard", "/portal/templates/RegisterCard.xlsx"
FILE = text(filled(ROW))
HEADERS = {"Authorization": f"Bearer {signed(KEY)}", "Idempotency-Key": "k"}


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port that is taken, and nobody listens at."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    async with providing(KEY) as made:
        yield made


@pytest.fixture
async def portal(
    provider: Provider, tmp_path: Path, closed_port: int
) -> AsyncIterator[httpx.AsyncClient]:
    async with at(provider, tmp_path, closed_port) as made:
        yield made


def at(provider: Provider, folder: Path, port: int) -> httpx.AsyncClient:
    """A client of a portal that looks for the assets at that port."""
    settings = Settings(
        state=folder, issuer=ISSUER, audience=AUDIENCE, jwks_url=provider.url,
        services=f"assets=http://127.0.0.1:{port}",
    )  # fmt: skip
    transport = httpx.ASGITransport(application(settings))
    return httpx.AsyncClient(transport=transport, base_url="http://portal")


def problem(answer: httpx.Response, status: int, slug: str) -> dict[str, Any]:
    body: dict[str, Any] = answer.json()
    assert (answer.status_code, body["slug"], body["status"]) == (status, slug, status)
    assert answer.headers["content-type"] == "application/problem+json"
    assert body["instance"] == answer.request.url.path
    for language in ("zh", "en"):
        assert body[language]["reason"] and body[language]["next_step"]
    return body


async def test_whoever_has_not_signed_in_gets_nothing(portal: httpx.AsyncClient) -> None:
    for answer in (await portal.get(TEMPLATE), await portal.post(IMPORT, content=FILE)):
        problem(answer, 401, "signed_out")
        assert answer.headers["www-authenticate"] == "Bearer"


async def test_a_template_to_fill_in(portal: httpx.AsyncClient) -> None:
    answer = await portal.get(TEMPLATE, headers=HEADERS)
    assert answer.status_code == 200
    assert answer.headers["content-disposition"] == 'attachment; filename="RegisterCard.xlsx"'
    book = python_calamine.CalamineWorkbook.from_filelike(io.BytesIO(answer.content))
    assert book.get_sheet_by_index(0).to_python()


async def test_what_is_refused_before_any_service_is_asked(
    portal: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def send(content: bytes, path: str = IMPORT, **headers: str) -> httpx.Response:
        return await portal.post(path, content=content, headers=HEADERS | headers)

    # A service that is not among the portal's has no commands here.
    for name in ("Nothing", "RegisterUnit"):
        problem(await send(FILE, f"/portal/imports/{name}"), 422, "command_unknown")
        answer = await portal.get(f"/portal/templates/{name}.xlsx", headers=HEADERS)
        problem(answer, 422, "command_unknown")
    bare = {"Authorization": HEADERS["Authorization"]}
    problem(await portal.post(IMPORT, content=FILE, headers=bare), 400, "key_missing")
    problem(await send(FILE, **{"Idempotency-Key": "x" * 201}), 400, "key_malformed")
    problem(await send(b"PK\x03\x04 broken"), 400, "file_unreadable")
    wrong = problem(await send(text(filled({**ROW, "colour": "red"}))), 422, "invalid")
    assert [error["field"] for error in wrong["errors"]] == ["J1"]
    monkeypatch.setattr(imports, "FILE_BYTES_MAX", len(FILE) - 1)
    problem(await send(FILE), 413, "body_too_large")


async def test_a_path_that_nobody_declared(portal: httpx.AsyncClient) -> None:
    problem(await portal.get("/portal/nothing-here"), 404, "route_unknown")
    problem(await portal.delete(IMPORT), 405, "method_unknown")


async def test_a_service_that_is_away(portal: httpx.AsyncClient) -> None:
    """It was not reached, so nothing was entered: that is said, and when to come again."""
    answer = await portal.post(IMPORT, content=FILE, headers=HEADERS)
    problem(answer, 503, "service_away")
    assert answer.headers["retry-after"]


async def test_a_service_that_ends_while_it_is_asked(provider: Provider, tmp_path: Path) -> None:
    """It may have entered all of it: the same key asks again."""

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    async with server, at(provider, tmp_path, server.sockets[0].getsockname()[1]) as portal:
        answer = await portal.post(IMPORT, content=FILE, headers=HEADERS)
    problem(answer, 503, "outcome_unknown")


async def test_it_says_how_it_is(portal: httpx.AsyncClient) -> None:
    assert (await portal.get("/health")).json() == {"status": "ok"}
    assert (await portal.get("/ready")).json() == {"status": "ready"}
    await portal.get(TEMPLATE, headers=HEADERS)
    metrics = (await portal.get("/metrics")).text
    assert 'houqin_requests_total{operation="template",outcome="200",service="portal"}' in metrics


def test_where_the_services_are() -> None:
    made = Settings(services=" assets=http://a:1/  safety=https://b:2/c ")
    assert made.addresses() == {"assets": "http://a:1", "safety": "https://b:2/c"}
    assert Settings(services="").addresses() == {}
    for wrong in ("assets", "assets=", "assets=here", "=http://a:1"):
        with pytest.raises(ValidationError):
            Settings(services=wrong)


def test_a_service_without_a_contract_is_said_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        application(Settings(state=tmp_path, services="canteen=http://a:1"))
