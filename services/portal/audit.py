"""Who did what when, of all services in one list (操作记录): `GET /portal/audit`, and as a file.

Each service answers from its own log what the caller may see of it. Here the answers are put
together by the moment of recording, so far as every service has already been looked through.
"""

from __future__ import annotations

import asyncio
import base64
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import partial
from heapq import merge
from itertools import islice, takewhile
from typing import Any
from urllib.parse import urlencode

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from services.portal.exports import Book, Declined, Exports, passed_on
from services.portal.fields import Made
from services.portal.page import NO_STORE
from services.portal.proxy import Gateway
from services.portal.shelf import Shelf
from services.portal.signing_in import SigningIn
from shared.asked import whole_of
from shared.problems import Problem

LIMIT, LIMIT_MAX = 50, 500
FILE_PAGE = 500
NARROWING = ("unit", "person", "kind", "stream", "since", "until")
LONG_AGO = datetime(1, 1, 1, tzinfo=UTC)

LABEL = {"zh": "操作记录", "en": "Audit trail"}
COLUMNS = {
    "recorded_at": ("记录时间", "Recorded"), "occurred_at": ("发生时间", "Happened"),
    "actor": ("经办人", "Who"), "unit": ("单位", "Unit"), "what": ("办了什么", "What"),
    "service": ("业务", "Service"), "thing": ("事项", "Kind of thing"),
    "stream": ("编号", "Id"), "version": ("版本", "Version"), "position": ("日志位置", "Position"),
}  # fmt: skip

type Cursors = dict[str, str | None]
"""Where each service goes on: a place in its log, nothing yet (""), or the end (None)."""


class Page(msgspec.Struct):
    """One service's answer."""

    items: list[dict[str, Any]]
    next: str | None
    reached: datetime | None

    def floor(self) -> datetime:
        """Down to where nothing of the service can come any more. Records of one moment may lie a
        little out of order in a log.
        """
        if self.next is None or self.reached is None:
            return LONG_AGO
        return min((self.reached, *map(moment_of, self.items)))


class Trail:
    """The trail of all services, as whoever is signed in may see it."""

    def __init__(self, gateway: Gateway, exports: Exports, shelf: Shelf, own: SigningIn) -> None:
        self.gateway, self.exports, self.shelf, self.own = gateway, exports, shelf, own

    async def page(self, request: Request) -> Response:
        """`GET /portal/audit?service=&unit=&person=&kind=&stream=&since=&until=&cursor=&limit=`."""
        asked = request.query_params
        limit = max(1, min(whole_of(asked.get("limit", str(LIMIT)), "limit"), LIMIT_MAX))
        try:
            items, after, away, reached = await self._next(request, self._begun(request), limit)
        except Declined as no:
            return passed_on(no.answer, request.url.path)
        answer = {"items": items, "next": _text(after), "reached": reached, "away": away}
        return Response(msgspec.json.encode(answer), 200, NO_STORE, "application/json")

    async def file(self, request: Request) -> Response:
        """`GET /portal/audit.xlsx?`: with the same question as the page's."""
        lang = self.exports.language(request)
        person = str((await self.own.posts(request))["subject"])
        view = {"name": "audit", "label": LABEL[lang]}
        columns = [
            {"name": name, "label": labels[lang == "en"], "kind": "text"}
            for name, labels in COLUMNS.items()
        ]
        whole = await asyncio.to_thread(self.shelf.whole, lang)
        fill = partial(self._fill, request, Told(whole), person)
        return await self.exports.file(request, view, columns, lang, fill)

    async def _fill(self, request: Request, told: Told, person: str, book: Book) -> None:
        after, cut = self._begun(request), False
        while any(one is not None for one in after.values()) and not cut:
            if await request.is_disconnected():
                break  # nobody waits for it: its turn is another's
            items, after, away, _ = await self._next(request, after, FILE_PAGE)
            if away:
                raise Problem("service_away")
            room = self.exports.rows_max - book.count
            cut = len(items) > room
            rows = [told.row(one) for one in items[:room]]
            await asyncio.to_thread(book.write, rows, {}.get)
        asked = {n: v for n, v in request.query_params.items() if n in (*NARROWING, "service")}
        await asyncio.to_thread(book.close, person, asked, cut=cut)

    def _begun(self, request: Request) -> Cursors:
        """Where to go on: as the cursor says, else from the top of every service asked for."""
        text = request.query_params.get("cursor", "")
        chosen = set(filter(None, request.query_params.get("service", "").split(",")))
        if not text:
            return {one: "" for one in self.gateway.addresses if not chosen or one in chosen}
        try:
            found = msgspec.json.decode(base64.urlsafe_b64decode(text), type=Cursors)
        except (ValueError, msgspec.MsgspecError) as error:
            raise Problem("cursor_broken", field="cursor") from error
        return {one: place for one, place in found.items() if one in self.gateway.addresses}

    async def _next(
        self, request: Request, before: Cursors, limit: int
    ) -> tuple[list[dict[str, Any]], Cursors, list[str], datetime | None]:
        """The next entries, where to go on after them, which services did not answer, and down to
        when it has been looked.
        """
        due = {service: place for service, place in before.items() if place is not None}
        asking = (self._ask(request, *one, limit) for one in due.items())
        answers = dict(zip(due, await asyncio.gather(*asking), strict=True))
        pages = {service: page for service, page in answers.items() if page is not None}
        items, after = merged(pages, before, limit)
        full = len(items) == limit
        floor = moment_of(items[-1]) if full else floor_of(pages.values())
        return items, after, sorted(due.keys() - pages.keys()), None if floor == LONG_AGO else floor

    async def _ask(self, request: Request, service: str, cursor: str, limit: int) -> Page | None:
        """A service's page; None where it does not answer; raises `Declined`."""
        asked = {name: request.query_params.get(name, "") for name in NARROWING}
        query = {n: v for n, v in {**asked, "cursor": cursor, "limit": limit}.items() if v != ""}
        path = f"/{service}/audit?{urlencode(query)}"
        try:
            answer = await self.gateway.read(service, request, path, method="GET")
        except Problem as error:
            if error.slug in {"service_away", "outcome_unknown"}:
                return None
            raise
        if not answer.is_success:
            raise Declined(answer)
        return msgspec.json.decode(answer.content, type=Page)


class Told:
    """Entries in the words of one language."""

    def __init__(self, whole: Made) -> None:
        self.lang = whole["lang"]
        self.services = {one["name"]: one["label"] for one in whole["services"]}
        self.things = {
            (one["name"], kind["name"]): kind["label"]
            for one in whole["services"]
            for kind in one["aggregates"]
        }

    def row(self, entry: Mapping[str, Any]) -> dict[str, Any]:
        """An entry as a row of the file."""
        service, unit = entry["service"], entry["organisation"]
        return {
            **entry,
            "unit": unit["name"] or unit["id"],
            "what": entry["words"][self.lang],
            "service": self.services.get(service, service),
            "thing": self.things.get((service, entry["aggregate"]), entry["aggregate"]),
            "version": str(entry["version"]),
        }


def moment_of(item: Mapping[str, Any]) -> datetime:
    """When an entry was recorded."""
    return datetime.fromisoformat(item["recorded_at"])


def floor_of(pages: Iterable[Page]) -> datetime:
    """Down to where every one of them has been looked through."""
    return max((page.floor() for page in pages), default=LONG_AGO)


def merged(
    pages: Mapping[str, Page], before: Cursors, limit: int
) -> tuple[list[dict[str, Any]], Cursors]:
    """The newest entries of all pages, down to where each service has been looked through; and
    where each goes on.
    """
    floor = floor_of(pages.values())
    lists = [[{**item, "service": one} for item in page.items] for one, page in pages.items()]
    known = takewhile(
        lambda item: moment_of(item) >= floor, merge(*lists, key=moment_of, reverse=True)
    )
    taken = list(islice(known, limit))
    counts, after = Counter(item["service"] for item in taken), dict(before)
    for service, page in pages.items():
        count = counts[service]
        if count == len(page.items):
            after[service] = page.next
        elif count:
            after[service] = page.items[count - 1]["position"]
    return taken, after


def _text(after: Cursors) -> str | None:
    """The cursor for what follows; None at the end of every log."""
    if all(place is None for place in after.values()):
        return None
    return base64.urlsafe_b64encode(msgspec.json.encode(after)).decode()
