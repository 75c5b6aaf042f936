"""Fault smoke: processes are killed at each step and the broker twice, under load; then I1 to I5.

`HOUQIN_FAULT_ROUNDS=100` makes the same into a long run: only the numbers grow. At the end a line
per fault is printed: rounds, commands, acknowledged, outcomes unknown at first, lost, doubled.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID

import pytest

from shared.fields import business_day
from tests.faults import checks
from tests.faults.checks import HEADING, Tally
from tests.faults.workload import SERVICE, Load
from tests.world import (
    CITY,
    COUNTY,
    LISTS,
    OTHER_COUNTY,
    OTHER_TOWN,
    TOWN,
    World,
    unit,
    until,
)

pytestmark = pytest.mark.stack

ROUNDS = int(os.environ.get("HOUQIN_FAULT_ROUNDS", "1"))
MORE = 40
"""Commands acknowledged before, and after, each fault."""

LINE = {"code": "food", "name": "食材", "fund": "canteen", "amount_cny": "1000"}
YEARS = (2041, 2042)

FAULTS = (
    ("append.before:20", "procurement"),
    ("append.after_commit:20", "procurement"),
    ("relay.after_send:10", "procurement"),
    ("project.middle:5", "reporting"),
    ("kill -9", "procurement"),
    ("kill -9", "reporting"),
    ("kill -9", "kafka"),
    ("kill -9", "kafka"),
)
"""Where what dies. A failpoint's count says at which pass."""


@dataclass
class Fault:
    """The platform under load, and what has come of it so far."""

    world: World
    load: Load
    born: list[UUID]
    schools: dict[str, str]
    """School code -> county code."""
    table: dict[str, Tally] = field(default_factory=dict)


@pytest.fixture(scope="module")
async def fault(world: World, request: pytest.FixtureRequest) -> AsyncIterator[Fault]:
    people = {TOWN: [f"user-{n}" for n in range(4)], OTHER_TOWN: [f"user-{n}" for n in range(4, 8)]}
    budgets: dict[str, list[str]] = {}
    schools: dict[str, str] = {}
    for town, county in ((TOWN, COUNTY), (OTHER_TOWN, OTHER_COUNTY)):
        code = await world.new_school(town, *((person, "principal") for person in people[town]))
        schools[code] = county
        made = []
        for year in YEARS:
            adopt = {"organisation": str(unit(code)), "year": year, "lines": [LINE]}
            made.append(
                str((await world.api.do(people[town][0], "/procurement/budgets", adopt))["id"])
            )
        budgets |= dict.fromkeys(people[town], made)
    born = [UUID(id_) for id_ in {id_ for ids in budgets.values() for id_ in ids}]
    here = Fault(world, Load(world, budgets), born, schools)
    yield here
    plugins = request.config.pluginmanager
    reporter, capture = plugins.getplugin("terminalreporter"), plugins.getplugin("capturemanager")
    assert reporter is not None and capture is not None
    with capture.global_and_fixture_disabled():
        for line in ("", HEADING, *here.table.values()):
            reporter.write_line(str(line))


async def die_at(world: World, name: str, failpoint: str) -> None:
    """Starts a service anew so that it kills itself at a failpoint; its supervisor, who knows
    nothing of that, starts it again.
    """
    part = world.stack._parts[name]
    await world.stack.halt(name)
    own = part.process.env
    part.process.env = {**own, "HOUQIN_FAILPOINT": failpoint}
    await part.process.start()
    part.process.env = own
    child = part.process.child
    assert child is not None
    part.keeper = asyncio.create_task(world.stack._keep(part))
    code = await asyncio.wait_for(child.wait(), 60)
    assert code == -signal.SIGKILL, f"{name} ended with {code}, not at {failpoint}"
    await back(world, name, child.pid)


async def back(world: World, name: str, pid: int) -> None:
    """Waits until another process answers in the place of the one that died."""

    async def replaced() -> bool:
        process = world.stack._parts[name].process
        return process.running and process.pid != pid

    await until(replaced, 60)
    await world.stack.until_ready(name)


async def strike(world: World, point: str, name: str) -> None:
    if point == "kill -9":
        pid = world.stack.pid(name)
        await world.stack.kill(name)
        await back(world, name, pid)
    else:
        await die_at(world, name, point)


@pytest.mark.parametrize(("point", "name"), FAULTS, ids=str)
async def test_nothing_is_lost_or_doubled(fault: Fault, point: str, name: str) -> None:
    world, load = fault.world, fault.load
    label = f"{point.partition(':')[0]} {name}"
    tally = fault.table.setdefault(label, Tally(label))
    begun = len(load.asked)
    for _ in range(ROUNDS):
        await load.start()
        await load.until(MORE)
        await strike(world, point, name)
        await load.until(MORE)
        await load.stop()
    asked = load.asked[begun:]
    pool = await world.pool(SERVICE)
    lost, doubled = await checks.i1(pool, load.asked, fault.born)
    tally.rounds += ROUNDS
    tally.commands += len(asked)
    tally.acknowledged += sum(bool(one.events) for one in asked)
    tally.unknown += sum(one.unknown > 0 for one in asked)
    tally.lost += lost
    tally.doubled += doubled
    assert (lost, doubled) == (0, 0)
    assert load.wrong == []
    await checks.i1_answers(pool, load.asked)
    await checks.i2(pool)


async def test_the_load_was_one(fault: Fault) -> None:
    """Else the faults would have met nothing: every kind of outcome occurred, many times."""
    load = fault.load
    statuses = {
        status: sum(one.status == status for one in load.asked) for status in (200, 412, 422)
    }
    assert all(count >= 10 for count in statuses.values()), statuses
    assert sum(one.unknown > 0 for one in load.asked) >= 3, "some outcomes were unknown"
    assert len(load.acknowledged) >= 2 * MORE * len(FAULTS)


async def test_everything_agrees_in_the_end(fault: Fault) -> None:
    """I1 to I5 over all that has happened, in every service; I7: within 30 s."""
    world = fault.world
    topics: dict[str, checks.Topic] = {}
    for service in LISTS:
        await checks.i2(await world.pool(service))
    for service in (*(s for s in LISTS if s != "reporting"), "reporting"):
        found = await checks.i3(world, service)
        topics[found.name] = found
    await checks.i5(world, topics)
    await checks.i4_lists(await world.pool(SERVICE))
    day = str(business_day(datetime.now(UTC)))
    below: dict[str, list[str]] = {}
    for school, county in fault.schools.items():
        below[str(unit(school))] = [str(unit(school))]
        below.setdefault(str(unit(county)), []).append(str(unit(school)))
    rows = await (await world.pool("organisation")).fetch("select unit, parent from unit_parent")
    parents = {str(row["unit"]): str(row["parent"]) for row in rows}
    every = await (await world.pool(SERVICE)).fetch("select distinct organisation from event")
    for place in (COUNTY, OTHER_COUNTY, CITY):
        below[str(unit(place))] = [
            str(row[0]) for row in every if str(unit(place)) in ancestors(str(row[0]), parents)
        ]
    people = {str(unit(COUNTY)): "county-officer", str(unit(OTHER_COUNTY)): "other-officer"}
    places = {id_: (people.get(id_, "city-officer"), schools) for id_, schools in below.items()}
    await checks.i4_figures(world, places, day)


def ancestors(unit_id: str, parents: dict[str, str]) -> set[str]:
    found: set[str] = set()
    here: str | None = unit_id
    while here is not None and here not in found:
        found.add(here)
        here = parents.get(here)
    return found
