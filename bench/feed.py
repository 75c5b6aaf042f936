"""What is measured with, by number: the same events and the same tree for the same numbers.

Nothing of the product is needed for it, so that a job that only reads events weighs no more than it
must.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from shared.ids import derived_id

PARTITIONS = 12


@dataclass(frozen=True, slots=True)
class Feed:
    """So many events, of so many schools, over so many days."""

    events: int
    schools: int = 20_000
    days: int = 2

    @property
    def prefix(self) -> str:
        """The topics' prefix."""
        return f"bench-{self.events}-{self.schools}-{self.days}"


@dataclass(frozen=True, slots=True)
class World:
    """Ids of a generated tree; school n lies in county n % len(counties)."""

    province: UUID
    counties: Sequence[UUID]
    schools: Sequence[UUID]

    def county_of(self, n: int) -> UUID:
        """The county of the nth school."""
        return self.counties[n % len(self.counties)]


def world(schools: int, counties: int = 100) -> World:
    """The same ids for the same numbers."""
    return World(
        derived_id("bench:province"),
        [derived_id(f"bench:county:{n}") for n in range(counties)],
        [derived_id(f"bench:school:{n}") for n in range(schools)],
    )
