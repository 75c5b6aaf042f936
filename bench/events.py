"""A province's events in Kafka, as the services' relays send them: real classes, real envelopes."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from aiokafka import AIOKafkaProducer

from bench.feed import PARTITIONS, Feed, world
from services.assets.damage import AssetDamaged, DamageCause
from services.assets.repair import RepairKind, RepairSigned, Urgency
from services.procurement.category import Category
from services.procurement.requisition import PurchaseApproved
from services.reporting.counting import SOURCES
from services.safety.grades import HazardCategory
from services.safety.hazard import HazardClosed
from services.safety.inspection import InspectionPassed
from shared.envelope import encode, key_of, partition_of
from shared.ids import new_id
from shared.kernel import Event
from shared.relay import ensure_topics

VARIANTS = 400
"""Different bodies of each kind."""

TRANSACTION = 32
"""Events that one group of commands brings into the log."""

NOON = datetime(2026, 9, 7, 4, tzinfo=UTC)


async def fill(kafka: str, feed: Feed) -> None:
    """Sends a feed's events to topics of its own."""
    topics = {f"{feed.prefix}.{service}": PARTITIONS for service in SOURCES}
    await ensure_topics(kafka, topics, 1)
    producer = AIOKafkaProducer(
        bootstrap_servers=kafka, enable_idempotence=True, acks="all", compression_type="lz4",
        max_batch_size=1 << 19,
    )  # fmt: skip
    await producer.start()
    try:
        batches: dict[tuple[str, int], Any] = {}
        for service, row in rows_of(feed):
            place = (f"{feed.prefix}.{service}", partition_of(row["organisation"], PARTITIONS))
            message = {
                "timestamp": None, "key": key_of(row["organisation"]), "value": row["data"],
                "headers": encode(row, f"/houqin/{service}".encode()),
            }  # fmt: skip
            batch = batches.get(place)
            if batch is None or batch.append(**message) is None:
                if batch is not None:
                    await _send(producer, place, batch)
                batch = batches[place] = producer.create_batch()
                batch.append(**message)
        for place, batch in batches.items():
            await _send(producer, place, batch)
        await producer.flush()
    finally:
        await producer.stop()


async def _send(producer: Any, place: tuple[str, int], batch: Any) -> None:
    batch.close()
    await producer.send_batch(batch, place[0], partition=place[1])


def rows_of(feed: Feed) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The log's rows of all services, in the order of time."""
    chance = random.Random(7)
    schools = world(feed.schools).schools
    kinds = bodies(chance)
    step = timedelta(days=feed.days) / feed.events
    for n in range(feed.events):
        service, type_, variants = kinds[n % len(kinds)]
        id_: UUID = new_id()
        at = NOON + n * step
        yield service, {
            "id": id_, "stream": new_id(), "version": 5, "type": type_,
            "data": variants[chance.randrange(VARIANTS)],
            "organisation": schools[chance.randrange(feed.schools)], "actor": "bench",
            "occurred_at": at, "recorded_at": at, "correlation": id_, "causation": None,
            "trace": None, "epoch": 1, "tx": 1_000 + n // TRANSACTION, "seq": 1 + n,
        }  # fmt: skip


def bodies(chance: random.Random) -> list[tuple[str, str, list[bytes]]]:
    """Of each kind: its service, its name, and bodies as they stand in the log."""
    made = (
        ("assets", RepairSigned, _repair),
        ("safety", HazardClosed, _hazard),
        ("safety", InspectionPassed, _inspection),
        ("assets", AssetDamaged, _damage),
        ("procurement", PurchaseApproved, _purchase),
    )
    return [
        (
            service,
            event.__name__,
            [
                msgspec.json.encode(_event(event, fields(chance)))
                for _ in range(VARIANTS)
            ],
        )
        for service, event, fields in made
    ]  # fmt: skip


def _event(event: type[Event], fields: Mapping[str, Any]) -> Event:
    return msgspec.convert(fields, type=event)


def _money(chance: random.Random) -> str:
    return f"{chance.randrange(100, 500_000) / 100:.2f}"


def _repair(chance: random.Random) -> dict[str, Any]:
    return {
        "kind": chance.choice(list(RepairKind)), "quantity": chance.randrange(1, 4),
        "measure_unit": "件", "urgency": next(iter(Urgency)), "place": "教学楼三楼", "card": None,
        "category": "", "round": None, "parts": [], "parts_cny": _money(chance),
        "labour_cny": "0", "cost_cny": _money(chance), "repairer": "wang",
        "reported_at": NOON, "started_at": NOON, "finished_at": NOON,
        "response_minutes": chance.randrange(5, 90), "finish_minutes": chance.randrange(20, 900),
        "responded_in_time": chance.random() < 0.9, "finished_in_time": chance.random() < 0.8,
        "reopened": 0, "signed_for": False, "rating": chance.randrange(3, 6),
    }  # fmt: skip


def _hazard(chance: random.Random) -> dict[str, Any]:
    return {
        "category": chance.choice(list(HazardCategory)), "source": "weekly_check",
        "grade": "general", "programme": None, "inspection": None, "item": None, "check": None,
        "place": "实验楼二楼", "what": "灭火器压力不足", "found_at": NOON, "rectified_by": "sun",
        "rectified_at": NOON, "rectified_in_minutes": chance.randrange(30, 5_000),
        "on_time": chance.random() < 0.85, "due_at": NOON, "rounds": 1, "extensions": 0,
        "verified_by": "zhao", "closed_by": "zhao",
    }  # fmt: skip


def _inspection(chance: random.Random) -> dict[str, Any]:
    return {
        "programme": "每月安全检查", "kind": chance.choice(["routine", "full_school", "fire"]),
        "checklist": str(new_id()), "checklist_version": 3, "basis": "plan",
        "score": str(chance.randrange(80, 101)), "full": "100", "pass_score": "80",
        "failed_items": [], "items_judged": 38, "veto": False, "bodies": ["总务处"],
        "inspectors": ["sun"], "outsiders": [], "concluded_by": "sun", "signature": None,
    }  # fmt: skip


def _damage(chance: random.Random) -> dict[str, Any]:
    return {
        "card": None, "tag": "", "item": "课桌", "category": "",
        "quantity": chance.randrange(1, 3), "cause": chance.choice(list(DamageCause)),
        "wilful": False, "beyond_repair": False, "replacement_cost_cny": _money(chance),
        "responsible": [], "happened_on": NOON.date(), "place": "七年级三班",
        "assessor": "sun", "note": "",
    }  # fmt: skip


def _purchase(chance: random.Random) -> dict[str, Any]:
    return {
        "requested_by": "qian", "category": chance.choice(list(Category)),
        "fund": chance.choice(["public", "canteen"]), "amount_cny": _money(chance),
        "budget": str(new_id()), "budget_line": "a", "needed_by": NOON.date(),
        "purpose": "更换教室灯管", "lines": [], "number": "2026-0001", "approved_by": ["zhao"],
        "steps": [], "submitted_at": NOON, "days": chance.randrange(1, 9), "split": None,
    }  # fmt: skip
