"""The catalogue as it is sent: `GET /portal/catalogue`, for whoever is signed in."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
from collections.abc import Collection

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from services.portal.catalogue import Catalogue, Contracts
from services.portal.fields import Made
from services.portal.signing_in import LANGUAGES, SigningIn
from shared.problems import Problem

SETS_MAX = 200
"""Sets of roles for which the catalogue is kept ready."""


class Shelf:
    """The catalogue as it is sent: made once per language and set of roles, packed, with a tag."""

    def __init__(self, services: Collection[str]) -> None:
        self.contracts = Contracts(services)
        self._whole: dict[str, Made] = {}
        self._sent: dict[tuple[str, frozenset[str], bool], tuple[bytes, str]] = {}

    def whole(self, lang: str) -> Made:
        """The catalogue in one language, whoever asks; the first takes a while."""
        if lang not in self._whole:
            self._whole[lang] = Catalogue(self.contracts, lang).whole()
        return self._whole[lang]

    def sent(self, lang: str, roles: frozenset[str], administrator: bool) -> tuple[bytes, str]:
        """The gzipped JSON for somebody with these roles, and its ETag."""
        key = (lang, roles, administrator)
        if key not in self._sent:
            content = msgspec.json.encode(_marked(self.whole(lang), roles, administrator))
            packed = gzip.compress(content, 6, mtime=0)
            if len(self._sent) >= SETS_MAX:
                self._sent.clear()
            self._sent[key] = packed, f'"{hashlib.sha256(content).hexdigest()[:20]}"'
        return self._sent[key]


def _marked(whole: Made, roles: frozenset[str], administrator: bool) -> Made:
    """With `may` for every command and list; an administrator of the platform reads everything."""
    held = roles | {"administrator"} if administrator else roles
    commands = {
        name: one | {"may": not held.isdisjoint(one["roles"])}
        for name, one in whole["commands"].items()
    }
    read = {
        part: {
            name: one | {"may": administrator or not held.isdisjoint(one["roles"])}
            for name, one in whole[part].items()
        }
        for part in ("views", "routes")
    }
    return whole | {"commands": commands, **read}


async def answer(shelf: Shelf, own: SigningIn, request: Request) -> Response:
    """`GET /portal/catalogue?lang=`: with what the caller's posts allow; 304 if unchanged."""
    known = await own.posts(request)
    lang = request.query_params.get("lang", own.language(request))
    if lang not in LANGUAGES:
        raise Problem("language_unknown", field="lang")
    roles = frozenset(post["role"] for post in known["posts"])
    # In a thread: the first of its kind takes a while, and nobody else shall wait for it.
    content, tag = await asyncio.to_thread(shelf.sent, lang, roles, known["administrator"])
    headers = {"ETag": tag, "Cache-Control": "private, no-cache", "Vary": "Cookie"}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    if "gzip" in request.headers.get("accept-encoding", ""):
        headers["Content-Encoding"] = "gzip"
    else:
        content = gzip.decompress(content)
    return Response(content, 200, headers, "application/json")
