"""What operators and auditors read of a running service: each only of the units that are theirs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import msgspec
import pytest

from hosting import audit, migrations, state
from hosting.application import application
from hosting.compose import running
from hosting.watch import Followed, Seen
from services.safety import safety
from shared.config import Settings
from shared.organisation import Role
from tests.hosting.test_alert_rules import rules
from tests.shared.identity import AUDIENCE, ISSUER, KEY, providing, signed
from tests.shared.office import SCHOOL, UNITS, Copy, Pool

pytestmark = pytest.mark.stack

POSTS = (
    ("auditor", Role.SUPERVISOR, "county"),
    ("chief", Role.ADMINISTRATOR, "county"),
    ("principal", Role.PRINCIPAL, "school"),
)
LAST = datetime(2026, 4, 2, 4, tzinfo=UTC)
STEP = timedelta(hours=9)
COUNT = 24
KINDS = ("HazardFound", "HazardGraded", "ChecklistPublished")
PLACES = ("school", "other_school", "sibling", "campus")


@dataclass
class Office:
    """A service over HTTP, with an event each nine hours, the last first."""

    client: httpx.AsyncClient
    pool: Pool
    events: list[dict[str, Any]]

    async def read(self, who: str, path: str, status: int = 200, **query: Any) -> Any:
        return await self._ask("GET", who, path, status, query)

    async def send(self, who: str, path: str, status: int = 200, **query: Any) -> Any:
        return await self._ask("POST", who, path, status, query)

    async def _ask(self, method: str, who: str, path: str, status: int, query: Any) -> Any:
        headers = {"Authorization": f"Bearer {signed(KEY, sub=who)}"} if who else {}
        answer = await self.client.request(method, f"/safety/{path}", params=query, headers=headers)
        assert answer.status_code == status, answer.text
        return answer.json()

    async def pages(self, **query: Any) -> tuple[list[dict[str, Any]], int]:
        """Every entry that the auditor finds, and in how many pages."""
        found: list[dict[str, Any]] = []
        cursor, count = "", 0
        while cursor is not None:
            page = await self.read("auditor", "audit", **query, cursor=cursor)
            found, cursor, count = found + page["items"], page["next"], count + 1
        return found, count

    def theirs(self, *places: str) -> list[str]:
        """The ids of what happened at those places, the newest first."""
        units = {str(UNITS[place]) for place in places}
        return [one["id"] for one in self.events if one["organisation"] in units]


@asynccontextmanager
async def opened(pool: Pool, config: Settings) -> AsyncIterator[Office]:
    async with providing(KEY) as provider:
        told = {"issuer": ISSUER, "audience": AUDIENCE, "jwks_url": provider.url}
        async with running(safety, config.model_copy(update=told), "api") as rt:
            copy = Copy(pool)
            await copy.plant()
            await copy.appoint(*POSTS)
            await rt.directory.refresh()
            transport = httpx.ASGITransport(application(rt, "api"))
            async with httpx.AsyncClient(transport=transport, base_url="http://safety") as client:
                yield Office(client, pool, await happened(pool))


async def happened(pool: Pool) -> list[dict[str, Any]]:
    """Events of two months by themselves: what decided them does not matter here."""
    events: list[dict[str, Any]] = []
    async with pool.acquire() as connection:
        await migrations.add_partitions(connection, datetime(2026, 3, 1, tzinfo=UTC).date())
        for n in reversed(range(COUNT)):
            moment = LAST - n * STEP
            event = {
                "id": str(uuid4()), "stream": str(uuid4()), "type": KINDS[n % len(KINDS)],
                "organisation": str(UNITS[PLACES[n % len(PLACES)]]),
                "actor": f"officer-{n % 5}", "recorded_at": moment,
            }  # fmt: skip
            await connection.execute(
                "insert into event (month, id, stream, version, type, data, organisation, actor,"
                " occurred_at, recorded_at, correlation)"
                " values ($1, $2, $3, 1, $4, '{}', $5, $6, $7, $7, $2)",
                moment.date().replace(day=1), event["id"], event["stream"], event["type"],
                event["organisation"], event["actor"], moment,
            )  # fmt: skip
            events.insert(0, event)
    return events


def ids(entries: list[dict[str, Any]]) -> list[str]:
    return [one["id"] for one in entries]


async def test_the_trail_is_read_in_pages_by_whoever_audits(
    pool: Pool, config: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(pool, config) as office:
        every = office.theirs("school", "sibling", "campus")
        assert 0 < len(every) < COUNT
        whole, count = await office.pages()
        assert (ids(whole), count) == (every, 1)
        first = whole[0]
        assert (first["aggregate"], first["organisation"]["name"]) == ("hazard", "school")
        assert first["words"]["zh"] and first["words"]["en"]
        found, count = await office.pages(limit=7)
        assert ids(found) == every and count == -(-len(every) // 7)
        # Of a long log a part is looked through at a time: a page may be empty, and not the last.
        monkeypatch.setattr(audit, "LOOKED_AT_MAX", 2)
        found, count = await office.pages(person="officer-3")
        wanted = [one["id"] for one in office.events if one["actor"] == "officer-3"]
        assert ids(found) == [one for one in wanted if one in every] and count == COUNT // 2 + 1


async def test_the_trail_is_searched(pool: Pool, config: Settings) -> None:
    async with opened(pool, config) as office:
        every = office.theirs("school", "sibling", "campus")
        by_id = {one["id"]: one for one in office.events}
        asked: dict[str, tuple[dict[str, Any], list[str]]] = {
            "unit": ({"unit": SCHOOL}, office.theirs("school", "campus")),
            "part of a name": ({"person": "CER-1"}, [n for n in every if by_id[n]["actor"] == "officer-1"]),
            "event": ({"kind": KINDS[1]}, [n for n in every if by_id[n]["type"] == KINDS[1]]),
            "things": ({"kind": "hazard"}, [n for n in every if by_id[n]["type"] != KINDS[2]]),
            "nothing of here": ({"kind": "card"}, []),
            "one thing": ({"stream": by_id[every[4]]["stream"]}, [every[4]]),
            "not theirs": ({"stream": by_id[office.theirs("other_school")[0]]["stream"]}, []),
            # Until midnight in Shanghai, eight hours before midnight in UTC.
            "days": (
                {"since": "2026-03-27", "until": "2026-03-31"},
                [n for n in every if "2026-03-26T16" <= by_id[n]["recorded_at"].isoformat() < "2026-03-31T16"],
            ),
        }  # fmt: skip
        for name, (query, wanted) in asked.items():
            assert ids((await office.pages(**query))[0]) == wanted, name
        for query in ({"cursor": "1.2"}, {"cursor": "1.-1.2"}):
            assert (await office.read("auditor", "audit", 400, **query))["slug"] == "cursor_broken"
        assert (await office.read("auditor", "audit", 400, unit="x"))["slug"] == "filter_malformed"
        assert (await office.read("principal", "audit", 403))["slug"] == "no_post"
        await office.read("", "audit", 401)


async def test_the_database_itself_shows_an_auditor_only_his_units(
    pool: Pool, config: Settings
) -> None:
    async with opened(pool, config), pool.acquire() as connection, connection.transaction():
        await connection.execute(
            "select set_config('role', 'houqin_reader', true), set_config('houqin.scope', $1, true)",
            str(SCHOOL),
        )
        seen = await connection.fetch("select distinct organisation from event")
        assert {row[0] for row in seen} == {SCHOOL, UNITS["campus"]}


async def park(pool: Pool, *places: str) -> None:
    for place in places:
        await pool.execute(
            "insert into parked_key (consumer, topic, key, partition, reason)"
            " values ('reactions', 'houqin.assets', $1, 0, 'not today')",
            UNITS[place],
        )


def worker(**changes: Any) -> Seen:
    follows = [Followed("directory", 0, 0, 0, 0)]
    told: dict[str, Any] = {
        "release": "r",
        "leads": True,
        "halted": [],
        "findings": [],
        "consumers": follows,
    }
    return Seen(**told | changes)


async def tell(pool: Pool, process: str, seen: Seen, seconds_ago: int = 0) -> None:
    await pool.execute(
        "insert into watched values ($1, clock_timestamp() - $3 * interval '1 second', $2)"
        " on conflict (process) do update set at = excluded.at, seen = excluded.seen",
        process, msgspec.json.encode(seen).decode(), seconds_ago,
    )  # fmt: skip


async def lights(office: Office) -> dict[str, str]:
    return {one["name"]: one["light"] for one in (await office.read("chief", "state"))["checks"]}


async def test_a_service_says_how_it_is(pool: Pool, config: Settings) -> None:
    async with opened(pool, config) as office:
        assert (await lights(office))["leaders"] == "bad", "no worker runs"
        await tell(pool, "a 1", worker())
        now = await office.read("chief", "state")
        # What was put into the log for this test nobody has sent.
        assert {one["name"] for one in now["checks"] if one["light"] != "good"} == {"relay"}
        assert now["light"] == "bad"
        assert [one["process"] for one in now["workers"]] == ["a 1"]
        assert now["backup"]["at"] is None
        await pool.execute("update relay set (epoch, tx, seq) = (9, '0', 0)")
        assert (await office.read("chief", "state"))["light"] == "good"
        await tell(pool, "b 2", worker(findings=["event 7: altered"], halted=["out of order"]))
        found = await lights(office)
        assert (found["leaders"], found["proof"], found["halted"]) == ("slow", "bad", "bad")
        await tell(pool, "b 2", worker(), seconds_ago=60)
        assert (await lights(office))["leaders"] == "good", "a worker that is silent does not count"
        await pool.execute("insert into backed_up values (now() - interval '3 days', 5)")
        assert (await lights(office))["backup"] == "slow"
        await pool.execute("insert into backed_up values (now(), 5)")
        now = await office.read("chief", "state")
        assert (now["light"], now["backup"]["bytes"]) == ("good", 5)
        assert (await office.read("principal", "state", 403))["slug"] == "no_post"
        await office.read("", "state", 401)


async def test_what_is_parked_is_shown_and_tried_again_by_whoever_is_in_charge_there(
    pool: Pool, config: Settings
) -> None:
    async with opened(pool, config) as office:
        await park(pool, "school", "other_school")
        now = await office.read("chief", "state")
        (parked,) = (one for one in now["checks"] if one["name"] == "parked")
        assert (parked["value"], parked["light"]) == (2, "slow"), "how many there are, is no secret"
        assert [(one["unit"], one["reason"]) for one in now["parked"]] == [("school", "not today")]
        assert await office.send("chief", "parked/retry", key=UNITS["other_school"]) == {"units": 0}
        assert (await office.send("principal", "parked/retry", 403))["slug"] == "no_post"
        assert await office.send("chief", "parked/retry", consumer="reactions") == {"units": 1}
        asked = await pool.fetch("select key from parked_key where retry")
        assert [row["key"] for row in asked] == [SCHOOL]
        await pool.execute("update parked_key set parked_at = now() - interval '2 days'")
        (parked,) = (
            one
            for one in (await office.read("chief", "state"))["checks"]
            if one["name"] == "parked"
        )
        assert (parked["light"], parked["runbook"]) == ("bad", "houqinkeysparkedlong")


def test_the_limits_are_those_of_the_alert_rules() -> None:
    """A page and a pager never disagree."""
    known = {rule["alert"]: rule for rule in rules()}
    for name, alarm in state.ALARMS.items():
        rule = known[alarm.alert]
        assert alarm.page == (rule["labels"]["severity"] == "page"), name
        bound = rule["expr"].split()[-2:]
        # Of one leader, and of what is halted, any other number is wrong.
        wanted = {"==": 0.0, "!=": 1.0}.get(bound[0], float(bound[1]))
        assert alarm.limit == wanted, name
