"""The catalogue as it is sent: `GET /portal/catalogue`, for whoever is signed in.

The first page waits for it on the slowest line, so what that page does not show comes apart: the
words of events (`GET /portal/catalogue/events`), which only a history needs.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
from collections.abc import Collection

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from services.portal.caller import People
from services.portal.catalogue import Catalogue, Contracts
from services.portal.fields import Made
from services.portal.proxy import takes_packed
from services.portal.signing_in import LANGUAGES, SigningIn
from shared.problems import Problem

SETS_MAX = 200
"""Sets of roles for which the catalogue is kept ready."""

type Packed = tuple[bytes, str]
"""Gzipped JSON and its ETag."""


class Shelf:
    """The catalogue as it is sent: made once per language and set of roles, packed, with a tag."""

    def __init__(self, services: Collection[str]) -> None:
        self.contracts = Contracts(services)
        self._whole: dict[str, Made] = {}
        self._sent: dict[tuple[str, frozenset[str], bool], Packed] = {}
        self._events: dict[str, Packed] = {}

    def whole(self, lang: str) -> Made:
        """The catalogue in one language, whoever asks; the first takes a while."""
        if lang not in self._whole:
            self._whole[lang] = Catalogue(self.contracts, lang).whole()
        return self._whole[lang]

    def sent(self, lang: str, roles: frozenset[str], administrator: bool) -> Packed:
        """All but the events, for somebody with these roles."""
        key = (lang, roles, administrator)
        if key not in self._sent:
            if len(self._sent) >= SETS_MAX:
                self._sent.clear()
            self._sent[key] = _packed(_marked(self.whole(lang), roles, administrator))
        return self._sent[key]

    def events(self, lang: str) -> Packed:
        """What each event and its fields are called, by its type."""
        if lang not in self._events:
            self._events[lang] = _packed(self.whole(lang)["events"])
        return self._events[lang]


def _packed(made: Made) -> Packed:
    content = msgspec.json.encode(made)
    return gzip.compress(content, 9, mtime=0), f'"{hashlib.sha256(content).hexdigest()[:20]}"'


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
    shown = {name: part for name, part in whole.items() if name != "events"}
    return shown | {"commands": commands, **read}


async def answer(shelf: Shelf, own: SigningIn, request: Request) -> Response:
    """`GET /portal/catalogue?lang=`: with what the caller's posts allow; 304 if unchanged."""
    known = await own.posts(request)
    lang = _language(own, request)
    roles = frozenset(post["role"] for post in known["posts"])
    # In a thread: the first of its kind takes a while, and nobody else shall wait for it.
    packed = await asyncio.to_thread(shelf.sent, lang, roles, known["administrator"])
    return _answered(request, packed, lang)


async def events(shelf: Shelf, own: SigningIn, people: People, request: Request) -> Response:
    """`GET /portal/catalogue/events?lang=`: the words of histories; 304 if unchanged."""
    await people.subject(request)
    lang = _language(own, request)
    return _answered(request, await asyncio.to_thread(shelf.events, lang), lang)


def _language(own: SigningIn, request: Request) -> str:
    lang = request.query_params.get("lang", own.language(request))
    if lang not in LANGUAGES:
        raise Problem("language_unknown", field="lang")
    return lang


def _answered(request: Request, packed: Packed, lang: str) -> Response:
    content, tag = packed
    headers = {
        "ETag": tag, "Cache-Control": "private, no-cache", "Vary": "Cookie",
        "Content-Language": lang,
    }  # fmt: skip
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    if takes_packed(request):
        headers["Content-Encoding"] = "gzip"
    else:
        content = gzip.decompress(content)
    return Response(content, 200, headers, "application/json")
