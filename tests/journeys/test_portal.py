"""A person at the portal: signed in by the browser's way, with everything through the one origin."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import uuid4

import httpx
import pytest

from tests.portal.place import at_provider_with, csrf, sign_in
from tests.world import CLASS, COUNTY, PASSWORD, SCHOOL, SIBLING, World, unit

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

    can = (await browser.get(hazards["can"].replace("{id}", hazard))).json()
    assert {one["command"] for one in can["items"]} == {
        name for name in hazards["commands"] if made["commands"][name]["params"] == ["id"]
    }
    for one in can["items"]:
        # What needs no field was decided, what needs some was not; a no says why.
        if one["may"] is False and one["problem"] is not None:
            assert one["problem"]["zh"]["reason"] and one["problem"]["en"]["reason"]
        assert one["may"] <= made["commands"][one["command"]]["may"]
    assert any(one["may"] for one in can["items"])

    past = (await browser.get(hazards["history"].replace("{id}", hazard))).json()["items"]
    assert past[0]["actor"] == "head" and past[0]["words"]["zh"] and past[0]["words"]["en"]
    known = {field["name"] for field in made["events"][past[0]["type"]]["fields"]}
    assert set(past[0]["data"]) <= known
