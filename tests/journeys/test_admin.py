"""Administration as people do it at the portal: who did what, which rules hold, how all is going."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import python_calamine

from shared.fields import business_day
from tests.world import COUNTY, SIBLING, World, unit, until

pytestmark = pytest.mark.stack


async def asked(world: World, who: str, path: str, **query: Any) -> httpx.Response:
    """The portal's answer to somebody's own token."""
    headers = {"Authorization": f"Bearer {await world.api.token(who)}"}
    return await world.api.client.get(
        f"{world.api.urls['portal']}{path}", params=query, headers=headers
    )


async def test_the_trail_of_a_school_across_all_services(world: World) -> None:
    school = await world.new_school()
    await world.appoint("user-0", "teacher", school)
    await world.known()
    body = {"organisation": str(unit(school)), "place": "楼梯", "what": "松动", "category": "fire"}
    hazard = await world.api.do("user-0", "/safety/hazards", body)
    query = {"unit": unit(school)}
    whole = (await asked(world, "county-officer", "/portal/audit", **query)).json()
    assert (whole["next"], whole["away"]) == (None, [])
    entries = whole["items"]
    reported = next(one for one in entries if one["stream"] == hazard["id"])
    assert (reported["service"], reported["actor"]) == ("safety", "user-0")
    assert reported["organisation"]["id"] == str(unit(school))
    assert {"organisation", "safety"} <= {one["service"] for one in entries}
    moments = [datetime.fromisoformat(one["recorded_at"]) for one in entries]
    assert moments == sorted(moments, reverse=True)

    paged: list[Any] = []
    cursor = ""
    while cursor is not None:
        answer = await asked(
            world, "county-officer", "/portal/audit", **query, limit=1, cursor=cursor
        )
        paged, cursor = paged + answer.json()["items"], answer.json()["next"]
    assert paged == entries

    narrowed = {**query, "person": "user-0", "service": "safety"}
    found = (await asked(world, "county-officer", "/portal/audit", **narrowed)).json()["items"]
    assert [one["id"] for one in found] == [reported["id"]]
    file = await asked(world, "county-officer", "/portal/audit.xlsx", **query, lang="zh")
    book = python_calamine.CalamineWorkbook.from_filelike(io.BytesIO(file.content))
    heading, *rows = book.get_sheet_by_index(0).to_python()
    assert heading[:3] == ["记录时间", "发生时间", "经办人"]
    assert len(rows) == len(entries) and "user-0" in {row[2] for row in rows}

    for beyond in ("other-officer", "user-0"):
        answer = await asked(world, beyond, "/portal/audit", **query)
        shown = answer.json().get("items", [])
        assert shown == [] and answer.status_code == (200 if beyond == "other-officer" else 403)
    proof = {"event": reported["position"]}
    path = "/safety/log/proofs/inclusion"

    async def proved() -> bool:
        return (await world.api.get("county-officer", path, **proof)).is_success

    assert await until(proved)


async def test_a_rule_of_ones_own_and_its_way_back(world: World) -> None:
    school = await world.new_school()
    slug, later = "organisation.delegation", business_day(datetime.now(UTC)) + timedelta(days=30)

    async def rule(code: str, after: str = "") -> Any:
        found = await world.api.read(
            "county-officer", "/organisation/rulebook", unit=unit(code), slug=slug, after=after
        )
        (one,) = found["items"]
        return one

    before = await rule(school)
    assert before["now"]["shipped"] and before["next"] is None
    publish = {
        "organisation": str(unit(school)), "slug": slug, "since": str(later),
        "values": {"days_max": 10}, "source_zh": "校务会", "source_en": "The school's meeting",
        "mark": "confirmed",
    }  # fmt: skip
    made = await world.api.do("county-officer", "/organisation/rules", publish)
    after = await rule(school, made["position"])
    assert after["now"] == before["now"]
    assert (after["next"]["first_day"], after["next"]["mark"]) == (str(later), "confirmed")
    assert after["next"]["region"]["id"] == str(unit(school))
    assert (await rule(SIBLING))["next"] is None
    back = {"slug": slug, "since": str(later)}
    gone = await world.api.do("county-officer", f"/organisation/rules/{made['id']}/withdraw", back)
    assert (await rule(school, gone["position"]))["next"] is None
    answer = await world.api.get("other-officer", "/organisation/rulebook", unit=unit(COUNTY))
    assert answer.json()["slug"] == "forbidden"


async def test_every_service_says_how_it_is(world: World) -> None:
    async def heard() -> Any:
        """Each worker speaks within seconds of its start."""
        told = (await asked(world, "administrator", "/portal/state")).json()
        states = [one["state"] for one in told["services"]]
        return told if all(state and state["workers"] for state in states) else None

    told = await until(heard)
    assert {one["name"] for one in told["services"]} == set(world.api.urls) - {"provider", "portal"}
    for one in told["services"]:
        checks = {(check["name"], check["of"]): check for check in one["state"]["checks"]}
        assert checks["leaders", ""]["value"] == 1
        assert ("consumer", "directory") in checks
        assert {worker["release"] for worker in one["state"]["workers"]} == {told["release"]}
        assert one["answered_ms"] is not None
    assert (await asked(world, "head", "/portal/state")).json()["slug"] == "no_post"
    assert (await asked(world, "head", "/portal/runbook")).json()["slug"] == "no_post"
    runbook = await asked(world, "administrator", "/portal/runbook")
    assert runbook.json()["houqinkeysparked"]
    answer = await world.api.client.get(f"{world.api.urls['portal']}/portal/state")
    assert answer.json()["slug"] == "signed_out"
