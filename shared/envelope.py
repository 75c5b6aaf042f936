"""The event on the wire: CloudEvents 1.0 in Kafka's binary mode, both ways.

Key: the organisation's id as text. Value: the data bytes as first written. Everything else is a
header: `ce_id`, `ce_source` `/houqin/<service>`, `ce_type`, `ce_subject` (stream), `ce_time`
(occurred_at), `ce_version` (of the stream), `ce_position` `epoch.tx.seq` (order in the log),
`ce_organisation`, `ce_actor`, `ce_recordedat`, `ce_correlationid`, `ce_causationid`, `traceparent`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

import msgspec
from aiokafka import ConsumerRecord
from aiokafka.partitioner import murmur2

from shared.ids import derived_id, id_from
from shared.kernel import Recorded

type Position = tuple[int, int, int]
"""An event's place in its service's log: (epoch, transaction id, sequence)."""

type Headers = list[tuple[str, bytes]]

CACHED_KEYS = 65_536
"""Organisations whose key and partition are remembered: more than a cell has."""

_CONTENT = ("content-type", b"application/json")
_SPEC = ("ce_specversion", b"1.0")


class Unappliable(Exception):  # noqa: N818 - says what it is
    """An event that its consumer cannot apply; its key is parked with `reason`."""

    def __init__(self, delivered: Delivered, reason: str) -> None:
        super().__init__(reason)
        self.delivered, self.reason = delivered, reason


def position_of(text: str | bytes) -> Position:
    """The order key of a text; ValueError if it is none."""
    epoch, tx, seq = text.split(b"." if isinstance(text, bytes) else ".")  # type: ignore[arg-type]
    return int(epoch), int(tx), int(seq)


@lru_cache(CACHED_KEYS)
def key_of(organisation: UUID) -> bytes:
    """The Kafka key of all events of an organisation."""
    return str(organisation).encode()


@lru_cache(CACHED_KEYS)
def partition_of(organisation: UUID, partitions: int) -> int:
    """Where an organisation's events go: Java's default hash, so that every client agrees."""
    return int((murmur2(key_of(organisation)) & 0x7FFFFFFF) % partitions)


def encode(row: Mapping[str, Any], source: bytes) -> Headers:
    """The headers of one row of the log; `source` is `/houqin/<service>`."""
    headers = [
        _SPEC,
        ("ce_id", str(row["id"]).encode()),
        ("ce_source", source),
        ("ce_type", row["type"].encode()),
        ("ce_subject", str(row["stream"]).encode()),
        ("ce_time", row["occurred_at"].isoformat().encode()),
        ("ce_version", b"%d" % row["version"]),
        ("ce_position", b"%d.%d.%d" % (row["epoch"], row["tx"], row["seq"])),
        ("ce_organisation", key_of(row["organisation"])),
        ("ce_actor", row["actor"].encode()),
        ("ce_recordedat", row["recorded_at"].isoformat().encode()),
        ("ce_correlationid", str(row["correlation"]).encode()),
        _CONTENT,
    ]
    if row["causation"] is not None:
        headers.append(("ce_causationid", str(row["causation"]).encode()))
    if row["trace"] is not None:
        headers.append(("traceparent", row["trace"].encode()))
    return headers


class Delivered:
    """An event as it came from Kafka. What dedupe and choice need is parsed at once, the rest when
    asked for. `fault`: why it cannot be applied (empty: nothing is known against it); where the
    envelope itself is none, `type` and `position` are empty too.
    """

    __slots__ = (
        "_recorded", "data", "fault", "headers", "key", "offset", "partition", "position",
        "timestamp_ms", "topic", "type",
    )  # fmt: skip

    def __init__(self, record: ConsumerRecord) -> None:
        self.topic, self.partition, self.offset = record.topic, record.partition, record.offset
        self.timestamp_ms = record.timestamp
        self.data: bytes = record.value or b""
        headers: dict[str, bytes] = dict(record.headers)
        self.headers = headers
        self.fault, self.type = "", ""
        self.position: Position = (0, 0, 0)
        self._recorded: Recorded | None = None
        self.key: UUID
        try:
            self.key = _uuid(record.key)
            self.position = position_of(headers["ce_position"])
            self.type = _text(headers["ce_type"])
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            self.key = _any_key(record.key)
            self.fault = f"not an event's envelope: {error!r}"

    @property
    def recorded(self) -> Recorded:
        """The envelope's facts; KeyError or ValueError if one is missing or malformed."""
        if self._recorded is None:
            headers = self.headers
            self._recorded = Recorded(
                id=id_from(headers["ce_id"].decode()),
                stream=id_from(headers["ce_subject"].decode()),
                version=int(headers["ce_version"]),
                organisation=_uuid(headers["ce_organisation"]),
                actor=headers["ce_actor"].decode(),
                occurred_at=datetime.fromisoformat(headers["ce_time"].decode()),
                recorded_at=datetime.fromisoformat(headers["ce_recordedat"].decode()),
            )
        return self._recorded

    @property
    def service(self) -> str:
        """The service in whose log the event is."""
        return self.headers["ce_source"].decode().rpartition("/")[2]

    @property
    def correlation(self) -> UUID:
        """The id that all that followed from one request carries."""
        return id_from(self.headers["ce_correlationid"].decode())

    @property
    def traceparent(self) -> str | None:
        """The W3C trace context that it was written under."""
        text = self.headers.get("traceparent")
        return None if text is None else text.decode()

    def decode[T](self, decoder: msgspec.json.Decoder[T]) -> T:
        """The data, typed; raises `Unappliable` if they are not of that type."""
        try:
            return decoder.decode(self.data)
        except msgspec.DecodeError as error:  # ValidationError is one
            raise Unappliable(self, f"{self.type}: {error}") from error


@lru_cache(CACHED_KEYS)
def _uuid(text: bytes) -> UUID:
    return id_from(text.decode())


@lru_cache(4096)
def _text(value: bytes) -> str:
    return value.decode()


def _any_key(raw: bytes | None) -> UUID:
    """A key to park a message under that may not even have a proper one."""
    try:
        return _uuid(raw or b"")
    except ValueError:
        return derived_id(f"key:{(raw or b'').hex()}")
