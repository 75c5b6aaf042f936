"""The tree that is measured in, put into a service's local copy, with a person who may decide for
all of it.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from uuid import UUID, uuid4

import asyncpg

from bench.feed import World
from shared.directory import keep
from shared.directory_events import Document, Place, Post, StaffCopy, UnitCopy
from shared.organisation import Level, Role

type Pool = asyncpg.Pool[asyncpg.Record]

BEGAN = date(2020, 1, 1)


async def settle(
    pool: Pool, made: World, person: str = "bench", role: Role = Role.FINANCE_OFFICER
) -> None:
    """Writes the tree and one post at its root into the local copy, as if it had come in events,
    and says that it is current."""
    units = [
        (made.province, "p", Level.PROVINCE, None),
        *((id_, f"c{n}", Level.COUNTY, made.province) for n, id_ in enumerate(made.counties)),
        *((id_, f"s{n}", Level.SCHOOL, made.county_of(n)) for n, id_ in enumerate(made.schools)),
    ]
    copied: dict[UUID, Document] = {
        id_: UnitCopy(code=code, name=code, level=level, places=(Place(BEGAN, above),))
        for id_, code, level, above in units
    }
    post = Post(person=person, unit=made.province, role=role, since=BEGAN)
    copied[uuid4()] = StaffCopy(posts={uuid4(): post})
    async with pool.acquire() as connection:
        await keep(connection, copied)
    await keep_current(pool)


async def keep_current(pool: Pool) -> None:
    """Marks the local copy as just brought up to date: here no consumer does."""
    await pool.execute(
        "insert into consumed (consumer, topic, partition, current_at)"
        " values ('directory', 'houqin.organisation', 0, $1)"
        " on conflict (consumer, topic, partition) do update set current_at = $1",
        datetime.now(UTC),
    )
