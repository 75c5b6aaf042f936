"""Which posts a unit must have, and which of them nobody holds.

岗位设置, 缺岗. The stream of a unit counts holders as posts begin and end, by itself on the day;
every event says how much is now missing, so that a post without a holder shows. What a school must
have at least is a dated rule until the bureau says otherwise.
"""

from __future__ import annotations

from copy import replace
from datetime import date
from uuid import UUID

import msgspec

from shared.kernel import Aggregate, Event, State
from shared.organisation import Role


class PostsEstablished(Event):
    """`unfilled`: posts without a holder now; `unfilled_change`: against before.

    `by_rule`: nobody has said so, the rule in force has.
    """

    required: dict[Role, int]
    unfilled: int
    unfilled_change: int
    by_rule: bool


class PostAwaited(Event):
    """Somebody has been appointed who will hold the post only from `since` on."""

    post: UUID
    role: Role
    person: str
    since: date
    until: date | None


class PostFilled(Event):
    """Held until the day before `until`. `required` and `held` count that role at the unit."""

    post: UUID
    role: Role
    person: str
    since: date
    until: date | None
    required: int
    held: int
    unfilled_change: int


class PostVacated(Event):
    """`vacant_on`: the first day without this holder. Counts as in `PostFilled`."""

    post: UUID
    role: Role
    person: str
    vacant_on: date
    required: int
    held: int
    unfilled_change: int


class HoldingChanged(Event):
    """A post that is held, or awaited, will end on another day than was known."""

    post: UUID
    until: date


class EstablishmentClosed(Event):
    """The unit is closed: nothing is required of it any more."""

    closed_on: date
    unfilled_change: int


type EstablishmentEvent = (
    PostsEstablished | PostAwaited | PostFilled | PostVacated | HoldingChanged | EstablishmentClosed
)


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """Who holds a post, or will: from `since` until the day before `until`."""

    role: Role
    person: str
    since: date
    until: date | None


class Establishment(State):
    required: dict[Role, int] = {}
    by_rule: bool = True
    holders: dict[UUID, Holder] = {}
    awaited: dict[UUID, Holder] = {}
    closed_on: date | None = None

    def held(self, role: Role) -> int:
        """How many hold the role."""
        return sum(holder.role is role for holder in self.holders.values())

    def missing(self, role: Role, change: int = 0) -> int:
        """How many holders the role lacks, with `change` more of them."""
        return max(0, self.required.get(role, 0) - self.held(role) - change)

    @property
    def unfilled(self) -> int:
        """How many posts nobody holds."""
        return sum(self.missing(role) for role in self.required)

    @property
    def changes_on(self) -> date | None:
        """The next day on which a post begins or ends by itself."""
        days = [holder.since for holder in self.awaited.values()]
        days += [holder.until for holder in self.holders.values() if holder.until]
        return min(days, default=None)


def evolve(state: Establishment | None, event: EstablishmentEvent) -> Establishment:
    """The posts of a unit after one more event."""
    now = state or Establishment()
    match event:
        case PostsEstablished(required=required, by_rule=by_rule):
            return replace(now, required=required, by_rule=by_rule)
        case PostAwaited(post=post, since=since, until=until):
            holder = Holder(role=event.role, person=event.person, since=since, until=until)
            return replace(now, awaited={**now.awaited, post: holder})
        case PostFilled(post=post, since=since, until=until):
            holder = Holder(role=event.role, person=event.person, since=since, until=until)
            return replace(
                now, awaited=_less(now.awaited, post), holders={**now.holders, post: holder}
            )
        case PostVacated(post=post):
            return replace(now, awaited=_less(now.awaited, post), holders=_less(now.holders, post))
        case HoldingChanged(post=post, until=until):
            return replace(
                now,
                awaited=_until(now.awaited, post, until),
                holders=_until(now.holders, post, until),
            )
        case EstablishmentClosed(closed_on=closed_on):
            return replace(now, required={}, closed_on=closed_on)


def _less(holders: dict[UUID, Holder], gone: UUID) -> dict[UUID, Holder]:
    return {post: holder for post, holder in holders.items() if post != gone}


def _until(holders: dict[UUID, Holder], changed: UUID, until: date) -> dict[UUID, Holder]:
    return {
        post: replace(holder, until=until) if post == changed else holder
        for post, holder in holders.items()
    }


establishments = Aggregate(
    "establishment",
    events=EstablishmentEvent,
    state=Establishment,
    evolve=evolve,
    key=lambda command: str(command.organisation),
)

# The capabilities record themselves on `establishments`.
from services.organisation.establishment import keep, views  # noqa: E402, F401
