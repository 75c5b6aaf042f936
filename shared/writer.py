"""The write path: requests are loaded together, decided in memory, appended in one transaction.

Each request (one command, or several that stand or fall together) is accepted, refused or retried
by itself. A group that loses a race writes nothing and is decided anew, one request at a time.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
import msgspec

from shared import store, views
from shared.config import Settings
from shared.decide import Decided, Decider, Known, Missing, Request, Step
from shared.directory import Directory
from shared.failpoint import failpoint
from shared.kernel import Service
from shared.store import Connection, Move, NewKey, Stream

ATTEMPTS = 6
"""How often a request that loses a race is decided anew before the caller is told (409)."""


class KeyReused(Exception):  # noqa: N818 - a no, not a fault
    """The idempotency key was used before, for another command."""


@dataclass(frozen=True, slots=True)
class Key:
    """An idempotency key of one person, with the fingerprint of what was asked under it."""

    subject: str
    key: str
    operation: str
    fingerprint: bytes


class Answer(msgspec.Struct, frozen=True):
    """What a request came to: status and body as answered, the stream's version as ETag."""

    status: int
    body: bytes
    etag: int | None
    replayed: bool = False


@dataclass(slots=True, eq=False)
class Asked:
    """A request waiting for its answer."""

    request: Request
    key: Key | None = None
    attempts: int = 0
    done: asyncio.Future[Answer] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )

    def fail(self, error: BaseException) -> None:
        """Tells the asker why not."""
        if not self.done.done():
            self.done.set_exception(error)

    def answer(self, answer: Answer) -> None:
        """Tells the asker what came of it."""
        if not self.done.done():
            self.done.set_result(answer)


class Writer:
    """Takes requests and writes them in groups. One per process and service."""

    def __init__(
        self,
        service: Service,
        pool: asyncpg.Pool[asyncpg.Record],
        directory: Directory,
        settings: Settings,
    ) -> None:
        self.service, self.pool, self.settings = service, pool, settings
        self.aggregates = {aggregate.name: aggregate for aggregate in service.aggregates}
        self.decider = Decider(service.aggregates, directory, settings.posts_age_s_max)
        self.on_commit: list[Callable[[], None]] = []
        self.epoch = 1
        self._cache: OrderedDict[UUID, Stream] = OrderedDict()
        self._waiting: list[Asked] = []
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begins to take requests."""
        async with self.pool.acquire() as connection:
            self.epoch = await store.epoch_of(connection)
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Answers what is waiting, then ends."""
        while self._waiting:
            await asyncio.wait([asked.done for asked in self._waiting])
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def ask(self, request: Request, key: Key | None = None) -> Answer:
        """Decides and writes a request; raises what refuses it."""
        asked = Asked(request, key)
        self._waiting.append(asked)
        self._wake.set()
        return await asked.done

    async def _run(self) -> None:
        while True:
            if not self._waiting:
                self._wake.clear()
                await self._wake.wait()
            alone = self._waiting[0].attempts > 0
            size = 1 if alone else self.settings.group_size
            group, self._waiting = self._waiting[:size], self._waiting[size:]
            await self._settle(group)

    async def _settle(self, group: Sequence[Asked]) -> None:
        """Writes a group and answers it, whatever happens to it."""
        try:
            async with self.pool.acquire() as connection:
                await self._write_group(connection, group)
        except (store.Conflict, asyncpg.DeadlockDetectedError):
            again = [asked for asked in group if not asked.done.done()]
            for asked in again:
                asked.attempts += 1
                if asked.attempts >= ATTEMPTS:
                    asked.fail(store.Conflict())
            self._waiting[:0] = [asked for asked in again if not asked.done.done()]
        except Exception as error:  # noqa: BLE001 - each asker is told; the writer goes on
            for asked in group:
                asked.fail(error)

    async def _write_group(self, connection: Connection, group: Sequence[Asked]) -> None:
        pending = await self._replay(connection, group)
        known = Known()
        outcomes = await self.decide(connection, [asked.request for asked in pending], known)
        decided: list[tuple[Asked, Decided]] = []
        for asked, outcome in zip(pending, outcomes, strict=True):
            if isinstance(outcome, Decided):
                decided.append((asked, outcome))
            else:
                asked.fail(outcome)
        if not decided:
            return
        failpoint("append.before")
        async with connection.transaction():
            places = await self.write(connection, [item for _, item in decided], known)
            answers = [self._answer(asked, item, known, places) for asked, item in decided]
            keys = [
                NewKey(k.subject, k.key, k.operation, k.fingerprint, a.status, a.etag, a.body)
                for (asked, _), a in zip(decided, answers, strict=True)
                if (k := asked.key)
            ]
            if keys:
                await store.keep_answers(connection, keys)
        failpoint("append.after_commit")
        self._remember(item.touched for _, item in decided)
        self.committed()
        for (asked, _), answer in zip(decided, answers, strict=True):
            asked.answer(answer)

    def committed(self) -> None:
        """Tells relay, timers and tails of this process that the log has moved."""
        for notify in self.on_commit:
            notify()

    async def _replay(self, connection: Connection, group: Sequence[Asked]) -> list[Asked]:
        """Answers what was answered before; of two under one key, the second waits its turn."""
        first: dict[tuple[str, str], Asked] = {}
        for asked in group:
            if asked.key:
                first.setdefault((asked.key.subject, asked.key.key), asked)
        known = await store.answers(connection, list(first)) if first else {}
        pending: list[Asked] = []
        for asked in group:
            name = (asked.key.subject, asked.key.key) if asked.key else None
            row = known.get(name) if name else None
            if row is not None and asked.key is not None:
                same = (row["operation"], row["fingerprint"]) == (
                    asked.key.operation,
                    asked.key.fingerprint,
                )
                if same:
                    asked.answer(Answer(row["status"], row["body"], row["etag"], replayed=True))
                else:
                    asked.fail(KeyReused())
            elif name is None or first[name] is asked:
                pending.append(asked)
            else:
                self._waiting.append(asked)
        return pending

    async def decide(
        self, connection: Connection, requests: Sequence[Request], known: Known
    ) -> list[Decided | Exception]:
        """Decides requests one after the other on what the log holds now; a refusal is the
        request's own outcome.
        """
        wanted = {step.stream for request in requests for step in request.steps}
        await self._load(connection, known, wanted)
        outcomes: list[Decided | Exception] = []
        for request in requests:
            outcome: Decided | Exception | None = None
            while outcome is None:
                try:
                    outcome = self.decider.decide(request, known)
                    known.streams.update(outcome.touched)
                except Missing as missing:
                    await self._load(connection, known, missing.streams)
                except Exception as error:  # noqa: BLE001 - the asker's answer
                    outcome = error
            outcomes.append(outcome)
        return outcomes

    async def _load(self, connection: Connection, known: Known, streams: Iterable[UUID]) -> None:
        """Streams from the cache where it is at the head's version, else folded from the log."""
        wanted = list(streams)
        heads = await store.heads(connection, wanted)
        found: dict[UUID, Stream | None] = dict.fromkeys(wanted)
        stale: list[UUID] = []
        for id_, (_, _, version) in heads.items():
            cached = self._cache.get(id_)
            if cached is not None and cached.version == version:
                found[id_] = cached
            else:
                stale.append(id_)
        if stale:
            found.update(await store.fold(connection, self.aggregates, stale))
        known.load(found)

    async def write(
        self, connection: Connection, decided: Sequence[Decided], known: Known
    ) -> dict[UUID, str]:
        """Writes events (first of all), heads, views and due moments in the caller's transaction;
        returns each event's order key. Raises `store.Conflict`.
        """
        events = [event for item in decided for event in item.events]
        if not events:
            return {}
        final: dict[UUID, Stream] = {}
        for item in decided:
            final.update(item.touched)
        moves = [
            Move(s.id, s.aggregate, s.organisation, known.before[s.id], s.version)
            for s in final.values()
        ]
        places = await store.append(connection, events, moves)
        by_aggregate: dict[str, list[Stream]] = defaultdict(list)
        for stream in final.values():
            by_aggregate[stream.aggregate].append(stream)
        for name, streams in by_aggregate.items():
            for view in self.aggregates[name].views:
                await views.write(connection, view, streams)
        await self._schedule(connection, by_aggregate)
        kept = [s for s in final.values() if _passed_mark(known.before[s.id], s.version)]
        if kept:
            await store.keep_snapshots(connection, self.aggregates, kept)
        return {
            event.id: f"{self.epoch}.{tx}.{seq}"
            for event, (tx, seq) in zip(events, places, strict=True)
        }

    async def _schedule(
        self, connection: Connection, by_aggregate: dict[str, list[Stream]]
    ) -> None:
        """Moves the due moments of streams that have a timer."""
        now = datetime.now(UTC)
        late = now + timedelta(seconds=self.settings.late_entry_grace_s)
        rows: list[tuple[UUID, str, datetime | None]] = []
        for name, streams in by_aggregate.items():
            timer = self.aggregates[name].timer
            if timer is None or timer.timer is None:
                continue
            for stream in streams:
                at = timer.timer(stream.state)
                rows.append((stream.id, name, late if at and at <= now else at))
        if rows:
            await connection.execute(
                "with t as (select * from unnest($1::uuid[], $2::text[], $3::timestamptz[])"
                " as t(stream, aggregate, at)),"
                " gone as (delete from due using t where due.stream = t.stream and t.at is null)"
                " insert into due select * from t where at is not null"
                " on conflict (stream) do update set at = excluded.at",
                *map(list, zip(*rows, strict=True)),
            )

    def _answer(self, asked: Asked, item: Decided, known: Known, places: dict[UUID, str]) -> Answer:
        """The body that the caller gets, now and whenever the key is used again."""
        steps = asked.request.steps
        results = [self._result(step, item, known, places) for step in steps]
        if len(steps) > 1:
            body = {"count": len(results), "results": results}
            return Answer(200, msgspec.json.encode(body), None)
        created = steps[0].decision.creates and bool(item.events)
        stream = known.get(steps[0].stream, item)
        etag = stream.version if stream else 0
        return Answer(201 if created else 200, msgspec.json.encode(results[0]), etag)

    def _result(
        self, step: Step, item: Decided, known: Known, places: dict[UUID, str]
    ) -> dict[str, object]:
        stream = known.get(step.stream, item)
        if stream is None:
            return {"id": step.stream, "version": 0, "events": []}
        events = [event.id for event in item.events if event.stream == stream.id]
        result: dict[str, object] = {
            "id": stream.id, "version": stream.version, "events": events,
        }  # fmt: skip
        if item.events:
            result["position"] = f"{self.service.name};{places[item.events[-1].id]}"
        shown = self.aggregates[stream.aggregate].views[:1]
        for view in shown:
            rows = views.answer_rows(view, stream)
            result["row"] = rows if view.many else (rows[0] if rows else None)
        return result

    def _remember(self, touched: Iterable[dict[UUID, Stream]]) -> None:
        for streams in touched:
            for id_, stream in streams.items():
                self._cache[id_] = stream
                self._cache.move_to_end(id_)
        while len(self._cache) > self.settings.cache_streams:
            self._cache.popitem(last=False)


def _passed_mark(before: int, after: int) -> bool:
    return before // store.SNAPSHOT_EVERY < after // store.SNAPSHOT_EVERY
