"""People at the portal: signed in by the browser's way, with everything through the one origin; and
without an account, reading what a school publishes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.journeys.test_chain import checklist, judged
from tests.portal.place import at_provider_with, csrf, sign_in
from tests.world import CLASS, COUNTY, PASSWORD, SCHOOL, SIBLING, World, unit, until

pytestmark = pytest.mark.stack


@pytest.fixture
async def browser(world: World) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(
        base_url=world.stack.urls["portal"], trust_env=False, timeout=30
    ) as made:
        yield made


async def test_a_day_at_the_portal(world: World, browser: httpx.AsyncClient) -> None:
    await sign_in(browser, at_provider_with("head", PASSWORD))
    session = (await browser.get("/session")).json()
    assert [post["role"] for post in session["posts"]] == ["principal"]
    assert session["unit"] == {
        "id": str(unit(SCHOOL)), "code": SCHOOL, "name": "测试第一小学", "level": "school",
    }  # fmt: skip
    header = await csrf(browser)

    async def switch(code: str) -> httpx.Response:
        return await browser.post("/session/unit", json={"unit": str(unit(code))}, headers=header)

    assert (await switch(CLASS)).json()["unit"]["name"] == "一班"
    for beyond in (SIBLING, COUNTY):
        assert (await switch(beyond)).json()["slug"] == "no_post"

    catalogue = await browser.get("/portal/catalogue", params={"lang": "zh"})
    again = {"If-None-Match": catalogue.headers["etag"]}
    assert (await browser.get("/portal/catalogue?lang=zh", headers=again)).status_code == 304
    made = catalogue.json()
    report, hazards = made["commands"]["ReportHazard"], made["views"]["hazard_register"]
    assert report["may"] and hazards["may"]

    found = await browser.get(made["views"]["unit_list"]["path"], params={"q": "csdyxx"})
    assert [row["name"] for row in found.json()["items"]] == ["测试第一小学"]

    body = {
        "organisation": session["unit"]["id"], "place": "楼梯", "what": "扶手松动",
        "category": "fire",
    }  # fmt: skip
    key = {"Idempotency-Key": uuid4().hex}
    answer = await browser.post(report["path"], json=body, headers=header | key)
    assert answer.status_code == 201, answer.text
    hazard = answer.json()["id"]
    replayed = await browser.post(report["path"], json=body, headers=header | key)
    assert replayed.json()["id"] == hazard and replayed.headers["idempotent-replayed"] == "true"

    assert (await switch(SCHOOL)).json()["unit"]["name"] == "测试第一小学"
    today = (await browser.get("/portal/today")).json()["tasks"]
    assert hazard in {row["id"] for row in today["hazards_open"]["items"]}
    assert today["hazards_to_rectify"] == {"items": [], "more": False}, "it is nobody's yet"

    found = (await browser.get("/portal/search", params={"q": "楼梯"})).json()
    assert hazard in {row["id"] for row in found["found"]["hazard_register"]}
    assert found["away"] == []
    assert (await browser.get("/portal/search")).json()["slug"] == "filter_malformed"

    answer = await browser.get(f"/portal/things/hazard_register/{hazard}")
    thing, can = answer.json(), answer.json()["can"]
    assert answer.headers["etag"] == '"1"'
    assert thing["detail"]["place"] == "楼梯"
    assert {one["command"] for one in can["items"]} == {
        name for name in hazards["commands"] if made["commands"][name]["params"] == ["id"]
    }
    for one in can["items"]:
        # What needs no field was decided, what needs some was not; a no says why.
        if one["may"] is False and one["problem"] is not None:
            assert one["problem"]["zh"]["reason"] and one["problem"]["en"]["reason"]
        assert one["may"] <= made["commands"][one["command"]]["may"]
    assert any(one["may"] for one in can["items"])

    nowhere = (await browser.get(f"/portal/things/nothing/{hazard}")).json()["slug"]
    nothing = (await browser.get(f"/portal/things/hazard_register/{uuid4()}")).json()["slug"]
    assert (nowhere, nothing) == ("route_unknown", "not_found")
    past = thing["history"]["items"]
    assert past[0]["actor"] == "head" and past[0]["words"]["zh"] and past[0]["words"]["en"]
    events = (await browser.get("/portal/catalogue/events", params={"lang": "zh"})).json()
    known = {field["name"] for field in events[past[0]["type"]]["fields"]}
    assert set(past[0]["data"]) <= known


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
    assert (await browser.get("/api/safety/log/keys")).status_code == 200, (
        "a witness needs no account"
    )
    assert (await browser.get("/api/safety/log/leaves")).status_code == 401
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
