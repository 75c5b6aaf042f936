"""Who works where, for those who pick somebody and for names in place of sign-in names (通讯录).

Names are sealed, so no database can search them: the few people of a unit are opened here and
searched in memory, by name, by pinyin initials, by the post that they hold.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

import msgspec
from fastapi import APIRouter, Request, Response

from services.organisation.staff.views import PostRow
from shared import asked, personal, pinyin, views
from shared.access import scope_of
from shared.clock import this_moment
from shared.fields import business_day
from shared.organisation import READERS
from shared.problems import Problem, answering
from shared.runtime import Runtime

FOUND, FOUND_MAX, IDS_MAX = 30, 100, 100

POSTS_MAX = 2_000
"""So many posts are opened for one search; beyond them people are found by sign-in name alone."""

_POSTS = """
select stream as id, person, full_name #>> '{{}}' as full_name, role, organisation
from view_post_list where {}
order by person ilike $1 desc, organisation is not distinct from $2 desc, person, since desc
limit $3
"""
_NOW = "since <= $4 and (last_day is null or last_day >= $4)"
_HERE = f"{_NOW} and organisation in (select unit_id from units_below($2::uuid::text))"
_ABOVE = f"{_NOW} and organisation = any($5)"
_NAMED = "person = any($4) and (organisation = any($5) or $5 is null)"

SCHEMA = {
    "type": "object",
    "properties": {
        "items": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "id": {"type": "string", "description": "登录名 / sign-in name"},
                    "name": {"type": "string"},
                    "roles": {"type": "array", "items": {"type": "string"}},
                    "unit": {"type": "string", "format": "uuid"},
                },
            },
        }
    },
}
PARAMETERS = [
    {"name": name, "in": "query", "schema": {"type": "string"}, "description": told}
    for name, told in {
        "unit": "在此单位及其上下级任职 / who holds a post there, below or above it",
        "q": "姓名、拼音首字母、岗位或登录名 / name, pinyin initials, post or sign-in name",
        "limit": f"{FOUND} ≤ {FOUND_MAX}",
        "ids": "登录名，逗号隔开 / sign-in names with commas",
    }.items()
]


class Person(msgspec.Struct):
    """Somebody with a post; `unit`: where the first of `roles` is held."""

    id: str
    name: str
    roles: list[str]
    unit: UUID


def router(rt: Runtime) -> APIRouter:
    """`GET /organisation/people?unit=[&q=]` or `?ids=`: within and above the caller's own units."""
    made = APIRouter(prefix=f"/{rt.service.name}", tags=["people"])

    async def people(request: Request) -> Response:
        person = await asked.person_of(rt, request)
        scope = await scope_of(rt.directory, person, READERS)
        if ids := request.query_params.get("ids"):
            found = await _named(rt, scope, ids.split(",")[:IDS_MAX])
        else:
            found = await _found(rt, scope, request)
        return Response(msgspec.json.encode({"items": found}), 200, None, "application/json")

    slugs = ("unauthenticated", "forbidden", "filter_malformed", "after_unreached")
    made.add_api_route(
        "/people", answering(rt.service.name, rt.words, people, "people"), methods=["GET"],
        operation_id="people", summary="人员 / People",
        responses={
            200: {"content": {"application/json": {"schema": SCHEMA}}},
            "default": {"x-refusals": slugs},
        },
        openapi_extra={"x-finds": "person", "parameters": PARAMETERS},
    )  # fmt: skip
    return made


async def _found(rt: Runtime, scope: str, request: Request) -> list[Person]:
    """Who holds a post today at the unit, below it or above it, the unit's own people first."""
    query = request.query_params
    text = query.get("q", "").strip()
    limit = min(asked.whole_of(query.get("limit", str(FOUND)), "limit"), FOUND_MAX)
    place = rt.directory.unit(asked.uuid_of(query.get("unit", ""), "unit", "filter_malformed"))
    if place is None:
        raise Problem("filter_malformed", field="unit")
    like = f"%{re.sub(r'([\\%_])', r'\\\1', text)}%"
    wanted = [like, place.id, POSTS_MAX, business_day(this_moment())]
    rows = await _posts(rt, scope, _HERE, *wanted)
    above = [id_ for id_ in place.path[:-1] if _known(rt, scope, id_)]
    rows += await _posts(rt, ",".join(map(str, above)), _ABOVE, *wanted, above)
    initials = pinyin.pattern(text)
    return [one for one in _people(rows) if _fits(rt, one, text, initials)][:limit]


async def _named(rt: Runtime, scope: str, ids: Sequence[str]) -> list[Person]:
    """These people, whether they still hold a post or not, as far as the caller may know them."""
    nobody = ["", None, POSTS_MAX, ids]
    rows = await _posts(rt, scope, _NAMED, *nobody, None)
    above = _above(rt, scope)
    rows += await _posts(rt, ",".join(map(str, above)), _NAMED, *nobody, list(above))
    return _people(rows)


def _known(rt: Runtime, scope: str, id_: UUID) -> bool:
    """Whether a unit lies within a scope, or above it."""
    unit = rt.directory.unit(id_)
    within = unit is not None and not {str(one) for one in unit.path}.isdisjoint(scope.split(","))
    return scope == "*" or within or id_ in _above(rt, scope)


def _above(rt: Runtime, scope: str) -> set[UUID]:
    """The units above those of a scope: who works there is known to those below."""
    own = [rt.directory.unit(UUID(one)) for one in scope.split(",") if one != "*"]
    return {id_ for unit in own if unit for id_ in unit.path[:-1]}


async def _posts(rt: Runtime, scope: str, where: str, *values: object) -> list[dict[str, Any]]:
    """Posts that are seen within a scope, with the names of their holders."""
    if not scope:
        return []
    async with views.reading(rt.pool, scope) as connection:
        rows = [dict(row) for row in await connection.fetch(_POSTS.format(where), *values)]
    await personal.reveal(rt.vault, PostRow, rows)
    return rows


def _people(rows: Iterable[dict[str, Any]]) -> list[Person]:
    """Posts as the people who hold them, in their order."""
    found: dict[str, Person] = {}
    for row in rows:
        one = found.setdefault(row["person"], Person(row["person"], "", [], row["organisation"]))
        one.name = one.name or row["full_name"]
        if row["role"] not in one.roles:
            one.roles.append(row["role"])
    return list(found.values())


def _fits(rt: Runtime, person: Person, text: str, initials: str | None) -> bool:
    labels = [rt.words.word("values", f"Role.{role}") for role in person.roles]
    texts = [person.name, person.id, *(text for label in labels for text in label)]
    return any(
        text.lower() in one.lower() or (initials is not None and re.search(initials, one))
        for one in texts
    )
