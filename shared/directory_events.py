"""Organisation's events as every service reads them, and what each of their streams comes to.

A unit, a person at a unit, a region's rules, a region's calendar: each stream is folded into one
document, all that a service knows of it. `evolve` raises LookupError for a change of what has not
been heard of.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import replace
from datetime import date
from typing import Any, ClassVar
from uuid import UUID

import msgspec

from shared.kernel import Foreign, Frozen, State
from shared.organisation import Level, Role
from shared.rules import Rule
from shared.signature import members


class OrganisationEvent(Foreign):
    source: ClassVar[str] = "organisation"


class UnitRegistered(OrganisationEvent):
    code: str
    name: str
    level: Level
    parent: UUID | None
    kind: str
    division_code: str
    since: date


class UnitRenamed(OrganisationEvent):
    name: str


class UnitDescribed(OrganisationEvent):
    kind: str
    division_code: str


class UnitMoved(OrganisationEvent):
    parent: UUID
    since: date


class UnitClosed(OrganisationEvent):
    closed_on: date


class StaffAppointed(OrganisationEvent):
    post: UUID
    person: str
    unit: UUID
    role: Role
    since: date
    until: date | None = None


class PostEnded(OrganisationEvent):
    post: UUID
    until: date


class PostDelegated(OrganisationEvent):
    delegation: UUID
    post: UUID
    person: str
    to: str
    unit: UUID
    role: Role
    since: date
    until: date


class DelegationEnded(OrganisationEvent):
    delegation: UUID
    until: date


class RulePublished(OrganisationEvent, Rule):
    pass


class RuleWithdrawn(OrganisationEvent):
    slug: str
    region: UUID
    since: date


class Term(msgspec.Struct, metaclass=Frozen, frozen=True, kw_only=False):
    """A school term of a region; both days belong to it."""

    school_year: int
    term: int
    first_day: date
    last_day: date


class TermSet(OrganisationEvent, Term):
    region: UUID


class HolidaySet(OrganisationEvent):
    region: UUID
    first_day: date
    last_day: date
    name: str


class MakeUpDaySet(OrganisationEvent):
    region: UUID
    day: date
    name: str


class ClosureSet(OrganisationEvent):
    region: UUID
    first_day: date
    last_day: date
    reason: str


class CalendarDayRemoved(OrganisationEvent):
    region: UUID
    kind: str
    first_day: date


type UnitEvent = UnitRegistered | UnitRenamed | UnitDescribed | UnitMoved | UnitClosed
type StaffEvent = StaffAppointed | PostEnded | PostDelegated | DelegationEnded
type RulesEvent = RulePublished | RuleWithdrawn
type CalendarEvent = TermSet | HolidaySet | MakeUpDaySet | ClosureSet | CalendarDayRemoved


class Place(msgspec.Struct, frozen=True):
    """Under which parent a unit stands from a day on."""

    since: date
    parent: UUID | None


class UnitCopy(State, tag="unit"):
    """A unit and its `places`, oldest first."""

    code: str
    name: str
    level: Level
    kind: str = ""
    division_code: str = ""
    places: tuple[Place, ...] = ()
    closed_on: date | None = None

    def parent_on(self, day: date) -> UUID | None:
        """Before its first place it counts there already: a fact entered late has a place."""
        for place in reversed(self.places):
            if place.since <= day:
                return place.parent
        return self.places[0].parent


class Post(msgspec.Struct, frozen=True, kw_only=True):
    """A post of a person: from `since` until the day before `until`. `delegated_by` and `origin`:
    whose it is, and which, if it is lent.
    """

    person: str
    unit: UUID
    role: Role
    since: date
    until: date | None = None
    delegated_by: str | None = None
    origin: UUID | None = None

    def holds_on(self, day: date) -> bool:
        """Whether it is held on that day."""
        return self.since <= day and (self.until is None or day < self.until)


class StaffCopy(State, tag="staff"):
    """A person's posts at a unit, and those lent of them, under the delegation's id."""

    posts: dict[UUID, Post] = {}


class RulesCopy(State, tag="rules"):
    """A region's rules by what names them."""

    rules: dict[str, Rule] = {}


class DayOff(msgspec.Struct, frozen=True):
    """Days that differ from the week: `holiday`, `make_up` (a day that is worked), `closure`."""

    first_day: date
    last_day: date
    kind: str
    name: str


class CalendarCopy(State, tag="calendar"):
    """A region's terms and days off, each by what names it."""

    region: UUID
    terms: dict[str, Term] = {}
    days: dict[str, DayOff] = {}


type Document = UnitCopy | StaffCopy | RulesCopy | CalendarCopy


def evolve_unit(state: UnitCopy | None, event: UnitEvent) -> UnitCopy:
    """The unit after one more event."""
    if isinstance(event, UnitRegistered):
        return _placed(_taken_from(event, UnitCopy), event.since, event.parent)
    if state is None:
        raise LookupError("unit")
    match event:
        case UnitRenamed(name=name):
            return replace(state, name=name)
        case UnitDescribed(kind=kind, division_code=code):
            return replace(state, kind=kind, division_code=code)
        case UnitMoved(parent=parent, since=since):
            return _placed(state, since, parent)
        case UnitClosed(closed_on=closed_on):
            return replace(state, closed_on=closed_on)


def _placed(state: UnitCopy, since: date, parent: UUID | None) -> UnitCopy:
    others = [place for place in state.places if place.since != since]
    places = sorted([*others, Place(since, parent)], key=lambda place: place.since)
    return replace(state, places=tuple(places))


def evolve_staff(state: StaffCopy | None, event: StaffEvent) -> StaffCopy:
    """The posts after one more event; what is lent does not outlive the post that it is of."""
    posts = dict(state.posts) if state else {}
    match event:
        case StaffAppointed(post=id_):
            posts[id_] = _taken_from(event, Post)
        case PostDelegated(delegation=id_, to=to, person=lender, post=origin):
            lent = _taken_from(event, Post)
            posts[id_] = replace(lent, person=to, delegated_by=lender, origin=origin)
        case PostEnded(post=id_, until=until) | DelegationEnded(delegation=id_, until=until):
            posts[id_] = replace(posts[id_], until=until)
            for lent_id, post in posts.items():
                if post.origin == id_ and (post.until is None or until < post.until):
                    posts[lent_id] = replace(post, until=until)
    return StaffCopy(posts=posts)


def evolve_rules(state: RulesCopy | None, event: RulesEvent) -> RulesCopy:
    """The region's rules after one more event."""
    rules = dict(state.rules) if state else {}
    key = f"{event.slug} {event.region} {event.since}"
    match event:
        case RulePublished():
            rules[key] = _taken_from(event, Rule)
        case RuleWithdrawn():
            rules.pop(key, None)
    return RulesCopy(rules=rules)


def evolve_calendar(state: CalendarCopy | None, event: CalendarEvent) -> CalendarCopy:
    """The calendar after one more event."""
    terms, days = (dict(state.terms), dict(state.days)) if state else ({}, {})
    match event:
        case TermSet(school_year=year, term=number):
            terms[f"{year}-{number}"] = _taken_from(event, Term)
        case HolidaySet(first_day=first, last_day=last, name=name):
            days[f"holiday {first}"] = DayOff(first, last, "holiday", name)
        case MakeUpDaySet(day=day, name=name):
            days[f"make_up {day}"] = DayOff(day, day, "make_up", name)
        case ClosureSet(first_day=first, last_day=last, reason=reason):
            days[f"closure {first}"] = DayOff(first, last, "closure", reason)
        case CalendarDayRemoved(kind=kind, first_day=first):
            days.pop(f"{kind} {first}", None)
    return CalendarCopy(region=event.region, terms=terms, days=days)


def _taken_from[T](event: OrganisationEvent, kind: type[T]) -> T:
    """What has the event's fields, as far as it knows them."""
    return msgspec.convert(event, kind, from_attributes=True)


_EVOLVE: dict[type[OrganisationEvent], Callable[[Any, Any], Document]] = {
    event: fold
    for union, fold in (
        (UnitEvent, evolve_unit),
        (StaffEvent, evolve_staff),
        (RulesEvent, evolve_rules),
        (CalendarEvent, evolve_calendar),
    )
    for event in members(union)
}

directory_events = {event.__name__: msgspec.json.Decoder(event) for event in _EVOLVE}
"""The decoder of each event that the copy is folded from, by its wire name."""


def evolve(document: Document | None, event: OrganisationEvent) -> Document:
    """What a stream comes to with one more event."""
    return _EVOLVE[type(event)](document, event)
