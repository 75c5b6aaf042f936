"""A school's complaint box 投诉信箱, for whoever scans the poster at its gate.

It holds nothing: what is filed goes to organisation at once, under a receipt that the form was made
with, so that pressing the button again files nothing twice. How much comes from one address is
bounded here, how much for one school there.
"""

from __future__ import annotations

import asyncio
import ipaddress
import secrets
import time
from collections import OrderedDict
from typing import Any
from urllib.parse import parse_qsl

import httpx
import msgspec
from starlette.requests import Request
from starlette.responses import Response

from hosting.allowance import Allowances
from services.portal.complaint_page import STYLE, Box
from services.portal.fields import Made
from services.portal.leaflet import form
from services.portal.proxy import Gateway, bounded_body
from services.portal.public import KEPT_MAX, KEPT_S, asked_for, rows_of
from services.portal.settings import Settings
from services.portal.shelf import Shelf
from shared.problems import FieldError, Problem
from shared.words import words_of

LETTERS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
RECEIPT = 16
BYTES_MAX = 16 * 1024
WORDS = words_of("portal")

COMMAND, LIST, PUBLISHED = "FileComplaint", "complaint_list", "published_complaints"
FILE, FOLLOW = "/organisation/public/complaints", "/organisation/public/complaints/status"

type Answer = dict[str, Any]


class Complaints:
    """The complaint boxes of all schools."""

    def __init__(self, settings: Settings, shelf: Shelf, gateway: Gateway) -> None:
        self.shelf, self.gateway = shelf, gateway
        self.filed = Allowances(settings.complaints_per_address_h, "too_many_complaints")
        self.tried = Allowances(settings.forms_per_address_h, "too_many_complaints")
        self.followed = Allowances(settings.forms_per_address_h, "too_many_readers")
        self._names: OrderedDict[str, tuple[str, float]] = OrderedDict()

    async def file(self, request: Request) -> Response:
        """`GET`: the form. `POST`: what was filled in; its receipt, or what is wrong with it."""
        box, unit = await self._box(request)
        if request.method == "GET":
            return form(box.form(_receipt(), {}, (), ""), STYLE)
        values = await _values(request)
        receipt, trapped = values.get("receipt", ""), values.pop("website", "")
        try:
            status, answer = await self._file(request, trapped, {**values, "unit": unit})
        except Problem as problem:
            said = problem.body(WORDS)[box.lang]["reason"]
            return form(box.form(receipt, values, (), said), STYLE, problem.status)
        except httpx.TransportError:
            return form(box.form(receipt, values, (), box.texts["away"]), STYLE, 503)
        if status == 201:
            return form(box.filed(receipt, answer), STYLE)
        errors = [FieldError(**one) for one in answer["errors"] if one["field"] in box.fields]
        said = "" if errors else answer[box.lang]["reason"]
        return form(box.form(receipt, values, errors, said), STYLE, status)

    async def follow(self, request: Request) -> Response:
        """`GET`: where a receipt is entered. `POST`: how far its complaint has come."""
        box, _ = await self._box(request)
        if request.method == "GET":
            return form(box.asked("", unknown=False), STYLE)
        receipt = (await _values(request)).get("receipt", "")
        try:
            self.followed.take(_address(request), time.monotonic())
            status, answer = await self._ask(FOLLOW, {"receipt": receipt})
        except Problem as problem:
            said = problem.body(WORDS)[box.lang]["reason"]
            return form(box.asked(receipt, unknown=False, said=said), STYLE, problem.status)
        except httpx.TransportError as error:
            raise Problem("page_away") from error
        if status == 200:
            return form(box.status(answer), STYLE)
        if status == 404:
            return form(box.asked(receipt, unknown=True), STYLE, status)
        said = answer[box.lang]["reason"]
        return form(box.asked(receipt, unknown=False, said=said), STYLE, status)

    async def _file(self, request: Request, trapped: str, body: Answer) -> tuple[int, Answer]:
        """Refuses what comes too often, and what no person fills in: they do not see that field.
        A form that was wrong may be corrected: only what is filed counts as filed.
        """
        if trapped:
            raise Problem("too_many_complaints")
        address, now = _address(request), time.monotonic()
        self.tried.take(address, now)
        self.filed.take(address, now)
        status = 0
        try:
            status, answer = await self._ask(FILE, body)
        finally:
            if status != 201:
                self.filed.give_back(address)
        return status, answer

    async def _box(self, request: Request) -> tuple[Box, str]:
        """The pages of the school that is asked for, and its id; raises `not_found`."""
        unit, lang = asked_for(request)
        whole = await asyncio.to_thread(self.shelf.whole, lang)
        name = await self._name(whole["views"][PUBLISHED], unit)
        command, view = whole["commands"][COMMAND], whole["views"][LIST]
        return Box(lang, name, f"/public/{unit}", command, view), unit

    async def _name(self, view: Made, unit: str) -> str:
        """The school's name, kept for a while: a form is asked for more often than schools are
        renamed.
        """
        name, kept_at = self._names.get(unit, ("", 0.0))
        if name and time.monotonic() - kept_at <= KEPT_S:
            return name
        rows = await rows_of(self.gateway, view, unit, limit="1")
        if rows is None:
            raise Problem("page_away")
        self._names[unit] = rows.unit.name, time.monotonic()
        self._names.move_to_end(unit)
        if len(self._names) > KEPT_MAX:
            self._names.popitem(last=False)
        return rows.unit.name

    async def _ask(self, path: str, body: Answer) -> tuple[int, Answer]:
        """Status and answer; raises `page_away` where something else answers for the service."""
        url = self.gateway.addresses["organisation"] + path
        answer = await self.gateway.client.post(url, content=msgspec.json.encode(body))
        try:
            return answer.status_code, msgspec.json.decode(answer.content, type=dict)
        except msgspec.MsgspecError as error:
            raise Problem("page_away") from error


def _receipt() -> str:
    return "".join(secrets.choice(LETTERS) for _ in range(RECEIPT))


async def _values(request: Request) -> dict[str, str]:
    """What a form of these pages sent; raises `csrf_refused` for one of another place."""
    if request.headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
        raise Problem("csrf_refused")
    content = await bounded_body(request, BYTES_MAX)
    # Browsers send a line's end as two characters; a limit in characters counts one.
    pairs = parse_qsl(content.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=20)
    return {name: value.replace("\r\n", "\n") for name, value in pairs}


def _address(request: Request) -> str:
    """Where somebody comes from; of an IPv6 address, what one household has to itself."""
    host = request.client.host if request.client else ""
    try:
        known = ipaddress.ip_address(host)
    except ValueError:
        return host
    return host if known.version == 4 else str(ipaddress.ip_network(f"{host}/64", strict=False))
