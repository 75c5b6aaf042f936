"""Without an account: a school's page and its gate's code. With one: labels, and where they lead."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.journeys.test_chain import checklist, judged
from tests.portal.place import at_provider_with, sign_in
from tests.world import COUNTY, PASSWORD, SCHOOL, World, unit, until

pytestmark = pytest.mark.stack


@pytest.fixture
async def browser(world: World) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(
        base_url=world.stack.urls["portal"], trust_env=False, timeout=30
    ) as made:
        yield made


async def inspected(world: World) -> str:
    """An inspection of the school with two findings, both of them published."""
    body = {
        "organisation": str(unit(SCHOOL)), "checklist": await checklist(world),
        "inspectors": ["county-inspector"], "results": judged("BC"),
    }  # fmt: skip
    done = await world.api.do("county-inspector", "/safety/inspections/carry-out", body)
    url = world.stack.urls["safety"] + "/safety/public/published-corrections"
    asked = {"unit": SCHOOL, "inspection": done["id"]}

    async def published() -> bool:
        answer = await world.api.client.get(url, params=asked)
        assert answer.headers["cache-control"].startswith("public"), answer.text
        return {row["item"] for row in answer.json()["items"]} == {"B", "C"}

    await until(published)
    return str(done["id"])


async def test_a_parent_reads_the_page_and_whoever_works_there_prints_labels(
    world: World, browser: httpx.AsyncClient
) -> None:
    inspection = await inspected(world)
    page = await browser.get(f"/public/{SCHOOL}")
    assert page.status_code == 200, page.text
    for wanted in ("测试第一小学", "县级督查", "项目B", "整改中", "食谱公示"):
        assert wanted in page.text, wanted
    assert "county-inspector" not in page.text and "<script" not in page.text
    assert page.headers["cache-control"] == "public, max-age=60" and not page.cookies
    again = {"If-None-Match": page.headers["etag"]}
    assert (await browser.get(f"/public/{SCHOOL}", headers=again)).status_code == 304
    english = await browser.get(f"/public/{unit(SCHOOL)}?lang=en")
    assert english.status_code == 200 and "Being put right" in english.text
    for nowhere in (COUNTY, "nowhere", "a%2Fb"):
        assert (await browser.get(f"/public/{nowhere}")).status_code == 404, nowhere
    told = await browser.get(f"/api/safety/public/published-inspections?unit={SCHOOL}")
    assert inspection in {row["id"] for row in told.json()["items"]}
    assert (await browser.get(f"/api/safety/inspections?unit={SCHOOL}")).status_code == 401
    gate = await browser.get(f"/public/{SCHOOL}/label")
    assert f"{browser.base_url}/public/{SCHOOL}".replace("//public", "/public") in gate.text

    asked: dict[str, Any] = {"view": "inspection_register", "ids": inspection}
    closed = await browser.get("/portal/labels", params=asked)
    assert closed.status_code == 401 and "/auth/sign-in?to=" in closed.text
    await sign_in(browser, at_provider_with("head", PASSWORD))
    sheet = await browser.get("/portal/labels", params=asked)
    assert sheet.status_code == 200, sheet.text
    assert (
        "县级督查" in sheet.text and "测试第一小学" in sheet.text and sheet.text.count("<svg") == 1
    )
    assert sheet.headers["cache-control"] == "no-store"
    for wrong in ({"ids": str(unit(COUNTY))}, {"view": "nowhere"}):
        answer = await browser.get("/portal/labels", params=asked | wrong)
        assert answer.status_code == 404, wrong
    led = await browser.get(f"/go/inspection_register/{inspection}")
    assert led.headers["location"] == f"/list/inspection_register/{inspection}"
