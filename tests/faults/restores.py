"""F16: a back-up is restored that is older than what Kafka has, and than what consumers have read.

The whole server, or the database of one service, goes back to a moment in the middle of a round; by
the way that operators have, each log then takes back what it lacks, and people go on.
"""

from __future__ import annotations

import asyncio
from datetime import datetime

from deploy.local.backup import Archive, running_postgres
from deploy.local.restore import fetch_one, put_in, switch, unpack
from tests.faults.rig import POSTGRES, SERVICES
from tests.faults.scene import Fault, Scene

EVERY = "all"
WORDS_AFTER = 4
"""Commands to each service after the restore: their events must reach everybody."""


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
        await scene.load.finish()
        await scene.inspector.caught_up()
        pids = {name: rig.pid(name) for name in (SERVICES if variant == EVERY else [variant])}
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
    for name in pids:
        await way_out(scene, name, answered)
    # Whoever remembers what was before the restore has ended, and been started anew.
    await asyncio.gather(*(rig.until_back(name, pid) for name, pid in pids.items()))
    for name in SERVICES:
        turns = iter(range(WORDS_AFTER))
        await scene.nudge(name, lambda turns=turns: next(turns, None) is None)  # type: ignore[misc]


async def way_out(scene: Scene, service: str, answered: set[str]) -> None:
    """What an operator does. Before it, nobody may write."""
    rig = scene.rig
    pool = await rig.pool(service)
    if await pool.fetchval("select log_is_open()"):
        scene.wrong.append(f"{service}: open, and not held against Kafka")
    if await rig.command(service, "after-restore"):
        scene.wrong.append(f"{service}: after-restore failed")
    kept = {row[0] for row in await pool.fetch("select key from idempotency")}
    scene.inspector.forgotten |= {
        one.key
        for one in scene.load.asked
        if one.service == service and one.key not in kept | answered
    }


RESTORES = (Fault("F16", "restore older than Kafka", [EVERY, *SERVICES], restored),)
