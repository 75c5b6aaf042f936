"""F1 to F5: processes die, lines break.

F1 a service, at a failpoint or anywhere; F2 brokers; F3 Postgres, whole or a backend; F4 a link cut,
stalled, broken after some bytes, deaf, mute, half-open or slow; F5 the answer to an append that was
committed.
"""

from __future__ import annotations

import asyncio
import os
import signal

from tests.faults.commands import appoint
from tests.faults.proxy import Way
from tests.faults.rig import CLIENT, KAFKA, KINDS, POSTGRES, SERVICES
from tests.faults.scene import Fault, Scene

ENDS = {"fast": signal.SIGINT, "immediate": signal.SIGQUIT, "postmaster": signal.SIGKILL}
"""How Postgres is brought down."""

KILL, FIVE = "kill", "five at once"
PROJECT = "project.middle"
FIGURES = f"{PROJECT}@figures"
POINTS = (
    "append.before", "append.after_commit", "relay.after_send", "relay.after_mark", PROJECT,
)  # fmt: skip
PASSES_MAX = 5
BYTES_MAX = 20_000
DIE_S = 60.0
CUT, STALL, SOME, DEAF, MUTE, HALF = "cut", "stall", "bytes", "deaf", "mute", "half-open"
SLOW = "slow"
MODES = (CUT, STALL, SOME, DEAF, MUTE, SLOW)
LATENCY_S, BYTES_A_SECOND = (0.02, 0.3), (20_000, 200_000)
LOSSES_MAX = 3


async def services_die(scene: Scene, variant: str) -> None:
    """F1. One, or five at once, each in another place."""
    if variant == FIVE:
        await asyncio.gather(
            *(dies(scene, point, name) for point, name in zip(POINTS, SERVICES[1:], strict=True))
        )
    else:
        await dies(scene, *variant.split())


async def dies(scene: Scene, point: str, service: str) -> None:
    """At a failpoint it dies by itself, at a pass that the seed chooses."""
    rig = scene.rig
    if point == KILL:
        pid = rig.pid(service)
        await rig.kill(service)
        await scene.lasting()
        await rig.until_back(service, pid)
        return
    child = await rig.arm(service, f"{point}:{scene.chance.randint(1, PASSES_MAX)}")
    dying = asyncio.create_task(child.wait())
    async with asyncio.timeout(DIE_S):
        if point in {PROJECT, FIGURES}:  # every service takes in who holds which post
            await scene.nudge_with("principal", appoint, dying.done)
        else:
            await scene.nudge(service, dying.done)
        code = await dying
    if code != -signal.SIGKILL:
        scene.wrong.append(f"{service} ended with {code}, not at {point}")
    await rig.until_back(service, child.pid)


async def brokers_die(scene: Scene, variant: str) -> None:
    """F2. One may die unnoticed; with two the rest takes no more; all of them come back."""
    rig = scene.rig
    count = {"one": 1, "two": 2, "all": len(rig.brokers)}[variant]
    chosen = scene.chance.sample(rig.brokers, min(count, len(rig.brokers)))
    pids = {name: rig.pid(name) for name in chosen}
    for name in chosen:
        await rig.kill(name)
    await scene.to_the_end()
    await asyncio.gather(*(rig.until_back(name, pid) for name, pid in pids.items()))


async def postgres_dies(scene: Scene, variant: str) -> None:
    """F3. `fast` and `immediate` are what `pg_ctl -m` sends; a backend takes all others with it."""
    rig = scene.rig
    if variant == "backend":
        pid, _ = scene.chance.choice(rig.backends())
        os.kill(pid, signal.SIGKILL)
        await scene.lasting()
        return
    pid = rig.pid(POSTGRES)
    await rig.kill(POSTGRES, ENDS[variant])
    await scene.lasting()
    await rig.until_back(POSTGRES, pid)


async def link_breaks(scene: Scene, variant: str) -> None:
    """F4. What crosses Kafka holds nobody up, so such a link is broken until all have asked."""
    kind, service, mode = variant.split()
    links = scene.rig.links[service, kind]
    for link in links:
        match mode:
            case "cut":
                link.cut()
            case "stall":
                link.stall()
            case "bytes":
                link.allow(scene.chance.randrange(1, BYTES_MAX))
            case "deaf":
                link.stall(Way.BACK)
            case "half-open":
                link.forsake()
            case "slow":
                link.slow(scene.chance.uniform(*LATENCY_S), scene.chance.randrange(*BYTES_A_SECOND))
            case _:
                link.stall(Way.THERE)
    if kind == KAFKA:
        await scene.to_the_end()
    else:
        await scene.lasting()
    for link in links:
        link.heal()


async def answers_are_lost(scene: Scene, variant: str) -> None:
    """F5. The append is one statement in autocommit: once it is answered it is committed, and that
    answer never arrives.
    """
    (link,) = scene.rig.links[variant, POSTGRES]
    wanted = link.lost + scene.chance.randint(1, LOSSES_MAX)
    link.appends_to_lose = wanted - link.lost
    await scene.nudge(variant, lambda: link.lost >= wanted)
    link.heal()


BREAKS = (
    Fault(
        "F1", "kill -9 service",
        [
            FIVE, f"{FIGURES} reporting",
            *(f"{point} {service}" for point in (*POINTS, KILL) for service in SERVICES),
        ],
        services_die,
    ),
    Fault("F2", "kill -9 broker", ["one", "two", "all"], brokers_die),
    Fault("F3", "Postgres crash", [*ENDS, "backend"], postgres_dies),
    Fault(
        "F4", "broken link",
        [
            f"{kind} {service} {mode}"
            for kind in KINDS
            for service in SERVICES
            # A client's patience is the client's own.
            for mode in (MODES if kind == CLIENT else (*MODES, HALF))
        ],
        link_breaks,
    ),
    Fault("F5", "lost COMMIT reply", list(SERVICES), answers_are_lost),
)  # fmt: skip
