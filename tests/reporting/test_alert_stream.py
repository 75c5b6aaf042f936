"""Alerts live over real HTTP: what concerns the listener, nothing twice, nothing missed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID, uuid4

import httpx
import msgspec
import pytest

from services.reporting import alert_stream
from services.reporting.alert import Severity, alerts
from services.reporting.alert.answer import AcknowledgeAlert
from services.reporting.alert.climbing import RaiseAlert
from services.reporting.alert_stream import AlertStream, cursor_of
from shared.decide import Request, Step
from shared.organisation import Role
from shared.problems import Problem
from shared.runtime import Runtime
from tests.reporting.events import NORTH, ONE, TWO, put_post
from tests.shared.wire import until

pytestmark = pytest.mark.stack


async def send(rt: Runtime, stream: UUID, command: Any) -> None:
    step = Step(alerts.decisions[type(command)], stream, command)
    await rt.writer.ask(Request([step], "system"))


async def raise_at(rt: Runtime, unit: UUID) -> UUID:
    subject = uuid4()
    command = RaiseAlert(
        organisation=unit, rule="safety.hazard_overdue", subject=subject, period="",
        severity=Severity.HIGH, why_zh="隐患逾期", why_en="late", values={}, source="safety",
        cause=uuid4(), cause_type="HazardOverdue",
    )  # fmt: skip
    id_ = alerts.id_of("safety.hazard_overdue", subject, "")
    await send(rt, id_, command)
    return id_


class Events:
    """Reads server-sent events."""

    def __init__(self, answer: httpx.Response) -> None:
        self.lines = answer.aiter_lines()

    async def next(self) -> dict[str, Any]:
        """The next event: its name, id and data. Comments are passed by."""
        found: dict[str, Any] = {}
        async with asyncio.timeout(10):
            async for line in self.lines:
                if line.startswith(":"):
                    continue
                if not line and found:
                    found["data"] = msgspec.json.decode(found["data"])
                    return found
                name, _, value = line.partition(": ")
                if name:
                    found[name] = value
        raise AssertionError("the stream has ended")


@asynccontextmanager
async def listening(
    http: httpx.AsyncClient, who: str, after: str | None = None
) -> AsyncIterator[Events]:
    headers = {"Authorization": f"Bearer {who}"}
    if after:
        headers["Last-Event-ID"] = after
    async with http.stream("GET", "/reporting/alerts/stream", headers=headers) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield Events(answer)


async def test_an_alert_arrives_with_its_row_and_words(
    http: httpx.AsyncClient, rt: Runtime
) -> None:
    async with listening(http, "north") as events:
        raised = await raise_at(rt, ONE)
        first = await events.next()
        assert first["event"] == "AlertRaised"
        assert first["data"]["alert"]["id"] == str(raised)
        assert first["data"]["alert"]["why_zh"] == "隐患逾期"
        assert first["data"]["words"]["zh"]
        assert first["data"]["rule"]["zh"] == "隐患逾期"
        await send(rt, raised, AcknowledgeAlert())
        second = await events.next()
        assert second["event"] == "AlertAcknowledged"
        assert second["data"]["alert"]["status"] == "acknowledged"


async def test_each_gets_what_lies_in_his_scope(http: httpx.AsyncClient, rt: Runtime) -> None:
    async with listening(http, "north") as north, listening(http, "governor") as governor:
        elsewhere, here = await raise_at(rt, TWO), await raise_at(rt, ONE)
        assert (await north.next())["data"]["alert"]["id"] == str(here)
        found = [(await governor.next())["data"]["alert"]["id"] for _ in range(2)]
        assert found == [str(elsewhere), str(here)]


async def test_a_post_that_ends_ends_what_is_shown(http: httpx.AsyncClient, rt: Runtime) -> None:
    await put_post(rt.pool, "guest", NORTH, Role.SUPERVISOR)
    await rt.directory.refresh()
    async with listening(http, "guest") as guest, listening(http, "governor") as governor:
        await raise_at(rt, ONE)
        await guest.next()
        await governor.next()
        await rt.pool.execute(
            """delete from copied where document @? '$.posts.*.person ? (@ == "guest")'"""
        )
        await put_post(rt.pool, "guest", TWO, Role.COOK)
        await rt.directory.refresh()
        await raise_at(rt, ONE)
        hidden = await governor.next()
        shown = await raise_at(rt, TWO)
        assert hidden["data"]["alert"]["organisation"] == str(ONE)
        assert (await guest.next())["data"]["alert"]["id"] == str(shown)


async def test_who_comes_back_misses_nothing_and_sees_nothing_twice(
    http: httpx.AsyncClient, rt: Runtime
) -> None:
    async with listening(http, "north") as events:
        await raise_at(rt, ONE)
        last = (await events.next())["id"]
    missed = [await raise_at(rt, ONE) for _ in range(3)]
    await raise_at(rt, TWO)
    async with listening(http, "north", last) as events:
        found = [(await events.next())["data"]["alert"]["id"] for _ in range(3)]
        assert found == [str(id_) for id_ in missed]
        fresh = await raise_at(rt, ONE)
        assert (await events.next())["data"]["alert"]["id"] == str(fresh)


async def test_a_transaction_that_is_still_open_is_not_passed_by(
    http: httpx.AsyncClient, rt: Runtime
) -> None:
    """The horizon: an event that commits later, with an earlier transaction id, still arrives."""
    async with listening(http, "north") as events, rt.pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute("select pg_current_xact_id()")
        held = await raise_at(rt, ONE)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(events.next(), 0.5)
        await transaction.rollback()
    async with listening(http, "north", "0.0.0") as events:
        assert (await events.next())["data"]["alert"]["id"] == str(held)


async def test_who_is_too_slow_is_let_go(rt: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = AlertStream(rt)
    monkeypatch.setattr(alert_stream, "QUEUE_MAX", 2)
    slow = stream.listen("governor", None)
    assert await anext(slow) == b": connected\n\n"
    (listener,) = stream.listeners
    listener.queue = asyncio.Queue(2)
    for _ in range(4):
        await raise_at(rt, ONE)
    await until(lambda: listener.lost)
    assert [text.split(b"\n")[0] async for text in slow] == [b"event: AlertRaised"] * 2
    assert stream.listeners == set()


async def test_silence_is_broken_by_a_heartbeat(
    rt: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alert_stream, "HEARTBEAT_S", 0.05)
    quiet = AlertStream(rt).listen("governor", None)
    assert [await anext(quiet) for _ in range(2)] == [b": connected\n\n", b": alive\n\n"]
    await quiet.aclose()  # type: ignore[attr-defined]


async def test_it_ends_when_the_server_begins_to_stop(http: httpx.AsyncClient, rt: Runtime) -> None:
    async with listening(http, "north") as events:
        await raise_at(rt, ONE)
        await events.next()
        rt.stopping.set()
        with pytest.raises(AssertionError, match="has ended"):
            await events.next()


async def test_nobody_listens_without_a_post(http: httpx.AsyncClient) -> None:
    for who, status in (("nobody", 403), ("parent", 403), ("", 401)):
        answer = await http.get(
            "/reporting/alerts/stream", headers={"Authorization": f"Bearer {who}"} if who else {}
        )
        assert answer.status_code == status
    wrong = await http.get(
        "/reporting/alerts/stream",
        headers={"Authorization": "Bearer north", "Last-Event-ID": "x"},
    )
    assert wrong.status_code == 400


def test_cursors() -> None:
    assert cursor_of("2.12.5") == (2, 12, 5)
    assert cursor_of(None) is None
    with pytest.raises(Problem):
        cursor_of("12")
