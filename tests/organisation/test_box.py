"""Organisation over HTTP: people found by name, and complaints of people without an account."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime
from typing import Any

import httpx
import pytest

from hosting.application import application
from hosting.compose import running
from services.organisation import organisation
from services.organisation.complaint import AnswerComplaint, complaints
from services.organisation.staff import staff
from services.organisation.staff.appoint import AppointStaff
from services.organisation.unit import units
from shared.config import Settings
from shared.fields import business_day
from shared.organisation import Role
from shared.runtime import Runtime
from tests.organisation.test_alive import COUNTY, SCHOOL, ask, plant, until_holds
from tests.shared.identity import AUDIENCE, ISSUER, KEY, providing, signed
from tests.shared.wire import until

pytestmark = pytest.mark.stack

RECEIPT = "0123-4567-89AB-CDEF"
FILED = {"unit": "2142000001", "receipt": RECEIPT, "topic": "food", "text": "周三午餐的肉没有熟"}
BOX = "/organisation/public/complaints"


@asynccontextmanager
async def opened(config: Settings) -> AsyncIterator[tuple[Runtime, httpx.AsyncClient]]:
    """Organisation with a tree, as its callers reach it."""
    async with providing(KEY) as provider:
        settings = config.model_copy(
            update={
                "administrators": "administrator", "issuer": ISSUER, "audience": AUDIENCE,
                "jwks_url": provider.url, "complaints_per_school_h": 2,
            }
        )  # fmt: skip
        async with running(organisation, settings) as rt:
            await until(lambda: rt.directory.age_seconds < settings.posts_age_s_max)
            await plant(rt)
            transport = httpx.ASGITransport(application(rt, "api"))
            async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
                yield rt, client


async def appoint(rt: Runtime, person: str, name: str, role: Role, unit: Any = SCHOOL) -> None:
    command = AppointStaff(
        organisation=unit, person=person, full_name=name, role=role, since=date(2020, 9, 1)
    )
    await ask(rt, "administrator", staff, command)


async def found(client: httpx.AsyncClient, person: str, **query: str) -> list[tuple[str, str]]:
    headers = {"Authorization": f"Bearer {signed(KEY, sub=person)}"}
    answer = await client.get("/organisation/people", params=query, headers=headers)
    assert answer.status_code == 200, answer.text
    return [(one["id"], one["name"]) for one in answer.json()["items"]]


async def find_people(rt: Runtime, client: httpx.AsyncClient) -> None:
    await appoint(rt, "officer", "许察微", Role.BUREAU_OFFICER, COUNTY)
    await appoint(rt, "zhao", "赵德润", Role.PRINCIPAL)
    await appoint(rt, "wang", "王芳", Role.STOREKEEPER)
    await appoint(rt, "qian", "钱书航", Role.COOK, units.id_of("3442000001"))
    await until_holds(rt, "wang", SCHOOL)
    school, wang = str(SCHOOL), ("wang", "王芳")
    assert set(await found(client, "wang", unit=school)) == {
        wang, ("zhao", "赵德润"), ("officer", "许察微"),
    }  # fmt: skip
    for text in ("王芳", "wf", "WANG", "bgy", "保管"):
        assert await found(client, "zhao", unit=school, q=text) == [wang], text
    assert await found(client, "zhao", unit=school, q="qsh") == []
    assert await found(client, "zhao", ids="wang,officer,qian,nobody") == [
        wang, ("officer", "许察微"),
    ]  # fmt: skip
    assert ("qian", "钱书航") not in await found(client, "zhao", unit=str(COUNTY))


async def file_and_follow(rt: Runtime, client: httpx.AsyncClient) -> None:
    for _ in range(2):  # the same form sent twice
        filed = await client.post(BOX, json=FILED)
        assert (filed.status_code, filed.json()["status"]) == (201, "filed"), filed.text
    assert "content" not in filed.json() and "text" not in filed.json()
    wrong = await client.post(BOX, json=FILED | {"receipt": "F" * 16, "text": "短", "topic": ""})
    assert wrong.status_code == 422
    assert {one["field"] for one in wrong.json()["errors"]} == {"text", "topic"}
    more = await client.post(BOX, json=FILED | {"receipt": "A" * 16})
    assert (more.status_code, more.json()["slug"]) == (429, "too_many_complaints")

    id_ = complaints.id_of(RECEIPT.replace("-", ""))
    data = await rt.pool.fetchval("select data from event where stream = $1", id_)
    assert b"sealed:1:" in data and FILED["text"].encode() not in data
    await ask(rt, "zhao", complaints, AnswerComplaint(answer="已更换供货商"), id_)
    answer = await client.post(f"{BOX}/status", json={"receipt": "o123 4567 89ab cdef"})
    told = answer.json()
    today = str(business_day(datetime.now(UTC)))
    assert (told["status"], told["answer"], told["answered_on"]) == (
        "answered", "已更换供货商", today,
    )  # fmt: skip
    unknown = await client.post(f"{BOX}/status", json={"receipt": "Z" * 16})
    assert (unknown.status_code, unknown.json()["slug"]) == (404, "not_found")
    page = await client.get(
        "/organisation/public/published-complaints", params={"unit": FILED["unit"]}
    )
    [row] = page.json()["items"]
    assert (row["topic"], row["in_time"], row["summary"]) == ("food", True, "")


async def test_people_are_found_and_anybody_may_complain(config: Settings) -> None:
    async with opened(config) as (rt, client):
        await find_people(rt, client)
        await file_and_follow(rt, client)
