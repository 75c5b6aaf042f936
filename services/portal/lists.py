"""Many questions to services in one answer: what waits for somebody, what a search finds, and all
that a page shows of one thing.

Each question is a wait of its own on a slow line, and a browser asks six at a time.
"""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from services.portal.page import NO_STORE
from services.portal.proxy import SMALL_BYTES, Gateway, takes_packed
from services.portal.shelf import Shelf
from services.portal.signing_in import SigningIn
from shared.organisation import Level
from shared.problems import Problem

type Made = Mapping[str, Any]
type Query = dict[str, Any]
type Page = dict[str, Any]

LOOKED_THROUGH = 100
"""Rows of a task among which are the person's own; the page is told if there are more."""

FOUND_EACH = 4
"""Rows of a list that a search shows."""

WORDS_MAX = 100

PARTS = ("detail", "history", "can")
"""What a thing's page shows, by the names of the addresses in its view."""


class Caller(NamedTuple):
    """Who asks, and for which unit."""

    subject: str
    administrator: bool
    posts: Sequence[Made]
    unit: str

    def may(self, view: Made) -> bool:
        """Whether one of the posts lets them read the list at all; the service decides."""
        held = {post["role"] for post in self.posts}
        return self.administrator or not held.isdisjoint(view["roles"])


class Lists:
    """The lists of all services, as whoever asks may read them."""

    def __init__(self, shelf: Shelf, gateway: Gateway, own: SigningIn) -> None:
        self.shelf, self.gateway, self.own = shelf, gateway, own

    async def today(self, request: Request) -> Response:
        """`GET /portal/today`: per task the rows that wait for the caller, and whether there are
        more than were looked through; null where a service did not answer.
        """
        caller, catalogue = await self._caller(request), await self._catalogue()
        views = catalogue["views"]
        tasks = [one for one in catalogue["today"] if caller.may(views[one["view"]])]
        asked = (self._waiting(request, one, views[one["view"]], caller) for one in tasks)
        found = await asyncio.gather(*asked)
        named = {task["name"]: page for task, page in zip(tasks, found, strict=True)}
        return _json(request, {"tasks": named})

    async def search(self, request: Request) -> Response:
        """`GET /portal/search?q=`: the first rows that fit, by list; `away` names the services
        that did not answer.
        """
        words = request.query_params.get("q", "").strip()[:WORDS_MAX]
        if not words:
            raise Problem("filter_malformed", field="q")
        caller, catalogue = await self._caller(request), await self._catalogue()
        asked = [one for one in catalogue["views"].values() if one["search"] and caller.may(one)]
        query = {"q": words, "unit": caller.unit, "limit": FOUND_EACH}
        pages = await asyncio.gather(*(self._page(request, view, query) for view in asked))
        found = list(zip(asked, pages, strict=True))
        rows = {view["name"]: page["items"] for view, page in found if page and page["items"]}
        away = sorted({view["service"] for view, page in found if page is None})
        return _json(request, {"found": rows, "away": away})

    async def thing(self, request: Request) -> Response:
        """`GET /portal/things/{view}/{id}`: a thing as the list's detail shows it (`detail`, its
        version in the ETag), its `history`, and what may be done with it (`can`); a service's
        first no as it was said.
        """
        view = (await self._catalogue())["views"].get(request.path_params["view"])
        if view is None:
            raise Problem("route_unknown")
        id_ = quote(request.path_params["id"], safe="")
        paths = {part: view[part].removeprefix("/api").replace("{id}", id_) for part in PARTS}
        answers = await asyncio.gather(
            *(self.gateway.read(view["service"], request, path, method="GET")
              for path in paths.values())
        )  # fmt: skip
        for answer in answers:
            if not answer.is_success:
                kind = answer.headers.get("content-type", "")
                return Response(answer.content, answer.status_code, NO_STORE, kind)
        parts = dict(zip(PARTS, (msgspec.Raw(answer.content) for answer in answers), strict=True))
        return _json(request, parts, {"ETag": answers[0].headers.get("etag", "")})

    async def _caller(self, request: Request) -> Caller:
        session = await self.own.callers.required(request)
        held = await self.own.held(request, session.unit)
        unit = held["unit"]["id"] if held["unit"] else ""
        return Caller(session.subject, held["administrator"], held["posts"], unit)

    async def _catalogue(self) -> Made:
        # In a thread: the first takes a while. The language makes no difference here.
        return await asyncio.to_thread(self.shelf.whole, "zh")

    async def _waiting(
        self, request: Request, task: Made, view: Made, caller: Caller
    ) -> Page | None:
        query: Query = {name: ",".join(values) for name, values in task["filters"].items()}
        if task.get("person") in view["filters"]:
            query[task["person"]] = caller.subject
        query |= {"sort": task.get("sort", ""), "unit": caller.unit, "limit": LOOKED_THROUGH}
        page = await self._page(request, view, query)
        if page is None:
            return None
        rows = [row for row in page["items"] if waits_for(task, row, caller.subject, caller.posts)]
        return {"items": rows, "more": bool(page["next"])}

    async def _page(self, request: Request, view: Made, query: Query) -> Page | None:
        """The first page of a list; empty if it is not the caller's, None if nobody answered."""
        asked = urlencode({name: value for name, value in query.items() if value})
        path = f"{view['path'].removeprefix('/api')}?{asked}"
        try:
            answer = await self.gateway.read(view["service"], request, path, method="GET")
        except Problem:
            return None
        if answer.is_server_error:
            return None
        if not answer.is_success:
            return {"items": [], "next": None}
        return msgspec.json.decode(answer.content, type=dict[str, Any])


def waits_for(task: Made, row: Made, subject: str, posts: Sequence[Made]) -> bool:
    """Whether a row waits for this person: by name, or by a post, at the level where they hold
    it; a task that names neither waits for everybody who sees it.
    """
    if "person" in task:
        return bool(row[task["person"]] == subject)
    if "role" not in task:
        return True
    level = task.get("level")
    return any(
        post["role"] == row[task["role"]]
        and (level is None or row[level] == Level[post["unit"]["level"].upper()])
        for post in posts
    )


def _json(request: Request, body: object, more: Mapping[str, str] | None = None) -> Response:
    """Packed, where that is worth it: rows are a tenth of their size then."""
    content, headers = msgspec.json.encode(body), {**NO_STORE, **(more or {})}
    if len(content) > SMALL_BYTES and takes_packed(request):
        content = gzip.compress(content, 6, mtime=0)
        headers["Content-Encoding"] = "gzip"
    return Response(content, 200, headers, "application/json")
