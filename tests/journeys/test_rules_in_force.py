"""A unit's own rule holds there at once and nowhere else, and says where it comes from."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import pytest

from shared.fields import business_day
from tests.world import SIBLING, World, unit

pytestmark = pytest.mark.stack

SLUG = "safety.cycle"


async def in_force(world: World, person: str, owner: UUID) -> dict[str, object]:
    answer = await world.api.read(
        person, "/safety/rules-in-force", after="organisation", unit=str(owner)
    )
    (found,) = (rule for rule in answer["items"] if rule["slug"] == SLUG)
    return dict(found)


async def test_the_nearest_rule_wins(world: World) -> None:
    school = unit(await world.new_school())
    shipped = await in_force(world, "administrator", school)
    assert (shipped["region"], shipped["values"]) == (
        str(UUID(int=0)), {"week_due_days": 2, "month_due_days": 5},
    )  # fmt: skip
    today = str(business_day(datetime.now(UTC)))
    own = {
        "organisation": str(school), "slug": SLUG, "since": today, "mark": "confirmed",
        "values": {"week_due_days": 1, "month_due_days": 3},
        "source_zh": "本校规定", "source_en": "The school's own rule",
    }  # fmt: skip
    await world.api.do("administrator", "/organisation/rules", own)
    found = await in_force(world, "administrator", school)
    assert (found["region"], found["values"]) == (str(school), own["values"])
    assert found["source"] == {"zh": "本校规定", "en": "The school's own rule"}
    elsewhere = await in_force(world, "sibling-head", unit(SIBLING))
    assert elsewhere["values"] == shipped["values"]
