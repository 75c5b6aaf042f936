"""F11 and F15: two of a kind, where there should be one."""

from __future__ import annotations

from tests.faults.rig import BACK_S, CLIENT, SERVICES, Pool, fences, freeze, frozen, thaw
from tests.faults.scene import Fault, Scene
from tests.world import until

RELAY_LOCK = 7002
"""The advisory lock that a service's relay leads under (shared/locks.py)."""

FIGURES, REPORTING = "figures", "reporting"
IN_HAND = "project.middle@figures:1:stop"
TRIES = 60

_END_LEAD = """
select count(pg_terminate_backend(pid)) from pg_locks
where locktype = 'advisory' and objid = $1
  and database = (select oid from pg_database where datname = current_database())
"""


async def consumers_come_and_go(scene: Scene, variant: str) -> None:
    """F11. Workers join and leave under load; one freezes with a batch half written, until the
    others have taken over what it had, and then goes on as if nothing had been: it must be refused.
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
    async with rig.spare(REPORTING, "worker", IN_HAND) as (zombie, _):
        await has_changed_hands(pool, before)
        before = await fences([pool], FIGURES)
        await gets_a_batch(scene, zombie.pid)
        freeze(zombie.pid)  # if none of its share has come, with nothing in hand
        try:
            await has_changed_hands(pool, before)
            before = await fences([pool], FIGURES)
        finally:
            thaw(zombie.pid)
        await has_changed_hands(pool, before)  # it is back, and asks for its share


async def gets_a_batch(scene: Scene, pid: int) -> None:
    """Has school after school write something, until the process has frozen over it."""
    tries = iter(range(TRIES))
    await scene.nudge("procurement", lambda: frozen(pid) or next(tries, None) is None)


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
    Fault("F15", "two relays", list(SERVICES), two_lead),
)
