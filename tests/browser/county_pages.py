"""The dashboards of a county of 200 schools with a year of figures, weighed and timed in a browser.

python -m tests.browser.county_pages     into build/web-county.json, as `make web-budget` its own

The platform is a real one with a tree entered through its API; the figures' events are folded in by
reporting's own keeper, as if a year of them had come.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from itertools import batched
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from deploy.local import web
from deploy.local.running import run
from deploy.local.supervisor import ROOT
from services.reporting.figures.keep import Keeper
from services.reporting.measures import measures
from shared.envelope import Delivered
from shared.fields import business_day
from tests.reporting.events import came, repair
from tests.reporting.figures import take
from tests.world import SINCE, TOWN, World, entered, unit

HERE = ROOT / "tests" / "browser"
PAGES = "county,county figures,county figure"
SCHOOLS = 200
DAYS = 365
BATCH = 5_000
WEEKEND = 5


async def measured() -> int:
    """Enters the county, folds its year in, and looks at its pages; node's exit status."""
    if web.main() != 0 or web.npm(HERE, "ci", "--silent") != 0:
        return 1
    today = business_day(datetime.now(UTC))
    first = today - timedelta(days=DAYS - 1)
    with tempfile.TemporaryDirectory() as folder:
        async with entered(Path(folder)) as world:
            schools = await registered(world)
            pool = await world.pool("reporting")
            keeper, count = Keeper(pool, measures), 0
            for events in batched(year_of(schools, first), BATCH, strict=False):
                await take(keeper, events)
                count += len(events)
            await pool.execute("vacuum analyze", timeout=600)
            sys.stdout.write(f"{len(schools)} schools, {DAYS} days, {count:,} events\n")
            sys.stdout.flush()
            told = {
                "HOUQIN_PORTAL": world.api.urls["portal"], "HOUQIN_WHO": "county-officer",
                "HOUQIN_ONLY": PAGES, "HOUQIN_PERIOD": f"{first}..{today}",
                "HOUQIN_RESULT": "web-county.json",
            }  # fmt: skip
            node = await asyncio.create_subprocess_exec(
                web.NODE, HERE / "budget.mjs", env={**os.environ, **told}
            )
            return await node.wait()


async def registered(world: World) -> list[UUID]:
    """The county's schools, entered in one batch; known everywhere on return."""
    codes = [f"21431{n:05}" for n in range(SCHOOLS)]
    commands = [
        {"key": uuid4().hex, "command": "RegisterUnit", "body": body(code, n)}
        for n, code in enumerate(codes, 1)
    ]
    answer = await world.api.do(
        "administrator", "/organisation/batch", {"commands": commands}
    )  # fmt: skip
    refused = [one for one in answer["results"] if one["status"] >= 400]
    assert not refused, refused[:1]
    await world.known()
    return [unit(code) for code in codes]


def body(code: str, n: int) -> dict[str, Any]:
    return {
        "organisation": str(unit(TOWN)), "code": code, "name": f"资兴市第{n}小学",
        "level": "school", "parent_code": TOWN, "since": SINCE,
    }  # fmt: skip


def year_of(schools: list[UUID], first: date) -> Iterator[Delivered]:
    """What happens at each school: a repair and, at nine in ten, a food check a school day; a hazard
    and a menu a week. The same for the same days.
    """
    chance = random.Random(7)
    for n in range(DAYS):
        day = first + timedelta(days=n)
        if day.weekday() >= WEEKEND:
            continue
        at = datetime.combine(day, time(4), UTC)
        for school in schools:
            if chance.random() < 0.9:
                yield came("safety", "SafetyCheckDone", school, kind="food_safety", at=at)
            yield repair(
                school, chance.choice(["lamp", "valve", "door", "drain"]),
                finish_minutes=chance.randrange(30, 3000), at=at,
            )  # fmt: skip
            if day.weekday() == 0:
                yield from weekly(school, day, chance, at)


def weekly(school: UUID, day: date, chance: random.Random, at: datetime) -> Iterator[Delivered]:
    category = chance.choice(["fire", "gas", "food"])
    yield came("safety", "HazardFound", school, at=at, category=category)
    if chance.random() < 0.8:
        yield came(
            "safety", "HazardClosed", school, at=at, category=category, on_time=chance.random() < 0.7,
            found_at=at.isoformat(), rectified_in_minutes=chance.randrange(60, 5000),
        )  # fmt: skip
    yield came(
        "nutrition", "MenuPublished", school, canteen="", version=1, late=chance.random() < 0.2,
        published_on=str(day), at=at,
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(run(measured()))
