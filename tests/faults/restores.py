"""F16: a back-up is restored that is older than what Kafka has, and than what consumers have read.

The whole server, or the database of one service, goes back to a moment in the middle of a round; by
the way that operators have, each log then takes back what it lacks, and people go on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import datetime
from functools import partial
from uuid import UUID

from deploy.local.backup import Archive, running_postgres
from deploy.local.restore import fetch_one, put_in, switch, unpack
from tests.faults.commands import PLAIN
from tests.faults.rig import POSTGRES, SERVICES
from tests.faults.scene import Fault, Scene

EVERY = "all"
COMMANDS = 4
"""To each service before the disaster and after the restore, so that there is something to take
back, and something that must reach everybody.
"""


async def restored(scene: Scene, variant: str) -> None:
    """F16. What was acknowledged has been relayed when the disaster comes, so nothing is lost;
    only the answers kept under keys are, from the restored moment on.
    """
    rig, archive = scene.rig, Archive(scene.rig.folder / "backup" / str(scene.number))
    server = running_postgres(rig.folder)
    archive.begin_line()
    receiving = asyncio.create_task(archive.receive(server))
    try:
        await archive.take(server, lambda _: None)
        await scene.lasting()
        moment: datetime = await (await rig.pool("procurement")).fetchval(
            "select clock_timestamp()"
        )
        answered = {one.key for one in scene.load.asked if one.status}
        await write(scene, "lost")
        await scene.load.finish()
        await scene.inspector.at_rest()
        pids = {name: rig.pid(name) for name in (SERVICES if variant == EVERY else [variant])}
        logs = {name: await ids_of(scene, name) for name in pids}
        if variant == EVERY:
            await rig.halt(POSTGRES)
            await asyncio.to_thread(unpack, archive.base_for(moment), rig.folder, moment)
            switch(rig.folder)
            await rig.resume(POSTGRES)
        else:
            file = rig.folder / f"{variant}.dump"
            await fetch_one(rig.folder, archive, variant, moment, file, lambda _: None)
            await put_in(server, variant, file, lambda _: None)
    finally:
        receiving.cancel()
        await asyncio.gather(receiving, return_exceptions=True)
    for name, ids in logs.items():
        await way_out(scene, name, ids)
        await forget(scene, name, answered)
    # Whoever remembers what was before the restore has ended, and been started anew.
    await asyncio.gather(*(rig.until_back(name, pid) for name, pid in pids.items()))
    await write(scene, "after")


async def write(scene: Scene, when: str) -> None:
    """Some commands to each service, whatever else is asked."""
    for service in SERVICES:
        turns = iter(range(COMMANDS))
        role, act = PLAIN[service]
        name = f"{scene.number}.{service}.{when}"
        await scene.load.nudge(role, act, partial(_over, turns), name)


def _over(turns: Iterator[int]) -> bool:
    return next(turns, None) is None


async def ids_of(scene: Scene, service: str) -> set[UUID]:
    """Every event of a service's log."""
    return {event.id for event in await scene.inspector.log(service)}


async def way_out(scene: Scene, service: str, ids: set[UUID]) -> None:
    """What an operator does. Before it nobody may write, unless nothing was lost."""
    lacks = ids - await ids_of(scene, service)
    is_open = await (await scene.rig.pool(service)).fetchval("select log_is_open()")
    if lacks and is_open:
        scene.wrong.append(f"{service} lacks {len(lacks)} events, and may be written to")
    if await scene.rig.command(service, "after-restore"):
        scene.wrong.append(f"{service}: after-restore failed")
    for id_ in ids - await ids_of(scene, service):
        scene.wrong.append(f"{service}: {id_} was not taken back")


async def forget(scene: Scene, service: str, answered: set[str]) -> None:
    """The answers since the restored moment are lost; none from before it may be."""
    pool = await scene.rig.pool(service)
    kept = answered | {row[0] for row in await pool.fetch("select key from idempotency")}
    scene.inspector.forgotten |= {
        one.key for one in scene.load.asked if one.service == service and one.key not in kept
    }


RESTORES = (Fault("F16", "restore older than Kafka", [EVERY, *SERVICES], restored),)
