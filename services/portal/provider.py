"""A small OpenID provider for places that have none: code flow with PKCE, public clients.

OpenID Connect Core 1.0, RFC 6749 (errors), RFC 7636 (S256 only), RFC 8252 (loopback), RFC 9068
(access tokens), RFC 9207 (`iss` in the answer), RFC 9700 (refresh tokens rotate, reuse revokes).
Here are its addresses; what it decides is in `grants.py`.
"""

import asyncio
from collections.abc import Callable, Mapping
from urllib.parse import urlencode, urlsplit

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse
from starlette.datastructures import FormData, QueryParams

from services.portal import page, sign_in_page
from services.portal.grants import Provider, Refused, Settings, names
from services.portal.page import NO_STORE
from shared.clock import since_1970

PARAMETERS = (
    "response_type", "client_id", "redirect_uri", "scope", "state", "nonce",
    "code_challenge", "code_challenge_method", "ui_locales",
)  # fmt: skip


def once(form: FormData | QueryParams) -> dict[str, str]:
    """The parameters; one that occurs twice is an error (RFC 6749 §3.1)."""
    values: dict[str, str] = {}
    for name, value in form.multi_items():
        if name in values or not isinstance(value, str):
            raise Refused("invalid_request", f"{name} occurs twice or is a file")
        values[name] = value
    return values


def back(provider: Provider, asked: Mapping[str, str], answer: Mapping[str, str]) -> Response:
    """Send the browser back to the client."""
    extra = {"iss": provider.issuer}
    if "state" in asked:
        extra["state"] = asked["state"]
    uri = asked["redirect_uri"]
    joint = "&" if urlsplit(uri).query else "?"
    return RedirectResponse(f"{uri}{joint}{urlencode({**answer, **extra})}", 303, NO_STORE)


async def authorize(provider: Provider, request: Request) -> Response:
    """GET shows the form, POST checks it and sends the browser back with a code."""
    posted = request.method == "POST"
    try:
        asked = once(await request.form() if posted else request.query_params)
        client = provider.client_of(asked)
    except Refused:
        client = None
    if client is None:
        return page.html(lambda nonce: page.failure(
            nonce, "链接有误：应用或返回地址未登记。",
            "This link is wrong: the application or its return address is not registered.",
        ), 400)  # fmt: skip
    try:
        provider.check_request(asked)
    except Refused as refused:
        return back(
            provider, asked, {"error": refused.error, "error_description": refused.description}
        )
    username, problem, status = "", None, 200
    if posted:
        origin = request.headers.get("origin", "")
        own = urlsplit(provider.issuer)
        if origin not in ("", f"{own.scheme}://{own.netloc}"):
            return page.html(lambda nonce: page.failure(
                nonce, "请求来自别的网站。", "The request came from another site."
            ), 403)  # fmt: skip
        username = asked.get("username", "").strip()
        async with provider.hashing:
            outcome = await asyncio.to_thread(
                provider.accounts.check, username, asked.get("password", "")
            )
        if outcome == "accepted":
            return back(provider, asked, {"code": provider.new_code(asked, username)})
        problem, status = (page.LOCKED, 429) if outcome == "locked" else (page.WRONG, 401)
    fields = {name: asked[name] for name in PARAMETERS if name in asked}
    directory = provider.accounts.directory
    return page.html(
        lambda nonce: sign_in_page.sign_in(
            nonce, client, directory, fields, username=username, problem=problem
        ),
        status,
        asked["redirect_uri"],
    )


async def token(provider: Provider, request: Request) -> Response:
    """The token endpoint."""
    form = once(await request.form())
    if provider.accounts.client(form.get("client_id", "")) is None:
        raise Refused("invalid_client", "the client is not registered", 401)
    match form.get("grant_type"):
        case "authorization_code":
            answer = provider.redeem_code(form)
        case "refresh_token":
            answer = provider.redeem_refresh(form)
        case None:
            raise Refused("invalid_request", "grant_type is missing")
        case _:
            raise Refused("unsupported_grant_type", "authorization_code or refresh_token")
    return JSONResponse(answer, headers=NO_STORE)


def create_app(settings: Settings, clock: Callable[[], float] = since_1970) -> FastAPI:
    """The provider as an application; raises OSError or ValueError if its files are wrong."""
    provider = Provider(settings, clock)
    app = FastAPI(title="后勤身份服务 Houqin provider", openapi_url=None)

    @app.exception_handler(Refused)
    async def refused(request: Request, problem: Refused) -> JSONResponse:
        body = {"error": problem.error, "error_description": problem.description}
        headers = dict(NO_STORE)
        if problem.error == "invalid_token":
            headers["WWW-Authenticate"] = f'Bearer error="{problem.error}"'
        return JSONResponse(body, problem.status, headers)

    @app.get("/.well-known/openid-configuration")
    async def discovery() -> dict[str, object]:
        return provider.discovery()

    @app.get("/jwks")
    async def jwks() -> dict[str, object]:
        return {"keys": [provider.key.as_dict(private=False)]}

    @app.api_route("/authorize", methods=["GET", "POST"])
    async def authorize_route(request: Request) -> Response:
        return await authorize(provider, request)

    @app.post("/token")
    async def token_route(request: Request) -> Response:
        return await token(provider, request)

    @app.api_route("/userinfo", methods=["GET", "POST"])
    async def userinfo(request: Request) -> JSONResponse:
        person = provider.bearer(request.headers.get("authorization", ""))
        return JSONResponse({"sub": person.subject, **names(person)}, headers=NO_STORE)

    @app.get("/health")
    @app.get("/ready")
    async def ready() -> dict[str, str]:
        return {"status": "ready"}

    return app
