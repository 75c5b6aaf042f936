"""How a service is doing (运行状态), for whoever looks after it: `GET /<service>/state`.

Everything is said by the service's own numbers, the same that its metrics show, and judged by the
limits of its alerts (`deploy/alerts/`), so that a page and a pager never disagree. What waits for
repair is shown, and tried again, only for the units at and below the caller's post.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import asyncpg
import msgspec
from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel

from hosting import watch
from hosting.release import release
from hosting.routing import refusing, routing
from shared import observe, parking
from shared.access import scope_of
from shared.asked import person_of
from shared.clock import this_moment
from shared.organisation import Role
from shared.runtime import Runtime

OPERATORS = (Role.ADMINISTRATOR,)
"""Who is told how the services are doing."""

SILENT_S_MAX = 30
"""A worker that has said nothing for so long does not count."""

PARKED_SHOWN_MAX = 200

type Light = Literal["good", "slow", "bad"]
type Counted = Literal["s", "events", "units", "processes", ""]


@dataclass(frozen=True, slots=True)
class Alarm:
    """The limit of an alert; above it somebody acts now (`page`), else within the day."""

    alert: str
    limit: float
    page: bool = True

    def light(self, value: float | None) -> Light:
        """How it looks; what nobody knows is as bad as what is beyond the limit."""
        if value is not None and value <= self.limit:
            return "good"
        return "bad" if self.page else "slow"


ALARMS = {
    "log": Alarm("HouqinLogBehindKafka", 0),
    "horizon": Alarm("HouqinHorizonHeld", 30),
    "relay": Alarm("HouqinRelayBehind", 30),
    "halted": Alarm("HouqinRelayHalted", 0),
    "copy": Alarm("HouqinCopyOld", 60),
    "timers": Alarm("HouqinTimersLate", 120),
    "tree": Alarm("HouqinTreeBehind", 5000, page=False),
    "proof": Alarm("HouqinProofFailed", 0),
    "consumer": Alarm("HouqinConsumerBehind", 60),
    "missing": Alarm("HouqinEventsMissing", 0),
    "parked": Alarm("HouqinKeysParked", 0, page=False),
    "parked_long": Alarm("HouqinKeysParkedLong", 86_400),
    "leaders": Alarm("HouqinRelayLeaders", 1, page=False),
    "backup": Alarm("HouqinBackupOld", 172_800, page=False),
}

_CONSUMERS = """
select consumer as name,
       case when bool_and(current_at is not null)
            then extract(epoch from clock_timestamp() - min(current_at))::float8 end as age
from consumed where next_offset > 0 or current_at is not null group by consumer order by consumer
"""

_WORKERS = """
select process, seen, extract(epoch from clock_timestamp() - at)::float8 as age from watched
where at > clock_timestamp() - interval '1 hour' order by process
"""

_PARKED = """
select k.consumer, k.topic, k.key, k.reason, k.retry, k.parked_at,
       (select count(*) from parked_event e
        where (e.consumer, e.topic, e.key) = (k.consumer, k.topic, k.key)) as events
from parked_key k
where ($1 = '*' or key in (select unit_id from units_below($1)))
  and ($2 = '' or consumer = $2) and ($3 = '' or topic = $3) and ($4::uuid is null or key = $4)
order by parked_at limit $5
"""

_ALL_PARKED = """
select consumer as name, count(*) as keys,
       extract(epoch from clock_timestamp() - min(parked_at))::float8 as age
from parked_key group by consumer order by consumer
"""

_BACKUP = """
select last.at, last.bytes, (
    select bool_or(active) from pg_replication_slots where slot_type = 'physical'
) as archived
from (values (1)) as one left join
     (select at, bytes from backed_up order by at desc limit 1) as last on true
"""


class Check(BaseModel):
    """One thing that is looked at. `of`: which consumer; `limit`: up to where it is good; `told`:
    what was found, in words; `runbook`: the paragraph that says what to do.
    """

    name: str
    of: str
    light: Light
    value: float | None
    counted: Counted
    limit: float
    told: list[str]
    runbook: str


class Worker(BaseModel):
    """A process that relays, consumes and fires what is due; when it last said so."""

    process: str
    release: str
    leads: bool
    silent_s: float


class Parked(BaseModel):
    """A unit whose events wait, since one of them could not be applied; `retry`: being tried."""

    consumer: str
    topic: str
    key: UUID
    unit: str
    reason: str
    since: datetime
    events: int
    retry: bool


class Backup(BaseModel):
    """The last whole back-up, and whether the log of the database is kept as it is written (null:
    nothing of the kind is set up).
    """

    at: datetime | None
    bytes: int | None
    archived: bool | None


class StateAnswer(BaseModel):
    """A service as it is now. `release`: of the process that answers."""

    service: str
    release: str
    at: datetime
    light: Light
    checks: list[Check]
    workers: list[Worker]
    parked: list[Parked]
    backup: Backup


class RetryAnswer(BaseModel):
    """How many units' events are being tried again."""

    units: int


def router(rt: Runtime) -> APIRouter:
    """The routes for operators."""
    made = APIRouter(prefix=f"/{rt.service.name}", route_class=routing(rt), tags=["state"])
    api = StateApi(rt)
    said = refusing("unauthenticated", "no_post", "filter_malformed", "after_unreached")
    may = {"x-roles": list(OPERATORS)}
    made.add_api_route(
        "/state", api.state, methods=["GET"], response_model=StateAnswer, responses=said,
        openapi_extra=may,
    )  # fmt: skip
    made.add_api_route(
        "/parked/retry", api.retry, methods=["POST"], response_model=RetryAnswer, responses=said,
        openapi_extra=may,
    )  # fmt: skip
    return made


class StateApi:
    """The handlers."""

    def __init__(self, rt: Runtime) -> None:
        self.rt = rt

    async def state(self, request: Request) -> Response:
        """运行状态 · how the service is doing."""
        scope = await self._scope(request)
        pool = self.rt.pool
        log, workers = await pool.fetchrow(watch.LOG), await self._workers()
        found = [
            *_of_log(log, await pool.fetchval("select log_is_open()")),
            _check("copy", self.rt.directory.age_seconds, "s"),
            *_of_workers([seen for worker, seen in workers if worker.silent_s <= SILENT_S_MAX]),
            *_of_consumers(await pool.fetch(_CONSUMERS), [seen for _, seen in workers]),
            *_of_parked(await pool.fetch(_ALL_PARKED)),
        ]
        backup = await pool.fetchrow(_BACKUP)
        answer = StateAnswer(
            service=self.rt.service.name, release=release(), at=this_moment(), light=worst(found),
            checks=found, workers=[worker for worker, _ in workers],
            parked=await self._parked(scope), backup=Backup(**backup),
        )  # fmt: skip
        return Response(answer.model_dump_json(), media_type="application/json")

    async def retry(
        self,
        request: Request,
        consumer: Annotated[str, Query(description="空：全部 · empty: all")] = "",
        topic: str = "",
        key: UUID | None = None,
    ) -> Response:
        """重试搁置的事件 · has what is parked tried again, once its cause is mended."""
        person = await person_of(self.rt, request)
        scope = await scope_of(self.rt.directory, person, OPERATORS)
        found = await self._parked(scope, consumer, topic, key)
        for one in found:
            await parking.unpark(self.rt.pool, one.consumer, one.topic, one.key)
        observe.log.info("parked_retried", units=len(found), person=person)
        answer = RetryAnswer(units=len(found))
        return Response(answer.model_dump_json(), media_type="application/json")

    async def _scope(self, request: Request) -> str:
        """The units for which whoever asks looks after the service."""
        person = await person_of(self.rt, request)
        return await scope_of(self.rt.directory, person, OPERATORS)

    async def _workers(self) -> list[tuple[Worker, watch.Seen]]:
        made = []
        for row in await self.rt.pool.fetch(_WORKERS):
            seen = msgspec.json.decode(row["seen"], type=watch.Seen)
            silent_s = row["age"]
            made.append((Worker(
                process=row["process"], release=seen.release, leads=seen.leads, silent_s=silent_s,
            ), seen))  # fmt: skip
        return made

    async def _parked(
        self, scope: str, consumer: str = "", topic: str = "", key: UUID | None = None
    ) -> list[Parked]:
        rows = await self.rt.pool.fetch(_PARKED, scope, consumer, topic, key, PARKED_SHOWN_MAX)
        units = {row["key"]: self.rt.directory.unit(row["key"]) for row in rows}
        return [
            Parked(
                consumer=row["consumer"], topic=row["topic"], key=row["key"],
                unit=unit.name if (unit := units[row["key"]]) else str(row["key"]),
                reason=row["reason"], since=row["parked_at"], events=row["events"],
                retry=row["retry"],
            )
            for row in rows
        ]  # fmt: skip


def worst(checks: Sequence[Check]) -> Light:
    """The light of the whole: of what is worst in it."""
    lights = {check.light for check in checks}
    return next((one for one in ("bad", "slow") if one in lights), "good")


def _check(
    name: str, value: float | None, counted: Counted, of: str = "", told: Sequence[str] = ()
) -> Check:
    alarm = ALARMS[name]
    known = None if value is None or value == float("inf") else value
    return Check(
        name=name, of=of, light=alarm.light(known), value=known, counted=counted,
        limit=alarm.limit, told=list(told), runbook=alarm.alert.lower(),
    )  # fmt: skip


def _of_log(log: asyncpg.Record, is_open: bool) -> Iterator[Check]:
    yield _check("log", int(not is_open), "")
    yield _check("horizon", log["horizon_age"], "s")
    yield _check("relay", log["unsent_age"], "s")
    yield _check("timers", log["due_age"], "s")
    yield _check("tree", log["unproved"], "events")
    yield _check("backup", log["backup_age"], "s")


def _of_workers(seen: Sequence[watch.Seen]) -> Iterator[Check]:
    leaders = sum(one.leads for one in seen)
    found = _check("leaders", leaders, "processes")
    # Of two one repeats what the other has sent; without any nothing is sent at all.
    yield found if leaders else found.model_copy(update={"light": "bad"})
    halted = [why for one in seen for why in one.halted]
    yield _check("halted", len(halted), "", told=halted)
    findings = sorted({finding for one in seen for finding in one.findings})
    yield _check("proof", len(findings), "", told=findings)


def _of_consumers(rows: Sequence[Any], seen: Sequence[watch.Seen]) -> Iterator[Check]:
    """Consumers that some worker still has: what an older release had, lies there for ever."""
    followed = [consumer for one in seen for consumer in one.consumers]
    names = {one.name for one in followed}
    for row in rows:
        if row["name"] in names or not names:
            yield _check("consumer", row["age"], "s", row["name"])
    missing = sum(one.missing for one in followed)
    yield _check("missing", missing, "events")


def _of_parked(rows: Sequence[Any]) -> Iterator[Check]:
    if not rows:
        yield _check("parked", 0, "units")
    for row in rows:
        long = ALARMS["parked_long"]
        found = _check("parked", row["keys"], "units", row["name"])
        if long.light(row["age"]) == "bad":
            found = found.model_copy(update={"light": "bad", "runbook": long.alert.lower()})
        yield found
