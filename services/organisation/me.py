"""Who asks, as organisation knows them: the posts held today, and the units they are held at."""

from __future__ import annotations

from typing import Any

import msgspec
from fastapi import APIRouter, Request, Response

from shared import asked
from shared.clock import this_moment
from shared.directory import Directory
from shared.directory_events import Post
from shared.fields import business_day
from shared.organisation import Unit
from shared.problems import answering
from shared.runtime import Runtime
from shared.words import Words

REFUSALS: dict[int | str, dict[str, Any]] = {
    "default": {"x-refusals": ("unauthenticated", "filter_malformed", "after_unreached")}
}


def router(rt: Runtime) -> APIRouter:
    """`GET /organisation/me[?unit=]`: open to whoever is signed in, and only about themselves."""
    made = APIRouter(prefix=f"/{rt.service.name}", tags=["me"])

    async def me(request: Request) -> Response:
        person = await asked.person_of(rt, request)
        unit = request.query_params.get("unit")
        id_ = None if unit is None else asked.uuid_of(unit, "unit", "filter_malformed")
        shown = await about(rt.directory, rt.words, person)
        place = None if id_ is None else rt.directory.unit(id_)
        today = business_day(this_moment())
        may = place is not None and rt.directory.held(person, place, today)
        shown["unit"] = _unit(place) if place is not None and may else None
        return Response(msgspec.json.encode(shown), 200, None, "application/json")

    made.add_api_route(
        "/me", answering(rt.service.name, rt.words, me, "me"), methods=["GET"],
        operation_id="me", summary="本人的岗位 / My posts", responses=REFUSALS,
    )  # fmt: skip
    return made


async def about(directory: Directory, words: Words, person: str) -> dict[str, Any]:
    """A person's posts of today, and the units that they may work for, the highest first: an
    administrator of the platform for every root.
    """
    today = business_day(this_moment())
    held = [post for post in await directory.posts_of(person) if post.holds_on(today)]
    administrator = person in directory.administrators
    found = directory.roots() if administrator else [directory.unit(post.unit) for post in held]
    units = {unit.id: unit for unit in found if unit is not None}
    return {
        "subject": person,
        "administrator": administrator,
        "posts": [_post(directory, words, post) for post in held],
        "units": [_unit(unit) for unit in sorted(units.values(), key=lambda one: one.level)],
    }


def _post(directory: Directory, words: Words, post: Post) -> dict[str, Any]:
    unit = directory.unit(post.unit)
    return {
        "role": post.role,
        "label": words.word("values", f"Role.{post.role}")._asdict(),
        "since": post.since,
        "until": post.until,
        "delegated_by": post.delegated_by,
        "unit": _unit(unit) if unit else {"id": post.unit, "code": "", "name": "", "level": ""},
    }


def _unit(unit: Unit) -> dict[str, Any]:
    return {
        "id": unit.id, "code": unit.code, "name": unit.name, "level": unit.level.name.lower(),
    }  # fmt: skip
