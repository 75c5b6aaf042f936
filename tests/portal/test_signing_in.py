"""Signing in and out over real HTTP: at two providers that know nothing of each other."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import asyncpg
import httpx
import oidc_provider_mock
import pytest
from joserfc import jwt

from services.portal.keys import load_key
from tests.portal.place import (
    UNIT,
    AtProvider,
    Place,
    at_mock_provider,
    at_own_provider,
    csrf,
    own_provider,
    place,
    sign_in,
)

pytestmark = pytest.mark.stack


@pytest.fixture(scope="module")
async def portal(postgres: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    folder = tmp_path_factory.mktemp("portal")
    async with own_provider(folder) as issuer, place(postgres, folder, issuer) as made:
        yield made


@pytest.fixture
async def browser(portal: Place) -> AsyncIterator[httpx.AsyncClient]:
    async with portal.browser() as made:
        yield made


@pytest.fixture(scope="module")
async def elsewhere(
    postgres: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Place]:
    """A portal whose people sign in at a provider that is not ours."""
    people = [oidc_provider_mock.User(sub="principal", claims={"name": "赵德润"})]
    with oidc_provider_mock.run_server_in_thread(user_claims=people) as server:
        issuer = f"http://localhost:{server.server_port}"
        async with place(postgres, tmp_path_factory.mktemp("elsewhere"), issuer) as made:
            yield made


def refused(answer: httpx.Response, status: int, slug: str) -> None:
    body: dict[str, Any] = answer.json()
    assert (answer.status_code, body["slug"]) == (status, slug)
    assert all(body[language]["reason"] for language in ("zh", "en"))


@pytest.mark.parametrize(
    ("where", "at", "name"),
    [("portal", at_own_provider, "演示·赵德润"), ("elsewhere", at_mock_provider, "赵德润")],
)
async def test_the_whole_way_at_two_providers(
    where: str, at: AtProvider, name: str, portal: Place, elsewhere: Place
) -> None:
    here = portal if where == "portal" else elsewhere
    async with here.browser() as browser:
        assert (await browser.get("/session")).json()["signed_in"] is False
        back = await sign_in(browser, at, "/safety/hazards?status=open")
        assert (back.status_code, back.headers["location"]) == (303, "/safety/hazards?status=open")
        cookie = next(c for c in back.headers.get_list("set-cookie") if c.startswith("houqin="))
        assert "HttpOnly" in cookie and "SameSite=lax" in cookie and "Path=/" in cookie

        session = (await browser.get("/session")).json()
        assert (session["signed_in"], session["subject"]) == (True, "principal")
        assert (session["name"], session["posts_known"]) == (name, True)
        assert session["unit"] == UNIT and session["units"] == [UNIT]
        assert not {"id_token", "secret_hash"} & session.keys()

        # A service takes our token, and sees neither cookie nor anything that tells of it.
        answer = await browser.get("/api/assets/cards?status=in_use&q=%E6%A1%8C")
        assert answer.json()["person"] == "principal"
        assert "cookie" not in here.behind.asked[-1]

        out = await browser.post("/auth/sign-out", headers=await csrf(browser))
        there = urlsplit(out.json()["to"])
        if where == "elsewhere":
            assert parse_qs(there.query)["post_logout_redirect_uri"] == [f"{here.url}/"]
        else:
            assert there.geturl() == "/"
        refused(await browser.get("/api/assets/cards"), 401, "signed_out")


async def test_a_token_of_the_provider_itself_is_passed_on(portal: Place) -> None:
    """Programs need no session; and a token that nobody we trust has signed is none."""
    from deploy.local.token import demo_password, fetch_token  # noqa: PLC0415

    token = await fetch_token(portal.issuer, "principal", demo_password("principal"))
    async with portal.browser(Authorization=f"Bearer {token}") as program:
        answer = await program.post("/api/assets/cards", content=b"{}")
        assert answer.json()["person"] == "principal"


async def test_our_own_token_is_good_for_minutes_and_from_our_key_alone(
    portal: Place, browser: httpx.AsyncClient, tmp_path: Path
) -> None:
    await sign_in(browser)
    await browser.get("/api/assets/cards")
    token = portal.behind.asked[-1]["authorization"].removeprefix("Bearer ")
    keys = load_key(portal.settings.state, "portal-key")
    made = jwt.decode(token, keys, algorithms=["RS256"])
    assert made.claims["exp"] - time.time() <= portal.settings.token_seconds
    assert (made.header["typ"], made.claims["aud"]) == ("at+jwt", portal.settings.audience)
    # Somebody else's key under our name, and the provider's name over our key: both are refused.
    forged = jwt.encode(made.header, made.claims, load_key(tmp_path, "other"), ["RS256"])
    claimed = jwt.encode(made.header, {**made.claims, "iss": portal.issuer}, keys, ["RS256"])
    for wrong in (forged, claimed):
        with pytest.raises(Exception, match="unauthenticated"):
            await portal.behind.tokens.person(f"Bearer {wrong}")


async def test_what_another_site_makes_a_browser_send_is_refused(
    portal: Place, browser: httpx.AsyncClient
) -> None:
    await sign_in(browser)
    good = await csrf(browser)
    assert (await browser.post("/api/assets/cards", headers=good)).status_code == 200
    own = {"Origin": portal.url, "Sec-Fetch-Site": "same-origin"}
    assert (await browser.post("/api/assets/cards", headers=good | own)).status_code == 200
    before = len(portal.behind.asked)
    for wrong in (
        {}, {"Houqin-Csrf": ""}, {"Houqin-Csrf": "0" * 64}, {"Houqin-Csrf": "é"},
        good | {"Origin": "http://evil.example"}, good | {"Origin": "null"},
        good | {"Sec-Fetch-Site": "cross-site"}, good | {"Sec-Fetch-Site": "same-site"},
    ):  # fmt: skip
        sent = {name.encode(): value.encode() for name, value in wrong.items()}
        refused(await browser.post("/api/assets/cards", headers=sent), 403, "csrf_refused")
    for path in ("/auth/sign-out", "/session/unit", "/session/language"):
        refused(await browser.post(path, json={"language": "en"}), 403, "csrf_refused")
    # Reading is not for other sites either.
    cross = {"Sec-Fetch-Site": "cross-site"}
    refused(await browser.get("/api/assets/cards", headers=cross), 403, "csrf_refused")
    assert len(portal.behind.asked) == before
    assert (await browser.get("/session")).json()["signed_in"]


async def test_a_session_ends_by_idleness_and_by_age(
    portal: Place, browser: httpx.AsyncClient, postgres: str
) -> None:
    connection = await asyncpg.connect(postgres)
    live = {"Accept": "text/event-stream"}
    try:
        for column, minutes in (("seen_at", 61), ("signed_in_at", 12 * 60 + 1)):
            await sign_in(browser)
            assert (await browser.get("/api/assets/cards")).status_code == 200
            # Not yet over, and then over: the database's own clock judges.
            move = f"update session set {column} = now() - make_interval(mins => $1)"
            await connection.execute(move, minutes - 2)
            assert (await browser.get("/api/assets/cards", headers=live)).status_code == 200
            await connection.execute(move, minutes)
            refused(await browser.get("/api/assets/cards"), 401, "signed_out")
        # A live stream that comes back by itself keeps nobody signed in; a person who asks does.
        await sign_in(browser)
        seen = "select extract(epoch from now() - max(seen_at)) from session"
        await connection.execute("update session set seen_at = now() - interval '50 minutes'")
        await browser.get("/api/assets/cards", headers=live)
        assert await connection.fetchval(seen) > 2000
        await browser.get("/api/assets/cards")
        assert await connection.fetchval(seen) < 2000
        assert await connection.fetchval("select count(*) from session") == 1
    finally:
        await connection.close()


async def test_people_see_and_end_their_own_sessions(portal: Place) -> None:
    async with portal.browser(**{"User-Agent": "phone"}) as phone, portal.browser() as desk:
        await sign_in(phone)
        await sign_in(desk)
        items = (await desk.get("/sessions")).json()["items"]
        assert [one["current"] for one in items].count(True) == 1
        other = next(one for one in items if one["agent"] == "phone")
        path, header = f"/sessions/{other['id']}/revoke", await csrf(desk)
        refused(await desk.post(path), 403, "csrf_refused")
        assert (await desk.post(path, headers=header)).status_code == 204
        refused(await phone.get("/api/assets/cards"), 401, "signed_out")
        refused(await desk.post(path, headers=header), 404, "not_found")


async def test_unit_and_language(portal: Place, browser: httpx.AsyncClient) -> None:
    english = {"Accept-Language": "en-GB,en"}
    assert (await browser.get("/session")).json()["language"] == "zh"
    assert (await browser.get("/session", headers=english)).json()["language"] == "en"
    answer = await browser.post("/session/language", json={"language": "en"})
    assert answer.json() == {"signed_in": False, "language": "en"}
    await sign_in(browser)
    header = await csrf(browser)
    refused(
        await browser.post("/session/language", json={"language": "fr"}, headers=header),
        422, "language_unknown",
    )  # fmt: skip
    switched = await browser.post("/session/unit", json={"unit": UNIT["id"]}, headers=header)
    assert switched.json()["unit"] == UNIT and switched.json()["language"] == "en"
    portal.behind.posts["unit"] = None  # no longer at or below a post of hers
    try:
        answer = await browser.post("/session/unit", json={"unit": UNIT["id"]}, headers=header)
        refused(answer, 403, "no_post")
    finally:
        portal.behind.posts["unit"] = UNIT


async def test_an_answer_that_this_browser_did_not_ask_for(
    portal: Place, browser: httpx.AsyncClient
) -> None:
    async with portal.browser() as other:
        there = (await other.get("/auth/sign-in")).headers["location"]
        back = await at_own_provider(other, there)
        # Somebody lays his own sign-in under another's hand: that browser never began it.
        answer = await browser.get(back)
        assert answer.status_code == 400 and "重试" not in answer.text
        assert "登录" in answer.text and 'lang="en"' in answer.text
        assert "houqin=" not in answer.headers.get("set-cookie", "")
        code = back.replace("iss=http", "iss=https")
        assert (await other.get(code)).status_code == 400
    for way in ("?error=access_denied&state=x", "", "?code=x&state="):
        assert (await browser.get(f"/auth/callback{way}")).status_code == 400
    assert not (await browser.get("/session")).json()["signed_in"]


@pytest.mark.parametrize("to", ["//evil.example", "https://evil.example", "/\\evil", "x", "/\n/e"])
async def test_a_sign_in_ends_here(browser: httpx.AsyncClient, to: str) -> None:
    assert (await sign_in(browser, to=to)).headers["location"] == "/"


async def test_without_a_provider_people_are_told(postgres: str, tmp_path: Path) -> None:
    async with place(postgres, tmp_path, "http://127.0.0.1:9") as made, made.browser() as browser:
        answer = await browser.get("/auth/sign-in?to=/x")
        assert answer.status_code == 503 and "/auth/sign-in?to=%2Fx" in answer.text
