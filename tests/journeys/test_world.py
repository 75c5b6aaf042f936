"""The world stands: everybody sees his own place, at every service."""

from __future__ import annotations

import pytest

from tests import world as here
from tests.world import World, unit

pytestmark = pytest.mark.stack


async def test_a_unit_registered_is_known_to_every_service(world: World) -> None:
    for service, path in (
        ("organisation", "/organisation/units"), ("procurement", "/procurement/budgets"),
        ("assets", "/assets/cards"), ("safety", "/safety/hazards"),
        ("nutrition", "/nutrition/dishes"), ("reporting", "/reporting/alerts"),
    ):  # fmt: skip
        answer = await world.api.get("head", path)
        assert answer.status_code == 200, service
        assert (await world.api.get("stranger", path)).status_code == 403, service
    rows = await world.api.pages("head", "/organisation/units")
    assert {row["id"] for row in rows} == {
        str(unit(code)) for code in (here.SCHOOL, here.CAMPUS, here.CLASS)
    }
