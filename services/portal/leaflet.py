"""Pages to read and to print: no script, nothing fetched, nothing in them but text and codes."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Awaitable, Callable, Mapping
from html import escape
from urllib.parse import urlencode

import segno
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from services.portal import page
from shared.problems import Problem
from shared.words import words_of

WORDS = words_of("portal")

LEAFLET = """<!doctype html>
<html lang="{lang}"><head><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width,initial-scale=1">
<style>{style}</style></head><body>{body}</body></html>"""

LANGUAGES = {"zh": "zh-CN", "en": "en"}


def whole(title: str, body: str, style: str, lang: str) -> str:
    """A page of that title; `body` is HTML."""
    return LEAFLET.format(title=escape(title), body=body, style=style, lang=LANGUAGES[lang])


def answer(text: str, style: str, **headers: str) -> Response:
    """The page under a policy that allows nothing but its own style, named by its hash, so that
    the same page may be kept and shown again.
    """
    return _under_policy(text, style, "none", 200, headers)


def form(text: str, style: str, status: int = 200) -> Response:
    """A page that may send us what is filled in, and is kept by nobody."""
    return _under_policy(text, style, "self", status, {"Cache-Control": "no-store"})


def _under_policy(
    text: str, style: str, target: str, status: int, headers: Mapping[str, str]
) -> Response:
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; style-src 'sha256-{digest}'; frame-ancestors 'none'; base-uri 'none';"
        f" form-action '{target}'"
    )
    return HTMLResponse(text, status, {"Content-Security-Policy": policy, **headers})


def code(text: str, label: str) -> str:
    """A QR code with its quiet zone, as large as the style says; a quarter of it may be dirty."""
    drawn = segno.make(text, error="q", micro=False).svg_inline(
        border=4, omitsize=True, svgclass=None, lineclass=None
    )
    return f'<span class="code" role="img" aria-label="{escape(label)}">{drawn}</span>'


def told(
    endpoint: Callable[[Request], Awaitable[Response]],
) -> Callable[[Request], Awaitable[Response]]:
    """The endpoint with whatever it refuses said on a page, for people and not for programs."""

    async def answering(request: Request) -> Response:
        try:
            return await endpoint(request)
        except Problem as problem:
            said = problem.body(WORDS)
            zh, en = ("{reason}。{next_step}", "{reason}. {next_step}.")
            texts = zh.format(**said["zh"]), en.format(**said["en"])
            again = ""
            if problem.slug == "signed_out":
                here = f"{request.url.path}?{request.url.query}"
                again = f"/auth/sign-in?{urlencode({'to': here})}"
            return page.html(lambda nonce: page.failure(nonce, *texts, again), problem.status)

    return answering
