"""What travels: events, states, rows, commands, refusals, and the envelope around them."""

from __future__ import annotations

from datetime import date, datetime
from typing import ClassVar, dataclass_transform
from uuid import UUID

import msgspec
from pydantic import BaseModel, ConfigDict

from shared.fields import Moment, UnitId, business_day
from shared.organisation import HeldPost, Role


@dataclass_transform(frozen_default=True, kw_only_default=True)
class Frozen(msgspec.StructMeta):
    """Makes every subclass frozen and keyword-only, and lets type checkers know it."""


class Event(msgspec.Struct, metaclass=Frozen, frozen=True, kw_only=True):
    """Something that happened. The class name is its wire name for ever; new field = default."""


class Foreign(msgspec.Struct, metaclass=Frozen, frozen=True, kw_only=True):
    """Another service's event with only the fields read here; `source` names that service.

    The class name is the event's wire name. Unknown fields are ignored.
    """

    source: ClassVar[str]


class State(msgspec.Struct, metaclass=Frozen, frozen=True, kw_only=True):
    """What an aggregate is now, folded from its events by `evolve`."""


class View(msgspec.Struct, metaclass=Frozen, frozen=True, kw_only=True):
    """One row of a list or page: a pure function of an aggregate's state."""


class Policy(msgspec.Struct, metaclass=Frozen, frozen=True, kw_only=True):
    """A dated rule's values. Loaded for the unit and the day of the fact, never a constant."""

    slug: ClassVar[str]


class Command(BaseModel):
    """What somebody asks for. Untrusted: strict, and unknown fields are refused."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    occurred_at: Moment | None = None
    """When it happened, if earlier than now (late entry)."""


class Part(BaseModel):
    """A part of a command (a line item): as strict as the command itself."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class Creation(Command):
    """A command that starts a stream owned by `organisation`; `id` may be chosen by the client."""

    organisation: UnitId
    id: UUID | None = None


class Refused(Exception):  # noqa: N818 - the field's own word: a decision refuses
    """A decision's no. `slug` is stable and has words in both languages; `field` is to blame."""

    def __init__(self, slug: str, *, field: str | None = None, **values: object) -> None:
        super().__init__(slug)
        self.slug = slug
        self.field = field
        self.values = values


class By(msgspec.Struct, frozen=True, kw_only=True):
    """Who decides, for which stream, when. The only source of time and ids in a decision.

    `at` is when it happened, `now` when it is recorded; `posts` are those that the person holds
    at the stream's organisation or above it on that day.
    """

    person: str
    id: UUID
    unit: UUID
    at: datetime
    now: datetime
    posts: tuple[HeldPost, ...] = ()

    @property
    def day(self) -> date:
        """The business day of the fact."""
        return business_day(self.at)  # type: ignore[no-any-return]

    def holds(self, *roles: Role) -> bool:
        """Whether the person holds one of `roles` at the unit or above it."""
        return any(post.role in roles for post in self.posts)


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
    """An event's envelope: what the log knows of it beside its data."""

    id: UUID
    stream: UUID
    version: int
    organisation: UUID
    actor: str
    occurred_at: datetime
    recorded_at: datetime

    @property
    def day(self) -> date:
        """The business day on which it happened."""
        return business_day(self.occurred_at)  # type: ignore[no-any-return]
