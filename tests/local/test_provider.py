"""The identity provider, as a client sees it: everything that must be refused is tried."""

import base64
import hashlib
import html
import re
import tomllib
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import argon2
import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from deploy.local.supervisor import ACCOUNTS
from services.portal.accounts import LOCK_S, Accounts, Client
from services.portal.grants import CODE_S, REFRESH_S, Settings
from services.portal.provider import create_app

ISSUER = "http://127.0.0.1:20001"
VERIFIER = "v" * 64
CHALLENGE = (
    base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).decode().rstrip("=")
)
ASKED = {
    "response_type": "code", "client_id": "houqin-portal", "state": "s1", "nonce": "n1",
    "redirect_uri": "http://127.0.0.1:9999/auth/callback", "scope": "openid profile offline_access",
    "code_challenge": CHALLENGE, "code_challenge_method": "S256",
}  # fmt: skip
GOOD = {"username": "principal", "password": "houqin-demo"}


class Clock:
    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def client(tmp_path: Path, clock: Clock) -> AsyncIterator[httpx.AsyncClient]:
    settings = Settings(issuer=ISSUER, accounts=ACCOUNTS, state=tmp_path / "state")
    transport = httpx.ASGITransport(app=create_app(settings, clock))
    async with httpx.AsyncClient(transport=transport, base_url=ISSUER) as made:
        yield made


async def sign_in(client: httpx.AsyncClient, **changes: str) -> httpx.Response:
    return await client.post("/authorize", data={**ASKED, **GOOD, **changes})


def query(answer: httpx.Response) -> dict[str, str]:
    assert answer.status_code == 303, answer.text
    return {k: v[0] for k, v in parse_qs(urlsplit(answer.headers["location"]).query).items()}


async def redeem(client: httpx.AsyncClient, **changes: str) -> httpx.Response:
    form = {
        "grant_type": "authorization_code", "client_id": ASKED["client_id"],
        "redirect_uri": ASKED["redirect_uri"], "code_verifier": VERIFIER,
    }  # fmt: skip
    return await client.post("/token", data={**form, **changes})


async def refresh(client: httpx.AsyncClient, token: str, **changes: str) -> httpx.Response:
    form = {"grant_type": "refresh_token", "client_id": ASKED["client_id"], "refresh_token": token}
    return await client.post("/token", data={**form, **changes})


async def tokens(client: httpx.AsyncClient) -> dict[str, str]:
    answer = await redeem(client, code=query(await sign_in(client))["code"])
    assert answer.status_code == 200, answer.text
    body: dict[str, str] = answer.json()
    return body


async def test_the_whole_flow(client: httpx.AsyncClient, clock: Clock) -> None:
    where = (await client.get("/.well-known/openid-configuration")).json()
    assert where["issuer"] == ISSUER
    form = await client.get("/authorize", params=ASKED)
    assert form.status_code == 200
    assert "演示·赵德润" in form.text
    back = query(await sign_in(client))
    assert (back["state"], back["iss"]) == ("s1", ISSUER)
    answer = await redeem(client, code=back["code"])
    assert answer.headers["cache-control"] == "no-store"
    body = answer.json()
    keys = KeySet.import_key_set((await client.get("/jwks")).json())
    access = jwt.decode(body["access_token"], keys, algorithms=["RS256"])
    assert access.header["typ"] == "at+jwt"
    assert access.header["kid"]
    assert access.claims["aud"] == "houqin"
    assert access.claims["sub"] == "principal"
    assert access.claims["client_id"] == "houqin-portal"
    assert access.claims["exp"] - clock.now == body["expires_in"] == 900
    assert {"iss", "iat", "jti", "scope", "name"} <= access.claims.keys()
    identity = jwt.decode(body["id_token"], keys, algorithms=["RS256"]).claims
    assert (identity["aud"], identity["nonce"]) == ("houqin-portal", "n1")
    headers = {"Authorization": f"Bearer {body['access_token']}"}
    assert (await client.get("/userinfo", headers=headers)).json()["sub"] == "principal"
    clock.now += 901
    assert (await client.get("/userinfo", headers=headers)).status_code == 401


async def test_the_key_is_made_once_without_its_private_part_shown(
    client: httpx.AsyncClient, tmp_path: Path, clock: Clock
) -> None:
    shown = (await client.get("/jwks")).json()["keys"][0]
    assert not {"d", "p", "q"} & shown.keys()
    assert (tmp_path / "state" / "provider-key.pem").stat().st_mode & 0o077 == 0
    settings = Settings(issuer=ISSUER, accounts=ACCOUNTS, state=tmp_path / "state")
    again = httpx.ASGITransport(app=create_app(settings, clock))
    async with httpx.AsyncClient(transport=again, base_url=ISSUER) as second:
        assert (await second.get("/jwks")).json()["keys"][0] == shown


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge": ""}, "invalid_request"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"scope": "profile"}, "invalid_scope"),
        ({"scope": "openid root"}, "invalid_scope"),
        ({"prompt": "none"}, "login_required"),
    ],
)
async def test_a_wrong_request_goes_back_to_the_client(
    client: httpx.AsyncClient, changes: dict[str, str], error: str
) -> None:
    back = query(await client.get("/authorize", params={**ASKED, **changes}))
    assert (back["error"], back["state"]) == (error, "s1")
    assert query(await sign_in(client, **changes))["error"] == error


@pytest.mark.parametrize(
    "changes",
    [
        {"client_id": "nobody"},
        {"redirect_uri": "http://evil.example/auth/callback"},
        {"redirect_uri": "http://127.0.0.1:9999/other"},
        {"redirect_uri": "http://127.0.0.1@evil.example/auth/callback"},
        {"redirect_uri": "https://127.0.0.1/auth/callback"},
    ],
)
async def test_an_unknown_address_is_never_redirected_to(
    client: httpx.AsyncClient, changes: dict[str, str]
) -> None:
    for answer in (
        await client.get("/authorize", params={**ASKED, **changes}),
        await sign_in(client, **changes),
    ):
        assert answer.status_code == 400
        assert "location" not in answer.headers


async def test_a_parameter_given_twice_is_refused(client: httpx.AsyncClient) -> None:
    answer = await client.get("/authorize", params=[*ASKED.items(), ("client_id", "houqin-cli")])
    assert answer.status_code == 400


async def test_a_form_from_another_site_is_refused(client: httpx.AsyncClient) -> None:
    answer = await client.post(
        "/authorize", data={**ASKED, **GOOD}, headers={"Origin": "http://evil.example"}
    )
    assert answer.status_code == 403


async def test_a_wrong_verifier_spends_the_code(client: httpx.AsyncClient) -> None:
    code = query(await sign_in(client))["code"]
    assert (await redeem(client, code=code, code_verifier="x" * 64)).json()[
        "error"
    ] == "invalid_grant"
    assert (await redeem(client, code=code)).json()["error"] == "invalid_grant"


async def test_a_code_expires(client: httpx.AsyncClient, clock: Clock) -> None:
    code = query(await sign_in(client))["code"]
    clock.now += CODE_S
    answer = await redeem(client, code=code)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")


async def test_a_code_used_twice_ends_what_it_led_to(client: httpx.AsyncClient) -> None:
    code = query(await sign_in(client))["code"]
    first = (await redeem(client, code=code)).json()
    assert (await redeem(client, code=code)).json()["error"] == "invalid_grant"
    assert (await refresh(client, first["refresh_token"])).json()["error"] == "invalid_grant"


@pytest.mark.parametrize(
    "changes",
    [{"client_id": "houqin-cli"}, {"redirect_uri": "http://127.0.0.1:1/auth/callback"}],
)
async def test_a_code_is_bound_to_its_client_and_address(
    client: httpx.AsyncClient, changes: dict[str, str]
) -> None:
    code = query(await sign_in(client))["code"]
    assert (await redeem(client, code=code, **changes)).json()["error"] == "invalid_grant"


async def test_token_errors_are_those_of_the_rfc(client: httpx.AsyncClient) -> None:
    answer = await redeem(client, client_id="nobody")
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
    answer = await redeem(client, grant_type="password")
    assert (answer.status_code, answer.json()["error"]) == (400, "unsupported_grant_type")
    answer = await client.post("/token", data={"client_id": "houqin-portal"})
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


async def test_refresh_tokens_rotate_and_reuse_revokes(client: httpx.AsyncClient) -> None:
    first = (await tokens(client))["refresh_token"]
    second = (await refresh(client, first)).json()["refresh_token"]
    assert second != first
    other = await refresh(client, second, client_id="houqin-cli")
    assert other.json()["error"] == "invalid_grant"
    assert (await refresh(client, first)).json()["error"] == "invalid_grant"
    assert (await refresh(client, second)).json()["error"] == "invalid_grant"


async def test_refreshing_ends_some_time_after_the_sign_in(
    client: httpx.AsyncClient, clock: Clock
) -> None:
    token = (await tokens(client))["refresh_token"]
    clock.now += REFRESH_S - 1
    token = (await refresh(client, token)).json()["refresh_token"]
    clock.now += 2
    assert (await refresh(client, token)).json()["error"] == "invalid_grant"


@pytest.mark.parametrize("username", ["principal", "no_such_person"])
async def test_repeated_failures_lock_the_name(
    client: httpx.AsyncClient, clock: Clock, username: str
) -> None:
    for _ in range(4):
        answer = await sign_in(client, username=username, password="wrong")
        assert answer.status_code == 401
        assert "用户名或密码不对" in answer.text
    assert (await sign_in(client, username=username, password="wrong")).status_code == 429
    assert (await sign_in(client, username=username)).status_code == 429
    assert query(await sign_in(client, username="buyer"))["code"]
    clock.now += LOCK_S
    answer = await sign_in(client, username=username)
    assert answer.status_code == (303 if username == "principal" else 401)


async def test_the_page_escapes_what_it_is_given_and_allows_no_script(
    client: httpx.AsyncClient,
) -> None:
    answer = await sign_in(client, username='"><script>alert(1)</script>', password="x")
    assert "<script" not in answer.text
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    nonce = re.findall(r"nonce-([\w-]+)", policy)[0]
    assert f'nonce="{nonce}"' in answer.text


async def test_a_forged_or_foreign_token_is_refused(client: httpx.AsyncClient) -> None:
    body = await tokens(client)
    head, claims, signature = body["access_token"].split(".")
    for bad in (f"{head}.{claims}.{signature[::-1]}", body["id_token"], "x", ""):
        answer = await client.get("/userinfo", headers={"Authorization": f"Bearer {bad}"})
        assert answer.status_code == 401
        assert "invalid_token" in answer.headers["www-authenticate"]


def write(path: Path, people: str, *, demo: bool = False) -> None:
    head = f"demo = {str(demo).lower()}\n[[clients]]\nid = 'c'\nname_zh = 'c'\nname_en = 'c'\n"
    path.write_text(f"{head}redirect_uris = []\n{people}")


def person(subject: str, secret: str) -> str:
    return f"[[people]]\nsubject = '{subject}'\nname_zh = 'x'\nname_en = 'x'\n{secret}\n"


def test_hashed_passwords_and_a_changed_file(tmp_path: Path) -> None:
    path = tmp_path / "accounts.toml"
    hashed = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash("right")
    write(path, person("anna", f"argon2 = '{hashed}'"))
    accounts = Accounts(path, Clock())
    assert accounts.check("anna", "right") == "accepted"
    assert accounts.check("anna", "wrong") == "refused"
    assert accounts.check("berta", "right") == "refused"
    write(path, person("anna", f"argon2 = '{hashed}'") + person("berta", f"argon2 = '{hashed}'"))
    assert accounts.check("berta", "right") == "accepted"
    path.write_text("demo = ")  # somebody is still typing: what was read before goes on
    assert accounts.check("berta", "right") == "accepted"


def test_plain_passwords_are_for_the_demonstration_only(tmp_path: Path) -> None:
    path = tmp_path / "accounts.toml"
    write(path, person("anna", "demo_password = 'x'"))
    with pytest.raises(ValueError, match="demo = true"):
        Accounts(path, Clock())
    write(path, person("anna", ""), demo=True)
    with pytest.raises(ValueError, match="either argon2 or demo_password"):
        Accounts(path, Clock())


def test_any_port_fits_on_loopback_only() -> None:
    client = Client(
        id="c", name_zh="c", name_en="c",
        redirect_uris=("http://127.0.0.1/cb", "https://school.example/cb"),
    )  # fmt: skip
    assert client.allows("http://127.0.0.1:5555/cb")
    assert client.allows("https://school.example/cb")
    assert not client.allows("https://school.example:8443/cb")
    assert not client.allows("http://localhost:5555/cb")
    assert not client.allows("http://127.0.0.1:x/cb")
    assert not client.allows("")


@pytest.mark.parametrize(("locales", "lang"), [("zh-CN", "zh-CN"), ("en", "en"), ("", "zh-CN")])
async def test_the_demonstration_lists_its_people_and_one_click_signs_in(
    client: httpx.AsyncClient, locales: str, lang: str
) -> None:
    page = await client.get("/authorize", params={**ASKED, "ui_locales": locales})
    assert f'<html lang="{lang}">' in page.text
    people = tomllib.loads(ACCOUNTS.read_text("utf-8"))["people"]
    tongue = lang[:2]
    for person in people:
        for shown in ("name", "role", "may"):
            assert html.escape(person[f"{shown}_{tongue}"]) in page.text
    # Each person is a form of its own, and whatever it holds signs in as that person.
    forms = re.findall(r"<li><form.*?</form></li>", page.text, re.DOTALL)
    assert len(forms) == len(people)
    for form, person in zip(forms, people, strict=True):
        fields = dict(re.findall(r'name="(\w+)" value="([^"]*)"', form))
        assert fields["username"] == person["subject"] and "<button" in form
    sent = {name: html.unescape(value) for name, value in fields.items()}
    assert query(await client.post("/authorize", data=sent))["code"]
    # The same page in the other language is a link away.
    there = re.findall(r'<nav><a href="authorize\?([^"]+)"', page.text)[0]
    other = await client.get(f"/authorize?{html.unescape(there)}")
    assert f'<html lang="{"zh-CN" if lang == "en" else "en"}">' in other.text
