"""The API of figures over HTTP: values, parts, courses, rankings, the events behind, the check."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from hosting import archive
from services.reporting.figures.keep import Keeper
from services.reporting.figures.roll import Roller
from services.reporting.measures import measures
from shared.directory_events import TermSet, UnitClosed
from shared.runtime import Runtime
from tests.reporting.events import (
    CAMPUS,
    NORTH,
    ONE,
    PROVINCE,
    SOUTH,
    START,
    TOWN,
    TWO,
    came,
    hear,
    put_tree,
    repair,
)  # fmt: skip
from tests.reporting.figures import take

pytestmark = pytest.mark.stack


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(hour=4, tzinfo=UTC)


@pytest.fixture
async def year(rt: Runtime) -> None:
    """A school year of events at three units."""
    events = [
        repair(ONE, "lamp", at=at("2011-09-05")),
        repair(ONE, "lamp", at=at("2011-10-05")),
        repair(CAMPUS, "valve", quantity=3, at=at("2011-10-06"), responded_in_time=False),
        repair(TWO, "lamp", at=at("2012-01-31")),
        repair(TWO, "door", at=at("2012-03-01"), cost_cny="99.99"),
        came("safety", "HazardFound", ONE, category="fire", at=at("2011-09-10")),
        came("safety", "HazardFound", ONE, category="gas", at=at("2011-09-11")),
        came("safety", "HazardFound", TWO, category="fire", at=at("2011-10-11")),
        came(
            "safety", "HazardClosed", ONE, category="fire", at=at("2011-10-20"), on_time=True,
            found_at=at("2011-09-10").isoformat(), rectified_in_minutes=10,
        ),
    ]  # fmt: skip
    await take(Keeper(rt.pool, measures), events)


async def get(
    http: httpx.AsyncClient, path: str, who: str = "governor", status: int = 200, **query: Any
) -> Any:
    answer = await http.get(
        f"/reporting{path}", params=query, headers={"Authorization": f"Bearer {who}"}
    )
    assert answer.status_code == status, answer.text
    return answer.json()


async def figure(
    http: httpx.AsyncClient, measure: str, unit: UUID, period: str, **query: Any
) -> Any:
    return await get(http, f"/figures/{measure}", unit=str(unit), period=period, **query)


@pytest.mark.usefixtures("year")
async def test_a_figure_with_its_parts(http: httpx.AsyncClient) -> None:
    found = await figure(http, "assets.repairs_done", PROVINCE, "2011/2012")
    assert (found["value"], found["entries"]) == (5, 5)
    assert found["measure"]["words"]["zh"] == "完成维修"
    assert found["measure"]["unit_words"]["en"] == "times"
    assert {part["unit"]["id"]: part["value"] for part in found["parts"]} == {
        str(NORTH): 3, str(SOUTH): 2,
    }  # fmt: skip
    by_kind = {one["dims"]["kind"]: one["value"] for one in found["dims"]}
    assert by_kind == {"lamp": 3, "valve": 1, "door": 1}
    assert found["dims"][0]["words"]["kind"]["zh"]
    course = {one["day"]: one["value"] for one in found["series"]}
    assert len(course) == 12
    assert [course[f"2011-{m}-01"] for m in ("09", "10", "11")] == [1, 2, 0]
    assert [course[f"2012-0{m}-01"] for m in (1, 3)] == [1, 1]
    assert found["grain"] == "month"


@pytest.mark.usefixtures("year")
async def test_links_lead_to_what_a_number_is_the_sum_of(http: httpx.AsyncClient) -> None:
    found = await figure(http, "assets.repairs_done", NORTH, "2011-10")
    (town,) = found["parts"]
    for link in (town["link"], found["dims"][0]["link"], found["links"]["events"]):
        answer = await http.get(link, headers={"Authorization": "Bearer governor"})
        assert answer.status_code == 200
    school = await figure(http, "assets.repairs_done", ONE, "2011-10")
    own = {part["unit"]["id"]: (part["own"], part["value"]) for part in school["parts"]}
    assert own == {str(CAMPUS): (False, 1), str(ONE): (True, 1)}


@pytest.mark.usefixtures("year")
@pytest.mark.parametrize(
    ("period", "value"),
    [
        ("2011-09-05", 1), ("2011-W40", 2), ("2011-10", 2), ("2011", 3), ("2012", 2),
        ("2011/2012", 5), ("2011/2012-1", 4), ("2011/2012-2", 1), ("2011-09-06..2012-01-30", 2),
        ("2010", 0), ("2011-09-05..2011-10-05", 2),
    ],
)  # fmt: skip
async def test_periods(http: httpx.AsyncClient, period: str, value: int) -> None:
    found = await figure(http, "assets.repairs_done", PROVINCE, period)
    assert found["value"] == value
    assert sum(one["value"] for one in found["series"]) == value
    assert sum(part["value"] for part in found["parts"]) == value


@pytest.mark.usefixtures("year")
async def test_terms_are_those_of_the_calendar(http: httpx.AsyncClient, rt: Runtime) -> None:
    spans = {
        2011: (date(2011, 9, 6), date(2012, 1, 10)), 2012: (date(2012, 8, 27), date(2013, 1, 10)),
    }  # fmt: skip
    await hear(
        rt.pool,
        *(
            (
                uuid4(),
                TermSet(region=NORTH, school_year=year, term=1, first_day=first, last_day=last),
            )
            for year, (first, last) in spans.items()
        ),
    )
    await rt.directory.refresh()
    term = await figure(http, "assets.repairs_done", NORTH, "2011/2012-1")
    assert (term["period"]["first"], term["period"]["last"]) == ("2011-09-06", "2012-01-10")
    assert term["value"] == 2
    whole = await figure(http, "assets.repairs_done", NORTH, "2011/2012")
    assert (whole["period"]["first"], whole["period"]["last"]) == ("2011-09-06", "2012-08-26")


@pytest.mark.usefixtures("year")
async def test_dimensions_choose(http: httpx.AsyncClient) -> None:
    lamps = await figure(http, "assets.repairs_done", PROVINCE, "2011/2012", dims="kind:lamp")
    assert lamps["value"] == 3
    both = await figure(
        http, "assets.repairs_done", PROVINCE, "2011/2012", dims="kind:lamp,kind:door"
    )
    assert both["value"] == 4
    late = await figure(http, "assets.repairs_done", PROVINCE, "2011/2012", dims="in_time:no")
    assert late["value"] == 1
    assert {part["unit"]["id"]: part["value"] for part in late["parts"]} == {
        str(NORTH): 1, str(SOUTH): 0,
    }  # fmt: skip


@pytest.mark.usefixtures("year")
async def test_a_closed_unit_is_shown_for_as_long_as_it_was_there(
    http: httpx.AsyncClient, rt: Runtime
) -> None:
    await hear(rt.pool, (TWO, UnitClosed(closed_on=date(2012, 2, 1))))
    await rt.directory.refresh()
    for period, shown in (("2012-01", [str(TWO)]), ("2012-02", [])):
        found = await figure(http, "assets.repairs_done", SOUTH, period)
        assert [part["unit"]["id"] for part in found["parts"]] == shown
        ranking = await get(http, "/rankings/assets.repairs_done", unit=str(SOUTH), period=period)
        assert [one["unit"]["id"] for one in ranking["ranking"]] == shown


@pytest.mark.usefixtures("year")
async def test_derived_measures_show_others_facts(http: httpx.AsyncClient) -> None:
    valves = await figure(http, "assets.valves_replaced", ONE, "2011")
    assert (valves["value"], valves["entries"]) == ("3", 1)
    cost = await figure(http, "assets.repair_cost", PROVINCE, "2012")
    assert cost["value"] == "112.49"
    assert cost["measure"]["formula"] == ["assets.repairs_done"]


@pytest.mark.usefixtures("year")
async def test_a_ratio_is_formed_from_sums(http: httpx.AsyncClient) -> None:
    found = await figure(http, "safety.hazard_rectification_rate", PROVINCE, "2011")
    assert (found["numerator"], found["denominator"], found["value"]) == (1, 3, "0.3333")
    rates = {part["unit"]["id"]: part["value"] for part in found["parts"]}
    assert rates == {str(NORTH): "0.5000", str(SOUTH): "0.0000"}
    months = {one["day"]: one["value"] for one in found["series"]}
    assert months["2011-09-01"] == "0.5000"
    assert months["2011-10-01"] == "0.0000"
    assert months["2011-11-01"] is None
    nothing = await figure(http, "safety.hazard_rectification_rate", PROVINCE, "2009")
    assert (nothing["value"], nothing["denominator"]) == (None, 0)


@pytest.mark.usefixtures("year")
async def test_a_balance_is_what_there_is_at_the_end(http: httpx.AsyncClient) -> None:
    now = await figure(http, "safety.hazards_open", PROVINCE, "2012")
    assert now["value"] == 2
    assert {one["value"] for one in now["series"]} == {2}
    assert sum(part["value"] for part in now["parts"]) == 2
    october = await figure(http, "safety.hazards_open", PROVINCE, "2011-10")
    course = {one["day"]: one["value"] for one in october["series"]}
    assert [course[f"2011-10-{day}"] for day in ("01", "10", "11", "19", "20", "31")] == [
        2, 2, 3, 3, 2, 2,
    ]  # fmt: skip
    middle = await figure(http, "safety.hazards_open", NORTH, "2011-09-11..2011-09-12")
    assert middle["value"] == 2


@pytest.mark.usefixtures("year")
async def test_several_at_once(http: httpx.AsyncClient) -> None:
    names = "assets.repairs_done,safety.hazards_open,safety.hazard_rectification_rate"
    found = await get(http, "/figures", unit=str(PROVINCE), period="2011-10", measures=names)
    assert [one["measure"]["measure"] for one in found["figures"]] == names.split(",")
    assert [one["value"] for one in found["figures"]] == [2, 2, "0.0000"]
    for one in found["figures"]:
        alone = await figure(http, one["measure"]["measure"], PROVINCE, "2011-10")
        assert (alone["value"], alone["series"]) == (one["value"], one["series"])


@pytest.mark.usefixtures("year")
async def test_ranking(http: httpx.AsyncClient) -> None:
    found = await get(http, "/rankings/assets.repairs_done", unit=str(PROVINCE), period="2011/2012")
    assert [(r["place"], r["unit"]["id"], r["value"]) for r in found["ranking"]] == [
        (1, str(ONE), 3), (2, str(TWO), 2),
    ]  # fmt: skip
    assert (found["value"], found["units"]) == (5, 2)
    up = await get(
        http, "/rankings/assets.repairs_done", unit=str(PROVINCE), period="2011/2012", order="asc",
        level="county",
    )  # fmt: skip
    assert [r["unit"]["id"] for r in up["ranking"]] == [str(SOUTH), str(NORTH)]
    rates = await get(
        http, "/rankings/safety.hazard_rectification_rate", unit=str(PROVINCE), period="2011-09"
    )
    assert [(r["place"], r["value"]) for r in rates["ranking"]] == [(1, "0.5000"), (None, None)]
    page = await get(
        http, "/rankings/assets.repairs_done", unit=str(PROVINCE), period="2011/2012", limit=1,
        offset=1,
    )  # fmt: skip
    assert [(r["place"], r["unit"]["id"]) for r in page["ranking"]] == [(2, str(TWO))]


@pytest.mark.usefixtures("year")
async def test_equal_units_share_a_place(http: httpx.AsyncClient) -> None:
    found = await get(http, "/rankings/safety.hazards_found", unit=str(PROVINCE), period="2010")
    assert [(r["place"], r["value"]) for r in found["ranking"]] == [(1, 0), (1, 0)]


@pytest.mark.usefixtures("year")
async def test_the_events_behind_a_figure(http: httpx.AsyncClient) -> None:
    found = await get(
        http, "/figures/assets.repairs_done/events", unit=str(PROVINCE), period="2011/2012",
        dims="kind:lamp",
    )  # fmt: skip
    assert [item["day"] for item in found["items"]] == ["2012-01-31", "2011-10-05", "2011-09-05"]
    assert found["next"] is None
    first = found["items"][0]
    assert first["organisation"]["id"] == str(TWO)
    assert (first["type"], first["actor"], first["data"]["kind"]) == ("RepairSigned", "li", "lamp")
    assert first["words"]["zh"]
    (fact,) = first["facts"]
    assert (fact["count"], fact["amount"], fact["dims"]["kind"]) == (1, "12.50", "lamp")


@pytest.mark.usefixtures("year")
async def test_events_page_by_page(http: httpx.AsyncClient) -> None:
    seen: list[str] = []
    cursor = ""
    while True:
        page = await get(
            http, "/figures/assets.repairs_done/events", unit=str(PROVINCE), period="2011/2012",
            limit=2, cursor=cursor,
        )  # fmt: skip
        seen += [item["id"] for item in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert len(seen) == len(set(seen)) == 5


@pytest.mark.usefixtures("year")
async def test_events_of_a_ratio_say_for_which_day_they_count(http: httpx.AsyncClient) -> None:
    found = await get(
        http, "/figures/safety.hazard_rectification_rate/events", unit=str(ONE), period="2011-09"
    )
    types = [item["type"] for item in found["items"]]
    assert types == ["HazardClosed", "HazardFound", "HazardFound"]
    closed = found["items"][0]
    assert (closed["day"], closed["facts"][0]["day"]) == ("2011-10-20", "2011-09-10")


@pytest.mark.usefixtures("year")
@pytest.mark.parametrize("unit", [PROVINCE, NORTH, ONE, CAMPUS])
async def test_every_figure_checks(http: httpx.AsyncClient, unit: UUID) -> None:
    for name in measures.figures:
        found = await get(
            http, f"/figures/{name}/check", unit=str(unit), period="2011-09-06..2012-02-10"
        )
        assert found["equal"], name
    repairs = await get(
        http, "/figures/assets.repairs_done/check", unit=str(unit), period="2011/2012"
    )
    assert repairs["recount"]["value"] == repairs["figure"]["value"] > 0
    assert repairs["events"] == repairs["figure"]["value"]


@pytest.mark.usefixtures("year")
async def test_the_check_finds_a_figure_that_is_wrong(http: httpx.AsyncClient, rt: Runtime) -> None:
    await rt.pool.execute(
        "update figure set count = count + 1 where place ="
        " (select no from place where unit = $1)", ONE,
    )  # fmt: skip
    found = await get(http, "/figures/assets.repairs_done/check", unit=str(ONE), period="2011-09")
    assert not found["equal"]
    assert (found["figure"]["value"], found["recount"]["value"]) == (2, 1)


@pytest.mark.usefixtures("year")
async def test_parts_of_a_unit_that_moved_within_the_period(
    http: httpx.AsyncClient, rt: Runtime
) -> None:
    await put_tree(rt.pool, [(TOWN, 4, SOUTH, date(2011, 10, 6))])
    await Roller(rt.pool).step()
    await rt.directory.refresh()
    for name in ("assets.repairs_done", "safety.hazards_open", "safety.hazard_rectification_rate"):
        for unit in (NORTH, SOUTH, PROVINCE):
            found = await figure(http, name, unit, "2011-09-03..2012-02-20")
            column = "numerator" if found["measure"]["ratio"] else "value"
            assert sum(part[column] for part in found["parts"]) == found[column], (name, unit)
            check = await get(
                http, f"/figures/{name}/check", unit=str(unit), period="2011-09-03..2012-02-20"
            )
            assert check["equal"]
    north = await figure(http, "assets.repairs_done", NORTH, "2011")
    assert north["value"] == 2


async def test_answers_say_how_far_the_figures_have_got(
    http: httpx.AsyncClient, rt: Runtime
) -> None:
    await rt.pool.execute(
        "insert into consumed (consumer, topic, partition, applied_at, current_at) values"
        " ('figures', 'houqin.assets', 0, '2026-09-07T08:00Z', '2026-09-07T08:00Z'),"
        " ('figures', 'houqin.assets', 1, '2026-09-07T07:00Z', '2026-09-07T08:01Z')"
    )
    await rt.pool.execute(
        "insert into parked_key (consumer, topic, key, partition, reason)"
        " values ('figures', 'houqin.assets', $1, 0, 'broken')", ONE,
    )  # fmt: skip
    found = await figure(http, "assets.repairs_done", NORTH, "2026")
    (reach,) = found["as_of"]
    assert reach["source"] == "assets"
    assert reach["current_at"] == "2026-09-07T08:00:00Z"
    assert reach["waiting"] == [str(ONE)]


@pytest.mark.parametrize(
    ("who", "unit", "status"),
    [
        ("governor", PROVINCE, 200), ("governor", ONE, 200), ("north", NORTH, 200),
        ("north", ONE, 200), ("north", SOUTH, 403), ("north", PROVINCE, 403),
        ("head", ONE, 200), ("head", CAMPUS, 200), ("head", TOWN, 403), ("head", TWO, 403),
        ("parent", ONE, 403), ("nobody", ONE, 403), ("cook", TWO, 200),
        ("governor", UUID(int=5), 404),
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    "path",
    ["/figures/assets.repairs_done", "/figures/assets.repairs_done/events",
     "/figures/assets.repairs_done/check", "/rankings/assets.repairs_done", "/figures"],
)  # fmt: skip
async def test_figures_are_for_whoever_holds_a_reading_post(
    http: httpx.AsyncClient, who: str, unit: UUID, status: int, path: str
) -> None:
    query = {"measures": "assets.repairs_done"} if path == "/figures" else {}
    found = await get(http, path, who, status, unit=str(unit), period="2011", **query)
    if status == 403:
        assert found["slug"] == "forbidden"


async def test_without_a_token_nothing_is_shown(http: httpx.AsyncClient) -> None:
    for path in ("/measures", "/figures/assets.repairs_done"):
        answer = await http.get(f"/reporting{path}", params={"unit": str(ONE), "period": "2011"})
        assert answer.status_code == 401


@pytest.mark.usefixtures("year")
async def test_the_database_shows_only_what_was_granted(rt: Runtime) -> None:
    async with rt.pool.acquire() as connection, connection.transaction():
        await connection.execute("set local role houqin_reader")
        assert await connection.fetchval("select count(*) from archive") == 0
        assert await connection.fetchval("select count(*) from figure") == 0
        await connection.execute("select grant_units($1)", str(TWO))
        places = await connection.fetch(
            "select distinct p.unit from figure f join place p on p.no = f.place"
        )
        assert [row["unit"] for row in places] == [TWO]
        owners = await connection.fetch("select distinct organisation from archive")
        assert [row["organisation"] for row in owners] == [TWO]


@pytest.mark.parametrize(
    ("path", "query", "slug"),
    [
        ("/figures/assets.nothing", {}, "measure_unknown"),
        ("/figures/assets.repairs_done", {"dims": "colour:red"}, "dimension_unknown"),
        ("/figures/assets.repairs_done", {"dims": "kind"}, "dimension_unknown"),
        ("/figures/assets.repairs_done", {"period": "2011-13"}, "period_malformed"),
        ("/figures/assets.repairs_done/events", {"cursor": "x"}, "cursor_broken"),
        ("/figures/assets.repairs_done", {"unit": "x"}, "filter_malformed"),
    ],
)  # fmt: skip
async def test_wrong_questions_are_answered_with_what_would_be_right(
    http: httpx.AsyncClient, path: str, query: dict[str, str], slug: str
) -> None:
    answer = await http.get(
        f"/reporting{path}", params={"unit": str(ONE), "period": "2011"} | query,
        headers={"Authorization": "Bearer head"},
    )  # fmt: skip
    assert answer.status_code in (400, 422)
    assert answer.json()["slug"] == slug


async def test_a_check_of_too_much_is_refused(
    http: httpx.AsyncClient, rt: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.reporting.figure_routes.EVENTS_MAX", 1)
    await take(Keeper(rt.pool, measures), [repair(ONE), repair(ONE)])
    found = await get(
        http, "/figures/assets.repairs_done/check", status=422, unit=str(ONE), period="2026"
    )
    assert found["slug"] == "check_too_large"


async def test_the_catalogue_names_every_measure(http: httpx.AsyncClient) -> None:
    found = await get(http, "/measures")
    assert [one["measure"] for one in found["measures"]] == sorted(measures.figures)
    for one in found["measures"]:
        assert one["words"]["zh"]
        assert one["unit_words"]["en"]


async def test_the_latest_tree_is_waited_for(http: httpx.AsyncClient, rt: Runtime) -> None:
    await put_tree(rt.pool, [(TWO, 5, NORTH, START)])
    headers = {"Authorization": "Bearer governor", "Houqin-After": "assets;1.1.1"}
    roller = Roller(rt.pool, 0.05)
    await roller.start()
    try:
        answer = await http.get(
            "/reporting/figures/assets.repairs_done", headers=headers,
            params={"unit": str(PROVINCE), "period": "2011"},
        )  # fmt: skip
    finally:
        await roller.stop()
    assert answer.status_code == 200
    assert await rt.pool.fetchval("select version = tree_version() from rolled")


async def test_events_of_a_month_in_a_file_are_asked_for_by_its_name(
    http: httpx.AsyncClient, rt: Runtime, tmp_path: Path
) -> None:
    march = at("2026-03-12")
    await take(Keeper(rt.pool, measures), [repair(ONE, at=march, recorded_at=march), repair(ONE)])
    taken_out = await archive.detach(rt.pool, date(2026, 3, 1), tmp_path)
    assert (await figure(http, "assets.repairs_done", ONE, "2026-03"))["value"] == 1
    for tail in ("events", "check"):
        path = f"/figures/assets.repairs_done/{tail}"
        refused = await get(http, path, status=422, unit=str(ONE), period="2026-03")
        assert (refused["slug"], "2026-03" in refused["detail"]) == ("events_in_files", True)
        await get(http, path, unit=str(ONE), period="2026-09")
    await archive.attach(rt.pool, taken_out)
    path = "/figures/assets.repairs_done/events"
    assert len((await get(http, path, unit=str(ONE), period="2026-03"))["items"]) == 1
