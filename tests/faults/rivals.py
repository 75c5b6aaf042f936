"""F11, F12, F13 and F15: two of a kind, where there should be one, and one that cannot keep up."""

from __future__ import annotations

import asyncio
import json

from tests.faults.inspection import HEAL_S
from tests.faults.load import Asked
from tests.faults.rig import BACK_S, CLIENT, SERVICES, Pool, fences, freeze, thaw
from tests.faults.scene import Fault, Scene
from tests.world import until

RELAY_LOCK = 7002
"""The advisory lock that a service's relay leads under (shared/locks.py)."""

FIGURES, REPORTING = "figures", "reporting"
RACES, RACERS = 12, 16
BURST_BATCHES, BURST_ROWS = 10, 200
MEMORY_MB_MAX = 512.0
WON = frozenset({200})
LOST = 412

_END_LEAD = """
select count(pg_terminate_backend(pid)) from pg_locks
where locktype = 'advisory' and objid = $1
  and database = (select oid from pg_database where datname = current_database())
"""


async def consumers_come_and_go(scene: Scene, variant: str) -> None:
    """F11. Workers join and leave under load; one is frozen until the others have taken over what
    it had, and then goes on as if nothing had been: what it still had in hand must be refused.
    """
    rig, pool = scene.rig, await scene.rig.pool(REPORTING)
    for _ in range(int(variant)):
        before = await fences([pool], FIGURES)
        async with rig.spare(REPORTING, "worker") as (guest, _):
            await has_changed_hands(pool, before)
            await scene.lasting(0.1)
            before = await fences([pool], FIGURES)
            guest.kill()
            await has_changed_hands(pool, before)
    before = await fences([pool], FIGURES)
    async with rig.spare(REPORTING, "worker") as (zombie, _):
        await has_changed_hands(pool, before)
        before = await fences([pool], FIGURES)
        freeze(zombie.pid)
        try:
            await has_changed_hands(pool, before)
            before = await fences([pool], FIGURES)
        finally:
            thaw(zombie.pid)
        await has_changed_hands(pool, before)  # it is back, and asks for its share


async def has_changed_hands(pool: Pool, before: int) -> None:
    """Waits until partitions are under new fences; a frozen worker that holds a row locked keeps
    all others waiting until it goes on, which is no fault of theirs.
    """

    async def changed() -> bool:
        return await fences([pool], FIGURES) > before

    try:
        await until(changed, 25)
    except TimeoutError:
        return


async def two_write(scene: Scene, variant: str) -> None:
    """F12. Many want to change the same version of the same thing, over two processes: one wins."""
    async with scene.rig.spare("procurement") as (_, port):
        other = f"http://127.0.0.1:{port}"
        for race in range(int(variant)):
            await one_race(scene, race, other)


async def one_race(scene: Scene, race: int, other: str) -> None:
    """All at the start, at the same version, each with a key of his own."""
    school = scene.chance.choice(scene.ground.schools)
    person, api = school.person("principal"), scene.ground.world.api
    seen = await api.get(person, f"/procurement/budgets/{school.race}")
    tag = seen.headers["etag"]
    racers: list[Asked] = []
    for number in range(RACERS):
        key = f"k{scene.load.desk.seed}.{scene.number}.race{race}.{number}"
        cents = 100_000_000 * (number + 1) + scene.chance.randrange(1, 100_000_000)
        body = {"line": "food", "amount_cny": f"{cents}.00", "reason": key}
        racers.append(
            Asked(
                person, "procurement", "AmendBudget", f"/procurement/budgets/{school.race}/amend",
                json.dumps(body).encode(), {"Idempotency-Key": key, "If-Match": tag},
                WON | {LOST},
            )
        )  # fmt: skip
    scene.load.asked += racers
    await asyncio.gather(
        *(scene.load.ask(one, other if number % 2 else "") for number, one in enumerate(racers))
    )
    won = sum(one.status in WON for one in racers)
    if won != 1:
        scene.wrong.append(f"race {race} at {tag} of {school.race}: {won} have won")


async def one_is_slow(scene: Scene, variant: str) -> None:
    """F13. Reporting stands still through a burst, and then has to take it all without choking."""
    rig = scene.rig
    pid = rig.pid(REPORTING)
    freeze(pid)
    try:
        for number in range(int(variant)):
            await burst(scene, number)
    finally:
        thaw(pid)
    seconds = await scene.inspector.caught_up()
    if seconds > HEAL_S:
        scene.wrong.append(f"reporting took {seconds:.0f} s to take in a burst")
    memory_mb = rig.memory_mb(REPORTING)
    if memory_mb > MEMORY_MB_MAX:
        scene.wrong.append(f"reporting holds {memory_mb:.0f} MB after a burst")


async def burst(scene: Scene, number: int) -> None:
    """A batch as large as imports are."""
    school = scene.chance.choice(scene.ground.schools)
    parts: list[Asked] = []
    rows = []
    for row in range(BURST_ROWS):
        key = f"k{scene.load.desk.seed}.{scene.number}.burst{number}.{row}"
        cny = scene.chance.randrange(100_000_000, 900_000_000)
        body = {"line": "food", "amount_cny": f"{cny}.00", "reason": key}
        rows.append({"key": key, "command": "AmendBudget", "id": school.race, "body": body})
        parts.append(
            Asked(
                school.person("principal"), "procurement", "AmendBudget", "", b"",
                {"Idempotency-Key": key}, WON,
            )
        )  # fmt: skip
    await scene.load.ask_batch(rows, parts, f"k{scene.load.desk.seed}.{scene.number}.burst{number}")


async def two_lead(scene: Scene, variant: str) -> None:
    """F15. The leader freezes and its line to the database is given up; a second process leads and
    takes the requests; then the first goes on, in the belief that it still leads.
    """
    rig = scene.rig
    pool, pid = await rig.pool(variant), rig.pid(variant)
    (door,) = rig.links[variant, CLIENT]
    home = door.target
    async with rig.spare(variant) as (_, port):
        await scene.lasting(0.1)
        fence = await pool.fetchval("select fence from relay")
        freeze(pid)
        try:
            await pool.execute(_END_LEAD, RELAY_LOCK)
            door.point(port)

            async def leads() -> bool:
                return bool(await pool.fetchval("select fence from relay") > fence)

            await until(leads, BACK_S)
            await scene.lasting()
        finally:
            thaw(pid)
        await scene.lasting(0.1)
        door.point(home)
    await rig.until_ready(variant)


RIVALS = (
    Fault("F11", "rebalances, zombies", ["0", "1", "2"], consumers_come_and_go),
    Fault("F12", "two writers", [str(RACES)], two_write),
    Fault("F13", "burst, slow consumer", [str(BURST_BATCHES)], one_is_slow),
    Fault("F15", "two relays", list(SERVICES), two_lead),
)
