"""F7: clocks that are wrong. Those of the platform's own processes jump; Postgres and Kafka keep time.

An hour ahead or behind, ahead and then back, one service apart from the others by less than the skew
that is promised, and the new year, in China and as UTC has it: the log begins another month, figures
another day, and what is due is late.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta, timezone

from tests.faults.rig import BACK_S, SERVICES
from tests.faults.scene import Fault, Scene
from tests.world import until

HOUR_S, SKEW_S = 3600.0, 50.0
AHEAD, BEHIND, BACK = "ahead", "behind", "ahead and back"
YEARS = {"new year in China": timezone(timedelta(hours=8)), "new year by UTC": UTC}
BEFORE_S = 2.0
"""So long before the new year the clocks are set, once every service has begun with that date."""


async def clocks_are_wrong(scene: Scene, variant: str) -> None:
    """F7. Whatever the clocks say, nothing is refused that should be taken, and time that comes a
    second time fires nothing a second time.
    """
    rig = scene.rig
    try:
        if variant in YEARS:
            await year_ends(scene, YEARS[variant])
        elif variant in {AHEAD, BEHIND, BACK}:
            rig.turn_clocks(-HOUR_S if variant == BEHIND else HOUR_S)
            await scene.lasting()
            if variant == BACK:
                rig.turn_clocks(0)
                await scene.lasting()
                rig.turn_clocks(-HOUR_S)
                await scene.lasting()
        else:
            rig.turn_clocks(SKEW_S * scene.chance.choice([-1, 1]), variant)
            await scene.to_the_end()
    finally:
        rig.turn_clocks(0)
        scene.ground.world.api.forget_all()  # tokens of other times


async def year_ends(scene: Scene, zone: timezone) -> None:
    """Services start on the last day of the year, and the year ends under load."""
    rig = scene.rig
    this_year = datetime.now(zone).year
    midnight = datetime(this_year + 1, 1, 1, tzinfo=zone)
    rig.turn_clocks((midnight - datetime.now(UTC)).total_seconds() - 60)
    await asyncio.gather(*(rig.restart(name) for name in SERVICES))
    off_s = (midnight - datetime.now(UTC)).total_seconds() - BEFORE_S
    rig.turn_clocks(off_s)
    await scene.lasting()

    async def begun() -> bool:
        return datetime.now(UTC) + timedelta(seconds=off_s) > midnight

    await until(begun, BACK_S)
    await scene.lasting()


CLOCKS = (
    Fault("F7", "wrong clocks", [AHEAD, BEHIND, BACK, *YEARS, *SERVICES], clocks_are_wrong),
)  # fmt: skip
