"""The province that is measured in: counties and schools in a service's local copy, and a person
who may decide for all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from uuid import UUID, uuid4, uuid5

import asyncpg

from shared.kernel import NAMESPACE
from shared.organisation import Level, Role

type Pool = asyncpg.Pool[asyncpg.Record]

BEGAN = date(2020, 1, 1)


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
        uuid5(NAMESPACE, "bench:province"),
        [uuid5(NAMESPACE, f"bench:county:{n}") for n in range(counties)],
        [uuid5(NAMESPACE, f"bench:school:{n}") for n in range(schools)],
    )


async def settle(pool: Pool, made: World, person: str = "bench") -> None:
    """Writes the tree and one post at its root into the local copy, as if it had come in events."""
    units = [
        (made.province, "p", Level.PROVINCE, None),
        *((id_, f"c{n}", Level.COUNTY, made.province) for n, id_ in enumerate(made.counties)),
        *((id_, f"s{n}", Level.SCHOOL, made.county_of(n)) for n, id_ in enumerate(made.schools)),
    ]
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute(
            "update directory_state set version = version + 1, units = version + 1,"
            " posts = version + 1"
        )
        await connection.executemany(
            "insert into unit (id, code, name, level, since, changed)"
            " select $1, $2, $2, $3, $4, version from directory_state on conflict do nothing",
            [(id_, code, int(level), BEGAN) for id_, code, level, _ in units],
        )
        await connection.executemany(
            "insert into unit_parent (unit, parent, since, changed)"
            " select $1, $2, $3, version from directory_state on conflict do nothing",
            [(id_, above, BEGAN) for id_, _, _, above in units],
        )
        await connection.execute(
            "insert into post (id, person, unit, role, since) values ($1, $2, $3, $4, $5)",
            uuid4(), person, made.province, Role.FINANCE_OFFICER.value, BEGAN,
        )  # fmt: skip


async def keep_current(pool: Pool) -> None:
    """Marks the local copy as just brought up to date: here no consumer does."""
    await pool.execute(
        "insert into consumed (consumer, topic, partition, current_at)"
        " values ('directory', 'houqin.organisation', 0, $1)"
        " on conflict (consumer, topic, partition) do update set current_at = $1",
        datetime.now(UTC),
    )
