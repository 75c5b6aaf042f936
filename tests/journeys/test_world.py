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


async def test_who_registers_a_unit_sees_it_in_the_list_at_once(world: World) -> None:
    for n in range(5):
        code = f"{here.SCHOOL}-1{n}"
        body = {
            "organisation": str(here.unit(here.SCHOOL)), "code": code, "name": f"校区{n}",
            "level": "campus",
        }  # fmt: skip
        await world.api.do("head", "/organisation/units", body)
        for query in ({}, {"unit": str(here.unit(here.SCHOOL))}):
            page = await world.api.read("head", "/organisation/units", code=code, **query)
            assert [row["code"] for row in page["items"]] == [code]
