"""The rules that hold for a unit today, with their sources: `GET /<service>/rules-in-force?unit=`.

A page that works without network says by them beforehand what the service will decide: how many
points pass, by when something is due. The nearest unit's own rule wins over one from above.
"""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel

from hosting.routing import refusing, routing
from shared.asked import person_of
from shared.clock import this_moment
from shared.fields import business_day
from shared.organisation import READERS
from shared.problems import Problem
from shared.rules import shipped
from shared.runtime import Runtime


class RuleAnswer(BaseModel):
    """One rule. `region`: the unit that set it, the nil UUID where it is the country's; `mark`:
    whether its source is confirmed.
    """

    slug: str
    region: UUID
    since: date
    values: dict[str, Any]
    source: dict[str, str]
    mark: str


class RulesAnswer(BaseModel):
    """Every rule of this service, by slug."""

    items: list[RuleAnswer]


def router(rt: Runtime) -> APIRouter:
    """The route of a service's rules."""
    made = APIRouter(prefix=f"/{rt.service.name}", route_class=routing(rt), tags=["rules"])
    slugs = sorted({rule.slug for rule in shipped(rt.service.name)})

    async def rules_in_force(
        request: Request, unit: Annotated[UUID, Query(description="单位 · whose rules")]
    ) -> RulesAnswer:
        """今天对单位有效的规定及其依据 · a unit's rules today, with their sources."""
        person, place = await person_of(rt, request), rt.directory.unit(unit)
        if place is None:
            raise Problem("not_found", field="unit")
        await rt.directory.posts_of(person)
        today = business_day(this_moment())
        if not any(post.role in READERS for post in rt.directory.held(person, place, today)):
            raise Problem("forbidden", field="unit", unit=place.name, roles=READERS)
        found = [rt.directory.rules.rule(slug, place.path, today) for slug in slugs]
        items = [
            RuleAnswer(
                slug=rule.slug,
                region=rule.region,
                since=rule.since,
                values=rule.values,
                source={"zh": rule.source_zh, "en": rule.source_en},
                mark=rule.mark,
            )
            for rule in found
            if rule is not None
        ]
        return RulesAnswer(items=items)

    made.add_api_route(
        "/rules-in-force", rules_in_force, methods=["GET"], response_model=RulesAnswer,
        responses=refusing("unauthenticated", "forbidden", "not_found", "filter_malformed"),
        openapi_extra={"x-roles": list(READERS)},
    )  # fmt: skip
    return made
