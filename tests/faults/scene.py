"""What a fault has to work with in one round: the platform, its load, and the seed's own dice."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from tests.faults.commands import PLAIN, Act, Pen
from tests.faults.ground import Ground
from tests.faults.inspection import Inspector
from tests.faults.load import Load
from tests.faults.rig import Rig

SECOND = 1_000_000
"""Added to a round's number where its people begin once more, so that their keys are new."""


@dataclass
class Scene:
    """One round. `wrong`: what the fault itself found to be not as it should be; `seconds`: how long
    it took until all was caught up, where it had to wait for that itself.
    """

    ground: Ground
    load: Load
    inspector: Inspector
    chance: random.Random
    number: int
    wrong: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def rig(self) -> Rig:
        return self.ground.rig

    async def lasting(self, share: float = 0.3) -> None:
        """Lets the fault last for a share of the round's commands, or until it holds up all."""
        most = max(2, int(self.load.size * share))
        await self.load.more(self.chance.randint(1, most))

    async def to_the_end(self) -> None:
        """Lets the fault last until everybody is through, or nobody is answered any more."""
        await self.load.more(1_000_000)

    async def anew(self) -> None:
        """Everybody finishes, and begins once more."""
        await self.load.finish()
        self.load.start(self.number + SECOND)

    async def nudge(self, service: str, until: Callable[[], bool]) -> int:
        """Makes a service write until something has happened; how many commands that took."""
        return await self.load.nudge(*PLAIN[service], until, f"{self.number}.{service}")

    async def nudge_with(
        self, role: str, act: Callable[[Pen], Act], until: Callable[[], bool]
    ) -> int:
        """The same with a command of choice."""
        return await self.load.nudge(role, act, until, f"{self.number}.{act.__name__}")


@dataclass(frozen=True)
class Fault:
    """A kind of fault. `variants`: its forms, one a round; `strike` breaks something, lets that
    last, and heals it. `why_not`: why that cannot be done on this machine (nothing: it can).
    """

    code: str
    title: str
    variants: Sequence[str]
    strike: Callable[[Scene, str], Awaitable[None]]
    why_not: Callable[[], str] = str
