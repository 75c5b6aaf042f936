"""The local copy of units, posts, calendar and rules: where, who may, when, by which rule.

Organisation's events reach every service (organisation itself too) through a consumer named
`directory`, which keeps what each of their streams comes to as a document; `Directory` keeps what
is read with every command in memory, and looks once in a while for newer documents.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict, defaultdict
from collections.abc import Iterable, Mapping
from datetime import date
from uuid import UUID

import asyncpg
import msgspec

from shared.clock import this_moment
from shared.config import Settings
from shared.consumer import Consumer
from shared.directory_events import (
    CalendarCopy,
    Document,
    Post,
    RulesCopy,
    StaffCopy,
    Term,
    UnitCopy,
    UnitRegistered,
    directory_events,
    evolve,
)
from shared.effect import Handler
from shared.envelope import Delivered, Unappliable
from shared.fields import business_day
from shared.organisation import HeldPost, Level, Role, Unit
from shared.rules import NATIONAL, RuleBook, shipped
from shared.store import Connection, NewEvent, Part

CONSUMER = "directory"
"""The name of the consumer that keeps the local copy, in every service."""

CACHED_PERSONS = 20_000
DEPTH_MAX = 16
"""Units between a class and the country, with room to spare; ends a circle, should there be one."""

# The lock on the one row of the version is held until commit: versions appear in their order.
_KEEP = """
with bumped as (update directory_state set version = version + 1 returning version),
kept as (
    insert into copied (stream, document, changed)
    select t.stream, t.document, bumped.version
    from bumped, unnest($1::uuid[], $2::jsonb[]) as t(stream, document)
    on conflict (stream) do update set document = excluded.document, changed = excluded.changed
    returning *
)
insert into unit_parent (unit, since, parent, during, changed)
select stream, since, parent,
       daterange(case when lag(since) over history is not null then since end,
                 lead(since) over history),
       changed
from kept, jsonb_to_recordset(document -> 'places') as place(since date, parent uuid)
window history as (partition by stream order by since)
on conflict (unit, since) do update
set parent = excluded.parent, during = excluded.during, changed = excluded.changed
where (unit_parent.parent, unit_parent.during)
      is distinct from (excluded.parent, excluded.during)
"""

_PLACE = """
insert into unit_parent (unit, since, parent)
select * from unnest({0}::uuid[], {1}::date[], {2}::uuid[])
on conflict do nothing
"""

# How old the copy is: since its consumer last knew that it had everything. Infinite: never.
_NEWER = """
select state.version, age.age_s, newer.stream, newer.document
from directory_state state
cross join (
    select case when bool_and(current_at is not null)
                then extract(epoch from clock_timestamp() - min(current_at))
                else 'infinity' end::float8 as age_s
    from consumed where consumer = $1
) age
left join copied newer on newer.changed > $2 and newer.kind <> 'staff'
"""

_OF_PERSON = """
select document from copied
where kind = 'staff' and jsonb_path_query_array(document, '$.posts.*.person') ? $1
"""

_documents = msgspec.json.Decoder[Document](Document)
_registered = msgspec.json.Decoder(UnitRegistered)
_staff = msgspec.json.Decoder(StaffCopy)


def directory_consumer(pool: asyncpg.Pool[asyncpg.Record], config: Settings) -> Consumer:
    """The consumer that keeps the local copy; every service has one, organisation too."""
    topics = [config.topic("organisation")]
    return Consumer(CONSUMER, pool, config, topics, Copying())


class Copying(Handler):
    """Moves the local copy by batches of organisation's events."""

    wanted = frozenset(directory_events)

    async def commit(self, connection: Connection, prepared: list[Delivered]) -> None:
        """Folds the documents of the streams concerned, and keeps them."""
        documents = await documents_of(connection, {event.recorded.stream for event in prepared})
        for delivered in prepared:
            stream = delivered.recorded.stream
            event = delivered.decode(directory_events[delivered.type])
            try:
                documents[stream] = evolve(documents.get(stream), event)
            except LookupError as error:
                reason = f"{delivered.type} of something unknown: {error} of {stream}"
                raise Unappliable(delivered, reason) from error
        await keep(connection, documents)


async def documents_of(connection: Connection, streams: Iterable[UUID]) -> dict[UUID, Document]:
    """What the copy knows of streams; those that it has not heard of are left out."""
    rows = await connection.fetch(
        "select stream, document from copied where stream = any($1)", list(streams)
    )
    return {row["stream"]: _documents.decode(row["document"]) for row in rows}


async def keep(connection: Connection, documents: Mapping[UUID, Document]) -> None:
    """Writes what streams have come to, under one new version of the copy."""
    texts = [msgspec.json.encode(document).decode() for document in documents.values()]
    await connection.execute(_KEEP, list(documents), texts)


def own_places(events: Iterable[NewEvent]) -> list[Part]:
    """Where the units stand that the service itself registers: written with the events, so that
    its lists show them at once to whoever stands above them.
    """
    born = {e.stream: _registered.decode(e.data) for e in events if e.type == "UnitRegistered"}
    if not born:
        return []
    units = born.values()
    return [Part(_PLACE, (list(born), [u.since for u in units], [u.parent for u in units]))]


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
        self._version, self._lock = -1, asyncio.Lock()
        self._current_at = float("-inf")
        self._today = business_day(this_moment())
        self._tree: dict[UUID, UnitCopy] = {}
        self._units: dict[UUID, Unit] = {}
        self._posts: OrderedDict[str, tuple[int, tuple[Post, ...]]] = OrderedDict()
        self._published: dict[UUID, RulesCopy] = {}
        self._calendars: dict[UUID, dict[UUID, CalendarCopy]] = defaultdict(dict)

    @property
    def age_seconds(self) -> float:
        """Time since the copy was last known to hold everything that Kafka held; inf: never."""
        return time.monotonic() - self._current_at

    @property
    def edition(self) -> tuple[int, date]:
        """What `unit` answers is the same for as long as this is."""
        return self._version, self._today

    async def refresh(self) -> None:
        """Looks whether the copy has moved (one short query), and loads what is newer."""
        async with self._lock:
            asked = time.monotonic()
            rows = await self.pool.fetch(_NEWER, CONSUMER, self._version)
            newer = {r["stream"]: _documents.decode(r["document"]) for r in rows if r["stream"]}
            self._take(newer)
            self._version, self._current_at = rows[0]["version"], asked - rows[0]["age_s"]
        today = business_day(this_moment())
        if newer or today != self._today:
            self._today, self._units = today, {}

    def _take(self, newer: Mapping[UUID, Document]) -> None:
        for stream, document in newer.items():
            match document:
                case UnitCopy():
                    self._tree[stream] = document
                case RulesCopy():
                    self._published[stream] = document
                case CalendarCopy(region=region):
                    self._calendars[region][stream] = document
                case StaffCopy():
                    pass  # read person by person
        if any(isinstance(document, RulesCopy) for document in newer.values()):
            published = [r for copy in self._published.values() for r in copy.rules.values()]
            # Published ones come first, so that they win over a shipped one of the same day.
            self.rules = RuleBook([*published, *shipped(self.service)])

    def unit(self, id_: UUID) -> Unit | None:
        """The unit with its path as of today, or None."""
        found = self._units.get(id_)
        if found is None and (copy := self._tree.get(id_)) is not None:
            found = self._units[id_] = Unit(
                id=id_,
                code=copy.code,
                name=copy.name,
                level=copy.level,
                path=self.path_on(id_, self._today),
                kind=copy.kind,
                division_code=copy.division_code,
                closed_on=copy.closed_on,
            )
        return found

    def roots(self) -> list[Unit]:
        """The units with none above them today."""
        above = ((id_, copy.parent_on(self._today)) for id_, copy in self._tree.items())
        return [unit for id_, parent in above if parent is None and (unit := self.unit(id_))]

    def path_on(self, id_: UUID, day: date) -> tuple[UUID, ...]:
        """The ids from the root down to the unit, as the tree stood that day.

        Before a unit's first entry it counts where it was first put: a fact entered late has a
        place. A parent not heard of yet stands in the path all the same.
        """
        path = [id_]
        while (unit := self._tree.get(path[-1])) is not None and len(path) < DEPTH_MAX:
            above = unit.parent_on(day)
            if above is None:
                break
            path.append(above)
        return tuple(reversed(path))

    async def posts_of(self, person: str) -> tuple[Post, ...]:
        """All posts of a person, past ones too; remembered until the copy moves."""
        known, version = self._posts.get(person), self._version
        if known is None or known[0] != version:
            rows = await self.pool.fetch(_OF_PERSON, person)
            copies = [_staff.decode(row["document"]) for row in rows]
            posts = [p for copy in copies for p in copy.posts.values() if p.person == person]
            known = self._posts[person] = (version, tuple(posts))
            if len(self._posts) > CACHED_PERSONS:
                self._posts.popitem(last=False)
        self._posts.move_to_end(person)
        return known[1]

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
                level=self._tree[post.unit].level if post.unit in self._tree else unit.level,
                delegated_by=post.delegated_by,
            )
            for post in self._posts[person][1]
            if post.unit in unit.path and post.holds_on(day)
        )

    def terms(self, unit: Unit) -> tuple[Term, ...]:
        """The terms that hold at the unit, by date: of each school year the nearest region's."""
        known = [
            (term, calendar.region)
            for calendar in self._calendars_of(unit)
            for term in calendar.terms.values()
        ]
        nearest = {term.school_year: region for term, region in known}
        held = (term for term, region in known if region == nearest[term.school_year])
        return tuple(sorted(held, key=lambda term: term.first_day))

    def _calendars_of(self, unit: Unit) -> list[CalendarCopy]:
        """Those of every region that the unit lies in, the nearest last."""
        regions = [self._calendars.get(region, {}) for region in (NATIONAL, *unit.path)]
        return [calendar for region in regions for calendar in region.values()]

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
            for calendar in self._calendars_of(unit)
            for off in calendar.days.values()
            if off.first_day <= day <= off.last_day
        }
        if "closure" in kinds:
            return False
        return "make_up" in kinds or ("holiday" not in kinds and day.weekday() < 5)
