"""Two people who hold, between them, every post that there is, at a small place of their own: what
they do to try out every form disturbs nobody else.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from shared.fields import business_day
from tests.world import COUNTY, World, unit

TOWN, SCHOOL = "431081199", "2143099001"
APART = ("buyer", "cashier")
"""Duties that nobody may hold together with those of a head or an accountant."""

HEAD, CASHIER = "everybody-1", "everybody-2"
AT_TOWN = (
    "administrator", "bureau_officer", "inspector", "supervisor", "finance_officer", "principal",
    "logistics_director", "accountant", "canteen_manager", "nutritionist", "cook",
    "safety_officer", "nurse", "dorm_head", "guard", "repairer",
)  # fmt: skip
AT_SCHOOL = ("class_teacher", "teacher", "parents_committee")


SPARE = {
    "organisation": str(unit(SCHOOL)), "tag": "S-1", "name": "Spare", "category": "A02010105",
    "measure_unit": "张", "value_cny": "320", "acquired_on": "2025-09-01", "source": "purchase",
}  # fmt: skip
"""A card of which nothing is known but that it is there."""


async def settled(world: World) -> dict[str, str]:
    """They are in their posts, and something has happened that alerts; what the browser is told."""
    await world.register(TOWN, "Hilltop Township", "township", COUNTY)
    await world.register(SCHOOL, "Hilltop School", "school", TOWN)
    for role in AT_TOWN:
        await world.appoint(HEAD, role, TOWN)
    for role in AT_SCHOOL:
        appointed = await world.appoint(HEAD, role, SCHOOL)
    for role in APART:
        await world.appoint(CASHIER, role, TOWN)
    await world.known()
    await delegated(world, appointed)
    await world.api.do(HEAD, "/assets/cards", SPARE)
    alerting, kept = await reported(world, "Window"), await reported(world, "Noticeboard")
    assess = {"cause": "wilful", "replacement_cost_cny": "900"}
    await world.api.do(HEAD, f"/assets/damages/{alerting['id']}/assess", assess)
    return {
        "HOUQIN_EVERYBODY": f"{HEAD},{CASHIER}",
        "HOUQIN_EVERYBODY_UNIT": str(unit(SCHOOL)),
        "HOUQIN_EVERYBODY_CODE": SCHOOL,
        "HOUQIN_DAMAGE": json.dumps(kept),
    }


async def delegated(world: World, appointed: dict[str, Any]) -> None:
    """The head's last post is in somebody's hands for today."""
    today = business_day(datetime.now(UTC))
    body = {
        "post": appointed["row"][-1]["key"], "to": "somebody", "since": str(today),
        "last_day": str(today + timedelta(days=7)), "reason": "外出学习",
    }  # fmt: skip
    await world.api.do(HEAD, f"/organisation/staff/{appointed['id']}/delegate", body)


async def reported(world: World, item: str) -> dict[str, str]:
    """Something that was broken on purpose: once assessed, it alerts."""
    report = {
        "organisation": str(unit(SCHOOL)), "cause": "wilful", "item": item, "place": "Corridor",
    }  # fmt: skip
    made = await world.api.do(CASHIER, "/assets/damages", report)
    return {"id": made["id"], "item": item}
