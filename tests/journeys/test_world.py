"""The world stands: everybody sees his own place, at every service."""

from __future__ import annotations

import pytest

from tests import world as here
from tests.world import World

pytestmark = pytest.mark.stack


async def test_a_unit_registered_is_known_to_every_service(world: World) -> None:
    for service, path in here.LISTS.items():
        answer = await world.api.get("head", path)
        assert answer.status_code == 200, service
        assert (await world.api.get("stranger", path)).status_code == 403, service
    rows = await world.api.pages("head", "/organisation/units")
    codes = {row["code"] for row in rows}
    assert {here.SCHOOL, here.CAMPUS, here.CLASS} <= codes
    assert all(code.startswith(here.SCHOOL) for code in codes)
