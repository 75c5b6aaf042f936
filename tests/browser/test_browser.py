"""The portal as people use it: the built application in a real Chromium, on the whole platform."""

from __future__ import annotations

import asyncio
import json
import os
from datetime import UTC, datetime
from pathlib import Path
from subprocess import PIPE, STDOUT

import oidc_provider_mock
import pytest

from deploy.local import web
from shared.fields import business_day
from tests.browser import everybody, kitchen
from tests.portal.place import place
from tests.world import SCHOOL, World, unit

HERE = Path(__file__).parent
YEAR = 2033
"""Of a budget of our own, that no other test spends."""

PURPOSE = "运动会用纸"

pytestmark = pytest.mark.stack


async def test_people_do_their_work_in_a_browser(world: World) -> None:
    await built()
    await submitted(world)
    told = {"HOUQIN_PORTAL": world.api.urls["portal"], "HOUQIN_PURPOSE": PURPOSE}
    told |= await everybody.settled(world) | await kitchen.equipped(world)
    told["HOUQIN_PIDS"] = json.dumps({one: world.stack.pid(one) for one in ("portal", "assets")})
    await looked_at(told, *sorted(HERE.glob("*.test.mjs")))


async def test_people_sign_in_at_a_provider_that_is_not_ours(postgres: str, tmp_path: Path) -> None:
    await built()
    (tmp_path / "web").symlink_to(web.OUTPUT)
    people = [oidc_provider_mock.User(sub="principal", claims={"name": "赵德润"})]
    with oidc_provider_mock.run_server_in_thread(user_claims=people) as server:
        issuer = f"http://localhost:{server.server_port}"
        async with place(postgres, tmp_path, issuer) as portal:
            await looked_at({"HOUQIN_PORTAL": portal.url}, HERE / "elsewhere" / "sign_in.test.mjs")


async def built() -> None:
    """The application and the browser are there."""
    assert await asyncio.to_thread(web.main) == 0
    if not (HERE / "node_modules").exists():
        assert await asyncio.to_thread(web.npm, HERE, "ci", "--silent") == 0


async def looked_at(told: dict[str, str], *journeys: Path) -> None:
    """Runs the journeys, one after the other; what they said if one fails."""
    ran = await asyncio.create_subprocess_exec(
        web.NODE, "--test", "--test-reporter=spec", "--test-concurrency=1", *journeys,
        cwd=HERE, env={**os.environ, **told}, stdout=PIPE, stderr=STDOUT,
    )  # fmt: skip
    said, _ = await ran.communicate()
    assert ran.returncode == 0, said.decode()[-10_000:]


async def submitted(world: World) -> None:
    """A requisition that waits for the logistics director, and then for the head."""
    owner, api = str(unit(SCHOOL)), world.api
    line = {"code": "sport", "name": "体育", "fund": "public", "amount_cny": "5000"}
    adopt = {"organisation": owner, "year": YEAR, "lines": [line]}
    budget = (await api.do("head", "/procurement/budgets", adopt))["id"]
    wanted = {
        "organisation": owner, "category": "consumables", "fund": "public", "budget": budget,
        "budget_line": "sport", "needed_by": str(business_day(datetime.now(UTC))),
        "purpose": PURPOSE,
        "lines": [
            {"item": "彩纸", "quantity": "4", "measure_unit": "箱", "estimated_price_cny": "400"}
        ],
    }  # fmt: skip
    raised = await api.do("buyer", "/procurement/requisitions", wanted)
    await api.do("buyer", f"/procurement/requisitions/{raised['id']}/submit")
