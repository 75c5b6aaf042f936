"""The complaint box as people reach it: how much comes from one address, and what they are told."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from tests.portal.place import UNIT, any_port, place, serving

pytestmark = pytest.mark.stack

FILED = {"topic": "food", "kind": "complaint", "status": "filed", "due_on": "2026-11-06"}
BOX = "/public/1/complaint"
GOOD = {"receipt": "0" * 16, "topic": "food", "text": "周三午餐的肉没有熟"}


class Organisation:
    """What is behind: it says no as it is told to, and counts what reaches it."""

    def __init__(self) -> None:
        self.named, self.filed, self.no = 0, 0, 0

    def app(self) -> Starlette:
        box = "/organisation/public/complaints"
        return Starlette(
            routes=[
                Route("/organisation/public/published-complaints", self.name),
                Route(box, self.file, methods=["POST"]),
                Route(f"{box}/status", self.follow, methods=["POST"]),
            ]
        )

    async def name(self, _: Request) -> Response:
        self.named += 1
        return JSONResponse({"unit": UNIT, "items": [], "next": None})

    async def file(self, request: Request) -> Response:
        self.filed += 1
        if len((await request.json())["text"]) >= 5:
            return JSONResponse(FILED, 201)
        error = {"field": "text", "zh": "至少5个字", "en": "at least 5"}
        return JSONResponse({"errors": [error], **_no("有误")}, 422)

    async def follow(self, _: Request) -> Response:
        if self.no == 502:
            return PlainTextResponse("bad gateway", 502)
        return JSONResponse(_no("现在查看的人太多"), self.no)


def _no(reason: str) -> dict[str, Any]:
    return {"zh": {"reason": reason}, "en": {"reason": "no"}}


@pytest.fixture
async def behind() -> AsyncIterator[tuple[Organisation, str]]:
    made, port = Organisation(), any_port()
    async with serving(made.app(), port):
        yield made, f"http://127.0.0.1:{port}"


@pytest.fixture
async def browser(
    behind: tuple[Organisation, str], postgres: str, tmp_path: Path
) -> AsyncIterator[httpx.AsyncClient]:
    limits = {"complaints_per_address_h": 2, "forms_per_address_h": 6}
    services = f"organisation={behind[1]}"
    async with (
        place(postgres, tmp_path, "http://127.0.0.1:9", services=services, **limits) as portal,
        portal.browser() as made,
    ):
        yield made


async def test_what_is_wrong_may_be_corrected_and_what_is_filed_counts(
    browser: httpx.AsyncClient, behind: tuple[Organisation, str]
) -> None:
    organisation, _ = behind
    for _ in range(3):
        wrong = await browser.post(BOX, data=GOOD | {"text": "短"})
        assert wrong.status_code == 422 and "至少5个字" in wrong.text
    assert [(await browser.post(BOX, data=GOOD)).status_code for _ in range(3)] == [200, 200, 429]
    assert (await browser.post(BOX, data=GOOD | {"text": "短"})).status_code == 429
    assert (organisation.filed, organisation.named) == (5, 1)


async def test_a_receipt_is_unknown_only_where_the_service_says_so(
    browser: httpx.AsyncClient, behind: tuple[Organisation, str]
) -> None:
    for no, said in (
        (404, "没有这个回执"), (429, "现在查看的人太多"), (503, "现在查看的人太多"),
        (502, "暂时无法显示"),
    ):  # fmt: skip
        behind[0].no = no
        answer = await browser.post("/public/1/receipt", data={"receipt": "Z" * 16})
        assert said in answer.text and (no == 404) == ("没有这个回执" in answer.text), no
        assert answer.status_code == (503 if no == 502 else no)
    told = [await browser.post("/public/1/receipt", data={"receipt": "Z"}) for _ in range(3)]
    assert [one.status_code for one in told] == [503, 503, 429]
    assert (await browser.post(BOX, data=GOOD)).status_code == 200


async def test_nothing_is_filed_past_the_pages(
    browser: httpx.AsyncClient, behind: tuple[Organisation, str]
) -> None:
    for path in ("organisation/public/complaints", "organisation/%70ublic/complaints/status"):
        answer = await browser.post(f"/api/{path}", json=GOOD, headers={"Authorization": "x"})
        assert (answer.status_code, answer.json()["slug"]) == (404, "route_unknown")
    published = await browser.get("/api/organisation/public/published-complaints?unit=1")
    assert published.status_code == 200 and behind[0].filed == 0
