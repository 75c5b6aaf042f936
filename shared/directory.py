"""The local copy of units, posts, calendar and rules: where, who may, when, by which rule.

Organisation's events reach every service (organisation itself too) through a consumer named
`directory`, which writes them to tables; `Directory` keeps what is read with every command in
memory, and looks once in a while whether the tables have moved.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict, defaultdict
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from shared.config import Settings
from shared.consumer import Consumer
from shared.directory_events import CONSUMER, apply_directory, directory_events
from shared.effect import Plain
from shared.fields import business_day
from shared.organisation import HeldPost, Level, Role, Unit
from shared.rules import NATIONAL, Rule, RuleBook, shipped

CACHED_PERSONS = 20_000
DEPTH_MAX = 16
"""Units between a class and the country, with room to spare; ends a circle, should there be one."""

# How old the copy is: since its consumer last knew that it had everything. Null: never.
_STATE = """
select version, units, posts, rules, calendar,
       (select case when bool_and(current_at is not null)
                    then extract(epoch from clock_timestamp() - min(current_at)) end::float8
        from consumed where consumer = $1) as age
from directory_state
"""

_UNITS = """
select id, code, name, level, kind, division_code, since, closed_on
from unit where changed > $1
"""

_POSTS = "select id, unit, role, since, until, delegated_by from post where person = $1"


def directory_consumer(pool: asyncpg.Pool[asyncpg.Record], config: Settings) -> Consumer:
    """The consumer that keeps the local copy; every service has one, organisation too."""
    topics = [config.topic("organisation")]
    return Consumer(CONSUMER, pool, config, topics, Plain(apply_directory, directory_events))


class PostRow(msgspec.Struct, frozen=True):
    """A post of a person: from `since` until the day before `until`."""

    id: UUID
    unit: UUID
    role: Role
    since: date
    until: date | None
    delegated_by: str | None

    def holds_on(self, day: date) -> bool:
        """Whether it is held on that day."""
        return self.since <= day and (self.until is None or day < self.until)


class Term(msgspec.Struct, frozen=True):
    """A school term of a region; both days belong to it."""

    school_year: int
    term: int
    first_day: date
    last_day: date


class DayOff(msgspec.Struct, frozen=True):
    """Days that differ from the week: `holiday`, `make_up` (a day that is worked), `closure`."""

    first_day: date
    last_day: date
    kind: str
    name: str


class Directory:
    """What a process knows of the tree, posts, calendar and rules, as of the last `refresh`.

    `service`: whose shipped rules lie beneath the published ones. `administrators`: subjects that
    hold that role everywhere.
    """

    def __init__(
        self,
        pool: asyncpg.Pool[asyncpg.Record],
        service: str,
        administrators: Iterable[str] = (),
    ) -> None:
        self.pool, self.service = pool, service
        self.administrators = frozenset(administrators)
        self.rules = RuleBook(shipped(service))
        self.version = -1
        self._seen = {"units": -1, "posts": -1, "rules": -1, "calendar": -1}
        self._age_s, self._asked = float("inf"), time.monotonic()
        self._today: date | None = None
        self._rows: dict[UUID, Any] = {}
        self._parents: dict[UUID, tuple[tuple[date, UUID | None], ...]] = {}
        self._units: dict[UUID, Unit] = {}
        self._children: dict[UUID, list[UUID]] | None = None
        self._posts: OrderedDict[str, tuple[int, tuple[PostRow, ...]]] = OrderedDict()
        self._terms: dict[UUID, list[Term]] = {}
        self._days: dict[UUID, list[DayOff]] = {}
        self._lock = asyncio.Lock()

    @property
    def age_seconds(self) -> float:
        """Time since the copy was last known to hold everything that Kafka held; inf: never."""
        return self._age_s + time.monotonic() - self._asked

    async def refresh(self) -> None:
        """Looks whether the tables have moved (one short query), and loads what has."""
        async with self._lock, self.pool.acquire() as connection:
            asked = time.monotonic()
            # One snapshot: the parts loaded are exactly those of the versions noted.
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                state = await connection.fetchrow(_STATE, CONSUMER)
                assert state is not None
                if state["units"] > self._seen["units"]:
                    await self._load_units(connection)
                if state["rules"] > self._seen["rules"]:
                    await self._load_rules(connection)
                if state["calendar"] > self._seen["calendar"]:
                    await self._load_calendar(connection)
            self._seen = {name: state[name] for name in self._seen}
            self.version = state["version"]
            self._age_s = float("inf") if state["age"] is None else state["age"]
            self._asked = asked
        today = business_day(datetime.now(UTC))
        if today != self._today:
            self._today = today
            self._forget_tree()

    async def _load_units(self, connection: Any) -> None:
        known = self._seen["units"]
        for row in await connection.fetch(_UNITS, known):
            self._rows[row["id"]] = row
        moved: dict[UUID, list[tuple[date, UUID | None]]] = defaultdict(list)
        for unit, since, parent in await connection.fetch(
            "select unit, since, parent from unit_parent where unit in"
            " (select unit from unit_parent where changed > $1) order by unit, since",
            known,
        ):
            # The ids are those of the rows: a tree of 20,000 holds each id once.
            above = self._rows.get(parent)
            moved[unit].append((since, parent if above is None else above["id"]))
        self._parents |= {unit: tuple(history) for unit, history in moved.items()}
        self._forget_tree()

    def _forget_tree(self) -> None:
        self._units, self._children = {}, None

    async def _load_rules(self, connection: Any) -> None:
        rows = await connection.fetch("select * from rule")
        published = [
            Rule(
                slug=row["slug"],
                region=row["region"],
                since=row["since"],
                values=msgspec.json.decode(row["values"]),
                source_zh=row["source_zh"],
                source_en=row["source_en"],
                mark=row["mark"],
            )
            for row in rows
        ]
        # Published ones come first, so that they win over a shipped one of the same day.
        self.rules = RuleBook([*published, *shipped(self.service)])

    async def _load_calendar(self, connection: Any) -> None:
        terms: dict[UUID, list[Term]] = defaultdict(list)
        days: dict[UUID, list[DayOff]] = defaultdict(list)
        for region, *rest in await connection.fetch(
            "select region, school_year, term, first_day, last_day from term"
        ):
            terms[region].append(Term(*rest))
        for region, *rest in await connection.fetch(
            "select region, first_day, last_day, kind, name from day_off"
        ):
            days[region].append(DayOff(*rest))
        self._terms, self._days = dict(terms), dict(days)

    def unit(self, id_: UUID) -> Unit | None:
        """The unit with its path as of today, or None."""
        found = self._units.get(id_)
        if found is None:
            row = self._rows.get(id_)
            if row is None:
                return None
            today = self._today or business_day(datetime.now(UTC))
            found = self._units[row["id"]] = Unit(
                id=row["id"],
                code=row["code"],
                name=row["name"],
                level=Level(row["level"]),
                path=self.path_on(row["id"], today),
                kind=row["kind"],
                division_code=row["division_code"],
                closed_on=row["closed_on"],
            )
        return found

    def path_on(self, id_: UUID, day: date) -> tuple[UUID, ...]:
        """The ids from the root down to the unit, as the tree stood that day.

        Before a unit's first entry it counts where it was first put: a fact entered late has a
        place. A parent not heard of yet stands in the path all the same.
        """
        path = [id_]
        above = self._parent_on(id_, day)
        while above is not None and len(path) < DEPTH_MAX:
            path.append(above)
            above = self._parent_on(above, day)
        return tuple(reversed(path))

    def _parent_on(self, id_: UUID, day: date) -> UUID | None:
        history = self._parents.get(id_, ())
        parent = history[0][1] if history else None
        for since, candidate in history:
            if since > day:
                break
            parent = candidate
        return parent

    def children(self, id_: UUID) -> tuple[UUID, ...]:
        """The units directly below, as of today; closed ones too (`closed_on` says so)."""
        if self._children is None:
            today = self._today or business_day(datetime.now(UTC))
            below: dict[UUID, list[UUID]] = defaultdict(list)
            for unit in self._rows:
                parent = self._parent_on(unit, today)
                if parent is not None:
                    below[parent].append(unit)
            self._children = dict(below)
        return tuple(self._children.get(id_, ()))

    def subtree(self, id_: UUID) -> tuple[UUID, ...]:
        """The unit and all below it, as of today, upper ones first."""
        found, seen = [id_], {id_}
        for unit in found:
            fresh = [child for child in self.children(unit) if child not in seen]
            found += fresh
            seen.update(fresh)
        return tuple(found)

    async def posts_of(self, person: str) -> tuple[PostRow, ...]:
        """All posts of a person, past ones too; remembered until a post changes."""
        known, version = self._posts.get(person), self._seen["posts"]
        if known is not None and known[0] == version:
            self._posts.move_to_end(person)
            return known[1]
        posts = tuple(
            PostRow(row["id"], row["unit"], Role(row["role"]), row["since"], row["until"],
                    row["delegated_by"])
            for row in await self.pool.fetch(_POSTS, person)
        )  # fmt: skip
        self._posts[person] = (version, posts)
        self._posts.move_to_end(person)
        while len(self._posts) > CACHED_PERSONS:
            self._posts.popitem(last=False)
        return posts

    def held(self, person: str, unit: Unit, day: date) -> tuple[HeldPost, ...]:
        """The posts that a person holds on that day at the unit or above it.

        LookupError unless `posts_of` was awaited for the person before.
        """
        if person in self.administrators:
            return (HeldPost(role=Role.ADMINISTRATOR, unit=unit.path[0], level=Level.COUNTRY),)
        if person not in self._posts:
            raise LookupError(f"the posts of {person} are not loaded")
        return tuple(
            HeldPost(
                role=post.role,
                unit=post.unit,
                level=self._level(post.unit, unit),
                delegated_by=post.delegated_by,
            )
            for post in self._posts[person][1]
            if post.unit in unit.path and post.holds_on(day)
        )

    def _level(self, id_: UUID, unit: Unit) -> Level:
        row = self._rows.get(id_)
        return unit.level if row is None else Level(row["level"])

    def terms(self, unit: Unit) -> tuple[Term, ...]:
        """The terms that hold at the unit, by date: of each school year the nearest region's."""
        years: dict[int, list[Term]] = {}
        for region in (*reversed(unit.path), NATIONAL):
            nearest: dict[int, list[Term]] = defaultdict(list)
            for term in self._terms.get(region, ()):
                nearest[term.school_year].append(term)
            years = nearest | years
        return tuple(
            sorted((t for terms in years.values() for t in terms), key=lambda t: t.first_day)
        )

    def is_school_day(self, unit: Unit, day: date) -> bool:
        """Whether pupils have school: in term, on a weekday or a made-up day, not on a day off.

        A closure is stronger than a made-up day, and that than a holiday. Where the calendar has
        no terms for the school year, only the week and the days off count.
        """
        year = day.year if day.month >= 8 else day.year - 1
        terms = [term for term in self.terms(unit) if term.school_year == year]
        if terms and not any(term.first_day <= day <= term.last_day for term in terms):
            return False
        kinds = {
            off.kind
            for region in (*unit.path, NATIONAL)
            for off in self._days.get(region, ())
            if off.first_day <= day <= off.last_day
        }
        if "closure" in kinds:
            return False
        return "make_up" in kinds or ("holiday" not in kinds and day.weekday() < 5)

    def versions(self) -> Mapping[str, int]:
        """The versions of the parts in memory, for metrics and tests."""
        return dict(self._seen)
