"""F13: one that cannot keep up. Reporting stands still, or takes its time over every batch, through a
hundred times the commands of a round; then it has to take all of it in, within its memory.
"""

from __future__ import annotations

from tests.faults.load import Asked
from tests.faults.rig import BACK_S, freeze, thaw
from tests.faults.scene import Fault, Scene

REPORTING = "reporting"
FROZEN, SLOW = "frozen", "slow handlers"
DAWDLES = "project.middle@figures:1:5"
"""Five seconds more for every batch, in which the process does nothing else either."""

TIMES, BURST_ROWS = 100, 200
MEMORY_MB_MAX = 512.0
TAKEN = frozenset({200})


async def one_is_slow(scene: Scene, variant: str) -> None:
    """F13. Everybody else is answered meanwhile as if nothing were."""
    rig = scene.rig
    if variant == FROZEN:
        pid = rig.pid(REPORTING)
        freeze(pid)
        try:
            await bursts(scene)
        finally:
            thaw(pid)
    else:
        await rig.arm(REPORTING, DAWDLES)
        await rig.until_ready(REPORTING, BACK_S)
        await bursts(scene)
        within_memory(scene, "while it was slow")
        await rig.restart(REPORTING)
    scene.seconds = await scene.inspector.caught_up()
    within_memory(scene, "after a burst")


def within_memory(scene: Scene, when: str) -> None:
    """Whatever waits, waits in Kafka."""
    memory_mb = scene.rig.memory_mb(REPORTING)
    if memory_mb > MEMORY_MB_MAX:
        scene.wrong.append(f"reporting holds {memory_mb:.0f} MB {when}")


async def bursts(scene: Scene) -> None:
    """A hundred times what a round has, in batches as large as imports are."""
    for number in range(max(1, TIMES * scene.load.size // BURST_ROWS)):
        await burst(scene, number)


async def burst(scene: Scene, number: int) -> None:
    """One such batch, of one school."""
    school = scene.chance.choice(scene.ground.schools)
    name = f"k{scene.load.desk.seed}.{scene.number}.burst{number}"
    parts: list[Asked] = []
    rows = []
    for row in range(BURST_ROWS):
        key = f"{name}.{row}"
        cny = scene.chance.randrange(100_000_000, 900_000_000)
        body = {"line": "food", "amount_cny": f"{cny}.00", "reason": key}
        rows.append({"key": key, "command": "AmendBudget", "id": school.race, "body": body})
        parts.append(
            Asked(
                school.person("principal"), "procurement", "AmendBudget", "", b"",
                {"Idempotency-Key": key}, TAKEN,
            )
        )  # fmt: skip
    await scene.load.ask_batch(rows, parts, name)


SLOWNESS = (Fault("F13", "slow consumer", [FROZEN, SLOW], one_is_slow),)
