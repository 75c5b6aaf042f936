"""Scenario files: what is wrong is said with its line; repetitions, keys and waves; the sending."""

import asyncio
import json
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest

from deploy.local.scenario import Wrong, read
from deploy.local.scenario_figures import Line, Reading, aligned, table, width
from deploy.local.scenario_ground import Planned
from deploy.local.scenario_plan import Plan, plan
from deploy.local.scenario_run import Runner
from deploy.local.scenario_values import Days, Meaningless, Pending, Scope, moment, rendered, spread
from shared.rules import region_of

type Row = dict[str, Any]

ZIXING = Path(__file__).parents[2] / "examples" / "zixing-2011.yaml"

HEAD = """\
title: {zh: 例, en: example}
source: nobody
units:
  - {code: "2143999999", name: 甲校, level: school, as: school, since: 2000-01-01}
  - {code: "2143999999-01", name: 甲校区, level: campus, parent: school, as: south, since: 2000-01-01}
people:
  - {subject: teacher, posts: [{role: teacher, at: school, since: 2011-09-01}]}
  - {subject: repairer}
calendar:
  terms: [{at: school, school_year: 2011, term: 1, first_day: 2011-09-01, last_day: 2011-09-30}]
  holidays: [{at: school, school_year: 2011, first_day: 2011-09-10, last_day: 2011-09-12, name: 中秋节}]
  make_up_days: [{at: school, school_year: 2011, day: 2011-09-17, name: 调休}]
commands:
"""
FIRST = HEAD.count("\n") + 1
"""The line on which the first command begins."""

REPAIRS = """\
  - repeat: {count: 3, over: school-days}
    steps:
      - {who: teacher, when: "${day} 08:00", command: assets.ReportRepair, at: south, as: repair, body: {kind: lamp, place: "room ${n:02}"}}
      - {who: repairer, when: "${day} 09:00", command: assets.StartRepair, to: repair}
      - {who: repairer, when: "${day} 10:00", command: assets.FinishRepair, to: repair, body: {work: done}}
      - {who: teacher, when: "${day} 16:00", command: assets.SignRepair, to: repair}
"""


def written(folder: Path, commands: str, head: str = HEAD) -> Path:
    file = folder / "example.yaml"
    file.write_text(head + commands, encoding="utf-8")
    return file


def planned(folder: Path, commands: str) -> Plan:
    file = written(folder, commands)
    return plan(file, read(file))


def waves(made: Plan) -> list[list[Planned]]:
    return made.phases[-1].waves


def complaints(folder: Path, commands: str, head: str = HEAD) -> list[tuple[int, str]]:
    file = written(folder, commands, head)
    with pytest.raises(Wrong) as wrong:
        plan(file, read(file))
    assert all(str(file) in line for line in str(wrong.value).splitlines()[:1])
    return [(one.line, one.en) for one in wrong.value.complaints]


class TestWrongLines:
    def test_unknown_key(self, tmp_path: Path) -> None:
        found = complaints(tmp_path, "  - {whom: teacher, who: teacher, command: assets.X}\n")
        assert found == [(FIRST, "unknown key whom")]

    def test_unknown_key_in_a_nested_step(self, tmp_path: Path) -> None:
        found = complaints(tmp_path, REPAIRS.replace("work: done}", "work: done}, tto: x"))
        assert found == [(FIRST + 4, "unknown key tto")]

    def test_missing_key(self, tmp_path: Path) -> None:
        found = complaints(tmp_path, "  - command: assets.X\n    at: school\n")
        assert found == [(FIRST, "who is missing")]

    def test_every_wrong_line_at_once(self, tmp_path: Path) -> None:
        text = (
            "  - {who: nobody, command: assets.X}\n  - {who: teacher, command: assets.X, to: it}\n"
        )
        assert complaints(tmp_path, text) == [
            (FIRST, "there is no person nobody"),
            (FIRST + 1, "nothing is called it"),
        ]

    def test_unknown_name_within_a_body(self, tmp_path: Path) -> None:
        text = "  - who: teacher\n    command: assets.X\n    body:\n      a: 1\n      b: ['${nobody}']\n"
        assert complaints(tmp_path, text) == [(FIRST + 4, "nothing is called nobody")]

    def test_bad_moment(self, tmp_path: Path) -> None:
        text = "  - who: teacher\n    when: 2011-09-31 08:00\n    command: assets.X\n"
        ((line, english),) = complaints(tmp_path, text)
        assert line == FIRST + 1
        assert "2011-09-31" in english

    def test_bad_date_in_the_head(self, tmp_path: Path) -> None:
        head = HEAD.replace("as: school, since: 2000-01-01", 'as: school, since: "2000-13-01"')
        ((line, english),) = complaints(tmp_path, "  []\n", head)
        assert line == 4
        assert english.startswith("since:")

    def test_not_yaml(self, tmp_path: Path) -> None:
        ((line, english),) = complaints(tmp_path, "  - {who: teacher\n  - x\n")
        assert line >= FIRST
        assert english.startswith("not valid YAML")

    def test_key_twice(self, tmp_path: Path) -> None:
        ((line, english),) = complaints(tmp_path, "  - {who: teacher, who: repairer}\n")
        assert line == FIRST
        assert "duplicate key" in english

    def test_no_such_file(self, tmp_path: Path) -> None:
        with pytest.raises(Wrong, match="cannot be read"):
            read(tmp_path / "none.yaml")

    def test_unit_before_its_parent(self, tmp_path: Path) -> None:
        head = HEAD.replace("parent: school", "parent: elsewhere")
        assert complaints(tmp_path, "  []\n", head) == [(5, "there is no unit elsewhere")]

    def test_name_twice(self, tmp_path: Path) -> None:
        one = "  - {who: teacher, command: assets.X, as: thing}\n"
        assert complaints(tmp_path, one + one) == [(FIRST + 1, "thing is called so already")]

    def test_reserved_name(self, tmp_path: Path) -> None:
        found = complaints(tmp_path, "  - {who: teacher, command: assets.X, as: day}\n")
        assert found == [(FIRST, "day is reserved")]

    def test_name_of_a_repetition_is_not_one_thing(self, tmp_path: Path) -> None:
        found = complaints(
            tmp_path, REPAIRS + "  - {who: teacher, command: assets.X, to: repair}\n"
        )
        assert found == [(FIRST + 6, "repair are 3: say repair.1 or repair.*")]

    def test_command_and_route(self, tmp_path: Path) -> None:
        ((line, _),) = complaints(tmp_path, "  - {who: teacher, command: A, route: /assets/x}\n")
        assert line == FIRST

    def test_repetition_without_end(self, tmp_path: Path) -> None:
        text = "  - repeat: {}\n    steps: [{who: teacher, command: assets.X}]\n"
        assert complaints(tmp_path, text) == [(FIRST, "how often? say count, over or items")]

    def test_a_wrong_repetition_is_said_once(self, tmp_path: Path) -> None:
        assert len(complaints(tmp_path, REPAIRS.replace("to: repair}\n", "to: lamp}\n", 1))) == 1

    def test_expected_of_an_unknown_unit(self, tmp_path: Path) -> None:
        text = (
            "  []\nexpected:\n  - {name: {zh: 一, en: one}, measure: a.b, unit: nowhere,"
            " period: 2011/2012-1, value: 1}\n"
        )
        assert complaints(tmp_path, text) == [(FIRST + 2, "there is no unit nowhere")]


class TestExpressions:
    scope = Scope(
        names={"school": "id-1", "things": ["a", "b"]},
        local={"n": 2, "day": date(2011, 9, 30), "item": {"code": 7}},
        up=Scope(local={"n": 5, "day": date(2011, 9, 1)}, up=Scope()),
    )

    @pytest.mark.parametrize(
        ("text", "value"),
        [
            ("${n}", 2),
            ("no ${n:03}", "no 002"),
            ("${day} 08:00", "2011-09-30 08:00"),
            ("${day+2}", "2011-10-02"),
            ("${day-30}", "2011-08-31"),
            ("${up.n}-${n}", "5-2"),
            ("${up.day}", "2011-09-01"),
            ("${item.code}", 7),
            ("${school}", "id-1"),
            ("${things.*}", ["a", "b"]),
            ("${things.2}", "b"),
            ("plain", "plain"),
        ],
    )
    def test_value(self, text: str, value: object) -> None:
        assert rendered(text, self.scope) == value

    def test_hash_is_that_of_the_text(self) -> None:
        assert rendered("${sha256 abc}", self.scope).startswith("ba7816bf8f01cfea")

    @pytest.mark.parametrize(
        "text", ["${", "x ${n", "${}", "${a b}", "${things.3}", "${item.none}", "${up.up.n}"]
    )
    def test_meaningless(self, text: str) -> None:
        with pytest.raises(Meaningless):
            rendered(text, Scope(names=self.scope.names, local=self.scope.local, up=self.scope.up))

    def test_moment_is_in_the_file_s_zone(self) -> None:
        zone = ZoneInfo("Asia/Shanghai")
        assert moment("2011-09-05 08:30", zone) == datetime(2011, 9, 5, 8, 30, tzinfo=zone)
        assert moment("2011-09-05 00:00", zone).hour == 0
        assert moment(date(2011, 9, 5), zone).hour == 12
        assert moment("2011-09-05T08:30+00:00", zone).isoformat() == "2011-09-05T08:30:00+00:00"


class TestSpreading:
    def test_each_in_the_middle_of_its_share(self) -> None:
        assert spread(4, range(100)) == [12, 37, 62, 87]

    def test_more_than_there_are_days(self) -> None:
        made = spread(7, range(3))
        assert made == sorted(made)
        assert [made.count(day) for day in range(3)] == [2, 3, 2]

    def test_the_whole_range_is_used(self) -> None:
        assert spread(5, range(5)) == list(range(5))

    def days(self, tmp_path: Path) -> Days:
        return Days(read(written(tmp_path, "  []\n")).calendar)

    def test_school_days_follow_the_calendar(self, tmp_path: Path) -> None:
        days = self.days(tmp_path).between("school-days", date(2011, 8, 25), date(2011, 9, 18))
        assert date(2011, 9, 1) == days[0]
        assert date(2011, 9, 12) not in days  # a holiday
        assert date(2011, 9, 17) in days  # a Saturday that is worked
        assert date(2011, 9, 18) not in days

    def test_weeks_and_months_begin_on_a_school_day(self, tmp_path: Path) -> None:
        days = self.days(tmp_path)
        weeks = days.between("weeks", date(2011, 9, 1), date(2011, 9, 30))
        assert [day.day for day in weeks] == [1, 5, 13, 19, 26]
        months = days.between("months", date(2011, 9, 1), date(2011, 10, 31))
        assert months == [date(2011, 9, 1)]


class TestPlan:
    def test_units_have_the_ids_of_their_codes(self, tmp_path: Path) -> None:
        made = planned(tmp_path, REPAIRS)
        school, campus = (wave[0].body for wave in made.phases[0].waves)  # parents first
        assert school["organisation"] == str(region_of("2143999999"))
        assert campus["organisation"] == str(region_of("2143999999"))
        assert campus["parent_code"] == "2143999999"

    def test_repetitions_advance_in_step(self, tmp_path: Path) -> None:
        made = waves(planned(tmp_path, REPAIRS))
        assert [[one.operation for one in wave] for wave in made] == [
            ["ReportRepair"] * 3,
            ["StartRepair"] * 3,
            ["FinishRepair"] * 3,
            ["SignRepair"] * 3,
        ]
        assert [one.body["place"] for one in made[0]] == ["room 01", "room 02", "room 03"]
        assert made[1][2].needs() == {made[0][2].key}

    def test_keys_are_the_same_in_every_run(self, tmp_path: Path) -> None:
        def keys() -> list[str]:
            return [one.key for wave in waves(planned(tmp_path, REPAIRS)) for one in wave]

        assert keys() == keys()
        assert len(set(keys())) == 12
        assert keys()[:2] == ["example:commands.0[1].0", "example:commands.0[2].0"]

    def test_repetition_within_a_repetition(self, tmp_path: Path) -> None:
        text = """\
  - repeat: {items: [a, b]}
    steps:
      - {who: teacher, command: assets.Plan, as: round}
      - repeat: {count: 2}
        steps:
          - {who: teacher, command: assets.Check, to: round, body: {code: "${up.item}${n}"}}
      - {who: teacher, command: assets.Complete, to: round}
"""
        made = waves(planned(tmp_path, text))
        assert [len(wave) for wave in made] == [2, 4, 2]
        assert [one.body["code"] for one in made[1]] == ["a1", "a2", "b1", "b2"]
        assert {one.key for one in made[0]} == {ref for one in made[1] for ref in one.needs()}

    def test_things_of_a_repetition_by_number(self, tmp_path: Path) -> None:
        text = REPAIRS + "  - {who: teacher, command: assets.X, body: {of: '${repair.*}'}}\n"
        made = waves(planned(tmp_path, text))
        of = made[-1][0].body["of"]
        assert [type(one) for one in of] == [Pending] * 3
        assert made[-1][0].needs() == {one.key for one in made[0]}

    def test_the_example_stands(self) -> None:
        made = plan(ZIXING, read(ZIXING))
        operations = [one.operation for wave in waves(made) for one in wave]
        assert operations.count("SignRepair") == 275
        assert operations.count("RecordCheck") == 40
        for phase in made.phases:
            for wave in phase.waves:
                for one in wave:
                    at = one.body.get("occurred_at")
                    assert at is None or "2011-09-01" <= at < "2012-01-14"

    def test_the_written_guide_is_a_scenario(self, tmp_path: Path) -> None:
        guide = ZIXING.with_name("README.md").read_text(encoding="utf-8")
        file = written(tmp_path, guide.partition("```yaml\n")[2].partition("```")[0], head="")
        assert plan(file, read(file)).phases[-1].count == 162


DOCUMENT = {
    "paths": {
        "/assets/repairs": {"post": {"operationId": "ReportRepair"}},
        "/assets/repairs/{id}/start": {"post": {"operationId": "StartRepair"}},
        "/assets/repairs/{id}/finish": {"post": {"operationId": "FinishRepair"}},
        "/assets/repairs/{id}/sign": {"post": {"operationId": "SignRepair"}},
        "/organisation/units": {"post": {"operationId": "RegisterUnit"}},
        "/organisation/staff": {"post": {"operationId": "AppointStaff"}},
        "/organisation/calendars/terms": {"post": {"operationId": "SetTerm"}},
        "/organisation/calendars/holidays": {"post": {"operationId": "SetHoliday"}},
        "/organisation/calendars/make-up-days": {"post": {"operationId": "SetMakeUpDay"}},
    },
    "components": {
        "schemas": {
            "ReportRepair": {
                "properties": dict.fromkeys(["organisation", "kind", "place", "occurred_at"]),
                "required": ["organisation", "kind"],
            },
            "StartRepair": {"properties": {"occurred_at": None}},
            "FinishRepair": {"properties": {"occurred_at": None, "work": None}},
            "SignRepair": {"properties": {"occurred_at": None}},
            "RegisterUnit": {
                "properties": dict.fromkeys(
                    ["organisation", "code", "name", "level", "parent_code", "boarding", "since"]
                )
            },
            "AppointStaff": {
                "properties": dict.fromkeys(["organisation", "person", "role", "since"])
            },
            "SetTerm": {
                "properties": dict.fromkeys(
                    ["organisation", "school_year", "term", "first_day", "last_day"]
                )
            },
            "SetHoliday": {
                "properties": dict.fromkeys(
                    ["organisation", "school_year", "first_day", "last_day", "name"]
                )
            },
            "SetMakeUpDay": {
                "properties": dict.fromkeys(["organisation", "school_year", "day", "name"])
            },
        }
    },
}

REFUSED = {
    "slug": "repair_over",
    "status": 422,
    "zh": {"reason": "报修已结束", "next_step": "请另报"},
    "en": {"reason": "The repair is over", "next_step": "Report it anew"},
    "errors": [{"field": "id", "zh": "报修已结束", "en": "The repair is over"}],
}


class Services:
    """Answers as the services would: one id per key, one place in the log per command."""

    def __init__(self) -> None:
        self.batches: list[tuple[str, str, list[Row]]] = []
        self.headers: list[httpx.Headers] = []
        self.refuse: dict[str, Row] = {}
        self.away = 0

    def answer(self, request: httpx.Request) -> httpx.Response:
        service = request.url.path.split("/")[1]
        if request.url.path.endswith("openapi.json"):
            return httpx.Response(200, json=DOCUMENT)
        if self.away:
            self.away -= 1
            return httpx.Response(503, json={})
        rows = json.loads(request.content)["commands"]
        self.batches.append((service, request.headers["authorization"], rows))
        self.headers.append(request.headers)
        return httpx.Response(200, json={"results": [self.result(service, row) for row in rows]})

    def result(self, service: str, row: Row) -> Row:
        problem = self.refuse.get(row["command"])
        if problem:
            if problem["status"] == 409:
                del self.refuse[row["command"]]
            return {"key": row["key"], "status": problem["status"], "problem": problem}
        place = f"{service};1.{len(self.batches)}.1"
        return {"key": row["key"], "status": 200, "body": {"id": row["key"], "position": place}}

    def sent(self, service: str = "assets") -> list[Row]:
        return [row for name, _, rows in self.batches if name == service for row in rows]


async def entered(
    folder: Path, commands: str, services: Services, *, memory: Path | None = None
) -> Runner:
    file = written(folder, commands)

    async def token(person: str) -> str:
        return person

    urls = dict.fromkeys(("organisation", "assets"), "http://local")
    async with httpx.AsyncClient(transport=httpx.MockTransport(services.answer)) as client:
        runner = Runner(
            file, urls, token, lambda _: None, client=client, memory=memory, patience_s=2
        )
        await runner.enter(plan(file, read(file)))
    return runner


class TestSending:
    async def test_one_batch_per_person_and_wave(self, tmp_path: Path) -> None:
        services = Services()
        runner = await entered(tmp_path, REPAIRS, services)
        business = [(who, len(rows)) for name, who, rows in services.batches if name == "assets"]
        assert business == [
            ("Bearer administrator", 0),
            ("Bearer teacher", 3),
            ("Bearer repairer", 3),
            ("Bearer repairer", 3),
            ("Bearer teacher", 3),
        ]
        started = [row for row in services.sent() if row["command"] == "StartRepair"]
        assert [row["id"] for row in started] == [f"example:commands.0[{n}].0" for n in range(1, 4)]
        assert started[0]["body"]["occurred_at"].startswith("2011-09-0")
        assert runner.entered.after("assets") == f"assets;1.{len(services.batches)}.1"

    async def test_services_wait_for_units_and_posts(self, tmp_path: Path) -> None:
        services = Services()
        await entered(tmp_path, REPAIRS, services)
        afters = [
            headers.get("houqin-after")
            for (name, _, _), headers in zip(services.batches, services.headers, strict=True)
            if name == "assets"
        ]
        assert afters[0] is not None
        assert afters[0].startswith("organisation;1.")
        assert afters[1:] == [None] * 4

    async def test_a_service_that_is_away_is_waited_for(self, tmp_path: Path) -> None:
        services = Services()
        services.away = 2
        await entered(tmp_path, REPAIRS, services)
        assert len(services.sent()) == 12

    async def test_a_lost_race_is_sent_again(self, tmp_path: Path) -> None:
        services = Services()
        services.refuse["StartRepair"] = {**REFUSED, "status": 409}
        await entered(tmp_path, REPAIRS, services)
        starts = [row["key"] for row in services.sent() if row["command"] == "StartRepair"]
        assert starts.count("example:commands.0[1].1") == 2
        assert starts.count("example:commands.0[2].1") == 1

    async def test_a_refusal_is_said_in_the_service_s_words(self, tmp_path: Path) -> None:
        services = Services()
        services.refuse["FinishRepair"] = REFUSED
        with pytest.raises(Wrong) as wrong:
            await entered(tmp_path, REPAIRS, services)
        text = str(wrong.value)
        assert f"example.yaml:{FIRST + 4}: " in text
        for part in (
            "报修已结束。请另报",
            "The repair is over. Report it anew",
            "id: ",
            "repair_over",
        ):
            assert part in text
        assert "SignRepair" not in {row["command"] for row in services.sent()}

    async def test_a_refusal_can_be_shown_on_purpose(self, tmp_path: Path) -> None:
        services = Services()
        services.refuse["FinishRepair"] = REFUSED
        text = REPAIRS.replace("work: done}", "work: done}, expect_refusal: repair_over")
        memory = tmp_path / "shown"
        await entered(tmp_path, text, services, memory=memory)
        again = Services()
        await entered(tmp_path, text, again, memory=memory)
        assert "FinishRepair" not in {row["command"] for row in again.sent()}
        assert len(again.sent()) == 9

    async def test_an_expected_refusal_that_does_not_come_is_wrong(self, tmp_path: Path) -> None:
        text = REPAIRS.replace("work: done}", "work: done}, expect_refusal: repair_over")
        with pytest.raises(Wrong, match="should be refused with repair_over"):
            await entered(tmp_path, text, Services())

    async def test_what_no_service_has_is_said_before_anything_is_sent(
        self, tmp_path: Path
    ) -> None:
        services = Services()
        text = (
            "  - {who: teacher, command: assets.ReportRepairs, at: school}\n"
            "  - {who: teacher, command: assets.ReportRepair, at: school, body: {knd: lamp}}\n"
            "  - {who: teacher, command: assets.StartRepair}\n"
            "  - {who: teacher, command: canteen.Cook}\n"
        )
        with pytest.raises(Wrong) as wrong:
            await entered(tmp_path, text, services)
        assert [(one.line - FIRST, one.en) for one in wrong.value.complaints] == [
            (0, "assets has no ReportRepairs; ReportRepair?"),
            (1, "ReportRepair has no field knd"),
            (1, "ReportRepair needs kind"),
            (2, "StartRepair needs `to`"),
            (3, "there is no service canteen"),
        ]
        assert services.batches == []

    async def test_a_route_names_a_command_too(self, tmp_path: Path) -> None:
        services = Services()
        text = (
            "  - {who: teacher, route: /assets/repairs, at: school, as: it, body: {kind: lamp}}\n"
            "  - {who: teacher, route: '/assets/repairs/{id}/sign', to: it}\n"
        )
        await entered(tmp_path, text, services)
        assert [row["command"] for row in services.sent()] == ["ReportRepair", "SignRepair"]

    async def test_a_service_that_stays_away(self, tmp_path: Path) -> None:
        services = Services()
        services.away = 1000
        with pytest.raises(Wrong, match="no answer"):
            await asyncio.wait_for(entered(tmp_path, REPAIRS, services), 10)


def line(folder: Path, value: int | None = 80, *, equal: bool = True) -> Line:
    text = (
        "  []\nexpected:\n  - name: {zh: 更换灯管, en: lamp tubes}\n    measure: assets.lamps\n"
        "    unit: school\n    period: 2011/2012-1\n    value: 80\n    bound: at_least\n"
    )
    file = written(folder, text)
    scenario = read(file)
    place = plan(file, scenario).above("school")
    found = Reading(None if value is None else Decimal(value), events=3, equal=equal)
    return Line(scenario.expected[0], place, {"school": found})


class TestTable:
    @pytest.mark.parametrize(
        ("value", "right"), [(80, True), (81, True), (79, False), (None, False)]
    )
    def test_at_least(self, tmp_path: Path, value: int | None, right: bool) -> None:
        assert line(tmp_path, value).right is right

    def test_a_recount_that_differs_is_wrong(self, tmp_path: Path) -> None:
        assert not line(tmp_path, equal=False).right

    def test_columns_stand_below_each_other(self, tmp_path: Path) -> None:
        assert width("灯管 ab≥") == 8
        assert aligned([["灯", "1"], ["abcd", "22"]], right=(1,)) == ["灯     1", "abcd  22"]
        shown = table([line(tmp_path)])
        assert any("更换灯管" in text and "≥ 80" in text and "✓" in text for text in shown)
