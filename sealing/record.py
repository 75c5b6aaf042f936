"""A personal value in memory and as it is kept.

In memory it is a `Private`: a text like any other, which no encoder takes unless it is told whether
to write the sealed form or the clear one. Kept is the record

    sealed:1:<key's id>:<place>:<nonce, ciphertext and tag, base64url>

which opens only in the stream and for the place (`Event.field`) that it was made for.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self
from uuid import UUID

import msgspec

from sealing.cipher import DataKey, Tampered, seal, unseal
from sealing.vault import Subject, Vault

type Keys = Mapping[UUID, DataKey | None]

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
    """A kept value in the clear, or what says that it was erased, or its key is lost. Raises
    `Tampered` for one that does not belong to the stream (and, if given, the place).
    """
    found = _RECORD.fullmatch(record)
    if found is None:  # of a time before the field was declared personal
        return Private(record, None, place or "", record)
    id_, made_for = UUID(hex=found[1]), found[2]
    if place not in (None, made_for):
        raise Tampered
    key = keys.get(id_)
    if key is None:
        return Private(erased(id_) if id_ in keys else lost(id_), None, made_for, record)
    whole = base64.urlsafe_b64decode(found[3])
    text = unseal(key.algorithm, key.secret, whole, _bound(id_, stream, made_for))
    return Private(text.decode(), None, made_for, record)


def lost(key: UUID) -> str:
    """What stands for values whose key is not there, and was never destroyed: it may come back."""
    return f"密钥缺失 key missing {key.hex[:8]}"


def erased(key: UUID) -> str:
    """What stands for every value of an erased subject: the same for all, another for others, so
    that folds which tell persons apart still do.
    """
    return f"已删除 erased {key.hex[:8]}"


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
