"""What a request carries beside its command: who, key, version, and what it wants to wait for."""

from __future__ import annotations

import asyncio
import hashlib
from functools import partial
from uuid import UUID

from starlette.requests import Request

from shared.consumer import position_reached
from shared.envelope import position_of
from shared.ids import id_from
from shared.problems import Problem
from shared.runtime import Runtime
from shared.views import Query

BODY_BYTES_MAX = 2 * 1024 * 1024


async def person_of(rt: Runtime, request: Request) -> str:
    """Who asks, with their posts as of what `Houqin-After` names."""
    person = await rt.tokens.person(request.headers.get("authorization"))
    await wait_for(rt, request)
    await rt.directory.posts_of(person)
    return person


def key_of(request: Request) -> str:
    """The request's idempotency key; a problem if it is missing or malformed."""
    key = request.headers.get("idempotency-key")
    if key is None:
        raise Problem("key_missing", field="Idempotency-Key")
    return check_key(key.strip('"'))


def check_key(key: str) -> str:
    """The key as it is; a problem if it cannot be one."""
    if not (1 <= len(key) <= 200 and key.isprintable()):
        raise Problem("key_malformed", field="Idempotency-Key")
    return key


def expected(request: Request) -> int | None:
    """The version in If-Match, or None; a problem if it is none."""
    text = request.headers.get("if-match", "*").removeprefix("W/").strip('"')
    return None if text == "*" else whole_of(text, "If-Match", "match_malformed")


async def body_of(request: Request, bytes_max: int = BODY_BYTES_MAX) -> bytes:
    """The request's body; a problem if it is too large."""
    body = await request.body()
    if len(body) > bytes_max:
        raise Problem("body_too_large")
    return body


def fingerprint(rt: Runtime, body: bytes) -> bytes:
    """What tells one body from another under the same key, and nobody else what it was."""
    if rt.vault is not None:
        return rt.vault.fingerprint(body)
    return hashlib.blake2b(body, digest_size=16).digest()


def uuid_of(text: str, field: str = "id", slug: str = "not_found") -> UUID:
    """An id from a text; a problem if it is none."""
    try:
        return id_from(text)
    except ValueError as error:
        raise Problem(slug, field=field) from error


def whole_of(text: str, field: str, slug: str = "filter_malformed") -> int:
    """A whole number from a text; a problem if it is none."""
    if not text.isdecimal():
        raise Problem(slug, field=field)
    return int(text)


def query_of(request: Request) -> Query:
    """What a list is asked for; whatever is none of its own words is a filter."""
    asked = dict(request.query_params)
    unit = asked.pop("unit", None)
    return Query(
        sort=asked.pop("sort", ""),
        search=asked.pop("q", ""),
        unit=None if unit is None else uuid_of(unit, "unit", "filter_malformed"),
        limit=whole_of(asked.pop("limit", "50"), "limit"),
        cursor=asked.pop("cursor", ""),
        filters=asked,
    )


async def wait_for(rt: Runtime, request: Request) -> None:
    """Waits until what `Houqin-After: <service>;<order key>[;<organisation>]` names has arrived
    here (at most 5 s): in every consumer of that service's topic, and in this process's own copy
    of units and posts. With the organisation only its partition is waited for.
    """
    after = request.headers.get("houqin-after")
    if after is None:
        return
    source, _, rest = after.partition(";")
    key, _, owner = rest.partition(";")
    try:
        position, organisation = position_of(key), UUID(owner) if owner else None
    except ValueError as error:
        raise Problem("after_malformed", field="Houqin-After") from error
    topic = rt.settings.topic(source)
    arrived = partial(
        position_reached, rt.pool, topic=topic, position=position,
        partitions=rt.settings.partitions, organisation=organisation,
    )  # fmt: skip
    names = await rt.pool.fetch("select distinct consumer from consumed where topic = $1", topic)
    if not all(await asyncio.gather(*(arrived(name[0]) for name in names))):
        raise Problem("after_unreached", field="Houqin-After")
    await rt.directory.refresh()
