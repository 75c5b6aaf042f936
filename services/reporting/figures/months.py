"""Where the archive's months are: in the database, or in files that were taken out of it.

A month in a file is read by loading it into a table of its own, for as long as it is read.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from hosting import archive
from services.reporting.figures.keep import Pool

FILE = ".file"
"""What the part of a month in a file ends with."""


@dataclass(frozen=True, slots=True)
class Source:
    """A part of the archive. `part` sorts them by month, a month's file after its table."""

    pool: Pool
    part: str
    file: archive.Manifest | None = None

    @asynccontextmanager
    async def readable(self) -> AsyncIterator[str]:
        """The name of a table that holds the part's events."""
        if self.file is None:
            yield f"archive_{self.part}"
        else:
            async with archive.loaded(self.pool, self.file) as table:
                yield table


async def sources_of(pool: Pool, *, files: bool) -> list[Source]:
    """Every month of the database, and with `files` also those that were taken out of it."""
    found = [Source(pool, f"{month:%Y%m}") for month in await archive.months(pool, "archive")]
    if files:
        out = await archive.detached(pool)
        found += [Source(pool, f"{one.month:%Y%m}{FILE}", one) for one in out]
    return sorted(found, key=lambda source: source.part)
