"""What is personal: declared once (`personal` in `shared.fields`), found in events and rows.

To decisions, folds and views such a value is a text like any other. Kept (log, Kafka, views, stored
answers) it is sealed: `sealing.record`. No encoder takes it unless it is told how, so that a value
which nobody thought of is an error, never a leak.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Annotated, Any, get_args, get_origin
from uuid import UUID

import msgspec

from sealing.record import Keys, Private, keys_in, unsealed
from sealing.vault import Vault
from shared.kernel import Aggregate, Event, View
from shared.signature import hints_of, without_none

type Row = dict[str, Any]

type Change = Callable[[str, str | None, str], str]
"""From a value (as it is kept, or clear), its subject and its `Event.field` to another form."""


@cache
def marks_of(type_: type[Any]) -> Mapping[str, str]:
    """The fields of a class that are declared personal, and the field that names whom they concern
    (empty: the stream); TypeError for one that cannot be sealed.
    """
    hints, marks = hints_of(type_), {}
    for name, hint in hints.items():
        for mark in get_args(hint)[1:] if get_origin(hint) is Annotated else ():
            if isinstance(mark, msgspec.Meta) and mark.extra and "personal" in mark.extra:
                marks[name] = mark.extra["personal"]
                of_text = without_none(get_args(hint)[0]) is str
                if not of_text or (marks[name] and marks[name] not in hints):
                    raise TypeError(f"{type_.__name__}.{name}: personal is a text about somebody")
    return marks


@cache
def carries(hint: Any) -> bool:
    """Whether a class, or one within it, has personal fields."""
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return bool(marks_of(hint)) or any(map(carries, hints_of(hint).values()))
    return any(map(carries, (*get_args(hint), *filter(None, [getattr(hint, "__value__", None)]))))


@cache
def is_personal(aggregate: Aggregate) -> bool:
    """Whether any event of an aggregate does."""
    return any(map(carries, aggregate.events.values()))


def _changed(value: Any, change: Change, path: str) -> Any:
    """A copy of an event (or of what is in it) with each personal value changed."""
    if isinstance(value, msgspec.Struct):
        marks, fresh = marks_of(type(value)), {}
        for name in value.__struct_fields__:
            old, place = getattr(value, name), f"{path}.{name}"
            if name not in marks:
                fresh[name] = _changed(old, change, place)
            elif old:  # that there is none tells nothing of anybody
                about = str(getattr(value, marks[name])) if marks[name] else None
                fresh[name] = change(old, about, place)
        return msgspec.structs.replace(value, **fresh)
    if isinstance(value, tuple | list):
        return type(value)(_changed(one, change, path) for one in value)
    if isinstance(value, dict):
        return {key: _changed(one, change, path) for key, one in value.items()}
    return value


def marked(event: Event, stream: UUID, organisation: UUID) -> tuple[Event, list[Private]]:
    """A decided event with its personal values as such, and these by themselves."""
    found: list[Private] = []

    def mark(text: str, about: str | None, place: str) -> Private:
        found.append(Private(text, (organisation, about or str(stream)), place))
        return found[-1]

    return _changed(event, mark, type(event).__name__), found


def opened[E](event: E, stream: UUID, keys: Keys) -> E:
    """An event as it was decided, from one as it is kept."""

    def open_(record: str, _: str | None, place: str) -> Private:
        return unsealed(record, stream, keys, place)

    return _changed(event, open_, type(event).__name__)  # type: ignore[no-any-return]


async def reveal(vault: Vault | None, row: type[View], rows: Sequence[Row]) -> None:
    """Opens the personal columns of stored rows, in place."""
    names = [name for name in marks_of(row) if rows]
    shown = [(one, name) for one in rows for name in names if one[name]]
    keys = await keys_in(vault, (one[name].encode() for one, name in shown))
    for one, name in shown:
        one[name] = str(unsealed(one[name], UUID(str(one["id"])), keys))
