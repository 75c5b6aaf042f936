"""Who did what when (操作记录), over HTTP: `GET /<service>/audit`, the newest first.

An entry is an event of the log: what, of which thing, by whom, when it happened and when it was
recorded, with the position by which its proof is asked for. What an event says beside that, the
thing's own history shows to whoever may see the thing.
"""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from typing import Annotated
from uuid import UUID

import asyncpg
from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, Field

from hosting.feed import place_of
from hosting.proof_routes import AUDITORS
from hosting.routing import refusing, routing
from shared import views
from shared.access import scope_of
from shared.asked import person_of
from shared.envelope import Position
from shared.fields import SHANGHAI
from shared.runtime import Runtime
from shared.store import Connection, month_of

LIMIT, LIMIT_MAX = 50, 500
LOOKED_AT_MAX = 20_000
"""So many events are looked at for one answer, however few of them are asked for: a page may be
short, or empty, and not be the last.
"""

TOP = ((1 << 31) - 1, (1 << 63) - 1, (1 << 63) - 1)
FIRST_DAY, LAST_DAY = date(1970, 1, 2), date(9999, 12, 30)

# Where a page ends at the latest, whatever of it the caller may see.
_FLOOR = """
select epoch, tx, seq, recorded_at from event
where (epoch, tx, seq) < ($1::int, $2::xid8, $3::bigint)
  and month between $4 and $5 and recorded_at >= $6 and recorded_at < $7
order by epoch desc, tx desc, seq desc offset $8 limit 1
"""

_PAGE = """
select epoch, tx, seq, id, type, stream, version, organisation, actor,
       occurred_at, recorded_at, correlation, causation
from event
where (epoch, tx, seq) < ($1::int, $2::xid8, $3::bigint)
  and (epoch, tx, seq) >= ($4::int, $5::xid8, $6::bigint)
  and month between $7 and $8 and recorded_at >= $9 and recorded_at < $10
  and ($11::uuid is null or stream = $11)
  and ($12::text[] is null or type = any($12))
  and ($13 = '' or position(lower($13) in lower(actor)) > 0)
  and ($14::uuid is null or organisation in (select unit_id from units_below($14::text)))
order by epoch desc, tx desc, seq desc limit $15
"""


class AuditWords(BaseModel):
    """A text in both languages."""

    zh: str
    en: str


class AuditUnit(BaseModel):
    """A unit by its name; one not heard of by its id."""

    id: UUID
    name: str


class AuditEntry(BaseModel):
    """One event. `position` names it to the route of proofs."""

    position: str
    id: UUID
    type: str
    words: AuditWords
    aggregate: str
    stream: UUID
    version: int
    organisation: AuditUnit
    actor: str
    occurred_at: datetime
    recorded_at: datetime
    correlation: UUID
    causation: UUID | None


class AuditAnswer(BaseModel):
    """A page. `next`: what to go on with, or null at the end; `reached`: nothing that was recorded
    later is missing from what has been answered so far.
    """

    items: list[AuditEntry]
    next: str | None
    reached: datetime | None


class Asked(BaseModel):
    """What the trail is searched for; what is empty does not narrow it."""

    unit: Annotated[UUID | None, Field(description="单位及下级 · a unit and below")] = None
    person: Annotated[str, Field(description="经办人，可只写一部分 · part of who did it")] = ""
    kind: Annotated[str, Field(description="事件或事项 · events or kinds of things, a,b")] = ""
    stream: Annotated[UUID | None, Field(description="一件事物 · one thing")] = None
    since: Annotated[date, Field(description="记录日期起 · recorded from")] = FIRST_DAY
    until: Annotated[date, Field(description="记录日期止 · recorded to")] = LAST_DAY
    cursor: str = ""
    limit: Annotated[int, Field(ge=1, le=LIMIT_MAX)] = LIMIT

    def moments(self) -> tuple[datetime, datetime]:
        """From the beginning of the first business day to the end of the last."""
        first, last = max(self.since, FIRST_DAY), min(self.until, LAST_DAY)
        end = datetime.combine(last + timedelta(days=1), time(), SHANGHAI)
        return datetime.combine(first, time(), SHANGHAI), end


def router(rt: Runtime) -> APIRouter:
    """The trail's route."""
    made = APIRouter(prefix=f"/{rt.service.name}", route_class=routing(rt), tags=["audit"])
    trail = Trail(rt)
    slugs = ("unauthenticated", "no_post", "filter_malformed", "cursor_broken", "after_unreached")
    made.add_api_route(
        "/audit", trail.page, methods=["GET"], response_model=AuditAnswer,
        responses=refusing(*slugs), openapi_extra={"x-roles": list(AUDITORS)},
    )  # fmt: skip
    return made


class Trail:
    """The log of one service as its auditors read it."""

    def __init__(self, rt: Runtime) -> None:
        self.rt = rt
        self.kinds = {
            type_: aggregate.name
            for aggregate in rt.service.aggregates
            for type_ in aggregate.events
        }

    async def page(self, request: Request, asked: Annotated[Asked, Query()]) -> Response:
        """谁在何时办了什么，最近的在前 · who did what when, the newest first."""
        person = await person_of(self.rt, request)
        scope = await scope_of(self.rt.directory, person, AUDITORS)
        before = place_of(asked.cursor, "cursor") if asked.cursor else TOP
        floor = None if asked.stream else await self._floor(asked, before)
        async with views.reading(self.rt.pool, scope) as connection:
            rows = await self._rows(connection, asked, before, floor)
        answer = self._answer(rows, asked, floor)
        return Response(answer.model_dump_json(), media_type="application/json")

    async def _floor(self, asked: Asked, before: Position) -> asyncpg.Record | None:
        """The last event that is looked at for this page; None where the log ends before it."""
        first, end = asked.moments()
        return await self.rt.pool.fetchrow(
            _FLOOR, *before, *_months(first, end), first, end, LOOKED_AT_MAX - 1
        )

    async def _rows(
        self, connection: Connection, asked: Asked, before: Position, floor: asyncpg.Record | None
    ) -> list[asyncpg.Record]:
        first, end = asked.moments()
        low = (0, 0, 0) if floor is None else (floor["epoch"], floor["tx"], floor["seq"])
        found: list[asyncpg.Record] = await connection.fetch(
            _PAGE, *before, *low, *_months(first, end), first, end, asked.stream,
            self._types(asked.kind), asked.person.strip(), asked.unit, asked.limit + 1,
        )  # fmt: skip
        return found

    def _types(self, kind: str) -> list[str] | None:
        """The events that are meant by events and kinds of things; None: all."""
        wanted = set(filter(None, kind.split(",")))
        if not wanted:
            return None
        return [one for one, of in self.kinds.items() if one in wanted or of in wanted]

    def _answer(
        self, rows: list[asyncpg.Record], asked: Asked, floor: asyncpg.Record | None
    ) -> AuditAnswer:
        items = [self._entry(row) for row in rows[: asked.limit]]
        if len(rows) > asked.limit:
            return AuditAnswer(items=items, next=items[-1].position, reached=items[-1].recorded_at)
        if floor is None:
            return AuditAnswer(items=items, next=None, reached=None)
        return AuditAnswer(items=items, next=_position(floor), reached=floor["recorded_at"])

    def _entry(self, row: asyncpg.Record) -> AuditEntry:
        unit = self.rt.directory.unit(row["organisation"])
        # An event of a release that is not here is shown by its name.
        word = self.rt.words.find("events", row["type"])
        zh, en = word or (row["type"], row["type"])
        return AuditEntry(
            position=_position(row), id=row["id"], type=row["type"], words=AuditWords(zh=zh, en=en),
            aggregate=self.kinds.get(row["type"], ""), stream=row["stream"],
            version=row["version"],
            organisation=AuditUnit(id=row["organisation"], name=unit.name if unit else ""),
            actor=row["actor"], occurred_at=row["occurred_at"], recorded_at=row["recorded_at"],
            correlation=row["correlation"], causation=row["causation"],
        )  # fmt: skip


def _months(first: datetime, end: datetime) -> tuple[date, date]:
    """The log's partitions in which something of a period can be: they go by UTC."""
    return month_of((first - timedelta(days=1)).date()), month_of(end.date())


def _position(row: asyncpg.Record) -> str:
    return f"{row['epoch']}.{row['tx']}.{row['seq']}"
