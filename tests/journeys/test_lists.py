"""Lists over HTTP: filters, search, sorting, every page, and only the rows of one's own units."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.journeys.test_problems import is_problem
from tests.world import CAMPUS, CITY, COUNTY, FOREIGN, SCHOOL, SIBLING, TOWN, World, unit

pytestmark = pytest.mark.stack

PATH = "/safety/hazards"
COUNT = 30


@pytest.fixture(scope="module")
async def hazards(world: World) -> list[str]:
    """Hazards at four units, reported by their own people; places repeat, so that sorts tie."""
    owners = (
        ("safety", SCHOOL),
        ("safety", CAMPUS),
        ("sibling-head", SIBLING),
        ("foreign-head", FOREIGN),
    )
    made = await asyncio.gather(
        *(
            world.api.do(
                owners[n % 4][0], PATH,
                {
                    "organisation": str(unit(owners[n % 4][1])), "place": f"{n % 3}号楼",
                    "what": f"灯管松动 {n:02}", "category": ("fire", "electricity")[n % 2],
                },
            )
            for n in range(COUNT)
        )
    )  # fmt: skip
    return [row["id"] for row in made]


async def of(world: World, person: str, hazards: list[str], **query: Any) -> list[dict[str, Any]]:
    """This module's rows of a list, page by page."""
    rows = await world.api.pages(person, PATH, limit=7, **query)
    ids = [row["id"] for row in rows]
    assert len(ids) == len(set(ids)), "no row twice"
    return [row for row in rows if row["id"] in set(hazards)]


async def test_every_page_together_is_the_list(world: World, hazards: list[str]) -> None:
    for sort in ("", "due_at", "-due_at", "found_at", "-found_at"):
        found = await of(world, "city-officer", hazards, **({"sort": sort} if sort else {}))
        assert {row["id"] for row in found} == set(hazards), sort
        if sort:
            values = [row[sort.removeprefix("-")] for row in found]
            assert values == sorted(values, reverse=sort.startswith("-")), sort


async def test_rows_of_ones_own_units_only(world: World, hazards: list[str]) -> None:
    seen = {
        "safety": {SCHOOL, CAMPUS},
        "sibling-head": {SIBLING},
        "foreign-head": {FOREIGN},
        "town-supervisor": {SCHOOL, CAMPUS, SIBLING},
        "county-officer": {SCHOOL, CAMPUS, SIBLING},
        "other-officer": {FOREIGN},
        "city-officer": {SCHOOL, CAMPUS, SIBLING, FOREIGN},
        "province-officer": {SCHOOL, CAMPUS, SIBLING, FOREIGN},
        "administrator": {SCHOOL, CAMPUS, SIBLING, FOREIGN},
    }
    for person, codes in seen.items():
        rows = await of(world, person, hazards)
        assert {row["organisation"] for row in rows} == {str(unit(code)) for code in codes}, person
    is_problem(await world.api.get("stranger", PATH), 403, "no_post")
    foreign = hazards[3]
    assert (await world.api.get("foreign-head", f"{PATH}/{foreign}")).status_code == 200
    for path in (f"{PATH}/{foreign}", f"{PATH}/{foreign}/history"):
        is_problem(await world.api.get("safety", path), 404, "not_found")


async def test_unit_narrows_and_never_widens(world: World, hazards: list[str]) -> None:
    async def units(person: str, code: str) -> set[str]:
        rows = await of(world, person, hazards, unit=str(unit(code)))
        return {row["organisation"] for row in rows}

    assert await units("city-officer", TOWN) == {str(unit(c)) for c in (SCHOOL, CAMPUS, SIBLING)}
    assert await units("city-officer", CAMPUS) == {str(unit(CAMPUS))}
    assert await units("safety", FOREIGN) == set()
    assert await units("safety", CITY) == {str(unit(c)) for c in (SCHOOL, CAMPUS)}
    assert await units("other-officer", COUNTY) == set()
    is_problem(await world.api.get("safety", PATH, unit="x"), 400, "filter_malformed", "unit")


async def test_filters_and_search(world: World, hazards: list[str]) -> None:
    everything = await of(world, "city-officer", hazards)
    fire = {row["id"] for row in everything if row["category"] == "fire"}
    assert len(fire) == COUNT / 2
    assert {r["id"] for r in await of(world, "city-officer", hazards, category="fire")} == fire
    both = await of(world, "city-officer", hazards, category="fire,electricity", status="found")
    assert len(both) == COUNT
    assert [r["what"] for r in await of(world, "city-officer", hazards, q="松动 07")] == [
        "灯管松动 07"
    ]
    assert await of(world, "city-officer", hazards, q="没有这样的") == []


async def test_what_a_list_does_not_know(world: World, hazards: list[str]) -> None:
    get = world.api.get
    is_problem(await get("safety", PATH, sort="colour"), 400, "sort_unknown", "sort")
    is_problem(await get("safety", PATH, colour="red"), 400, "filter_unknown", "colour")
    is_problem(await get("safety", PATH, cursor="%%%"), 400, "cursor_broken", "cursor")
    is_problem(await get("safety", PATH, cursor="WzFd"), 400, "cursor_broken", "cursor")
    is_problem(await get("safety", PATH, limit="many"), 400, "filter_malformed", "limit")
    assert (await get("safety", PATH, limit="100000")).status_code == 200
