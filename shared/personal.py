"""Personal values: declared once (`personal` in `shared.fields`), sealed wherever they are kept.

In memory such a value is a `Private`: a text like any other to decisions, folds and views, which no
encoder takes unless it is told whether to write the sealed form or the clear one. So a value that
nobody thought of is an error, never a leak. Kept (log, Kafka, views, stored answers) is the record

    sealed:1:<key's id>:<Event.field>:<nonce, ciphertext and tag, base64url>

which opens only in the stream and for the field that it was made for.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import Annotated, Any, Self, get_args, get_origin
from uuid import UUID

import msgspec

from sealing.cipher import DataKey, Tampered, seal, unseal
from sealing.vault import KeyLost, Subject, Vault
from shared.kernel import Aggregate, Event, View
from shared.signature import hints_of, without_none

type Keys = Mapping[UUID, DataKey | None]
type Row = dict[str, Any]

_PREFIX = "sealed:1:"
_RECORD = re.compile(r"sealed:1:([0-9a-f]{32}):([\w.]+):([\w=-]+)", re.ASCII)
_KEY_IDS = re.compile(rb"sealed:1:([0-9a-f]{32}):")


class Private(str):
    """A personal value in the clear. `record`: how it is kept, once it has been sealed."""

    __slots__ = ("place", "record", "subject")
    subject: Subject | None
    place: str
    record: str | None

    def __new__(
        cls, text: str, subject: Subject | None, place: str, record: str | None = None
    ) -> Self:
        made = super().__new__(cls, text)
        made.subject, made.place, made.record = subject, place, record
        return made


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


async def seal_all(vault: Vault | None, values: Iterable[tuple[UUID, Sequence[Private]]]) -> None:
    """Seals the values of streams: one round trip for all, to the keys of their subjects."""
    flat = [(stream, one) for stream, some in values for one in some if one.record is None]
    if not flat:
        return
    keys = await _known(vault).keys_for({one.subject for _, one in flat if one.subject})
    for stream, one in flat:
        assert one.subject is not None, "only what is not sealed yet is"
        one.record = sealed(one, one.place, stream, keys[one.subject])


def sealed(text: str, place: str, stream: UUID, key: DataKey) -> str:
    """The record of a value of a stream, in the field `place`."""
    whole = seal(key.algorithm, key.secret, text.encode(), _bound(key.id, stream, place))
    return f"{_PREFIX}{key.id.hex}:{place}:{base64.urlsafe_b64encode(whole).decode()}"


def _bound(key: UUID, stream: UUID, place: str) -> bytes:
    return key.bytes + stream.bytes + place.encode()


def key_ids(data: bytes) -> set[UUID]:
    """The keys that some bytes are sealed with."""
    return {UUID(hex=found.decode()) for found in _KEY_IDS.findall(data)}


async def keys_in(vault: Vault | None, data: Iterable[bytes]) -> Keys:
    """The keys that open what is sealed in some bytes, in one round trip at most."""
    ids = set[UUID]().union(*map(key_ids, data))
    return await _known(vault).keys(ids) if ids else {}


def unsealed(record: str, stream: UUID, keys: Keys, place: str | None = None) -> Private:
    """A kept value in the clear, or what says that it was erased. Raises `Tampered` for one that
    does not belong to the stream (and, if given, the place), `KeyLost` if its key is not there.
    """
    found = _RECORD.fullmatch(record)
    if found is None:  # of a time before the field was declared personal
        return Private(record, None, place or "", record)
    id_, made_for = UUID(hex=found[1]), found[2]
    if place not in (None, made_for):
        raise Tampered
    if id_ not in keys:
        raise KeyLost(str(id_))
    key = keys[id_]
    if key is None:
        return Private(erased(id_), None, made_for, record)
    whole = base64.urlsafe_b64decode(found[3])
    text = unseal(key.algorithm, key.secret, whole, _bound(id_, stream, made_for))
    return Private(text.decode(), None, made_for, record)


def erased(key: UUID) -> str:
    """What stands for every value of an erased subject: the same for all, another for others, so
    that folds which tell persons apart still do.
    """
    return f"已删除 erased {key.hex[:8]}"


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


def record_of(value: Any) -> str:
    """How an encoder keeps a personal value."""
    if isinstance(value, Private) and value.record is not None:
        return value.record
    raise TypeError(f"{type(value).__name__} is not to be kept")


def kept(value: object) -> bytes:
    """JSON in which what is personal is sealed, as it may be kept."""
    return msgspec.json.encode(value, enc_hook=record_of)


def clear_of(value: Any) -> str:
    """How an encoder shows a personal value to somebody who may see it."""
    if isinstance(value, Private):
        return str(value)
    raise TypeError(f"{type(value).__name__} is not to be shown")


def veiled(value: Any) -> Any:
    """JSON in which nothing that is sealed is shown, for those who have no key."""
    if isinstance(value, str) and value.startswith(_PREFIX):
        return "（个人信息 personal）"
    if isinstance(value, list):
        return [veiled(one) for one in value]
    if isinstance(value, dict):
        return {key: veiled(one) for key, one in value.items()}
    return value


def _known(vault: Vault | None) -> Vault:
    if vault is None:
        raise RuntimeError("HOUQIN_KEYS and HOUQIN_SECRETS say where keys are: there is no vault")
    return vault
