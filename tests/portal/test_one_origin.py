"""The one origin: files as browsers keep them, services as they are, and what is said when one is
away.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from services.portal.settings import Settings
from tests.portal.place import Place, any_port, csrf, own_provider, place, sign_in

pytestmark = pytest.mark.stack

INLINE = "document.documentElement.lang='zh'"
PAGE = {"Accept": "text/html,*/*", "Accept-Encoding": "br, gzip"}
STREAM_S = 0.4


def build(folder: Path) -> None:
    """What a build leaves: a page, a hashed script with its packed forms, a worker."""
    (folder / "assets").mkdir(parents=True)
    page = f'<!doctype html><script>{INLINE}</script><script type="module" src="/assets/a-1.js">'
    (folder / "index.html").write_text(page, "utf-8")
    (folder / "sw.js").write_text("self.skipWaiting()", "utf-8")
    for name in ("assets/a-1.js", "assets/a-1.js.br", "assets/a-1.js.gz", "assets/b-2.js"):
        (folder / name).write_text(name, "utf-8")


@pytest.fixture(scope="module")
async def portal(postgres: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    folder = tmp_path_factory.mktemp("portal")
    build(folder / "web")
    settings = {"stream_seconds": STREAM_S, "service_seconds": 20}
    async with own_provider(folder) as issuer, place(postgres, folder, issuer, **settings) as made:
        yield made


@pytest.fixture
async def browser(portal: Place) -> AsyncIterator[httpx.AsyncClient]:
    async with portal.browser() as made:
        yield made


async def raw(browser: httpx.AsyncClient, path: str, **headers: str) -> tuple[httpx.Response, str]:
    """An answer and its bytes as they travel."""
    async with browser.stream("GET", path, headers=PAGE | headers) as answer:
        return answer, b"".join([part async for part in answer.aiter_raw()]).decode()


async def test_the_page_is_asked_for_again_and_allows_only_what_was_built(
    browser: httpx.AsyncClient,
) -> None:
    for path in ("/", "/index.html", "/safety/hazards", "/figures/a.b", "/sign-in?to=/x"):
        answer, text = await raw(browser, path)
        assert answer.status_code == 200 and INLINE in text
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert answer.headers["cache-control"] == "no-cache"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "same-origin"
        parts = answer.headers["content-security-policy"].split(";")
        policy = {name: value for name, _, value in (part.strip().partition(" ") for part in parts)}
        digest = base64.b64encode(hashlib.sha256(INLINE.encode()).digest()).decode()
        assert policy["script-src"] == f"'self' 'wasm-unsafe-eval' 'sha256-{digest}'"
        assert policy["frame-ancestors"] == policy["default-src"] == policy["base-uri"] == "'none'"
    again = {"If-None-Match": (await raw(browser, "/"))[0].headers["etag"]}
    assert (await raw(browser, "/", **again))[0].status_code == 304


async def test_hashed_files_are_kept_for_ever_and_come_packed(browser: httpx.AsyncClient) -> None:
    for coding, name in (("br, gzip", "a-1.js.br"), ("gzip", "a-1.js.gz"), ("", "a-1.js")):
        answer, text = await raw(browser, "/assets/a-1.js", **{"Accept-Encoding": coding})
        assert text == f"assets/{name}"
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert answer.headers["content-type"].startswith("text/javascript")
        assert answer.headers.get("content-encoding", "") == coding.partition(",")[0]
        assert answer.headers["vary"] == "Accept-Encoding"
    answer, _ = await raw(browser, "/assets/b-2.js")
    assert "content-encoding" not in answer.headers
    answer, _ = await raw(browser, "/sw.js")
    assert answer.headers["cache-control"] == "no-cache"


@pytest.mark.parametrize(
    "path",
    ["/assets/gone-3.js", "/nothing.png", "/api/canteen/x", "/portal/x", "/auth/x", "/sessions/x",
     "/assets/../../portal-key.pem", "/..%2fportal-key.pem", "/api/assets/%2e%2e/metrics/.."],
)  # fmt: skip
async def test_what_is_no_page_is_not_found(browser: httpx.AsyncClient, path: str) -> None:
    answer = await browser.get(path, headers=PAGE)
    assert (answer.status_code, answer.json()["slug"]) == (404, "route_unknown")


async def test_before_the_first_build_people_are_told(postgres: str, tmp_path: Path) -> None:
    async with place(postgres, tmp_path, "http://127.0.0.1:9") as made, made.browser() as browser:
        answer = await browser.get("/", headers=PAGE)
        assert answer.status_code == 503 and "make web" in answer.text
        build(made.settings.web)
        assert (await browser.get("/", headers=PAGE)).status_code == 200


async def test_what_is_asked_and_answered_is_passed_on_as_it_is(
    portal: Place, browser: httpx.AsyncClient
) -> None:
    await sign_in(browser)
    own = {
        "Idempotency-Key": "k-1", "If-Match": '"3"', "Houqin-After": "assets;1.2.3",
        "Content-Type": "application/json", "Accept-Language": "en", "X-Forwarded-User": "root",
    }  # fmt: skip
    path = "/api/assets/cards/7%20a/place?q=%E6%A1%8C&q=b"
    answer = await browser.post(path, content='{"place":"二楼"}', headers=own | await csrf(browser))
    told, heard = answer.json(), portal.behind.asked[-1]
    assert (told["method"], told["path"]) == ("POST", "/assets/cards/7 a/place")
    assert (told["query"], told["body"]) == ("q=%E6%A1%8C&q=b", '{"place":"二楼"}')
    for name in ("idempotency-key", "if-match", "houqin-after", "content-type", "accept-language"):
        assert heard[name] == {key.lower(): value for key, value in own.items()}[name]
    assert not {"cookie", "houqin-csrf", "x-forwarded-user"} & heard.keys()
    assert answer.headers["etag"] == '"7"' and "x-inner" not in answer.headers
    # Whatever somebody has sent in as a file runs nothing here.
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_a_long_answer_travels_packed_to_whoever_can_unpack_it(
    browser: httpx.AsyncClient,
) -> None:
    await sign_in(browser)
    long = f"/api/assets/cards?q={'%E6%A1%8C' * 500}"
    answer = await browser.get(long, headers={"Accept-Encoding": "gzip"})
    assert answer.headers["content-encoding"] == "gzip" and answer.headers["etag"] == '"7"'
    assert answer.headers["vary"] == "Accept-Encoding"
    assert answer.json()["query"] == long.partition("?")[2]
    for path, coding in ((long, "identity"), ("/api/assets/cards?q=a", "gzip")):
        plain = await browser.get(path, headers={"Accept-Encoding": coding})
        assert "content-encoding" not in plain.headers
        assert plain.json()["query"] == path.partition("?")[2]


async def test_a_body_that_fills_the_memory_is_refused(browser: httpx.AsyncClient) -> None:
    await sign_in(browser)
    answer = await browser.post(
        "/api/assets/cards", content=b"x" * (20 * 1024 * 1024 + 1), headers=await csrf(browser)
    )
    assert (answer.status_code, answer.json()["slug"]) == (413, "body_too_large")


async def test_a_live_stream_passes_and_is_asked_again(
    portal: Place, browser: httpx.AsyncClient
) -> None:
    """It comes at once, not when it is over; and it ends, so that sessions are looked at again."""
    await sign_in(browser)
    headers = {"Accept": "text/event-stream", "Last-Event-ID": "41.7"}
    async with browser.stream("GET", "/api/assets/stream", headers=headers) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        parts = [part async for part in answer.aiter_text()]
    assert parts == ["data: 41.7\n\n"]
    await portal.behind.left.wait()


async def test_a_service_that_is_away(postgres: str, tmp_path: Path) -> None:
    away = f"assets=http://127.0.0.1:{any_port()} organisation=http://127.0.0.1:{any_port()}"
    async with (
        own_provider(tmp_path) as issuer,
        place(postgres, tmp_path, issuer, services=away) as made,
        made.browser() as browser,
    ):
        await sign_in(browser)
        session = (await browser.get("/session")).json()
        assert session["signed_in"] and session["posts_known"] is False and session["posts"] == []
        answer = await browser.get("/api/assets/cards")
        assert (answer.status_code, answer.json()["slug"]) == (503, "service_away")
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["retry-after"] and answer.json()["zh"]["next_step"]


def test_cookies_demand_https_beyond_this_machine() -> None:
    assert Settings(origin="https://hq.example.cn").secure
    assert not Settings(origin="http://127.0.0.1:8080").secure
    assert not Settings(host="localhost").secure
    for wrong in (Settings(origin="http://hq.example.cn"), Settings(host="0.0.0.0")):
        with pytest.raises(ValueError, match="https"):
            _ = wrong.secure


async def test_any_header_is_not_somebody(browser: httpx.AsyncClient) -> None:
    stranger = {"Authorization": "Bearer no.such.token"}
    for path in ("/portal/catalogue/events", "/portal/runbook"):
        assert (await browser.get(path, headers=stranger)).status_code in {401, 503}
        assert (await browser.get(path)).status_code == 401
    await sign_in(browser)
    events = await browser.get("/portal/catalogue/events")
    assert events.status_code == 200
    assert (await browser.get("/portal/runbook")).json()["houqinkeysparked"]
