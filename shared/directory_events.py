"""Organisation's events as every service reads them, and their way into the local copy.

A batch is folded in memory and written with at most one statement per kind of change.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from functools import cache
from typing import Any, ClassVar
from uuid import UUID

import msgspec

from shared.envelope import Delivered, Unappliable
from shared.kernel import Foreign
from shared.organisation import Level, Role
from shared.store import Connection

CONSUMER = "directory"
"""The name of the consumer that keeps the local copy, in every service."""


class UnitRegistered(Foreign):
    source: ClassVar[str] = "organisation"
    code: str
    name: str
    level: Level
    parent: UUID | None
    kind: str
    division_code: str
    since: date


class UnitRenamed(Foreign):
    source: ClassVar[str] = "organisation"
    name: str


class UnitDescribed(Foreign):
    source: ClassVar[str] = "organisation"
    kind: str
    division_code: str


class UnitMoved(Foreign):
    source: ClassVar[str] = "organisation"
    parent: UUID
    since: date


class UnitClosed(Foreign):
    source: ClassVar[str] = "organisation"
    closed_on: date
    merged_into: UUID | None = None


class StaffAppointed(Foreign):
    source: ClassVar[str] = "organisation"
    post: UUID
    person: str
    unit: UUID
    role: Role
    since: date
    until: date | None = None


class PostEnded(Foreign):
    source: ClassVar[str] = "organisation"
    post: UUID
    person: str
    until: date


class PostDelegated(Foreign):
    source: ClassVar[str] = "organisation"
    delegation: UUID
    post: UUID
    person: str
    to: str
    unit: UUID
    role: Role
    since: date
    until: date


class DelegationEnded(Foreign):
    source: ClassVar[str] = "organisation"
    delegation: UUID
    until: date


class RulePublished(Foreign):
    source: ClassVar[str] = "organisation"
    slug: str
    region: UUID
    since: date
    values: dict[str, Any]
    source_zh: str
    source_en: str
    mark: str


class RuleWithdrawn(Foreign):
    source: ClassVar[str] = "organisation"
    slug: str
    region: UUID
    since: date


class TermSet(Foreign):
    source: ClassVar[str] = "organisation"
    region: UUID
    school_year: int
    term: int
    first_day: date
    last_day: date


class HolidaySet(Foreign):
    source: ClassVar[str] = "organisation"
    region: UUID
    first_day: date
    last_day: date
    name: str


class MakeUpDaySet(Foreign):
    source: ClassVar[str] = "organisation"
    region: UUID
    day: date
    name: str


class ClosureSet(Foreign):
    source: ClassVar[str] = "organisation"
    region: UUID
    first_day: date
    last_day: date
    reason: str


class CalendarDayRemoved(Foreign):
    source: ClassVar[str] = "organisation"
    region: UUID
    kind: str
    first_day: date


directory_events: dict[str, type[Foreign]] = {
    event.__name__: event
    for event in (
        UnitRegistered, UnitRenamed, UnitDescribed, UnitMoved, UnitClosed, StaffAppointed,
        PostEnded, PostDelegated, DelegationEnded, RulePublished, RuleWithdrawn, TermSet,
        HolidaySet, MakeUpDaySet, ClosureSet, CalendarDayRemoved,
    )
}  # fmt: skip

# The version is stamped on rows, so that a reader loads only what is newer than what it has. The
# lock on the one row is held until commit: versions appear in their order.
_BUMP = """
update directory_state set version = version + 1,
    units = case when $1 then version + 1 else units end,
    posts = case when $2 then version + 1 else posts end,
    rules = case when $3 then version + 1 else rules end,
    calendar = case when $4 then version + 1 else calendar end
returning version
"""

_UNIT = """
insert into unit (id, code, name, level, kind, division_code, since, changed)
select *, $8 from unnest($1::uuid[], $2::text[], $3::text[], $4::smallint[], $5::text[],
                         $6::text[], $7::date[])
on conflict (id) do update set code = excluded.code, name = excluded.name,
    level = excluded.level, kind = excluded.kind, division_code = excluded.division_code,
    since = excluded.since, changed = excluded.changed
"""

_RENAME = """
update unit set name = t.name, changed = $3
from unnest($1::uuid[], $2::text[]) as t(id, name) where unit.id = t.id returning unit.id
"""

_DESCRIBE = """
update unit set kind = t.kind, division_code = t.division_code, changed = $4
from unnest($1::uuid[], $2::text[], $3::text[]) as t(id, kind, division_code)
where unit.id = t.id returning unit.id
"""

_CLOSE = """
update unit set closed_on = t.closed_on, merged_into = t.merged_into, changed = $4
from unnest($1::uuid[], $2::date[], $3::uuid[]) as t(id, closed_on, merged_into)
where unit.id = t.id returning unit.id
"""

_PARENT = """
insert into unit_parent (unit, since, parent, changed)
select *, $4 from unnest($1::uuid[], $2::date[], $3::uuid[])
on conflict (unit, since) do update set parent = excluded.parent, changed = excluded.changed
"""

_POST = """
insert into post (id, person, unit, role, since, until, delegated_by, origin)
select * from unnest($1::uuid[], $2::text[], $3::uuid[], $4::text[], $5::date[], $6::date[],
                     $7::text[], $8::uuid[])
on conflict (id) do update set person = excluded.person, unit = excluded.unit,
    role = excluded.role, since = excluded.since, until = excluded.until,
    delegated_by = excluded.delegated_by, origin = excluded.origin
"""

_END = """
update post set until = case when post.id = t.id then t.until else least(post.until, t.until) end
from unnest($1::uuid[], $2::date[]) as t(id, until)
where post.id = t.id or post.origin = t.id returning post.id
"""

_RULE = """
insert into rule (slug, region, since, values, source_zh, source_en, mark)
select * from unnest($1::text[], $2::uuid[], $3::date[], $4::jsonb[], $5::text[], $6::text[],
                     $7::text[])
on conflict (slug, region, since) do update set values = excluded.values,
    source_zh = excluded.source_zh, source_en = excluded.source_en, mark = excluded.mark
"""

_WITHDRAW = """
delete from rule using unnest($1::text[], $2::uuid[], $3::date[]) as t(slug, region, since)
where rule.slug = t.slug and rule.region = t.region and rule.since = t.since
"""

_TERM = """
insert into term (region, school_year, term, first_day, last_day)
select * from unnest($1::uuid[], $2::int[], $3::smallint[], $4::date[], $5::date[])
on conflict (region, school_year, term) do update set first_day = excluded.first_day,
    last_day = excluded.last_day
"""

_DAY = """
insert into day_off (region, first_day, kind, last_day, name)
select * from unnest($1::uuid[], $2::date[], $3::text[], $4::date[], $5::text[])
on conflict (region, first_day, kind) do update set last_day = excluded.last_day,
    name = excluded.name
"""

_REMOVE_DAY = """
delete from day_off using unnest($1::uuid[], $2::date[], $3::text[]) as t(region, first_day, kind)
where day_off.region = t.region and day_off.first_day = t.first_day and day_off.kind = t.kind
"""

type Row = tuple[Any, ...]


class Changes:
    """What a batch comes to, table by table: the last word on each key."""

    def __init__(self) -> None:
        self.units: dict[UUID, Row] = {}
        self.names: dict[UUID, tuple[Delivered, str]] = {}
        self.described: dict[UUID, tuple[Delivered, str, str]] = {}
        self.closed: dict[UUID, tuple[Delivered, date, UUID | None]] = {}
        self.parents: dict[tuple[UUID, date], UUID | None] = {}
        self.posts: dict[UUID, Row] = {}
        self.ended: dict[UUID, tuple[Delivered, date]] = {}
        self.rules: dict[tuple[str, UUID, date], Row | None] = {}
        self.terms: dict[tuple[UUID, int, int], Row] = {}
        self.days: dict[tuple[UUID, date, str], Row | None] = {}

    def take(self, delivered: Delivered) -> None:
        """Folds one event in."""
        event = delivered.decode(_decoder(delivered.type))
        if isinstance(event, UnitRegistered | UnitRenamed | UnitDescribed | UnitMoved | UnitClosed):
            self._take_unit(delivered, event)
        elif isinstance(event, StaffAppointed | PostEnded | PostDelegated | DelegationEnded):
            self._take_post(delivered, event)
        else:
            self._take_rest(event)

    def _take_unit(
        self,
        delivered: Delivered,
        event: UnitRegistered | UnitRenamed | UnitDescribed | UnitMoved | UnitClosed,
    ) -> None:
        unit = delivered.recorded.stream
        match event:
            case UnitRegistered(code=code, name=name, level=level):
                self.units[unit] = (code, name, level, event.kind, event.division_code, event.since)
                self.parents[unit, event.since] = event.parent
            case UnitRenamed(name=name):
                self.names[unit] = (delivered, name)
            case UnitDescribed(kind=kind, division_code=code):
                self.described[unit] = (delivered, kind, code)
            case UnitMoved(parent=parent, since=since):
                self.parents[unit, since] = parent
            case UnitClosed(closed_on=day, merged_into=other):
                self.closed[unit] = (delivered, day, other)

    def _take_post(
        self,
        delivered: Delivered,
        event: StaffAppointed | PostEnded | PostDelegated | DelegationEnded,
    ) -> None:
        match event:
            case StaffAppointed(post=post, unit=unit, role=role, since=since, until=until):
                self.posts[post] = (event.person, unit, role.value, since, until, None, None)
                self.ended.pop(post, None)
            case PostDelegated(delegation=id_, post=post, unit=unit, role=role, since=since):
                row = (event.to, unit, role.value, since, event.until, event.person, post)
                self.posts[id_] = row
                self.ended.pop(id_, None)
            case PostEnded(post=id_, until=until) | DelegationEnded(delegation=id_, until=until):
                self.ended[id_] = (delivered, until)

    def _take_rest(self, event: Foreign) -> None:
        match event:
            case RulePublished(slug=slug, region=region, since=since):
                values = msgspec.json.encode(event.values).decode()
                self.rules[slug, region, since] = (
                    values, event.source_zh, event.source_en, event.mark,
                )  # fmt: skip
            case RuleWithdrawn(slug=slug, region=region, since=since):
                self.rules[slug, region, since] = None
            case TermSet(region=region, school_year=year, term=term):
                self.terms[region, year, term] = (event.first_day, event.last_day)
            case HolidaySet(region=region, first_day=first, last_day=last, name=name):
                self.days[region, first, "holiday"] = (last, name)
            case MakeUpDaySet(region=region, day=day, name=name):
                self.days[region, day, "make_up"] = (day, name)
            case ClosureSet(region=region, first_day=first, last_day=last, reason=reason):
                self.days[region, first, "closure"] = (last, reason)
            case CalendarDayRemoved(region=region, kind=kind, first_day=first):
                self.days[region, first, kind] = None
            case _:
                raise TypeError(type(event).__name__)

    async def write(self, connection: Connection) -> None:
        """Writes all of it under one new version; raises `Unappliable` for a change of nothing."""
        version = await connection.fetchval(
            _BUMP,
            bool(self.units or self.names or self.described or self.closed or self.parents),
            bool(self.posts or self.ended),
            bool(self.rules),
            bool(self.terms or self.days),
        )

        async def run(sql: str, rows: Iterable[Row], *more: object) -> set[Any]:
            columns = list(map(list, zip(*rows, strict=True)))
            if not columns:
                return set()
            return {row[0] for row in await connection.fetch(sql, *columns, *more)}

        await run(_UNIT, [(id_, *row) for id_, row in self.units.items()], version)
        done = await run(_RENAME, [(id_, name) for id_, (_, name) in self.names.items()], version)
        _all_found(self.names, done)
        described = [(id_, *row[1:]) for id_, row in self.described.items()]
        _all_found(self.described, await run(_DESCRIBE, described, version))
        done = await run(_CLOSE, [(id_, *row[1:]) for id_, row in self.closed.items()], version)
        _all_found(self.closed, done)
        await run(_PARENT, [(*key, parent) for key, parent in self.parents.items()], version)
        await run(_POST, [(id_, *row) for id_, row in self.posts.items()])
        done = await run(_END, [(id_, until) for id_, (_, until) in self.ended.items()])
        _all_found(self.ended, done)
        await run(_WITHDRAW, [key for key, row in self.rules.items() if row is None])
        await run(_RULE, [(*key, *row) for key, row in self.rules.items() if row is not None])
        await run(_TERM, [(*key, *row) for key, row in self.terms.items()])
        await run(_REMOVE_DAY, [key for key, row in self.days.items() if row is None])
        await run(_DAY, [(*key, *row) for key, row in self.days.items() if row is not None])


def _all_found(wanted: dict[UUID, Any], done: set[Any]) -> None:
    for id_, (delivered, *_) in wanted.items():
        if id_ not in done:
            raise Unappliable(delivered, f"{delivered.type} of something unknown: {id_}")


@cache
def _decoder(name: str) -> msgspec.json.Decoder[Foreign]:
    return msgspec.json.Decoder(directory_events[name])


async def apply_directory(connection: Connection, events: list[Delivered]) -> None:
    """Moves the local copy by a batch of organisation's events."""
    changes = Changes()
    for delivered in events:
        changes.take(delivered)
    await changes.write(connection)
