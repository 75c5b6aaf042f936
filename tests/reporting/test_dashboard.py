"""A page of figures in one answer: values, courses, comparisons, and the units below."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import httpx
import pytest

from services.reporting.figures.keep import Keeper
from services.reporting.figures.roll import Roller
from services.reporting.measures import measures
from services.reporting.reader import SISTERS_MIN
from shared.runtime import Runtime
from tests.reporting.events import (
    CAMPUS,
    NORTH,
    ONE,
    PROVINCE,
    START,
    TOWN,
    TWO,
    came,
    put_tree,
    repair,
)  # fmt: skip
from tests.reporting.figures import take

pytestmark = pytest.mark.stack

DONE, RATE = "assets.repairs_done", "safety.hazard_rectification_rate"
SISTERS = [UUID(int=n) for n in range(201, 201 + SISTERS_MIN - 1)]


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(hour=4, tzinfo=UTC)


@pytest.fixture
async def years(rt: Runtime) -> None:
    """Two autumns at two schools and a campus, and schools beside the first."""
    await put_tree(rt.pool, [(sister, 5, TOWN, START) for sister in SISTERS])
    await Roller(rt.pool).step()
    await rt.directory.refresh()
    events = [
        repair(ONE, "lamp", at=at("2010-10-05")),
        repair(ONE, "lamp", at=at("2011-08-31")),
        repair(ONE, "lamp", at=at("2011-10-05")),
        repair(CAMPUS, "valve", at=at("2011-10-06")),
        repair(TWO, "door", at=at("2011-10-07")),
        *(repair(SISTERS[0], "lamp", at=at("2011-10-08")) for _ in range(4)),
        came("safety", "HazardFound", ONE, category="fire", at=at("2011-10-10")),
        came("safety", "HazardFound", SISTERS[0], category="gas", at=at("2011-10-11")),
        came(
            "safety", "HazardClosed", SISTERS[0], category="gas", at=at("2011-10-20"), on_time=True,
            found_at=at("2011-10-11").isoformat(), rectified_in_minutes=10,
        ),
    ]  # fmt: skip
    await take(Keeper(rt.pool, measures), events)


async def get(
    http: httpx.AsyncClient, unit: UUID, who: str = "governor", status: int = 200, **query: Any
) -> Any:
    asked = {"unit": str(unit), "period": "2011-10", "measures": f"{DONE},{RATE}"} | query
    answer = await http.get(
        "/reporting/dashboards", params=asked, headers={"Authorization": f"Bearer {who}"}
    )
    assert answer.status_code == status, answer.text
    return answer.json()


@pytest.mark.usefixtures("years")
async def test_values_and_what_they_are_held_against(http: httpx.AsyncClient) -> None:
    found = await get(http, ONE)
    done, rate = found["figures"]
    assert (found["previous"]["first"], found["last_year"]["first"]) == ("2011-09-01", "2010-10-01")
    assert [done["value"], done["previous"]["value"], done["last_year"]["value"]] == [2, 0, 1]
    assert [rate["value"], rate["previous"]["value"]] == ["0.0000", None]
    assert sum(point["value"] for point in done["series"]) == 2
    assert len(done["series"]) == 31


@pytest.mark.usefixtures("years")
async def test_a_unit_beside_the_average_of_its_like(http: httpx.AsyncClient) -> None:
    found = await get(http, ONE, who="head")
    done, rate = found["figures"]
    assert (found["beside"]["units"], found["beside"]["under"]["id"]) == (SISTERS_MIN, str(TOWN))
    assert done["sisters"] == "1.50"  # (2 + 4) / 4
    assert rate["sisters"] == "0.5000"  # of their sums: 1 of 2
    alone = await get(http, TOWN)
    assert (alone["beside"], alone["figures"][0]["sisters"]) == (None, None)


@pytest.mark.usefixtures("years")
async def test_the_units_below(http: httpx.AsyncClient) -> None:
    found = await get(http, NORTH, by_unit=f"{RATE},{DONE}")
    assert (found["level"], found["levels"]) == ("school", [
        {"level": "township", "units": 1}, {"level": "school", "units": SISTERS_MIN},
        {"level": "campus", "units": 1},
    ])  # fmt: skip
    ids = [unit["id"] for unit in found["units"]]
    assert set(ids) == {str(ONE), *map(str, SISTERS)}
    done, rate = (dict(zip(ids, one["of_units"], strict=True)) for one in found["figures"])
    assert (done[str(ONE)], done[str(SISTERS[0])], done[str(SISTERS[1])]) == (2, 4, 0)
    assert (rate[str(ONE)], rate[str(SISTERS[0])], rate[str(SISTERS[1])]) == (
        "0.0000", "1.0000", None,
    )  # fmt: skip
    assert sum(done.values()) == found["figures"][0]["value"]
    towns = await get(http, NORTH, by_unit=DONE, level="township")
    assert [one["of_units"] for one in towns["figures"]] == [[6], []]
    nothing_below = await get(http, CAMPUS, by_unit=DONE)
    assert (nothing_below["level"], nothing_below["units"]) == (None, [])


@pytest.mark.usefixtures("years")
async def test_it_says_what_the_single_figures_say(http: httpx.AsyncClient) -> None:
    names = ",".join(measures.figures)
    found = await get(http, PROVINCE, measures=names, period="2011")
    for one in found["figures"]:
        answer = await http.get(
            f"/reporting/figures/{one['measure']['measure']}", headers={"Authorization": "Bearer governor"},
            params={"unit": str(PROVINCE), "period": "2011"},
        )  # fmt: skip
        alone = answer.json()
        assert (one["value"], one["series"]) == (alone["value"], alone["series"])


@pytest.mark.usefixtures("years")
async def test_a_single_figure_by_its_dimensions(http: httpx.AsyncClient) -> None:
    whole = await get(http, ONE, measures=DONE)
    assert sum(one["value"] for one in whole["dims"]) == 2
    lamps = await get(http, ONE, measures=DONE, dims="kind:lamp", by_unit=DONE)
    assert (lamps["figures"][0]["value"], lamps["figures"][0]["sisters"]) == (1, "1.25")
    refused = await get(http, ONE, status=422, dims="kind:lamp")
    assert refused["slug"] == "dimension_unknown"


@pytest.mark.usefixtures("years")
async def test_nobody_sees_other_units_figures(http: httpx.AsyncClient) -> None:
    assert (await get(http, TOWN, who="head", status=403))["slug"] == "forbidden"
    found = await get(http, ONE, who="head", by_unit=DONE)
    assert [unit["id"] for unit in found["units"]] == [str(CAMPUS)]
