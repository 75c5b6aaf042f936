"""Labels with QR codes 二维码标签: A4 sheets of what somebody may see, and where a code leads."""

from __future__ import annotations

import asyncio
from html import escape
from typing import Any
from uuid import UUID

import httpx
import msgspec
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from services.portal import leaflet
from services.portal.catalogue import UNITS
from services.portal.fields import Made
from services.portal.page import NO_STORE
from services.portal.proxy import Gateway
from services.portal.settings import Settings
from services.portal.shelf import Shelf
from services.portal.signing_in import SigningIn
from shared.asked import uuid_of
from shared.problems import Problem

LABELS_MAX = 240
"""Ten sheets at once."""

AT_ONCE = 8
"""How many rows are read at a time."""

SHEET = 24
STYLE = """
@page{size:A4;margin:0}*{box-sizing:border-box}body{margin:0;font:9pt/1.25 system-ui,"PingFang SC",
"Microsoft YaHei",sans-serif;color:#000;background:#fff}.sheet{width:210mm;height:296mm;
padding:12.4mm 7.2mm;display:grid;grid-template-columns:repeat(3,63.5mm);column-gap:2.5mm;
grid-auto-rows:33.9mm;break-after:page;list-style:none;margin:0}.sheet:last-child{break-after:auto}
li{display:flex;align-items:center;overflow:hidden;padding:1.5mm}.code{flex:0 0 29mm}.code svg{
display:block;width:29mm;height:29mm}.text{flex:1;min-width:0;overflow-wrap:anywhere;max-height:30mm;
overflow:hidden}b{display:block;font-size:11pt}.unit{display:block;font-size:7.5pt}p{font-size:12pt;
padding:4mm 7mm;margin:0}@media print{p{display:none}}
"""
HOW = {
    "zh": "用 A4 不干胶标签纸（3×8，每张 63.5×33.9 毫米）按 100% 比例打印，页边距选“无”。",
    "en": "Print on A4 sheets of 3 × 8 labels (63.5 × 33.9 mm each) at 100 %, without margins.",
}

type Row = dict[str, Any]


class Labels:
    """Sheets of labels, and where their codes lead."""

    def __init__(self, settings: Settings, shelf: Shelf, gateway: Gateway, own: SigningIn) -> None:
        self.origin, self.shelf = settings.own_origin, shelf
        self.gateway, self.own = gateway, own

    async def sheet(self, request: Request) -> Response:
        """`GET /portal/labels?view=&ids=a,b,…`: a label for each, if all may be seen."""
        lang = request.query_params.get("lang", self.own.language(request))
        lang = lang if lang in leaflet.LANGUAGES else "zh"
        whole = await asyncio.to_thread(self.shelf.whole, lang)
        view = _view(whole, request.query_params.get("view", ""))
        named = filter(None, request.query_params.get("ids", "").split(","))
        ids = list(dict.fromkeys(uuid_of(one, "ids") for one in named))
        if not ids:
            raise Problem("filter_malformed", field="ids")
        if len(ids) > LABELS_MAX:
            raise Problem("too_many_commands", field="ids", count_max=LABELS_MAX)
        gate = asyncio.Semaphore(AT_ONCE)
        rows = await asyncio.gather(*(self._row(gate, request, view, one) for one in ids))
        owners = dict.fromkeys(row["organisation"] for row in rows)
        units = await asyncio.gather(*(self._unit(gate, request, whole, owner) for owner in owners))
        names = dict(zip(owners, units, strict=True))
        labels = [self._label(view, row, names[row["organisation"]]) for row in rows]
        sheets = (labels[at : at + SHEET] for at in range(0, len(labels), SHEET))
        body = "".join(f'<ul class="sheet">{"".join(sheet)}</ul>' for sheet in sheets)
        text = leaflet.whole(view["label"], f"<p>{HOW[lang]}</p>{body}", STYLE, lang)
        return leaflet.answer(text, STYLE, **NO_STORE)

    async def go(self, request: Request) -> Response:
        """`GET /go/{view}/{id}`: what a scanned code leads to, wherever pages move."""
        whole = await asyncio.to_thread(self.shelf.whole, "zh")
        view = _view(whole, request.path_params["view"])
        return RedirectResponse(f"/list/{view['name']}/{request.path_params['id']}", 303)

    def _label(self, view: Made, row: Row, unit: str) -> str:
        """The first two columns that name the thing, and whose it is."""
        first, *others = [str(row[name]) for name in view["title"] if row.get(name)] or [
            view["label"]
        ]
        second = f"<span>{escape(others[0])}</span>" if others else ""
        drawn = leaflet.code(f"{self.origin}/go/{view['name']}/{row['id']}", first)
        text = f'<b>{escape(first)}</b>{second}<span class="unit">{escape(unit)}</span>'
        return f'<li>{drawn}<span class="text">{text}</span></li>'

    async def _row(self, gate: asyncio.Semaphore, request: Request, view: Made, id_: UUID) -> Row:
        """The row as the caller sees it; raises what the service refuses."""
        path = view["detail"].removeprefix("/api").replace("{id}", str(id_))
        async with gate:
            answer = await self.gateway.ask(view["service"], request, path)
            try:
                await answer.aread()
            except httpx.TransportError as error:
                raise Problem("page_away") from error
            finally:
                await answer.aclose()
        if answer.status_code != 200:
            slugs = {401: "signed_out", 403: "no_post", 404: "not_found"}
            raise Problem(slugs.get(answer.status_code, "page_away"))
        row: Row = msgspec.json.decode(answer.content)
        return row["items"][0] if view["many"] else row

    async def _unit(
        self, gate: asyncio.Semaphore, request: Request, whole: Made, owner: str
    ) -> str:
        """A unit's name, where the caller may see it."""
        try:
            row = await self._row(gate, request, whole["views"][UNITS], UUID(owner))
        except Problem:
            return ""
        return str(row["name"])


def _view(whole: Made, name: str) -> Made:
    if name not in whole["views"]:
        raise Problem("not_found", field="view")
    view: Made = whole["views"][name]
    return view
