"""One stream of every aggregate, born by real events, for those who ask who may do what with it.

The values are the plainest there are, the same every time; only whose thing it is is chosen.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, get_args, get_origin
from uuid import UUID, uuid4

import msgspec

from shared.decide import Decided, Known
from shared.ids import derived_id
from shared.kernel import Aggregate, Event, Recorded
from shared.organisation import Level
from shared.signature import hints_of, without_none
from shared.store import NewEvent, Stream
from tests.shared.office import SCHOOL, UNITS

MOMENT = datetime(2026, 9, 7, 8, tzinfo=UTC)


def example(hint: Any, depth: int = 0) -> Any:
    """The plainest value of a type, the same every time."""
    kind = without_none(hint)
    if kind is not hint and depth:
        return None
    origin = get_origin(kind)
    if origin is tuple:
        return (example(get_args(kind)[0], depth + 1),)
    if origin in (dict, frozenset, list):
        return origin()
    if origin is not None and not isinstance(kind, type):
        return example(get_args(kind)[0], depth)
    plain: dict[type[Any], Any] = {
        bool: False, int: 1, str: "x", Decimal: Decimal(1), datetime: MOMENT,
        date: MOMENT.date(), UUID: UUID(int=1), bytes: b"",
    }  # fmt: skip
    if kind in plain:
        return plain[kind]
    if issubclass(kind, enum.Enum):
        return next(iter(kind))
    return made(kind, depth + 1)


def made(kind: type[Any], depth: int = 0, chosen: Mapping[str, Any] | None = None) -> Any:
    """A struct with an example in every field, some of them chosen."""
    hints = {name: hint for name, hint in hints_of(kind).items() if "ClassVar" not in str(hint)}
    values = {name: example(hint, depth) for name, hint in hints.items()}
    picked = {name: value for name, value in (chosen or {}).items() if name in hints}
    return kind(**values | picked)


# The units that events name: whoever the thing is about is the school.
NAMED = {
    "holder": SCHOOL, "parent": SCHOOL, "to_unit": SCHOOL, "unit": SCHOOL, "school": SCHOOL,
    "region": SCHOOL, "reached": SCHOOL, "level": Level.CAMPUS,
}  # fmt: skip


@dataclass
class Placed:
    """A stream: born by a real event, owned by `owner`."""

    aggregate: Aggregate
    id: UUID
    owner: UUID
    chosen: dict[str, Any] = field(default_factory=dict)

    def decided(self) -> Decided:
        now = datetime.now(UTC)
        state, events, last = None, [], None
        for version, event in enumerate(self.life(), 1):
            row = NewEvent(
                uuid4(), self.id, version, type(event).__name__, msgspec.json.encode(event),
                self.owner, "somebody", MOMENT, now, uuid4(), None, None,
            )  # fmt: skip
            last = Recorded(
                id=row.id, stream=self.id, version=version, organisation=self.owner,
                actor="somebody", occurred_at=MOMENT, recorded_at=now,
            )  # fmt: skip
            state = self.aggregate.evolve(state, event)
            events.append(row)
        assert last is not None, f"nothing starts a {self.aggregate.name}"
        stream = Stream(self.id, self.aggregate.name, self.owner, len(events), state, last)
        return Decided(events, touched={self.id: stream})

    def life(self) -> Iterator[Event]:
        """What starts it, and one of each event that may follow, so that its lists have rows."""
        state: Any = None
        for kind in self.aggregate.events.values():
            event = made(kind, chosen=NAMED | self.chosen)
            try:
                if state is not None and self.aggregate.evolve(None, event):
                    continue
            except (AssertionError, AttributeError, LookupError):
                pass
            try:
                after = self.aggregate.evolve(state, event)
                for view in self.aggregate.views:
                    view.rows(after, self.seen)
            except (AssertionError, AttributeError, LookupError, ValueError):
                continue
            state = after
            yield event

    @property
    def seen(self) -> Recorded:
        return Recorded(
            id=self.id, stream=self.id, version=1, organisation=self.owner, actor="somebody",
            occurred_at=MOMENT, recorded_at=MOMENT,
        )  # fmt: skip


def placed(aggregate: Aggregate, at: str) -> Placed:
    """A stream for which the place that counts is the school: its owner, or what `at` names. In
    the latter case it is owned by another one, whose people must not be the ones that count.
    """
    id_ = derived_id(f"access:{aggregate.name}:{at}")
    match at:
        case "unit":  # of a unit: itself, though its parent owns it
            named = {"code": "school", "level": Level.SCHOOL, "parent": UNITS["town"]}
            return Placed(aggregate, SCHOOL, UNITS["town"], named)
        case "above":
            return Placed(aggregate, UNITS["campus"], SCHOOL, {"code": "campus"})
        case "":
            return Placed(aggregate, id_, SCHOOL)
        case _:
            return Placed(aggregate, id_, UNITS["other_school"])


class Fresh(Known):
    """Nothing was there before."""

    def __init__(self) -> None:
        super().__init__()
        self.before = _Zero()


class _Zero(dict[UUID, int]):
    def __missing__(self, key: UUID) -> int:
        return 0
