"""How all services are doing, in one answer (运行状态): `GET /portal/state`; and what to do about
what is wrong, as the runbook has it: `GET /portal/runbook`.

Each service is asked as the person who is signed in, and decides itself whether they may know.
"""

from __future__ import annotations

import asyncio
import re
import time
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from hosting.release import release
from services.portal.caller import Callers
from services.portal.exports import Declined, passed_on
from services.portal.page import NO_STORE
from services.portal.proxy import Gateway
from shared.clock import this_moment
from shared.problems import Problem

PATIENCE_S = 5.0
"""A service that does not say how it is for so long, is not well."""

RUNBOOK = Path(__file__).parent.parent.parent / "docs" / "runbook.md"
LINK = re.compile(r"\[([^\]]*)\]\([^)]*\)")
CHINESE = re.compile("[一-鿿]")


class Health:
    """Every service, asked at once."""

    def __init__(self, gateway: Gateway, callers: Callers) -> None:
        self.gateway, self.callers = gateway, callers

    async def state(self, request: Request) -> Response:
        """`GET /portal/state`: what each service says of itself, and which do not answer."""
        await self.callers.authorization(request)
        asking = (self._ask(request, service) for service in self.gateway.addresses)
        try:
            found = await asyncio.gather(*asking)
        except Declined as no:
            return passed_on(no.answer, request.url.path)
        answer = {"at": this_moment(), "release": release(), "services": found}
        return Response(msgspec.json.encode(answer), 200, NO_STORE, "application/json")

    async def _ask(self, request: Request, service: str) -> dict[str, Any]:
        """One service; raises `Declined` where the caller may not know."""
        began = time.perf_counter()
        try:
            async with asyncio.timeout(PATIENCE_S):
                answer = await self.gateway.read(
                    service, request, f"/{service}/state", method="GET"
                )
        except (TimeoutError, Problem):
            return {"name": service, "state": None, "answered_ms": None}
        if answer.status_code in {401, 403}:
            raise Declined(answer)
        told = msgspec.Raw(answer.content) if answer.is_success else None
        ms = round((time.perf_counter() - began) * 1000)
        return {"name": service, "state": told, "answered_ms": ms}

    async def runbook(self, request: Request) -> Response:
        """`GET /portal/runbook`: the paragraphs of the runbook by their names, for whom a service
        tells how it is: any one that answers, since it is needed when others do not.
        """
        await self.callers.authorization(request)
        for service in self.gateway.addresses:
            try:
                found = await self._ask(request, service)
            except Declined as no:
                return passed_on(no.answer, request.url.path)
            if found["state"] is not None:
                content = msgspec.json.encode(paragraphs())
                return Response(content, 200, NO_STORE, "application/json")
        raise Problem("service_away")


@cache
def paragraphs() -> dict[str, list[dict[str, str]]]:
    """Name in small letters -> its blocks: texts in zh or en, and code for both."""
    sections = RUNBOOK.read_text("utf-8").split("\n## ")[1:]
    named = (section.partition("\n") for section in sections)
    return {name.strip().lower(): _blocks(text) for name, _, text in named}


def _blocks(text: str) -> list[dict[str, str]]:
    made = []
    for n, part in enumerate(text.split("```")):
        if n % 2:
            made.append({"kind": "code", "text": part.strip("\n")})
            continue
        for paragraph in filter(None, map(str.strip, part.split("\n\n"))):
            kind = "zh" if CHINESE.search(paragraph) else "en"
            lines = paragraph.split("\n")
            # Lines of a Chinese paragraph are joined without a space.
            joined = ("" if kind == "zh" else " ").join(lines)
            plain = LINK.sub(r"\1", joined).replace("`", "").replace("**", "")
            made.append({"kind": kind, "text": re.sub("^(page|ticket) · ", "", plain)})
    return made
