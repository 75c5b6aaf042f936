"""Sign in without a browser: the real code flow with PKCE, as a client library would do it.

`python -m deploy.local.token WHO [--instance NAME]` prints an access token (`make token WHO=...`).
Only imported as `deploy.local.token`; run as a script its folder would hide Python's own `token`.
"""

import argparse
import asyncio
import base64
import hashlib
import json
import secrets
import sys
import tomllib
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx

CLIENT = "houqin-cli"
REDIRECT = "http://127.0.0.1/callback"
HERE = Path(__file__).resolve()


class SignInFailed(RuntimeError):  # noqa: N818 - says what is, as the house's names do
    """The provider did not give a token; the message is what it said."""


async def fetch_tokens(
    issuer: str, username: str, password: str, *, scope: str = "openid profile"
) -> dict[str, object]:
    """All that the token endpoint answers; raises SignInFailed, or httpx.HTTPError."""
    verifier, state = secrets.token_urlsafe(48), secrets.token_urlsafe(16)
    digest = hashlib.sha256(verifier.encode()).digest()
    form = {
        "response_type": "code",
        "client_id": CLIENT,
        "redirect_uri": REDIRECT,
        "scope": scope,
        "state": state,
        "nonce": secrets.token_urlsafe(16),
        "code_challenge": base64.urlsafe_b64encode(digest).decode().rstrip("="),
        "code_challenge_method": "S256",
    }
    async with httpx.AsyncClient(trust_env=False, timeout=20) as client:
        where = (await client.get(f"{issuer}/.well-known/openid-configuration")).json()
        login = {**form, "username": username, "password": password}
        answer = await client.post(where["authorization_endpoint"], data=login)
        if answer.status_code != httpx.codes.SEE_OTHER:
            raise SignInFailed(f"{username}: sign-in refused ({answer.status_code})")
        back = parse_qs(urlsplit(answer.headers["location"]).query)
        if back.get("state") != [state] or back.get("iss") != [issuer] or "code" not in back:
            raise SignInFailed(f"{username}: {back.get('error', ['wrong state or issuer'])[0]}")
        redeem = {
            "grant_type": "authorization_code",
            "client_id": CLIENT,
            "redirect_uri": REDIRECT,
            "code": back["code"][0],
            "code_verifier": verifier,
        }
        tokens: dict[str, object] = (await client.post(where["token_endpoint"], data=redeem)).json()
    if "access_token" not in tokens:
        raise SignInFailed(f"{username}: {tokens.get('error')}: {tokens.get('error_description')}")
    return tokens


async def fetch_token(issuer: str, username: str, password: str) -> str:
    """An access token for a person; raises SignInFailed, or httpx.HTTPError."""
    return str((await fetch_tokens(issuer, username, password))["access_token"])


def demo_password(username: str) -> str:
    """The password of a person of the demonstration; raises SignInFailed."""
    accounts = tomllib.loads(HERE.with_name("accounts.toml").read_text(encoding="utf-8"))
    for person in accounts["people"]:
        if person["subject"] == username:
            return str(person["demo_password"])
    known = " ".join(person["subject"] for person in accounts["people"])
    raise SignInFailed(f"没有这个人，可用的有 · unknown; there are: {known}")


def find_issuer(instance: str) -> str:
    """The provider of a running instance, "" = the one started last; raises SignInFailed."""
    run = HERE.parents[2] / ".run"
    found = list(run.glob(f"{instance or '*'}/pids/provider.json"))
    if not found:
        raise SignInFailed("没有正在运行的实例，请先运行 make up · nothing runs: `make up` first")
    newest = max(found, key=lambda path: path.stat().st_mtime)
    ports = json.loads((newest.parents[1] / "ports.json").read_text())
    return f"http://127.0.0.1:{ports['provider']}"


def main() -> int:
    parser = argparse.ArgumentParser(description="print an access token of a demo person")
    parser.add_argument("who", nargs="?", default="principal")
    parser.add_argument("--instance", default="")
    options = parser.parse_args()
    try:
        password = demo_password(options.who)
        print(asyncio.run(fetch_token(find_issuer(options.instance), options.who, password)))
    except (SignInFailed, httpx.HTTPError) as problem:
        print(problem, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
