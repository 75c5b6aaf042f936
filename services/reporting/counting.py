"""The worker that counts: every event of every service into archive and figures."""

from __future__ import annotations

import asyncpg

from services.reporting.figures.keep import Keeper
from services.reporting.figures.rebuild import refold
from services.reporting.figures.roll import Roller
from services.reporting.measures import measures
from shared import observe
from shared.consumer import Consumer
from shared.runtime import Runtime

CONSUMER = "figures"

SOURCES = ("organisation", "procurement", "assets", "safety", "nutrition", "reporting")
"""The services whose events are kept and counted."""

BATCH = 20_000
"""Larger than usual: the more events at once, the fewer rows each of them comes to."""


class Counting(Consumer):
    """The consumer of all events, with the tree kept rolled beside it."""

    def __init__(self, rt: Runtime) -> None:
        self.keeper, self.roller = Keeper(rt.pool, measures), Roller(rt.pool)
        topics = [rt.settings.topic(source) for source in SOURCES]
        super().__init__(CONSUMER, rt.pool, rt.settings, topics, self.keeper, batch=BATCH)

    async def start(self) -> None:
        """Brings the figures up to the tree and to today's code, then begins to count."""
        await self.roller.start()
        # Until they are folded, readers see the old figures; then all of them are taken over.
        async with asyncpg.create_pool(self.config.database, min_size=1, max_size=4) as patient:
            folded = await refold(patient, measures)
        observe.log.info("measures_folded", measures=folded)
        await super().start()

    async def stop(self) -> None:
        """Finishes the batch at hand."""
        await super().stop()
        await self.roller.stop()
