"""One origin for every service: `/api/<service>/…` is `/<service>/…` there, streamed both ways.

What was asked for and answered is passed on as it is; only who asks is said in our own words.
"""

from __future__ import annotations

import asyncio
import time
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from urllib.parse import unquote

import httpx
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from services.portal.caller import EVENT_STREAM, Callers
from services.portal.settings import Settings
from shared import observe
from shared.problems import Problem

type Check = Callable[[Request, bytes], Awaitable[None]]

BODY_BYTES_MAX = 20 * 1024 * 1024
SMALL_BYTES = 1_000
"""What is no larger goes in one packet anyway."""

ASKED = (
    "accept", "accept-encoding", "accept-language", "content-type", "houqin-after",
    "idempotency-key", "if-match", "if-none-match", "last-event-id",
)  # fmt: skip
"""What a service is told of the request."""

ANSWERED = (
    "cache-control", "content-disposition", "content-encoding", "content-length", "content-type",
    "etag", "idempotent-replayed", "last-modified", "location", "retry-after", "vary",
    "www-authenticate", "x-accel-buffering",
)  # fmt: skip
"""What the caller is told of the answer beside status and body."""

LIMITS = httpx.Limits(max_connections=None, max_keepalive_connections=100, keepalive_expiry=4)
"""A service closes a connection that was idle for 5 s: it must not be just then that one asks. Live
streams hold one each, so their number is not bounded here.
"""

DOTS = {".", ".."}
"""What would lead out of the service's own addresses."""

INERT = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
"""What a service answers is never a page of ours: a file that somebody sent in runs nothing."""


OPEN = ("public/", "log/checkpoint", "log/keys", "log/proofs/consistency")
"""What services answer without knowing who asks: what is published, and what a witness keeps. What
somebody without an account sends in comes by pages of our own, which bound it.
"""


class Gateway:
    """The services, as whoever is signed in reaches them."""

    def __init__(self, settings: Settings, callers: Callers) -> None:
        self.addresses, self.callers = settings.addresses(), callers
        self.stream_seconds = settings.stream_seconds
        timeout = httpx.Timeout(settings.service_seconds, connect=2)
        self.client = httpx.AsyncClient(trust_env=False, timeout=timeout, limits=LIMITS)

    async def pass_on(self, request: Request, check: Check) -> Response:
        """`/api/{service}/{rest}`: the service's own answer, or that it is away; if `check` raises
        nothing about what is to be passed on.
        """
        service = request.path_params["service"]
        # As it came, not decoded: what is escaped in it must stay so.
        path = request.scope["raw_path"].decode().removeprefix("/api")
        plain = unquote(path)
        # What people without an account send in comes by our pages, which bound it; not by here.
        closed = request.method not in {"GET", "HEAD"} and plain.startswith(f"/{service}/public/")
        if service not in self.addresses or not DOTS.isdisjoint(plain.split("/")) or closed:
            raise Problem("route_unknown")
        if request.url.query:
            path += f"?{request.url.query}"
        content = await bounded_body(request)
        await check(request, content)
        answer = await self.ask(service, request, path, content=content)
        live = answer.headers.get("content-type", "").startswith(EVENT_STREAM)
        body = body_of(answer, self.stream_seconds if live else None)
        kept = {name: answer.headers[name] for name in ANSWERED if name in answer.headers}
        kept["content-security-policy"] = INERT
        if _packs(request, answer):
            body = _packed(body)
            vary = ", ".join(filter(None, (kept.get("vary"), "Accept-Encoding")))
            kept |= {"content-encoding": "gzip", "vary": vary}
            del kept["content-length"]
        return StreamingResponse(
            body, answer.status_code, kept, background=BackgroundTask(answer.aclose)
        )

    async def ask(
        self,
        service: str,
        request: Request,
        path: str,
        *,
        content: bytes | None = None,
        kind: str = "",
        method: str = "",
    ) -> httpx.Response:
        """A service's answer to whoever asks us, its body still to be read; raises `service_away`
        where nothing was asked, `outcome_unknown` where it did not answer. `kind`: the content's
        type, where it is not the one that came.
        """
        headers = {name: request.headers[name] for name in ASKED if name in request.headers}
        is_open = (method or request.method) == "GET" and path.startswith(
            tuple(f"/{service}/{one}" for one in OPEN)
        )
        if not is_open:
            headers["authorization"] = await self.callers.authorization(request)
        if kind:
            headers["content-type"] = kind
        trace = observe.traceparent()
        if trace is not None:
            headers["traceparent"] = trace
        url = self.addresses[service] + path
        asked = self.client.build_request(
            method or request.method, url, content=content, headers=headers
        )
        if EVENT_STREAM in headers.get("accept", ""):
            asked.extensions["timeout"] |= {"read": None}  # it may have nothing to say for long
        try:
            return await self.client.send(asked, stream=True)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise Problem("service_away") from error
        except httpx.TransportError as error:
            # It was asked and did not answer: it may have been entered.
            raise Problem("outcome_unknown") from error

    async def read(
        self, service: str, request: Request, path: str, *,
        content: bytes | None = None, kind: str = "", method: str = "",
    ) -> httpx.Response:  # fmt: skip
        """A service's whole answer; asked as in `ask`, and broken off it is `outcome_unknown`."""
        answer = await self.ask(service, request, path, content=content, kind=kind, method=method)
        await read_whole(answer)
        return answer


async def read_whole(answer: httpx.Response) -> bytes:
    """The body of an answer that is still to be read; broken off it is `outcome_unknown`."""
    try:
        return await answer.aread()
    except httpx.TransportError as error:
        raise Problem("outcome_unknown") from error
    finally:
        await answer.aclose()


async def bounded_body(request: Request, bytes_max: int = BODY_BYTES_MAX) -> bytes:
    """The request's body; refused as soon as it is too large, before it fills the memory."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > bytes_max:
            raise Problem("body_too_large")
    return bytes(body)


def takes_packed(request: Request) -> bool:
    """Whether whoever asks can unpack what is sent gzipped."""
    return "gzip" in request.headers.get("accept-encoding", "")


def _packs(request: Request, answer: httpx.Response) -> bool:
    """Whether an answer travels packed: a list of fifty rows is a tenth of its size then."""
    plain = "content-encoding" not in answer.headers
    json = answer.headers.get("content-type", "").startswith("application/json")
    wanted = request.method == "GET" and takes_packed(request)
    return plain and json and wanted and int(answer.headers.get("content-length", 0)) > SMALL_BYTES


async def _packed(parts: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    packer = zlib.compressobj(wbits=zlib.MAX_WBITS | 16)  # + 16: with gzip's head and foot
    async for part in parts:
        yield packer.compress(part)
    yield packer.flush()


async def body_of(answer: httpx.Response, seconds: float | None = None) -> AsyncIterator[bytes]:
    """The answer as it comes; a live one for so long: whoever comes back to it is asked again
    whether he is signed in.
    """
    parts, ends_at = answer.aiter_raw(), None if seconds is None else time.monotonic() + seconds
    try:
        while True:
            left = None if ends_at is None else ends_at - time.monotonic()
            yield await asyncio.wait_for(anext(parts), left)
    except (StopAsyncIteration, TimeoutError):
        return
    finally:
        await answer.aclose()
