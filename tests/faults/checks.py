"""I1, I2, I3 and I5, held against what was answered: pure functions over what `evidence` has read.

I1 what was acknowledged is in the log exactly once, and nothing else is; I2 versions have no gap
and no fork; I3 Kafka holds every event, per key in the order of the log; I5 stored offsets say what
was applied last. Each adds what it finds to a verdict, in words.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from tests.faults.commands import MARKS
from tests.faults.evidence import Event, Position, Topic
from tests.faults.load import Asked

SYSTEM = "system"
"""Who acts for the platform itself, and tells nobody."""


@dataclass
class Verdict:
    """What is not as it should be, each in words."""

    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    @property
    def every(self) -> list[str]:
        """All of it."""
        return [*self.lost, *self.doubled, *self.wrong]

    def less(self, known: set[str]) -> Verdict:
        """What was not found before."""
        kept = [[one for one in found if one not in known] for found in self._kinds()]
        return Verdict(*kept)

    def _kinds(self) -> tuple[list[str], ...]:
        return self.lost, self.doubled, self.wrong


def acknowledged_once(
    verdict: Verdict, asked: Iterable[Asked], log: Sequence[Event], born: frozenset[UUID]
) -> None:
    """I1 in one service's log. `born`: events from before the first command."""
    fresh = [event for event in log if event.id not in born]
    versions = {event.id: event.version for event in fresh}
    asked = list(asked)
    told = frozenset(UUID(id_) for one in asked for id_ in one.events)
    for one in asked:
        for id_ in map(UUID, one.events):
            if id_ not in versions:
                verdict.lost.append(f"{one.key} {one.command}: {id_} is not in the log")
        if one.events and versions.get(UUID(one.events[-1]), one.version) != one.version:
            verdict.wrong.append(f"{one.key} {one.command}: not at version {one.version}")
    for id_, times in Counter(event.id for event in log).items():
        if times > 1:
            verdict.doubled.append(f"event {id_} is in the log {times} times")
    _all_told(verdict, fresh, told)


def _all_told(verdict: Verdict, fresh: Iterable[Event], told: frozenset[UUID]) -> None:
    """What a person's request wrote (one moment of recording) somebody was told of: else it was
    done twice, and only one of them was answered.
    """
    requests: dict[tuple[str, Any], list[Event]] = defaultdict(list)
    for event in fresh:
        if event.actor != SYSTEM:
            requests[event.actor, event.recorded_at].append(event)
    for (actor, _), events in requests.items():
        if not any(event.id in told for event in events):
            types = ", ".join(event.type for event in events)
            verdict.doubled.append(f"{actor} was never told of {types} ({events[0].id})")


def marked_once(verdict: Verdict, asked: Iterable[Asked], log: Sequence[Event]) -> None:
    """I1 by the keys that the events carry: what was taken once, what was refused never."""
    outcomes = {one.key: one for one in asked}
    written: Counter[tuple[str, str]] = Counter()
    for event in log:
        name = MARKS.get(event.type)
        key = str(event.body.get(name, "")) if name else ""
        if key in outcomes:
            written[key, event.type] += 1
    for (key, type_), times in written.items():
        if times > 1:
            verdict.doubled.append(f"{key}: {type_} is written {times} times")
        if not outcomes[key].events:
            verdict.wrong.append(f"{key}: {type_} is written, and answered {outcomes[key].status}")


def answers_kept(verdict: Verdict, asked: Iterable[Asked], kept: Mapping[str, int]) -> None:
    """One answer is kept for each key under which something was taken, none for a refusal."""
    for one in asked:
        wanted = int(0 < one.status < 300)
        if kept.get(one.key, 0) != wanted:
            found = kept.get(one.key, 0)
            verdict.wrong.append(f"{one.key}: answered {one.status}, kept {found} times")


def unbroken(verdict: Verdict, log: Sequence[Event], heads: Mapping[UUID, int]) -> None:
    """I2: each stream's versions are 1, 2, 3 … in the log's own order, up to its head."""
    reached: dict[UUID, int] = {}
    for event in log:
        if event.version != reached.get(event.stream, 0) + 1:
            verdict.wrong.append(
                f"{event.service}: version {event.version} of {event.stream} comes after"
                f" {reached.get(event.stream, 0)}"
            )
        reached[event.stream] = event.version
    for stream in heads.keys() | reached.keys():
        if heads.get(stream) != reached.get(stream):
            verdict.wrong.append(
                f"head of {stream} at {heads.get(stream)}, its log at {reached.get(stream)}"
            )


def in_kafka(verdict: Verdict, log: Sequence[Event], topic: Topic) -> None:
    """I3: the topic holds the log, every event with its bytes, each key's in the log's order."""
    once = topic.once()
    sent = Counter(message.id for message in once)
    for event in log:
        if not sent[event.id]:
            verdict.lost.append(f"{event.type} {event.id} is not in {topic.name}")
    for id_, times in sent.items():
        if times > 1:
            verdict.doubled.append(f"{id_} is in {topic.name} {times} times after dedupe")
    logged: dict[str, list[tuple[Position, UUID, bytes]]] = defaultdict(list)
    for event in log:
        logged[event.organisation].append((event.position, event.id, event.data))
    held: dict[str, list[tuple[Position, UUID, bytes]]] = defaultdict(list)
    for message in once:
        held[message.key].append((message.position, message.id, message.value))
    for key in logged.keys() | held.keys():
        if len(logged[key]) == len(held[key]) and logged[key] != held[key]:
            verdict.wrong.append(f"{topic.name}: {key} is not as its log is")
    _in_order(verdict, log, topic)


def _in_order(verdict: Verdict, log: Sequence[Event], topic: Topic) -> None:
    """Also with its repetitions a topic never shows an event before one that precedes it."""
    streams = {event.id: (event.stream, event.version) for event in log}
    reached: dict[UUID, int] = {}
    for message in topic.messages:
        if message.id not in streams:
            verdict.wrong.append(f"{topic.name}: {message.id} is in no log")
            continue
        stream, version = streams[message.id]
        if version > reached.get(stream, 0) + 1:
            verdict.wrong.append(f"{topic.name}: version {version} of {stream} without the last")
        reached[stream] = max(version, reached.get(stream, 0))


@dataclass(frozen=True)
class Stored:
    """A row of what a service has consumed."""

    service: str
    consumer: str
    topic: str
    partition: int
    next_offset: int
    position: Position


def offsets_true(verdict: Verdict, stored: Iterable[Stored], topics: Mapping[str, Topic]) -> None:
    """I5: each consumer's offset is that after the last record, its position that of the last."""
    for row in stored:
        topic = topics[row.topic]
        name = f"{row.service}.{row.consumer} in {row.topic}/{row.partition}"
        if row.next_offset != topic.ends[row.partition]:
            verdict.wrong.append(f"{name}: at {row.next_offset} of {topic.ends[row.partition]}")
        last = topic.last().get(row.partition, (0, 0, 0))
        if row.position != last:
            verdict.wrong.append(f"{name}: says {row.position}, the last event is {last}")


def archived_once(
    verdict: Verdict, archive: Mapping[str, Counter[UUID]], logs: Mapping[str, Sequence[Event]]
) -> None:
    """I4: reporting keeps each event of each service once."""
    for service, log in logs.items():
        kept = archive.get(service, Counter())
        for event in log:
            if not kept[event.id]:
                verdict.lost.append(f"{event.type} {event.id} of {service} never got to reporting")
        for id_, times in kept.items():
            if times > 1:
                verdict.doubled.append(f"{id_} of {service} is {times} times in reporting")
