"""Files through the portal: the tree and the cards, all or nothing, errors by cell."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from datetime import date
from typing import Any
from uuid import uuid4

import httpx
import pytest
import python_calamine
import xlsxwriter

from tests.journeys.test_problems import Nothing, is_problem
from tests.world import COUNTY, SCHOOL, World, unit

pytestmark = pytest.mark.stack

HEADING = ("parent_code", "code", "name", "level", "since")


def tree(town: str, first: int) -> list[tuple[object, ...]]:
    """A township with two schools, a campus and a class, parents before children."""
    one, two = f"21430{first:05}", f"21430{first + 1:05}"
    return [
        HEADING,
        (COUNTY, town, f"乡镇{town}", "township", "2021-09-01"),
        (town, one, f"小学{first}", "school", "2021-09-01"),
        (town, two, f"小学{first + 1}", "school", "2021-09-01"),
        (one, f"{one}-01", "东校区", "campus", "2021-09-01"),
        (f"{one}-01", f"{one}-01-2025-01", "一班", "class", "2025-09-01"),
    ]


def as_csv(rows: Sequence[Sequence[object]]) -> bytes:
    buffer = io.StringIO()
    csv.writer(buffer).writerows(rows)
    return buffer.getvalue().encode("utf-8-sig")


def as_xlsx(rows: Sequence[Sequence[object]]) -> bytes:
    buffer = io.BytesIO()
    with xlsxwriter.Workbook(buffer, {"in_memory": True}) as book:
        sheet = book.add_worksheet()
        for n, row in enumerate(rows):
            sheet.write_row(n, 0, row)
    return buffer.getvalue()


async def send(
    world: World, person: str, path: str, content: bytes, *, key: str = "", **query: str
) -> httpx.Response:
    """Posts a file as it is."""
    asked = "&".join(f"{name}={value}" for name, value in query.items())
    return await world.api.send(
        person, f"{path}?{asked}" if asked else path, content=content, key=key or uuid4().hex
    )


UNITS, CARDS = "/portal/imports/RegisterUnit", "/portal/imports/RegisterCard"


@pytest.mark.parametrize(
    ("form", "town", "first"), [(as_csv, "431081201", 60_000), (as_xlsx, "431081202", 60_010)]
)
async def test_a_tree_from_a_file(world: World, form: Any, town: str, first: int) -> None:
    rows = tree(town, first)
    content, key = form(rows), uuid4().hex
    async with Nothing(world, "organisation"):
        tried = await send(world, "county-officer", UNITS, content, dry_run="true")
        assert tried.status_code == 200, tried.text
        assert tried.json() == {"count": 5, "events": 10, "dry_run": True}
    before = await world.written("organisation")
    answer = await send(world, "county-officer", UNITS, content, key=key)
    assert answer.status_code == 200, answer.text
    assert answer.json()["count"] == 5
    after = await world.written("organisation")
    assert after[0] - before[0] >= 10 and after[1] - before[1] == 1
    await world.settled("organisation")
    units = await world.api.pages("county-officer", "/organisation/units", unit=str(unit(town)))
    assert {row["code"] for row in units} == {str(row[1]) for row in rows[1:]}
    again = await send(world, "county-officer", UNITS, content, key=key)
    assert again.headers["idempotent-replayed"] == "true" and again.content == answer.content
    # Under another key the file says what is so already: it is accepted, and nothing happens.
    events, _ = await world.written("organisation")
    repeated = await send(world, "county-officer", UNITS, content)
    assert repeated.status_code == 200, repeated.text
    assert {tuple(one["events"]) for one in repeated.json()["results"]} == {()}
    assert (await world.written("organisation"))[0] == events
    other = await send(world, "county-officer", UNITS, form(rows[:3]), key=key)
    is_problem(other, 422, "key_reused", "Idempotency-Key")


async def test_one_wrong_cell_and_nothing_is_written(world: World) -> None:
    rows = tree("431081203", 60_020)
    wrong = [
        *rows[:2],
        (*rows[2][:3], "castle", "2021-09-01"),
        rows[3],
        (*rows[4][:2], "", "campus", "soon"),
    ]
    async with Nothing(world, "organisation"):
        for form in (as_csv, as_xlsx):
            answer = await send(world, "county-officer", UNITS, form(wrong))
            body = is_problem(answer, 422, "invalid")
            places = {error["field"] for error in body["errors"]}
            assert places == {"D3 level", "C5 name", "E5 since"}


async def test_one_refused_row_and_nothing_is_written(world: World) -> None:
    """Every cell is well written, but one row cannot be: it is named, in both languages."""
    rows = tree("431081204", 60_030)
    rows[4] = (rows[2][1], f"{rows[3][1]}-01", "别校的校区", "campus", "2021-09-01")
    async with Nothing(world, "organisation"):
        for query in ({}, {"dry_run": "1"}):
            answer = await send(world, "county-officer", UNITS, as_csv(rows), **query)
            body = is_problem(answer, 422, "code_not_of_parent")
            (error,) = body["errors"]
            assert error["field"].startswith("5 ")
            assert error["zh"].startswith("第5行：") and error["en"].startswith("row 5: ")
        foreign = await send(world, "other-officer", UNITS, as_csv(tree("431081205", 60_040)))
        is_problem(foreign, 403, "forbidden")
        is_problem(
            await send(world, "county-officer", UNITS, b"PK\x03\x04 broken"), 400, "file_unreadable"
        )
        unknown = await send(world, "county-officer", "/portal/imports/Nothing", b"a,b")
        is_problem(unknown, 422, "command_unknown", "command")


async def test_cards_from_the_template(world: World) -> None:
    """The template as it is downloaded, filled in, sent back: cards, list and figure."""
    api = world.api
    given = await api.get("keeper", "/portal/templates/RegisterCard.xlsx")
    assert given.status_code == 200
    book = python_calamine.CalamineWorkbook.from_filelike(io.BytesIO(given.content))
    (heading,) = book.get_sheet_by_index(0).to_python()
    names = [str(cell).removesuffix(" *") for cell in heading]
    schema = (await api.client.get(api.url("/assets/openapi.json"))).json()
    fields = schema["components"]["schemas"]["RegisterCard"]["properties"]
    label = {name: made["x-title"]["zh"] for name, made in fields.items() if "x-title" in made}

    def card(tag: str, **changes: str) -> dict[str, str]:
        return {
            "organisation": SCHOOL, "tag": tag, "name": "课桌椅", "category": "A05010201",
            "measure_unit": "套", "quantity": "20", "value_cny": "3900.00",
            "acquired_on": "2025-09-01", "source": "purchase", **changes,
        }  # fmt: skip

    def sheet(*cards: dict[str, str]) -> bytes:
        by_label = [{label[name]: value for name, value in one.items()} for one in cards]
        return as_xlsx([heading, *([one.get(name, "") for name in names] for one in by_label)])

    async with Nothing(world, "assets"):
        wrong = sheet(card("IMP-1"), card("IMP-2", value_cny="-3"), card("IMP-3", source="gift"))
        body = is_problem(await send(world, "keeper", CARDS, wrong), 422, "invalid")
        assert len(body["errors"]) == 2
        assert {error["field"].split()[0][-1] for error in body["errors"]} == {"3", "4"}
        twice = sheet(card("IMP-1"), card("IMP-1", quantity="7"))
        is_problem(await send(world, "keeper", CARDS, twice), 422, "tag_taken")
        is_problem(await send(world, "teacher", CARDS, sheet(card("IMP-1"))), 403, "forbidden")
    answer = await send(world, "keeper", CARDS, sheet(*(card(f"IMP-{n}") for n in range(1, 6))))
    assert answer.status_code == 200, answer.text
    cards = await api.pages("keeper", "/assets/cards", q="IMP-")
    assert sorted(row["tag"] for row in cards) == [f"IMP-{n}" for n in range(1, 6)]
    again = await send(world, "keeper", CARDS, sheet(card("IMP-1")))
    (one,) = again.json()["results"]
    assert one["events"] == [], "one row that is so already"


async def test_a_list_as_a_file_is_what_its_viewer_sees(world: World) -> None:
    """More rows than a page, in the list's order, in words; nobody gets a row more than he sees."""
    heading = (
        "organisation", "tag", "name", "category", "measure_unit", "quantity", "value_cny",
        "acquired_on", "source",
    )  # fmt: skip
    cards = [
        (SCHOOL, f"OUT-{n:04}", "=1+1" if n == 7 else "书柜", "A05010201", "个", 2, "1200.50",
         "2025-09-01", "purchase")
        for n in range(620)
    ]  # fmt: skip
    answer = await send(world, "keeper", CARDS, as_csv([heading, *cards]))
    assert answer.status_code == 200, answer.text
    asked = {"q": "OUT-", "sort": "-tag", "unit": str(unit(SCHOOL))}
    shown = await world.api.pages("keeper", "/assets/cards", **asked)

    given = await exported(world, "keeper", **asked)
    labels, *rows = given.get_sheet_by_index(0).to_python()
    tag, name = labels.index("资产标签号"), labels.index("名称")
    assert [row[tag] for row in rows] == [row["tag"] for row in shown]
    assert len(rows) == len(cards) and {row[name] for row in rows} == {"书柜", "=1+1"}
    assert "测试第一小学" in rows[0] and "购置" in rows[0] and date(2025, 9, 1) in rows[0]
    about = {row[0]: row[1] for row in given.get_sheet_by_index(1).to_python()}
    assert (about["导出人"], about["行数"]) == ("keeper", len(cards))

    few = await exported(world, "keeper", **asked, columns="name,tag", lang="en")
    assert few.get_sheet_by_index(0).to_python()[0] == ["Tag", "Name"]
    theirs = await exported(world, "foreign-head", q="OUT-")
    assert len(theirs.get_sheet_by_index(0).to_python()) == 1
    refused = await world.api.get("stranger", "/portal/exports/asset_ledger.xlsx")
    is_problem(refused, 403, "no_post")
    broken = await world.api.get("keeper", "/portal/exports/asset_ledger.xlsx", sort="nothing")
    is_problem(broken, 400, "sort_unknown", "sort")
    is_problem(await world.api.get("keeper", "/portal/exports/nothing.xlsx"), 404, "route_unknown")


async def exported(world: World, person: str, **asked: str) -> python_calamine.CalamineWorkbook:
    answer = await world.api.get(person, "/portal/exports/asset_ledger.xlsx", **asked)
    assert answer.status_code == 200, answer.text
    assert "attachment" in answer.headers["content-disposition"]
    return python_calamine.CalamineWorkbook.from_filelike(io.BytesIO(answer.content))


async def test_what_a_file_brings_is_waited_for_as_anything_else(world: World) -> None:
    """The position of the answer names the service that has entered it."""
    answer = await send(world, "county-officer", UNITS, as_csv(tree("431081206", 60_050)))
    assert answer.json()["position"].startswith("organisation;")
    await world.known()
    shown = await world.api.read("county-officer", "/organisation/units", q="小学60050")
    assert [row["code"] for row in shown["items"]] == ["2143060050"]


async def test_the_service_in_charge_is_away_for_a_moment(world: World) -> None:
    """Nothing is lost: it is said, in both languages, and the same file is taken once it is back."""
    content, key = as_csv(tree("431081207", 60_060)), uuid4().hex
    await world.stack.halt("organisation")
    try:
        answer = await send(world, "county-officer", UNITS, content, key=key)
        is_problem(answer, 503, "service_away")
        assert answer.headers["retry-after"]
    finally:
        await world.stack.resume("organisation")
    made = await world.api.do("county-officer", UNITS, content=content, key=key)
    assert made["count"] == 5
