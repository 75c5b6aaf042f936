"""The feed of a service's log over HTTP: for partners, and for consumers that Kafka has failed.

`GET /<service>/feed?after=<epoch.tx.seq>&limit=` answers the events after a place in the log, in
the log's order and behind its horizon, so that none ever appears before one that was read. Each has
the attributes that it has on the topic; `data` are the bytes as first written.
"""

from __future__ import annotations

import hmac
import time
from functools import partial
from typing import Any
from uuid import UUID

import httpx
import msgspec
from aiokafka import ConsumerRecord
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from hosting.proof_routes import AUDITORS
from shared.access import scope_of
from shared.asked import person_of, whole_of
from shared.config import Settings
from shared.consumer import FROM_FEED, Page
from shared.envelope import Headers, Position, encode, key_of, partition_of, position_of
from shared.problems import Problem, answering
from shared.runtime import Runtime

LIMIT, LIMIT_MAX = 500, 5_000
PAGE = 2_000
TIMEOUT_S = 30.0

# So much of the log is looked at, whatever of it the caller may see: a page may be empty, and not
# be the last.
_PAGE = """
select e.*, $4 = '*' or organisation in (select unit_id from units_below($4)) as seen
from event e
where (epoch, tx, seq) > ($1::int, $2::text::xid8, $3::bigint)
  and (epoch < (select max(epoch) from log_epoch) or tx < pg_snapshot_xmin(pg_current_snapshot()))
order by epoch, tx, seq limit $5
"""

_CONTENT, _TRACE = "content-type", "traceparent"
_NAMES = {_CONTENT: "datacontenttype", _TRACE: _TRACE}
_HEADERS = {name: header for header, name in _NAMES.items()}


class Answer(msgspec.Struct):
    """A page. `next`: after what to ask next; `more`: whether there is more already."""

    events: list[dict[str, msgspec.Raw]]
    next: str
    more: bool


def router(rt: Runtime) -> APIRouter:
    """The feed's route. Whoever holds a reading post sees what lies at or below his units; who has
    the key that services share among themselves, everything.
    """
    name = rt.service.name
    made = APIRouter(prefix=f"/{name}", tags=["feed"])
    parameters = [
        {"name": "after", "in": "query", "schema": {"type": "string"}, "example": "1.7411.92"},
        {"name": "limit", "in": "query", "schema": {"type": "integer", "maximum": LIMIT_MAX}},
    ]
    slugs = ("unauthenticated", "no_post", "cursor_broken", "filter_malformed")
    made.add_api_route(
        "/feed",
        answering(name, rt.words, partial(_feed, rt), "feed"),
        methods=["GET"],
        name="feed",
        summary="按日志顺序的事件 / Events in the log's order",
        responses={
            200: {"content": {"application/json": {"schema": {"type": "object"}}}},
            "default": {"x-refusals": slugs},
        },
        openapi_extra={"parameters": parameters},
    )
    return made


async def _feed(rt: Runtime, request: Request) -> Response:
    scope = await _scope(rt, request)
    asked = request.query_params
    limit = max(1, min(whole_of(asked.get("limit", str(LIMIT)), "limit"), LIMIT_MAX))
    epoch, tx, seq = after = place_of(asked.get("after", "0.0.0"), "after")
    rows = await rt.pool.fetch(_PAGE, epoch, str(tx), seq, scope, limit)
    source = f"/houqin/{rt.service.name}".encode()
    events = [shown(encode(row, source), row["data"]) for row in rows if row["seen"]]
    last = [rows[-1][name] for name in ("epoch", "tx", "seq")] if rows else after
    answer = Answer(events, ".".join(map(str, last)), len(rows) == limit)
    return Response(msgspec.json.encode(answer), media_type="application/json")


def place_of(text: str, field: str) -> Position:
    """The place in a log that a field names; a problem if no log can have it."""
    try:
        epoch, tx, seq = position_of(text)
    except ValueError as error:
        raise Problem("cursor_broken", field=field) from error
    if not (0 <= epoch < 1 << 31 and 0 <= tx < 1 << 63 and 0 <= seq < 1 << 63):
        raise Problem("cursor_broken", field=field)
    return epoch, tx, seq


def shown(headers: Headers, data: bytes) -> dict[str, msgspec.Raw]:
    """An event as the feed shows it, from what it is on the topic."""
    texts = {_NAMES.get(name, name.removeprefix("ce_")): value for name, value in headers}
    made = {name: msgspec.Raw(msgspec.json.encode(v.decode())) for name, v in texts.items()}
    return {**made, "data": msgspec.Raw(data)}


async def _scope(rt: Runtime, request: Request) -> str:
    key = rt.settings.feed_key
    given = request.headers.get("authorization", "")
    if key and hmac.compare_digest(given.encode(), f"Bearer {key}".encode()):
        return "*"
    return await scope_of(rt.directory, await person_of(rt, request), AUDITORS)


class Feeds:
    """The other services' feeds (and the own one), for consumers."""

    def __init__(self, config: Settings) -> None:
        self.config = config
        self.urls = dict(pair.split("=", 1) for pair in config.services.split())
        self._client: httpx.AsyncClient | None = None

    async def page(self, topic: str, after: Position) -> Page:
        """The next events of a topic's service; ConnectionError if they cannot be had now."""
        service = topic.removeprefix(f"{self.config.topic_prefix}.")
        if self._client is None:
            self._client = httpx.AsyncClient(timeout=TIMEOUT_S, trust_env=False)
        try:
            answer = await self._client.get(
                f"{self.urls[service]}/{service}/feed",
                params={"after": ".".join(map(str, after)), "limit": PAGE},
                headers={"Authorization": f"Bearer {self.config.feed_key}"},
            )
            answer.raise_for_status()
            found = msgspec.json.decode(answer.content, type=Answer)
        except (httpx.HTTPError, msgspec.MsgspecError, KeyError) as error:
            raise ConnectionError(f"the feed of {service}: {error!r}") from error
        records = [self._record(topic, event) for event in found.events]
        return Page(records, position_of(found.next), found.more)

    def _record(self, topic: str, event: dict[str, msgspec.Raw]) -> ConsumerRecord[Any, Any]:
        """An event of the feed as it would come from Kafka."""
        data = bytes(event.pop("data"))
        texts = {name: msgspec.json.decode(raw, type=str) for name, raw in event.items()}
        owner = UUID(texts["organisation"])
        headers = [(_HEADERS.get(n, f"ce_{n}"), text.encode()) for n, text in texts.items()]
        return ConsumerRecord(
            topic, partition_of(owner, self.config.partitions), FROM_FEED,
            int(time.time() * 1000), 0, key_of(owner), data, None, -1, -1, headers,
        )  # fmt: skip

    async def close(self) -> None:
        """Lets connections go."""
        if self._client is not None:
            await self._client.aclose()
