"""The write path: requests are loaded together, decided in memory, appended in one transaction.

Each request (one command, or several that stand or fall together) is accepted, refused or retried
by itself. A group that loses a race writes nothing and is decided anew, one request at a time.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

import asyncpg

from sealing.record import kept
from sealing.vault import KeysAway, Vault
from shared import observe, store, views
from shared.background import ended
from shared.config import Settings
from shared.decide import Decided, Decider, Known, Missing, Request, Step, seal
from shared.directory import Directory, own_places
from shared.envelope import Position
from shared.failpoint import failpoint
from shared.kernel import Refused, Service
from shared.personal import is_personal
from shared.store import Connection, Move, NewKey, Stream
from shared.timers import due_parts
from shared.waiting import Answer, Asked, Group, Key, Queue

__all__ = ["ATTEMPTS", "Answer", "Key", "Writer"]

ATTEMPTS = 6
"""How often a request that loses a race is decided anew before the caller is told (409)."""

LANES = 2
"""Groups in hand at once: one is decided while the database writes the other."""


class InOtherHands(Exception):  # noqa: N818 - not now
    """The request moves streams that another group has in hand: it waits for them."""

    def __init__(self, streams: Iterable[UUID]) -> None:
        super().__init__()
        self.streams = frozenset(streams)


class Writer:
    """Takes requests and writes them in groups. One per process and service."""

    def __init__(
        self,
        service: Service,
        pool: asyncpg.Pool[asyncpg.Record],
        directory: Directory,
        settings: Settings,
        vault: Vault | None = None,
    ) -> None:
        self.service, self.pool, self.settings, self.vault = service, pool, settings, vault
        self.aggregates = {aggregate.name: aggregate for aggregate in service.aggregates}
        self.decider = Decider(service.aggregates, directory, settings.posts_age_s_max)
        self.on_commit: list[Callable[[], None]] = []
        self._cache: OrderedDict[UUID, Stream] = OrderedDict()
        self._queue = Queue(settings.group_size)
        self._lanes: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Takes requests."""
        self._lanes = [asyncio.create_task(self._lane()) for _ in range(LANES)]

    async def stop(self) -> None:
        """Answers what is waiting or being written, then ends."""
        while open_ := self._queue.open():
            await asyncio.wait(open_)
        await ended(self._lanes)

    async def ask(self, request: Request, key: Key | None = None, order: object = None) -> Answer:
        """Decides and writes a request; raises what refuses it. Requests asked with the same
        `order` are decided in the order in which they were asked.
        """
        asked = Asked(request, key)
        if order is not None:
            asked.needs.add(order)
        self._queue.waiting.append(asked)
        self._queue.called.set()
        return await asked.done

    async def _lane(self) -> None:
        """Settles one group after the other, on one connection for as long as there are some."""
        while True:
            group: Group | None = await self._queue.next()
            try:
                async with self.pool.acquire() as connection:
                    while group is not None:
                        await self._settle(connection, group)
                        group = None  # whatever fails from here on is not its fault
                        await asyncio.sleep(0)  # who has just been answered may ask again
                        if not connection.is_closed():
                            group = self._queue.take()
            except Exception as error:  # noqa: BLE001 - no connection: each asker is told
                if group is not None:
                    self._queue.let_go(group)
                    for asked in group.asked:
                        asked.fail(error)

    async def _settle(self, connection: Connection, group: Group) -> None:
        """Writes a group and answers it, whatever happens to it."""
        asked = group.asked
        try:
            await self._write_group(connection, group)
        except store.Conflict as error:
            self._again(asked, ATTEMPTS, error)
        except asyncpg.DataError:
            # One of them holds what no column takes (a NUL, a number too large): alone it is found.
            self._again(asked, 1 if len(asked) == 1 else ATTEMPTS, Refused("unstorable"))
        except KeysAway as error:
            self._again(asked, 1 if len(asked) == 1 else ATTEMPTS, error)
        except Exception as error:  # noqa: BLE001 - each asker is told; the writer goes on
            for one in asked:
                one.fail(error)
        finally:
            self._queue.let_go(group)

    def _again(self, group: Sequence[Asked], attempts: int, error: Exception) -> None:
        """Puts what is not answered yet first in line, one by one; tells who has tried enough."""
        for asked in group:
            asked.attempts += 1
            if asked.attempts >= attempts:
                asked.fail(error)
        self._queue.waiting[:0] = [asked for asked in group if not asked.done.done()]

    async def _write_group(self, connection: Connection, group: Group) -> None:
        """Decides on what this process remembers, where the append itself proves that it was still
        so; else on what the log says now.
        """
        known = self._recall(group.asked)
        if known is not None:
            requests = [asked.request for asked in group.asked]
            outcomes = await self.decide(connection, requests, known, group)
            moved = [made.touched for made in outcomes if isinstance(made, Decided)]
            # A no is not proved by any write: its key may be one that was used before.
            if len(moved) == len(outcomes) and known.recalled <= set().union(*moved):
                with contextlib.suppress(store.Conflict):  # the log says by whom
                    await self._finish(connection, group.asked, outcomes, known)
                    return
        known = Known()
        pending = await self._replay(connection, group.asked, known)
        requests = [asked.request for asked in pending]
        outcomes = await self.decide(connection, requests, known, group)
        await self._finish(connection, pending, outcomes, known)

    def _recall(self, group: Sequence[Asked]) -> Known | None:
        """The group's streams as this process last wrote them, if it knows them all. A key that
        was used before shows when it is written; who is asked again reads the log.
        """
        known = Known()
        for asked in group:
            for step in asked.request.steps:
                stream = self._cache.get(step.stream)
                if asked.attempts or (stream is None and not step.decision.creates):
                    return None
                known.load({step.stream: stream})
                known.recalled.add(step.stream)
        return known

    async def _finish(
        self,
        connection: Connection,
        asked: Sequence[Asked],
        outcomes: Sequence[Decided | Exception],
        known: Known,
    ) -> None:
        """Writes what was decided, then answers: a refusal may rest on what is written with it."""
        settled = list(zip(asked, outcomes, strict=True))
        decided = [(one, made) for one, made in settled if isinstance(made, Decided)]
        await seal(self.vault, [made for _, made in decided])
        answers = [self._answer(one, made, known) for one, made in decided]
        places: dict[UUID, Position] = {}
        if decided:
            failpoint("append.before")
            keys = [
                NewKey(
                    key.subject, key.key, key.operation, key.fingerprint, answer.status,
                    answer.etag, answer.body, made.events[-1].id if made.events else None,
                )
                for (one, made), answer in zip(decided, answers, strict=True)
                if (key := one.key)
            ]  # fmt: skip
            places = await self.write(connection, [made for _, made in decided], known, keys)
            failpoint("append.after_commit")
            self._remember(made.touched for _, made in decided)
            self.committed()
        for (one, made), answer in zip(decided, answers, strict=True):
            place = None
            if made.events:
                last = made.events[-1]
                place = "{}.{}.{};{}".format(*places[last.id], last.organisation)
            one.answer(Answer(answer.status, answer.body, answer.etag, self._position(place)))
        later: list[Asked] = []
        for one, outcome in settled:
            if isinstance(outcome, InOtherHands):
                one.needs |= outcome.streams
                later.append(one)
            elif isinstance(outcome, Exception):
                one.fail(outcome)
        self._queue.waiting[:0] = later

    def _position(self, place: str | None) -> str | None:
        return f"{self.service.name};{place}" if place else None

    def committed(self) -> None:
        """Tells relay, timers and tails of this process that the log has moved."""
        for notify in self.on_commit:
            notify()

    async def _replay(
        self, connection: Connection, group: Sequence[Asked], known: Known
    ) -> list[Asked]:
        """Reads what the group needs; answers what was answered before. Of two under one key, the
        second waits its turn.
        """
        first: dict[tuple[str, str], Asked] = {}
        for asked in group:
            if asked.key:
                first.setdefault((asked.key.subject, asked.key.key), asked)
        streams = {step.stream for asked in group for step in asked.request.steps}
        answered = await self._load(connection, known, streams, list(first))
        pending: list[Asked] = []
        for asked in group:
            name = (asked.key.subject, asked.key.key) if asked.key else None
            row = answered.get(name) if name else None
            if row is not None and asked.key is not None:
                self._repeat(asked, asked.key, row)
            elif name is None or first[name] is asked:
                pending.append(asked)
            else:
                self._queue.waiting.append(asked)
        return pending

    def _repeat(self, asked: Asked, key: Key, row: Mapping[str, Any]) -> None:
        """Gives the stored answer again, if it is of the same command."""
        if (row["operation"], row["fingerprint"]) != (key.operation, key.fingerprint):
            asked.fail(Refused("key_reused", field="Idempotency-Key"))
            return
        position = self._position(row["position"])
        asked.answer(Answer(row["status"], row["body"], row["etag"], position, replayed=True))

    async def decide(
        self,
        connection: Connection,
        requests: Sequence[Request],
        known: Known,
        group: Group | None = None,
    ) -> list[Decided | Exception]:
        """Decides requests one after the other on what the log holds now; a refusal is the
        request's own outcome. What a `group` of this writer's moves must be in its hand.
        """
        wanted = {step.stream for request in requests for step in request.steps}
        await self._load(connection, known, wanted - known.streams.keys())
        outcomes: list[Decided | Exception] = []
        for n, request in enumerate(requests, start=1):
            outcome: Decided | Exception | None = None
            while outcome is None:
                try:
                    made = self.decider.decide(request, known)
                    if group is not None and not self._queue.widen(group, made.touched):
                        raise InOtherHands(made.touched)  # noqa: TRY301 - an outcome like others
                    known.streams.update(made.touched)
                    outcome = made
                except Missing as missing:
                    await self._load(connection, known, missing.streams)
                except Exception as error:  # noqa: BLE001 - the asker's answer
                    outcome = error
            outcomes.append(outcome)
            if isinstance(outcome, InOtherHands):
                # What follows may be meant to come after it, so it waits as well.
                return [*outcomes, *(InOtherHands(()) for _ in requests[n:])]
        return outcomes

    async def _load(
        self,
        connection: Connection,
        known: Known,
        streams: Iterable[UUID],
        keys: Sequence[tuple[str, str]] = (),
    ) -> Mapping[tuple[str, str], Mapping[str, Any]]:
        """Streams from the cache where it is at the head's version, else folded from the log; with
        them the stored answers of `keys`.
        """
        wanted = list(streams)
        if not wanted and not keys:
            return {}
        versions, answers = await store.read(connection, wanted, keys)
        found: dict[UUID, Stream | None] = dict.fromkeys(wanted)
        stale: list[UUID] = []
        for id_, version in versions.items():
            cached = self._cache.get(id_)
            if cached is not None and cached.version == version:
                found[id_] = cached
            else:
                stale.append(id_)
        if stale:
            found.update(await store.fold(connection, self.aggregates, stale, self.vault))
        known.load(found)
        return answers

    async def write(
        self,
        connection: Connection,
        decided: Sequence[Decided],
        known: Known,
        keys: Sequence[NewKey] = (),
    ) -> dict[UUID, Position]:
        """Writes events, heads, answers, views and due moments in one statement; returns each
        event's order key. Raises what `store.append` does.
        """
        await seal(self.vault, decided)
        events = [event for item in decided for event in item.events]
        final: dict[UUID, Stream] = {}
        for item in decided:
            final.update(item.touched)
        moves = [
            Move(s.id, s.aggregate, s.organisation, known.before[s.id], s.version)
            for s in final.values()
        ]
        by_aggregate: dict[str, list[Stream]] = defaultdict(list)
        for stream in final.values():
            by_aggregate[stream.aggregate].append(stream)
        lists = [
            (view, streams)
            for name, streams in by_aggregate.items()
            for view in self.aggregates[name].views
        ]
        parts = [part for listed in lists for part in views.parts(*listed, known.rows)]
        parts += due_parts(self.aggregates, by_aggregate, self.settings.late_entry_grace_s)
        parts += [*views.marks(lists), *own_places(events)]
        if not events and not keys:
            return {}
        with observe.APPENDS.labels(self.service.name).time():
            places = await store.append(connection, events, moves, keys, parts)
        marks = self._unsealed(final.values())
        passed = [s for s in marks if _passed_mark(known.before[s.id], s.version)]
        if passed:
            await store.keep_snapshots(connection, self.aggregates, passed)
        return places

    def _unsealed(self, streams: Iterable[Stream]) -> Iterable[Stream]:
        """Those that may be kept in the clear: nothing personal stays in memory or beside the log
        longer than it takes to decide on it.
        """
        return (s for s in streams if not is_personal(self.aggregates[s.aggregate]))

    def _answer(self, asked: Asked, item: Decided, known: Known) -> Answer:
        """The body that the caller gets, now and whenever the key is used again."""
        steps = asked.request.steps
        made: dict[UUID, list[UUID]] = defaultdict(list)
        for event in item.events:
            made[event.stream].append(event.id)
        results = [self._result(step, item, known, made[step.stream]) for step in steps]
        if asked.request.together:
            body = {"count": len(results), "results": results}
            return Answer(200, kept(body), None)
        created = steps[0].decision.creates and bool(item.events)
        stream = known.get(steps[0].stream, item)
        etag = stream.version if stream else 0
        return Answer(201 if created else 200, kept(results[0]), etag)

    def _result(
        self, step: Step, item: Decided, known: Known, events: Sequence[UUID]
    ) -> dict[str, object]:
        stream = known.get(step.stream, item)
        if stream is None:
            return {"id": step.stream, "version": 0, "events": []}
        result: dict[str, object] = {
            "id": stream.id, "version": stream.version, "events": events,
        }  # fmt: skip
        shown = self.aggregates[stream.aggregate].views[:1]
        for view in shown:
            rows = views.answer_rows(view, stream, known.rows)
            result["row"] = rows if view.many else (rows[0] if rows else None)
        return result

    def _remember(self, touched: Iterable[dict[UUID, Stream]]) -> None:
        for streams in touched:
            for stream in self._unsealed(streams.values()):
                self._cache[stream.id] = stream
                self._cache.move_to_end(stream.id)
        while len(self._cache) > self.settings.cache_streams:
            self._cache.popitem(last=False)


def _passed_mark(before: int, after: int) -> bool:
    return before // store.SNAPSHOT_EVERY < after // store.SNAPSHOT_EVERY
