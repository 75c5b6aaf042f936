from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest
from aiokafka.partitioner import murmur2
from hypothesis import given
from hypothesis import strategies as st

from shared.envelope import (
    Delivered,
    Unappliable,
    encode,
    key_of,
    partition_of,
    position_of,
)

SCHOOL = UUID("0191e0a5-7c00-7000-8000-000000000001")


@dataclass
class Message:
    headers: Any
    key: bytes | None = key_of(SCHOOL)
    value: bytes | None = b'{"x":1}'
    topic: str = "houqin.procurement"
    partition: int = 0
    offset: int = 7
    timestamp: int = 0


def row(**changes: Any) -> dict[str, Any]:
    moment = datetime(2026, 9, 7, 8, 30, 15, 123456, tzinfo=UTC)
    return {
        "id": uuid4(), "type": "GoodsAccepted", "stream": uuid4(), "version": 3, "epoch": 2,
        "tx": 2**40, "seq": 12, "organisation": SCHOOL, "actor": "li@school", "occurred_at": moment,
        "recorded_at": moment + timedelta(days=2), "correlation": uuid4(), "causation": None,
        "trace": None, **changes,
    }  # fmt: skip


def over(written: dict[str, Any]) -> Delivered:
    return Delivered(Message(encode(written, b"/houqin/procurement")))


def test_what_is_written_is_read() -> None:
    written = row(causation=uuid4(), trace="00-" + "a" * 32 + "-" + "b" * 16 + "-01")
    event = over(written)
    recorded = event.recorded
    for field in ("id", "stream", "version", "organisation", "actor", "occurred_at", "recorded_at"):
        assert getattr(recorded, field) == written[field], field
    assert event.key == SCHOOL
    assert event.position == (2, 2**40, 12)
    assert (event.type, event.service, event.data) == ("GoodsAccepted", "procurement", b'{"x":1}')
    assert (event.correlation, event.traceparent) == (written["correlation"], written["trace"])
    assert event.fault == ""


def test_headers_are_cloudevents_in_binary_mode() -> None:
    headers = dict(encode(row(), b"/houqin/procurement"))
    assert headers["ce_specversion"] == b"1.0"
    assert headers["ce_source"] == b"/houqin/procurement"
    assert headers["ce_time"] == b"2026-09-07T08:30:15.123456+00:00"
    assert headers["ce_position"] == b"2.1099511627776.12"
    assert headers["content-type"] == b"application/json"
    assert {"ce_id", "ce_type", "ce_subject", "ce_version", "ce_organisation", "ce_actor"} < set(
        headers
    )
    assert {"ce_causationid", "traceparent"}.isdisjoint(headers), "what is not known is left out"


def test_partition_is_that_of_the_java_client() -> None:
    # org.apache.kafka.common.utils.Utils.murmur2 of these texts, as in Kafka's own UtilsTest.
    cases = {b"21": -973932308, b"foobar": -790332482, b"a-little-bit-long-string": -985981536}
    for text, expected in cases.items():
        assert murmur2(text) == expected % 2**32
    assert partition_of(SCHOOL, 12) == (murmur2(str(SCHOOL).encode()) & 0x7FFFFFFF) % 12


@given(st.tuples(st.integers(1, 99), st.integers(0, 2**63 - 1), st.integers(0, 2**63 - 1)))
def test_order_keys_survive_as_text(position: tuple[int, int, int]) -> None:
    epoch, tx, seq = position
    headers = dict(encode(row(epoch=epoch, tx=tx, seq=seq), b"/houqin/procurement"))
    assert position_of(headers["ce_position"].decode()) == position


@pytest.mark.parametrize("text", ["", "1.2", "1.2.3.4", "1.x.3"])
def test_what_is_no_order_key(text: str) -> None:
    with pytest.raises(ValueError, match=r"unpack|invalid literal"):
        position_of(text)


@pytest.mark.parametrize(
    ("headers", "key"),
    [
        ((), key_of(SCHOOL)),
        ((("ce_position", b"1.2"), ("ce_type", b"X")), key_of(SCHOOL)),
        ((("ce_position", b"1.2.3"), ("ce_type", b"\xff")), key_of(SCHOOL)),
        ((("ce_position", b"1.2.3"), ("ce_type", b"X")), b"no uuid"),
        ((("ce_position", b"1.2.3"), ("ce_type", b"X")), None),
    ],
)
def test_what_is_no_event_has_a_fault_and_a_key_to_park(headers: Any, key: bytes | None) -> None:
    event = Delivered(Message(headers, key))
    assert event.fault and event.type == ""
    assert (event.key == SCHOOL) == (key == key_of(SCHOOL))
    assert Delivered(Message(headers, key)).key == event.key


def test_data_of_another_shape_cannot_be_applied() -> None:
    class Wanted(msgspec.Struct):
        x: str

    event = over(row())
    with pytest.raises(Unappliable) as caught:
        event.decode(msgspec.json.Decoder(Wanted))
    assert caught.value.delivered is event
    assert "GoodsAccepted" in caught.value.reason
