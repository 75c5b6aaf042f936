"""The built web application as files: what never changes is kept for ever, the page never, and the
page's policy allows nothing but what was built.
"""

from __future__ import annotations

import base64
import hashlib
import mimetypes
import re
from collections.abc import Iterable
from pathlib import Path
from typing import override

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from services.portal import page

POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'{scripts}; style-src 'self'{styles};"
    " style-src-attr 'unsafe-inline'; img-src 'self' data: blob:; media-src 'self' blob:;"
    " font-src 'self' data:; connect-src 'self'; worker-src 'self'; manifest-src 'self';"
    " form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
"""Scripts and styles are our own files, and those inside the page by their hash. Charts position
their tips by style attributes, which can do no harm that scripts are needed for.
"""

FOREVER = "public, max-age=31536000, immutable"
PACKED = {"br": ".br", "gzip": ".gz"}
"""What a file may lie beside, packed when it was built; the smaller first."""

SCRIPT = re.compile(r"<script(?![^>]*\ssrc=)[^>]*>(.*?)</script>", re.DOTALL)
STYLE = re.compile(r"<style[^>]*>(.*?)</style>", re.DOTALL)

RESERVED = frozenset({
    "api", "auth", "go", "health", "metrics", "portal", "public", "ready", "session", "sessions",
})  # fmt: skip
"""First parts of paths that belong to the portal itself and never to a page."""

FOLDERS = frozenset({"assets", "icons"})
"""Where there are files alone, beside those at the root."""


class Site(StaticFiles):
    """The application's files; every address that is none of them is a page of its own."""

    def __init__(self, folder: Path) -> None:
        super().__init__(directory=folder, check_dir=False)
        self.folder = folder
        self._policy: tuple[int, str] = (0, "")

    @override
    async def check_config(self) -> None:
        """Nothing to check: the application may be built after the portal has started."""

    @override
    async def get_response(self, path: str, scope: Scope) -> Response:
        accepted = Headers(scope=scope)
        path = "index.html" if path == "." else path
        try:
            answer = await self._file(path, scope, accepted)
        except HTTPException as error:
            if error.status_code != 404 or not _is_page(path, accepted):
                raise
            answer = await self._page(scope, accepted)
        return answer

    async def _page(self, scope: Scope, accepted: Headers) -> Response:
        try:
            answer = await self._file("index.html", scope, accepted)
        except HTTPException:
            return page.html(lambda nonce: page.failure(nonce, *page.NOT_BUILT), 503)
        return answer

    async def _file(self, path: str, scope: Scope, accepted: Headers) -> Response:
        for coding, ending in PACKED.items():
            if coding in accepted.get("accept-encoding", ""):
                _, found = self.lookup_path(path + ending)
                if found is not None:
                    answer = await super().get_response(path + ending, scope)
                    answer.headers["Content-Encoding"] = coding
                    break
        else:
            answer = await super().get_response(path, scope)
        kind, _ = mimetypes.guess_type(path)
        answer.headers["Content-Type"] = kind or "application/octet-stream"
        answer.headers["Vary"] = "Accept-Encoding"
        answer.headers["Cache-Control"] = FOREVER if path.startswith("assets/") else "no-cache"
        if path == "index.html":
            answer.headers["Content-Type"] = "text/html; charset=utf-8"
            answer.headers["Content-Security-Policy"] = self._policy_of(self.folder / path)
        return answer

    def _policy_of(self, index: Path) -> str:
        """The page's policy, with the hashes of what it holds itself (CSP 3 §2.3.1)."""
        changed = index.stat().st_mtime_ns
        if self._policy[0] != changed:
            text = index.read_text("utf-8")
            scripts, styles = _hashes(SCRIPT.findall(text)), _hashes(STYLE.findall(text))
            self._policy = changed, POLICY.format(scripts=scripts, styles=styles)
        return self._policy[1]


def _is_page(path: str, accepted: Headers) -> bool:
    """Whether a page is meant: `/figures/assets.repairs_done` is, `/sw-old.js` is a file."""
    first = path.partition("/")[0]
    file = path != "index.html" and (first in FOLDERS or "." in first)
    return "text/html" in accepted.get("accept", "") and first not in RESERVED and not file


def _hashes(texts: Iterable[str]) -> str:
    digests = (hashlib.sha256(text.encode()).digest() for text in texts)
    return "".join(f" 'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
