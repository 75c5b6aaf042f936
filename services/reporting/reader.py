"""Who may read which figures, and how far the figures have got.

A figure of a unit is for whoever holds a reading post at the unit or above it. What a request is
granted is also told to the database, which shows nothing else to it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import asyncpg
from starlette.requests import Request

from services.reporting.answers import Reach, Where
from services.reporting.counting import CONSUMER
from services.reporting.figures.keep import fetch_tree
from services.reporting.figures.tree import Tree
from services.reporting.period import Period, SchoolYearPolicy, period_of
from shared.asked import person_of
from shared.clock import this_moment
from shared.fields import business_day
from shared.organisation import READERS, Unit
from shared.problems import Problem
from shared.runtime import Runtime
from shared.views import READER

type Connection = asyncpg.pool.PoolConnectionProxy[asyncpg.Record]

ROLL_S = 5.0
"""How long a reader who asks for the latest waits for the tree to be rolled."""

SISTERS_MIN = 4
"""Of fewer units no average is shown: whoever knows one's figure could work out the other's."""

UNITS_MAX = 500
"""More units than that are not answered, nor averaged, at once."""

_REACH = """
select c.topic, max(c.applied_at) as applied_at,
       case when bool_and(c.current_at is not null) then min(c.current_at) end as current_at,
       array(select k.key from parked_key k where k.consumer = c.consumer and k.topic = c.topic)
           as waiting
from consumed c where c.consumer = $1 group by c.consumer, c.topic order by c.topic
"""


class Reader:
    """What every read of figures goes through. One per process."""

    def __init__(self, rt: Runtime) -> None:
        self.rt, self.tree = rt, Tree()
        self._levels: dict[tuple[UUID, int], list[Unit]] = {}
        self._levels_of: object = None

    async def caller(self, request: Request) -> str:
        """The person who asks; waits for what `Houqin-After` names."""
        person = await person_of(self.rt, request)
        if "houqin-after" in request.headers:
            await self._rolled()
        return person

    async def _rolled(self) -> None:
        deadline = asyncio.get_running_loop().time() + ROLL_S
        while not await self.rt.pool.fetchval("select version >= tree_version() from rolled"):
            if asyncio.get_running_loop().time() > deadline:
                raise Problem("after_unreached", field="Houqin-After")
            await asyncio.sleep(0.02)

    async def scope(self, person: str, unit_id: UUID) -> Unit:
        """The unit, if the person may read its figures; raises the problem that says why not."""
        unit = self.rt.directory.unit(unit_id)
        if unit is None:
            raise Problem("not_found", field="unit")
        await self.rt.directory.posts_of(person)
        today = business_day(this_moment())
        held = self.rt.directory.held(person, unit, today)
        if not any(post.role in READERS for post in held):
            raise Problem("forbidden", field="unit", unit=unit.name, roles=READERS)
        return unit

    @asynccontextmanager
    async def reading(
        self, unit: Unit, beside: Period | None = None
    ) -> AsyncIterator[tuple[Connection, Tree]]:
        """A connection on one snapshot that sees only what is or ever was below the unit, and the
        tree along which the figures of that snapshot stand. With `beside` it also sees the unit's
        sisters of that period, for an average.
        """
        async with (
            self.rt.pool.acquire() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            version = await connection.fetchval("select version from rolled")
            if version > self.tree.version:
                # A tree is never changed under a reader who has it.
                tree = self.tree.copy()
                (await fetch_tree(connection, tree.version)).into(tree)
                self.tree = tree
            tree, granted = self.tree, "*"
            if unit.parent is not None:
                sisters = self.sisters(unit, beside) if beside else None
                seen = (*tree.ever_below(unit.id), *(sisters[1] if sisters else ()))
                granted = ",".join(map(str, seen))
            await connection.execute(
                "select grant_units($2), set_config('role', $1, true),"
                " set_config('plan_cache_mode', 'force_custom_plan', true),"
                " set_config('work_mem', '32MB', true), set_config('jit', 'off', true),"
                " set_config('max_parallel_workers_per_gather', '0', true)",
                READER,
                granted,
            )
            yield connection, tree

    async def reach(self, connection: Connection) -> list[Reach]:
        """How far the figures have got with each service's events."""
        return [
            Reach(
                source=row["topic"].rpartition(".")[2],
                current_at=row["current_at"],
                applied_at=row["applied_at"],
                waiting=row["waiting"],
            )
            for row in await connection.fetch(_REACH, CONSUMER)
        ]

    def period(self, text: str, unit: Unit) -> Period:
        """The period that a text names for the unit; refuses what is none."""
        directory, today = self.rt.directory, business_day(this_moment())
        policy = directory.rules.in_force(SchoolYearPolicy, unit, today)
        return period_of(text, directory.terms(unit), policy)

    def where(self, unit_id: UUID) -> Where:
        """The unit by its name; one not heard of yet by its id."""
        unit = self.rt.directory.unit(unit_id)
        if unit is None:
            return Where(id=unit_id, name=str(unit_id), level=0)
        return Where(id=unit_id, name=unit.name, level=int(unit.level))

    def at_level(self, unit: Unit, level: int, period: Period) -> list[UUID]:
        """The units of that level at or below a unit today that were there in the period."""
        edition = (*self.rt.directory.edition, self.tree.version)
        if edition != self._levels_of:
            self._levels, self._levels_of = {}, edition
        found = self._levels.get((unit.id, level))
        if found is None:
            below = map(self.rt.directory.unit, self.tree.ever_below(unit.id))
            found = [one for one in below if one and one.level == level and one.under(unit.id)]
            self._levels[unit.id, level] = found
        return [one.id for one in found if existed(one, period)]

    def sisters(self, unit: Unit, period: Period) -> tuple[UUID, list[UUID]] | None:
        """The nearest unit above that has several of the unit's level, and those. None where there
        are so few that an average would give one of them away, or too many to be added up.
        """
        for above in reversed(unit.path[:-1]):
            place = self.rt.directory.unit(above)
            found = self.at_level(place, unit.level, period) if place else []
            if len(found) >= SISTERS_MIN:
                return (above, found) if len(found) <= UNITS_MAX else None
        return None

    def children(self, unit: Unit, period: Period) -> list[UUID]:
        """The units directly below, as of today, that were there in the period."""
        today = business_day(this_moment())
        below = map(self.rt.directory.unit, self.tree.children_within(unit.id, (today, today)))
        return [one.id for one in below if one and one.parent == unit.id and existed(one, period)]


def existed(unit: Unit, period: Period) -> bool:
    """Whether the unit had not been closed before the period."""
    return unit.closed_on is None or unit.closed_on > period.first
