"""Alerts live to the screen: server-sent events from the service's own log.

One poller per process reads the log behind its horizon and hands every alert event on to all who
listen; each gets what lies in his scope. Whoever comes back with `Last-Event-ID` is first given
what he has missed, from the log, so that nothing is lost between two connections.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from uuid import UUID

import asyncpg
import msgspec
from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse
from fastapi.sse import format_sse_event

from hosting.routing import refusing, routing
from services.reporting.alert import alerts
from services.reporting.alert.views import alert_list
from services.reporting.reader import Reader
from shared import observe
from shared.access import scope_of
from shared.envelope import Position, position_of
from shared.kernel import ViewOf
from shared.organisation import READERS
from shared.problems import Problem
from shared.runtime import Runtime
from shared.views import row_of

EVENT_STREAM = "text/event-stream"

POLL_S = 0.1
HEARTBEAT_S = 15.0
QUEUE_MAX = 256
"""Who does not take so many events in time is dropped, and comes back with `Last-Event-ID`."""

MISSED_MAX = 1_000

_EVENTS = """
select e.epoch, e.tx, e.seq, e.id, e.type, e.stream, e.organisation, e.recorded_at
from event e
where (e.epoch, e.tx, e.seq) > ($1::int, $2::xid8, $3::bigint)
  and (e.tx < pg_snapshot_xmin(pg_current_snapshot())
       or e.epoch < (select max(epoch) from log_epoch))
  and e.type = any($4)
order by e.epoch, e.tx, e.seq limit $5
"""

_END = """
select epoch, tx, seq from event
where tx < pg_snapshot_xmin(pg_current_snapshot()) or epoch < (select max(epoch) from log_epoch)
order by epoch desc, tx desc, seq desc limit 1
"""


@dataclass(frozen=True, slots=True)
class Told:
    """One alert event, ready to be sent."""

    cursor: Position
    organisation: UUID
    text: bytes


@dataclass(slots=True, eq=False)
class Listener:
    """Somebody who listens; `lost` once he was too slow."""

    queue: asyncio.Queue[Told] = field(default_factory=lambda: asyncio.Queue(QUEUE_MAX))
    lost: bool = False


class AlertStream:
    """The process's one poller and everybody who listens to it. It rests while nobody does."""

    def __init__(self, rt: Runtime) -> None:
        self.rt = rt
        self.view: ViewOf = next(v for v in alerts.views if v.function is alert_list)
        self.listeners: set[Listener] = set()
        self._woken = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._at: Position = (0, 0, 0)

    async def listen(self, person: str, after: Position | None) -> AsyncIterator[bytes]:
        """The events that concern a person, for ever; first those after `after`."""
        listener = Listener()
        await self._join(listener)
        sent = after or self._at
        try:
            yield b": connected\n\n"
            if after is not None:
                while missed := await self._read(sent, MISSED_MAX):
                    for told in missed:
                        if await self._concerns(person, told):
                            yield told.text
                    sent = missed[-1].cursor
            async for news in self._live(listener):
                if news is None:
                    yield b": alive\n\n"
                elif news.cursor > sent:
                    sent = news.cursor
                    if await self._concerns(person, news):
                        yield news.text
        finally:
            self.listeners.discard(listener)

    async def _live(self, listener: Listener) -> AsyncIterator[Told | None]:
        """What the poller hands on; None where nothing has come for a while."""
        while not listener.lost or not listener.queue.empty():
            try:
                yield await asyncio.wait_for(listener.queue.get(), HEARTBEAT_S)
            except TimeoutError:
                yield None
            except asyncio.QueueShutDown:
                return

    async def _concerns(self, person: str, told: Told) -> bool:
        """Whether it lies in the person's scope, as his posts are now."""
        try:
            scope = await scope_of(self.rt.directory, person, READERS)
        except Problem:
            return False
        unit = self.rt.directory.unit(told.organisation)
        path = unit.path if unit is not None else (told.organisation,)
        return scope == "*" or not frozenset(scope.split(",")).isdisjoint(map(str, path))

    async def _join(self, listener: Listener) -> None:
        if self._task is None:
            self.rt.writer.on_commit.append(self._woken.set)
        if self._task is None or self._task.done():
            self._at = await self._end()
            self._task = asyncio.create_task(self._poll(), name="alert stream")
        self.listeners.add(listener)

    async def _poll(self) -> None:
        while not self.rt.stopping.is_set():
            try:
                fresh = await self._read(self._at, MISSED_MAX)
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                observe.log.warning("alert_stream_waits", error=repr(error))
                fresh = []
            for told in fresh:
                self._hand_on(told)
            if fresh:
                self._at = fresh[-1].cursor
                continue
            if not self.listeners:
                return
            self._woken.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), POLL_S)
        for listener in self.listeners:
            listener.queue.shutdown()

    def _hand_on(self, told: Told) -> None:
        for listener in tuple(self.listeners):
            try:
                listener.queue.put_nowait(told)
            except asyncio.QueueFull:
                listener.lost = True
                self.listeners.discard(listener)

    async def _end(self) -> Position:
        row = await self.rt.pool.fetchrow(_END)
        return (0, 0, 0) if row is None else (row["epoch"], row["tx"], row["seq"])

    async def _read(self, after: Position, limit: int) -> list[Told]:
        """The next alert events of the log, with each alert's row as it is now."""
        rows = await self.rt.pool.fetch(_EVENTS, *after, list(alerts.events), limit)
        if not rows:
            return []
        streams = [row["stream"] for row in rows]
        current = await self.rt.pool.fetch(
            f"select * from view_{self.view.name} where stream = any($1)", streams
        )
        shown = {row["stream"]: row_of(self.view, row) for row in current}
        return [self._told(row, shown[row["stream"]]) for row in rows]

    def _told(self, row: asyncpg.Record, shown: dict[str, object]) -> Told:
        words = self.rt.words
        rule = words.find("names", str(shown["rule"]))
        data = {
            "id": row["id"], "type": row["type"], "recorded_at": row["recorded_at"],
            "words": words.word("events", row["type"])._asdict(),
            "rule": rule._asdict() if rule else None, "alert": shown,
        }  # fmt: skip
        text = format_sse_event(
            data_str=msgspec.json.encode(data).decode(), event=row["type"],
            id=f"{row['epoch']}.{row['tx']}.{row['seq']}",
        )  # fmt: skip
        return Told((row["epoch"], row["tx"], row["seq"]), row["organisation"], text)


def router(rt: Runtime, reader: Reader) -> APIRouter:
    """The live stream's route."""
    stream = AlertStream(rt)
    made = APIRouter(prefix=f"/{rt.service.name}", route_class=routing(rt), tags=["alerts"])

    documented = {
        200: {"content": {EVENT_STREAM: {"schema": {"type": "string"}}}},
        **refusing("unauthenticated", "no_post", "cursor_broken", "after_unreached"),
    }

    @made.get("/alerts/stream", response_class=StreamingResponse, responses=documented)
    async def alert_events(request: Request) -> Response:
        """告警实时推送 · alerts live, as server-sent events."""
        person = await reader.caller(request)
        await scope_of(rt.directory, person, READERS)
        after = cursor_of(request.headers.get("last-event-id"))
        return StreamingResponse(
            stream.listen(person, after),
            media_type=EVENT_STREAM,
            headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
        )

    return made


def cursor_of(text: str | None) -> Position | None:
    """The place that a `Last-Event-ID` names; a problem if it is none."""
    if not text:
        return None
    try:
        return position_of(text)
    except ValueError:
        raise Problem("cursor_broken", field="Last-Event-ID") from None
