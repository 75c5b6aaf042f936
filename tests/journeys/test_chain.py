"""From one person's tap through Kafka to everybody else: events, reactions, figures, alerts."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from shared.envelope import Delivered, partition_of
from shared.fields import business_day
from tests.journeys.test_problems import is_problem
from tests.world import (
    CITY,
    COUNTY,
    FOREIGN,
    OTHER_COUNTY,
    PROVINCE,
    SCHOOL,
    TOWN,
    World,
    unit,
    until,
)  # fmt: skip

pytestmark = pytest.mark.stack

PARTITIONS = 12
LEVELS = (
    ("head", SCHOOL), ("town-supervisor", TOWN), ("county-officer", COUNTY),
    ("city-officer", CITY), ("province-officer", PROVINCE),
)  # fmt: skip


def today() -> str:
    return str(business_day(datetime.now(UTC)))


async def delivered(world: World, service: str, code: str, event: str) -> Delivered:
    """The event as Kafka holds it, in the one partition where it must be."""
    partition = TopicPartition(f"houqin.{service}", partition_of(unit(code), PARTITIONS))
    consumer = AIOKafkaConsumer(bootstrap_servers=world.stack.kafka, auto_offset_reset="earliest")
    await consumer.start()
    try:
        consumer.assign([partition])
        async with asyncio.timeout(15):
            async for message in consumer:
                found = Delivered(message)
                if found.headers["ce_id"].decode() == event:
                    return found
    finally:
        await consumer.stop()
    raise AssertionError(f"{event} is not in {partition}")


async def figure(world: World, person: str, code: str, measure: str, after: str) -> dict[str, Any]:
    made: dict[str, Any] = await world.api.read(
        person, f"/reporting/figures/{measure}", after=after, unit=str(unit(code)), period=today()
    )
    return made


async def everywhere(world: World, measure: str, after: str) -> list[Decimal]:
    """The figure at school, township, county, city and province."""
    found = [await figure(world, person, code, measure, after) for person, code in LEVELS]
    return [Decimal(one["value"] or 0) for one in found]


def requisition(budget: str, price: str) -> dict[str, Any]:
    return {
        "organisation": str(unit(SCHOOL)), "category": "consumables", "fund": "public",
        "budget": budget, "budget_line": "paper", "needed_by": today(), "purpose": "期末试卷用纸",
        "lines": [
            {"item": "A4纸", "quantity": "4", "measure_unit": "箱", "estimated_price_cny": price}
        ],
    }  # fmt: skip


async def test_a_requisition_from_tap_to_province(world: World) -> None:
    api = world.api
    line = {"code": "paper", "name": "纸张", "fund": "public", "amount_cny": "5000"}
    adopt = {"organisation": str(unit(SCHOOL)), "year": 2031, "lines": [line]}
    budget = (await api.do("head", "/procurement/budgets", adopt))["id"]
    raised = await api.do("buyer", "/procurement/requisitions", requisition(budget, "400"))
    before = await everywhere(world, "procurement.purchases_approved", "procurement")
    money = await everywhere(world, "procurement.purchases_approved_amount", "procurement")
    abroad = await figure(
        world, "other-officer", OTHER_COUNTY, "procurement.purchases_approved", "procurement"
    )
    path = f"/procurement/requisitions/{raised['id']}"
    submitted = await api.do("buyer", f"{path}/submit")
    assert submitted["row"]["status"] == "submitted"
    is_problem(await api.send("buyer", f"{path}/approve"), 403, "forbidden")
    is_problem(await api.send("head", f"{path}/approve"), 422, "not_your_step")
    await api.do("director", f"{path}/approve", {"step": 1})

    trace = secrets.token_hex(16)
    parent = f"00-{trace}-{secrets.token_hex(8)}-01"
    approved = await api.do("head", f"{path}/approve", headers={"traceparent": parent})
    assert approved["row"]["status"] == "approved"

    event = await delivered(world, "procurement", SCHOOL, approved["events"][-1])
    assert event.key == unit(SCHOOL) and event.type == "PurchaseApproved"
    headers = {name: value.decode() for name, value in event.headers.items()}
    assert headers["ce_specversion"] == "1.0"
    assert headers["ce_source"] == "/houqin/procurement"
    assert headers["ce_subject"] == raised["id"]
    assert headers["ce_actor"] == "head" and headers["ce_organisation"] == str(unit(SCHOOL))
    assert headers["traceparent"].split("-")[1] == trace, "the trace of the tap crosses Kafka"
    data = json.loads(event.data)
    assert data["amount_cny"] == "1600.00" and data["approved_by"] == ["director", "head"]

    after = await everywhere(world, "procurement.purchases_approved", "procurement")
    assert [now - was for now, was in zip(after, before, strict=True)] == [Decimal(1)] * 5
    after = await everywhere(world, "procurement.purchases_approved_amount", "procurement")
    assert [now - was for now, was in zip(after, money, strict=True)] == [Decimal(1600)] * 5
    still = await figure(
        world, "other-officer", OTHER_COUNTY, "procurement.purchases_approved", "procurement"
    )
    assert still["value"] == abroad["value"], "another county's figure is its own"

    for person, code in LEVELS:
        query = {"unit": str(unit(code)), "period": today()}
        behind = await api.read(
            person, "/reporting/figures/procurement.purchases_approved/events", **query
        )
        assert approved["events"][-1] in [item["id"] for item in behind["items"]], code
        check = await api.read(
            person, "/reporting/figures/procurement.purchases_approved/check", **query
        )
        assert check["equal"], code
    query = {"unit": str(unit(SCHOOL)), "period": today()}
    answer = await api.get(
        "foreign-head", "/reporting/figures/procurement.purchases_approved", **query
    )
    is_problem(answer, 403, "forbidden", "unit")


@asynccontextmanager
async def listening(
    world: World, person: str, **headers: str
) -> AsyncIterator[AsyncIterator[dict[str, Any]]]:
    """The person's live alerts, from the moment at which the stream is open."""
    token = await world.api.token(person)
    url = world.api.url("/reporting/alerts/stream")
    asked = {"Authorization": f"Bearer {token}", **headers}
    async with world.api.client.stream("GET", url, headers=asked, timeout=40) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = answer.aiter_lines()
        assert (await anext(lines)).startswith(":"), "it says at once that it is there"

        async def events() -> AsyncIterator[dict[str, Any]]:
            event: dict[str, Any] = {}
            async for line in lines:
                name, _, text = line.partition(": ")
                if not line and event:
                    yield event
                    event = {}
                elif name in {"id", "event"}:
                    event[name] = text
                elif name == "data":
                    event |= json.loads(text) | {"id": event.get("id")}

        yield events()


async def next_of(events: AsyncIterator[dict[str, Any]], cause: str) -> dict[str, Any]:
    """The next alert event of that cause."""
    async with asyncio.timeout(30):
        async for event in events:
            if event["alert"]["cause"] == cause:
                return event
    raise AssertionError("the stream ended")


async def checklist(world: World) -> str:
    items = [
        {
            "code": code,
            "text_zh": f"项目{code}",
            "points": "10",
            "veto": code == "A",
            "severity": grade,
        }
        for code, grade in (("A", "major"), ("B", "general"), ("C", "general"), ("D", "general"))
    ]
    body = {
        "organisation": str(unit(COUNTY)),
        "title": "县级督查",
        "kind": "supervision",
        "items": items,
    }
    drafted = await world.api.do("county-inspector", "/safety/checklists", body)
    await world.api.do("county-inspector", f"/safety/checklists/{drafted['id']}/publish")
    return str(drafted["id"])


def judged(failed: str) -> list[dict[str, Any]]:
    return [
        {"code": code, "judgement": "not_met", "note": "不合格"}
        if code in failed
        else {"code": code, "judgement": "met"}
        for code in "ABCD"
    ]


async def test_a_failed_inspection_opens_hazards_and_raises_one_alert(world: World) -> None:
    api = world.api
    list_ = await checklist(world)
    body = {
        "organisation": str(unit(SCHOOL)), "checklist": list_, "inspectors": ["county-inspector"],
        "results": judged("ABC"),
    }  # fmt: skip
    async with listening(world, "head") as mine, listening(world, "foreign-head") as foreign:
        done = await api.do(
            "county-inspector", "/safety/inspections/carry-out", body, key="inspect-1"
        )
        failed = done["events"][-1]
        told = await next_of(mine, failed)
        assert told["event"] == "AlertRaised" and told["alert"]["rule"] == "safety.inspection_veto"
        assert told["alert"]["organisation"] == str(unit(SCHOOL))
        assert "项目A" in told["alert"]["why_zh"] and "项目A" in told["alert"]["why_en"]
        # Repeated by an impatient phone: nothing happens twice.
        again = await api.send(
            "county-inspector", "/safety/inspections/carry-out", body, key="inspect-1"
        )
        assert again.headers["idempotent-replayed"] == "true"

        hazards = (
            await api.read(
                "head", "/safety/hazards", after="safety", inspection=done["id"], limit=100
            )
        )["items"]
        assert sorted(row["what"] for row in hazards) == [f"项目{code}：不合格" for code in "ABC"]
        assert {row["grade"] for row in hazards} == {"major", "general"}
        alerts = await api.pages("county-officer", "/reporting/alerts", cause=failed)
        assert len(alerts) == 1 and alerts[0]["status"] == "open"

        # The neighbour hears of his own, and has not heard of ours before.
        damage = await wilful_damage(world, "foreign-head", FOREIGN, "900")
        async with asyncio.timeout(30):
            first = await anext(foreign)
        assert first["alert"]["cause"] == damage

    hazard = await delivered(world, "safety", SCHOOL, await event_of(world, hazards[0]["id"]))
    assert hazard.headers["ce_causationid"].decode() == failed, "it knows what caused it"
    acknowledged = await api.do("head", f"/reporting/alerts/{alerts[0]['id']}/acknowledge")
    assert acknowledged["row"]["status"] == "acknowledged"


async def event_of(world: World, stream: str) -> str:
    pool = await world.pool("safety")
    id_ = await pool.fetchval(
        "select id from event where stream = $1 and version = 1", UUID(stream)
    )
    return str(id_)


async def wilful_damage(world: World, head: str, code: str, cost: str) -> str:
    """Something is broken on purpose, reported by one and assessed by another; its event."""
    report = {
        "organisation": str(unit(code)), "cause": "wilful", "item": "玻璃", "place": "走廊",
    }  # fmt: skip
    reporter = {SCHOOL: "teacher"}.get(code)
    if reporter is None:
        reporter = "temp"
        await world.appoint("temp", "teacher", code)
        await world.known()
    made = await world.api.do(reporter, "/assets/damages", report)
    assess = {"cause": "wilful", "replacement_cost_cny": cost}
    assessed = await world.api.do(head, f"/assets/damages/{made['id']}/assess", assess)
    return str(assessed["events"][0])


async def test_wilful_damage_alerts_from_the_limit_on(world: World) -> None:
    api = world.api
    below = await wilful_damage(world, "head", SCHOOL, "499.99")
    at = await wilful_damage(world, "head", SCHOOL, "500.00")
    found = await api.read("head", "/reporting/alerts", after="assets", cause=at)
    assert [row["rule"] for row in found["items"]] == ["assets.wilful_damage"]
    assert "500.00" in found["items"][0]["why_zh"]
    assert (await api.read("head", "/reporting/alerts", cause=below))["items"] == []


async def test_an_overdue_hazard_alerts_by_itself(world: World) -> None:
    """Nobody does anything: the deadline passes, and silence becomes an event and an alert."""
    api = world.api
    long_ago = (datetime.now(UTC) - timedelta(days=3)).isoformat()
    body = {
        "organisation": str(unit(SCHOOL)), "place": "配电室", "what": "线路裸露",
        "category": "electricity", "occurred_at": long_ago,
    }  # fmt: skip
    made = await api.do("teacher", "/safety/hazards", body)

    async def alerts() -> list[dict[str, Any]]:
        rows = await api.pages("head", "/reporting/alerts", rule="safety.hazard_overdue")
        return [row for row in rows if row["subject"] == made["id"]]

    (alert,) = await until(alerts, 30)
    assert alert["source"] == "safety" and "线路裸露" in alert["why_zh"]
    history = await api.read("head", f"/safety/hazards/{made['id']}/history")
    assert [item["type"] for item in history["items"]] == ["HazardFound", "HazardOverdue"]
    assert history["items"][1]["actor"] == "system"


async def test_a_revoked_post_ends_within_seconds(world: World) -> None:
    api = world.api
    body = {
        "organisation": str(unit(SCHOOL)),
        "place": "操场",
        "what": "球门松动",
        "category": "other",
    }
    is_problem(await api.send("newcomer", "/safety/hazards", body), 403, "forbidden")
    appointed = await world.appoint("newcomer", "teacher", SCHOOL)

    async def answers(status: int) -> bool:
        answer = await api.send("newcomer", "/safety/hazards", body)
        assert answer.status_code in {201, 403}, answer.text
        return answer.status_code == status

    await until(lambda: answers(201), 10)
    pool = await world.pool("organisation")
    data = await pool.fetchval("select data from event where id = $1", UUID(appointed["events"][0]))
    end = {"post": json.loads(data)["post"], "reason": "离职"}
    ended = await api.do("administrator", f"/organisation/staff/{appointed['id']}/end-post", end)
    await until(lambda: answers(403), 10)
    answer = await api.send("newcomer", "/safety/hazards", body, after=ended["position"])
    is_problem(answer, 403, "forbidden")
    is_problem(await api.get("newcomer", "/safety/hazards"), 403, "no_post")


async def test_a_unit_registered_just_now_is_used_elsewhere_at_once(world: World) -> None:
    """The write elsewhere waits for the position that the registration answered with."""
    code = f"{SCHOOL}-77"
    body = {
        "organisation": str(unit(SCHOOL)), "code": code, "name": "南校区", "level": "campus",
        "parent_code": SCHOOL,
    }  # fmt: skip
    registered = await world.api.do("head", "/organisation/units", body)
    hazard = {
        "organisation": str(unit(code)),
        "place": "大门",
        "what": "门轴断裂",
        "category": "other",
    }
    answer = await world.api.send(
        "teacher", "/safety/hazards", hazard, after=registered["position"]
    )
    assert answer.status_code == 201, answer.text
    row = await world.api.read("county-officer", f"/safety/hazards/{answer.json()['id']}")
    assert row["organisation"] == str(unit(code))


async def test_waiting_for_what_does_not_come(world: World) -> None:
    api = world.api
    for position in ("organisation", "organisation;1.2", "organisation;a.b.c", ";", "x;1.2.3.4"):
        headers = {"Houqin-After": position, "Authorization": f"Bearer {await api.token('head')}"}
        answer = await api.client.get(api.url("/safety/hazards"), headers=headers)
        is_problem(answer, 400, "after_malformed", "Houqin-After")
    answer = await api.get("head", "/safety/hazards", after="organisation;1.99999999999.1")
    is_problem(answer, 504, "after_unreached", "Houqin-After")
