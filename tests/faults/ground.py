"""The people and places of a fault run: a province, two counties, some schools, all in office.

A few things stand ready in each school (a budget, cards, an alert), so that every user has, from
the first command on, something to share and to quarrel about.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from deploy.local import postgres
from tests import world as places
from tests.faults.rig import Rig
from tests.world import CITY, COUNTY, OTHER_COUNTY, OTHER_TOWN, PROVINCE, TOWN, Api, World, unit

ROLES = (
    "principal", "deputy", "logistics_director", "buyer", "canteen_manager", "safety_officer",
    "accountant",
)  # fmt: skip
"""Who uses the platform in each school; the deputy is a principal too, and in the other's way."""

OFFICERS = {
    PROVINCE: "officer-43",
    CITY: "officer-4310",
    COUNTY: "officer-1",
    OTHER_COUNTY: "officer-2",
}
"""Who reads the figures of a unit above the schools."""

TREE = tuple(row for row in places.TREE if row[2] in {"province", "city", "county", "township"})
STACK = "stack"
"""The platform's own folder in that of a run."""

YEAR, RACE_YEAR = 2041, 2042
LINE = {"code": "food", "name": "食材", "fund": "canteen", "amount_cny": "900000000"}
TIGHT = {"code": "tight", "name": "低值易耗", "fund": "canteen", "amount_cny": "1"}
CARDS = 3


@dataclass
class School:
    """A school and what stands ready in it. People are named by role and code."""

    code: str
    above: tuple[str, ...]
    """Ids of the units above it, and its own."""
    budget: str = ""
    race: str = ""
    """A budget that only races touch."""
    cards: list[str] = field(default_factory=list)
    alert: str = ""

    @property
    def id(self) -> str:
        return str(unit(self.code))

    def person(self, role: str) -> str:
        return f"{role}.{self.code}"


@dataclass
class Ground:
    """A running platform with everybody in his place."""

    rig: Rig
    world: World
    schools: list[School]

    @property
    def lookers(self) -> dict[str, str]:
        """Unit id -> who may look at its figures."""
        found = {one.id: one.person("principal") for one in self.schools}
        return found | {str(unit(code)): officer for code, officer in OFFICERS.items()}

    @property
    def paths(self) -> dict[str, frozenset[str]]:
        """Unit id -> itself and every unit above it."""
        found = {one.id: frozenset(one.above) for one in self.schools}
        for code, _, _, above in TREE:
            id_ = str(unit(code))
            found[id_] = frozenset({id_}) | (found[str(unit(above))] if above else frozenset())
        return found


def business_today() -> Any:
    """The day in China, where the schools are."""
    return (datetime.now(UTC) + timedelta(hours=8)).date()


def day_begun() -> Any:
    """The day in China, or the one before in its first two hours: whoever's clock is not further
    behind than that has it too.
    """
    return (datetime.now(UTC) + timedelta(hours=6)).date()


def make_schools(count: int) -> list[School]:
    """So many schools, in turn in the one county and in the other."""
    made = []
    for number in range(1, count + 1):
        chain = (
            [PROVINCE, CITY, COUNTY, TOWN]
            if number % 2
            else [PROVINCE, CITY, OTHER_COUNTY, OTHER_TOWN]
        )
        code = f"2143{number:06}"
        made.append(School(code, tuple(str(unit(one)) for one in (*chain, code))))
    return made


@asynccontextmanager
async def standing(
    folder: Path, *, schools: int, brokers: int, say: Callable[[str], None]
) -> AsyncIterator[Ground]:
    """The platform, started with a link in every place; stopped and removed in the end."""
    people = make_schools(schools)
    subjects = [one.person(role) for one in people for role in ROLES]
    env = {
        "HOUQIN_ACCOUNTS": str(
            places.accounts(folder / "accounts.toml", [*subjects, *OFFICERS.values()])
        ),
        "HOUQIN_LATE_ENTRY_GRACE_S": "1",
    }
    rig = Rig(folder / STACK, brokers=brokers, env=env, progress=say)
    try:
        with places.without_fsync():
            await rig.start()
        world = World(rig, Api(rig.doors()))
        try:
            ground = Ground(rig, world, people)
            await settle(ground)
            yield ground
        finally:
            await world.api.client.aclose()
    finally:
        await rig.stop()
        postgres.remove(folder / STACK)


async def settle(ground: Ground) -> None:
    """Registers units, appoints people, and puts in each school what stands ready there."""
    world = ground.world
    for code, name, level, above in TREE:
        await world.register(code, name, level, above)
    for code, officer in OFFICERS.items():
        await world.appoint(officer, "bureau_officer", code)
    for number, school in enumerate(ground.schools):
        town = OTHER_TOWN if number % 2 else TOWN
        await world.register(school.code, f"故障小学{number + 1}", "school", town)
    await asyncio.gather(*(staff(world, school) for school in ground.schools))
    await world.known()
    await asyncio.gather(*(furnish(world, school) for school in ground.schools))
    await world.settled("assets")
    for school in ground.schools:
        await alerted(world, school)


async def staff(world: World, school: School) -> None:
    """Everybody at one school takes office."""
    for role in ROLES:
        post = "principal" if role == "deputy" else role
        await world.appoint(school.person(role), post, school.code)
        await world.api.token(school.person(role))


async def furnish(world: World, school: School) -> None:
    """Two budgets, some cards, and a pane broken on purpose."""
    api, here = world.api, {"organisation": school.id}
    head, director = school.person("principal"), school.person("logistics_director")
    budget, race = {"year": YEAR, "lines": [LINE]}, {"year": RACE_YEAR, "lines": [LINE, TIGHT]}
    school.budget = str((await api.do(head, "/procurement/budgets", here | budget))["id"])
    school.race = str((await api.do(head, "/procurement/budgets", here | race))["id"])
    for number in range(CARDS):
        card = here | {
            "tag": f"ready-{number}", "name": "投影仪", "category": "A02020200",
            "measure_unit": "台", "quantity": 1, "value_cny": "4800",
            "acquired_on": str(day_begun()), "source": "purchase",
        }  # fmt: skip
        school.cards.append(str((await api.do(director, "/assets/cards", card))["id"]))
    damage = here | {"cause": "wilful", "item": "玻璃", "description": "走廊"}
    made = await api.do(school.person("buyer"), "/assets/damages", damage)
    assess = {"cause": "wilful", "replacement_cost_cny": "800"}
    await api.do(head, f"/assets/damages/{made['id']}/assess", assess)


async def alerted(world: World, school: School) -> None:
    """Waits for the alert that the broken pane raises."""
    head = school.person("principal")

    async def raised() -> str:
        found = await world.api.read(head, "/reporting/alerts", limit=1)
        return str(found["items"][0]["id"]) if found["items"] else ""

    school.alert = await places.until(raised, 60)
