"""What a school publishes 公示, for anybody: `GET /public/<code or id>`.

Every view that a service declares public has its section here, by the catalogue alone. What was
read is kept for a minute, so that a whole school's parents with their phones are one reader.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import time
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import httpx
import msgspec
from starlette.requests import Request
from starlette.responses import Response

from services.portal import leaflet
from services.portal.fields import Made
from services.portal.proxy import Gateway
from services.portal.public_page import STYLE, Reader, Section
from services.portal.settings import Settings
from services.portal.shelf import Shelf
from shared.problems import Problem

ROWS, ROWS_MAX = 4, 50
"""Of each view on a school's first page; of a page that shows more, and of what belongs to rows."""

PARTS_MAX = 500
KEPT_S, KEPT_MAX = 60, 500
"""First pages are kept, so many at most; later ones are made for whoever asks."""

NAMED = re.compile(r"[\w.-]{1,64}")

type Row = dict[str, Any]
type Asked = tuple[str, str, str, str]


class Shown(msgspec.Struct):
    """A unit as a service names it."""

    code: str
    name: str


class Rows(msgspec.Struct):
    """A page of a public view."""

    unit: Shown
    items: list[Row]
    next: str | None


_ROWS = msgspec.json.Decoder(Rows)


class Disclosure:
    """The public pages of every school."""

    def __init__(self, settings: Settings, shelf: Shelf, gateway: Gateway) -> None:
        self.origin, self.shelf, self.gateway = settings.own_origin, shelf, gateway
        self._kept: OrderedDict[Asked, tuple[str, float]] = OrderedDict()

    async def school(self, request: Request) -> Response:
        """`GET /public/{unit}[?lang=][&view=&cursor=]`: the newest of everything, or more of one
        view.
        """
        unit, lang = asked_for(request)
        more = request.query_params
        asked = unit, lang, more.get("view", ""), more.get("cursor", "")
        text, made_at = self._kept.get(asked, ("", 0.0))
        if not text or time.monotonic() - made_at > KEPT_S:
            text, lasting = await self._made(*asked)
            if not lasting:
                return leaflet.answer(text, STYLE, **{"Cache-Control": "no-store"})
            if not asked[-1]:
                self._keep(asked, text)
        tag = f'"{hashlib.sha256(text.encode()).hexdigest()[:20]}"'
        headers = {"ETag": tag, "Cache-Control": f"public, max-age={KEPT_S}"}
        if tag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        return leaflet.answer(text, STYLE, **headers)

    async def label(self, request: Request) -> Response:
        """`GET /public/{unit}/label`: the page's address as a code, to print and put up."""
        unit, lang = asked_for(request)
        views = await self._views(lang)
        found = await asyncio.gather(
            *(rows_of(self.gateway, view, unit, limit="1") for view in views)
        )
        rows = next(filter(None, found), None)
        if rows is None:
            raise Problem("page_away")
        text = Reader(lang).poster(rows.unit.name, f"{self.origin}/public/{rows.unit.code}")
        headers = {"Cache-Control": f"public, max-age={KEPT_S}"}
        return leaflet.answer(text, STYLE, **headers)

    def _keep(self, asked: Asked, text: str) -> None:
        self._kept[asked] = text, time.monotonic()
        self._kept.move_to_end(asked)
        if len(self._kept) > KEPT_MAX:
            self._kept.popitem(last=False)

    async def _views(self, lang: str) -> list[Made]:
        whole = await asyncio.to_thread(self.shelf.whole, lang)
        return [view for view in whole["views"].values() if view["public"]]

    async def _made(self, unit: str, lang: str, only: str, cursor: str) -> tuple[str, bool]:
        """The page, and whether it is whole; raises `not_found` and `page_away`."""
        views = await self._views(lang)
        owners = {view["name"]: owner_of(view, views) for view in views}
        heads = [v for v in views if owners[v["name"]] is None and only in {"", v["name"]}]
        if not heads:
            raise Problem("not_found")
        asked = {"limit": str(ROWS_MAX if only else ROWS)} | ({"cursor": cursor} if cursor else {})
        found = await asyncio.gather(
            *(rows_of(self.gateway, view, unit, **asked) for view in heads)
        )
        known = next(filter(None, found), None)
        if known is None:
            raise Problem("page_away")
        parts = [(view, owner) for view in views if (owner := owners[view["name"]])]
        sections = [
            await self._section(
                view, rows, unit, [(part, by) for part, (of, by) in parts if of == view["name"]]
            )
            for view, rows in zip(heads, found, strict=True)
        ]
        text = Reader(lang).page(f"/public/{unit}", known.unit.name, sections, older=bool(only))
        return text, all(section.rows is not None for section in sections)

    async def _section(
        self, view: Made, rows: Rows | None, unit: str, parts: Sequence[tuple[Made, str]]
    ) -> Section:
        """Rows with what belongs to them; without rows where either cannot be had now."""
        if rows is None:
            return Section(view, None)
        whole: list[tuple[Made, str, Sequence[Row]]] = []
        for part, by in parts if rows.items else ():
            found = await self._belonging(part, unit, by, rows)
            if found is None:
                return Section(view, None)
            whole.append((part, by, found))
        return Section(view, rows.items, rows.next, whole)

    async def _belonging(self, part: Made, unit: str, by: str, owners: Rows) -> list[Row] | None:
        """Every row that belongs to these; None where they cannot be had now."""
        asked = {"limit": str(ROWS_MAX), by: ",".join(row["id"] for row in owners.items)}
        items: list[Row] = []
        while len(items) < PARTS_MAX:
            rows = await rows_of(self.gateway, part, unit, **asked)
            if rows is None:
                return None
            items += rows.items
            if rows.next is None:
                break
            asked["cursor"] = rows.next
        return items


async def rows_of(gateway: Gateway, view: Made, unit: str, **asked: str) -> Rows | None:
    """A page of a public view; None where it cannot be had now; raises `not_found`."""
    url = gateway.addresses[view["service"]] + view["public"]
    try:
        answer = await gateway.client.get(url, params={"unit": unit, **asked})
    except httpx.TransportError:
        return None
    if answer.status_code in {400, 404}:
        raise Problem("not_found")
    return _ROWS.decode(answer.content) if answer.status_code == 200 else None


def owner_of(view: Made, views: Sequence[Made]) -> tuple[str, str] | None:
    """The name of the public view whose rows this one's belong to, and the column that says which:
    a reference to that kind of thing, by which it can be filtered.
    """
    for column in view["columns"]:
        if column["kind"] == "ref" and column["name"] in view["filters"]:
            for other in views:
                here = other["service"] == view["service"] and other is not view
                if here and other["aggregate"] == column["ref"]["to"] != view["aggregate"]:
                    return other["name"], column["name"]
    return None


def asked_for(request: Request) -> tuple[str, str]:
    """Which school, in which language."""
    unit, lang = request.path_params["unit"], request.query_params.get("lang", "zh")
    if not NAMED.fullmatch(unit):
        raise Problem("not_found")
    return unit, lang if lang in leaflet.LANGUAGES else "zh"
