"""When everything has caught up, and whether it is then as it should be: evidence put to checks."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
from aiokafka.errors import KafkaError

from tests.faults import checks, figures
from tests.faults.checks import Stored, Verdict
from tests.faults.evidence import Event, Reader, log_of
from tests.faults.ground import Ground, business_today
from tests.faults.load import Load

HEAL_S = 30.0
"""I7: so long after a fault has healed everything has caught up."""

WAIT_S = 120.0
"""So long it is waited for at all."""

POLL_S = 0.05
LOOK_S = 20.0
DAYS = 20
AWAY = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, KafkaError, TimeoutError)

_CONSUMED = "select consumer, topic, partition, next_offset, epoch, tx, seq from consumed"
_SENT = """
select (select count(*) from event) as events,
       not exists (select from event, relay where (event.epoch, event.tx, event.seq)
           > (relay.epoch, relay.tx, relay.seq)) as sent
"""


class NeverCaughtUp(Exception):  # noqa: N818 - says what is
    """Long after a fault has healed something is still behind."""


class Inspector:
    """Looks at a ground from outside. `poisoned`: events that nobody is meant to apply;
    `forgotten`: keys whose answers a restore has lost.
    """

    def __init__(self, ground: Ground) -> None:
        self.ground, self.rig = ground, ground.rig
        self.reader = Reader(ground.rig.kafka)
        self.poisoned: set[UUID] = set()
        self.forgotten: set[str] = set()
        self.last_behind = ""
        """What was behind last of all when it was last waited for."""
        self.born: frozenset[UUID] = frozenset()

    async def start(self) -> None:
        """What is in the logs now was there before the first command."""
        logs = [await self.log(service) for service in self.rig.services]
        self.born = frozenset(event.id for log in logs for event in log)

    async def stop(self) -> None:
        await self.reader.stop()

    async def log(self, service: str) -> list[Event]:
        return await log_of(await self.rig.pool(service), service)

    async def stored(self) -> list[Stored]:
        """What every consumer of every service says of how far it is."""
        return [
            Stored(service, row[0], row[1], row[2], row[3], tuple(row[4:]))
            for service in self.rig.services
            for row in await (await self.rig.pool(service)).fetch(_CONSUMED)
        ]

    async def behind(self) -> str:
        """What is not caught up; nothing where all is, and stayed so while it was looked at."""
        before = 0
        for service in self.rig.services:
            row = await (await self.rig.pool(service)).fetchrow(_SENT)
            assert row is not None
            before += row["events"]
            if not row["sent"]:
                return f"relay of {service}"
        ends = await self.reader.ends(f"houqin.{service}" for service in self.rig.services)
        for row in await self.stored():
            if row.next_offset != ends[row.topic][row.partition]:
                return f"{row.service}.{row.consumer} in {row.topic}/{row.partition}"
        after = 0
        for service in self.rig.services:
            after += await (await self.rig.pool(service)).fetchval("select count(*) from event")
        return "" if before == after else "what has just come"

    async def caught_up(self) -> float:
        """Waits until nothing is behind; how many seconds that took. Raises `NeverCaughtUp`."""
        return await self._until(self.behind)

    async def at_rest(self) -> None:
        """Waits until nothing is due in the next moments either, nor behind after that."""

        async def restless() -> str:
            for service in self.rig.services:
                soon = await (await self.rig.pool(service)).fetchval(
                    "select count(*) from due where at < now() + interval '3 seconds'"
                )
                if soon:
                    return f"{soon} due in {service}"
            return await self.behind()

        await self._until(restless)

    async def _until(self, behind: Callable[[], Awaitable[str]]) -> float:
        begun, what, self.last_behind = time.monotonic(), "?", ""
        while what:
            try:
                async with asyncio.timeout(LOOK_S):
                    what = await behind()
            except AWAY as error:
                what = repr(error)
            self.last_behind = what or self.last_behind
            if what and time.monotonic() - begun > WAIT_S:
                raise NeverCaughtUp(f"after {WAIT_S:g} s: {what}")
            await asyncio.sleep(POLL_S if what else 0)
        return time.monotonic() - begun

    async def verdict(self, load: Load, parked: frozenset[str] = frozenset()) -> Verdict:
        """Every check over all that has happened. `parked`: units whose events wait for repair,
        so that figures lack them.
        """
        found = Verdict(wrong=list(load.wrong))
        logs = {service: await self.log(service) for service in self.rig.services}
        topics = await self.reader.whole(f"houqin.{service}" for service in logs)
        for service, log in logs.items():
            asked = [one for one in load.asked if one.service == service]
            checks.acknowledged_once(found, asked, self.known(log), self.born)
            checks.marked_once(found, asked, self.known(log))
            await self._kept(found, load, service)
            checks.unbroken(found, log, await self._heads(service))
            checks.in_kafka(found, log, topics[f"houqin.{service}"])
        checks.offsets_true(found, await self.stored(), topics)
        await self._parked(found, parked)
        if not parked:
            await self._archive(found, logs)
        await self._money(found, logs)
        await self._deadlines(found, self.known(logs["safety"]))
        await self._figures(found, logs, parked)
        if not parked:
            due = figures.alerts_due(logs, frozenset(self.poisoned))
            figures.alerted_once(found, self.known(logs["reporting"]), due)
        return found

    def known(self, log: list[Event]) -> list[Event]:
        """Without what was put in to do harm."""
        return [event for event in log if event.id not in self.poisoned]

    async def _heads(self, service: str) -> dict[UUID, int]:
        rows = await (await self.rig.pool(service)).fetch("select stream, version from head")
        return {row[0]: row[1] for row in rows}

    async def _kept(self, found: Verdict, load: Load, service: str) -> None:
        rows = await (await self.rig.pool(service)).fetch(
            "select key, count(*) from idempotency group by key"
        )
        asked = [
            one for one in load.asked if one.service == service and one.key not in self.forgotten
        ]
        checks.answers_kept(found, asked, {row[0]: row[1] for row in rows})

    async def _parked(self, found: Verdict, parked: frozenset[str]) -> None:
        for service in self.rig.services:
            rows = await (await self.rig.pool(service)).fetch(
                "select consumer, topic, key, reason from parked_key"
            )
            found.wrong += [
                f"{service}.{row['consumer']} parked {row['key']}: {row['reason'][:300]}"
                for row in rows
                if str(row["key"]) not in parked
            ]

    async def _archive(self, found: Verdict, logs: dict[str, list[Event]]) -> None:
        kept: dict[str, Counter[UUID]] = {service: Counter() for service in logs}
        for source, id_ in await (await self.rig.pool("reporting")).fetch(
            "select source, id from archive"
        ):
            kept[source][id_] += 1
        known = {service: self.known(log) for service, log in logs.items()}
        checks.archived_once(found, kept, known)

    async def _money(self, found: Verdict, logs: dict[str, list[Event]]) -> None:
        procurement, assets = self.known(logs["procurement"]), self.known(logs["assets"])
        lines = figures.money_balances(found, procurement)
        schools = [school.id for school in self.ground.schools]
        figures.nothing_vanishes(found, assets, schools)
        budgets = await (await self.rig.pool("procurement")).fetch(
            "select stream, code, amount_cny, committed_cny, spent_cny from view_budget_lines"
        )
        ledger = await (await self.rig.pool("assets")).fetch(
            "select stream, organisation, gross_cny, place from view_asset_ledger"
        )
        figures.lists_agree(found, lines, budgets, assets, ledger)

    async def _deadlines(self, found: Verdict, log: list[Event]) -> None:
        due = await (await self.rig.pool("safety")).fetch("select stream from due")
        figures.deadlines_kept(found, log, {row[0] for row in due}, datetime.now(UTC))

    async def _figures(
        self, found: Verdict, logs: dict[str, list[Event]], parked: frozenset[str]
    ) -> None:
        """Each school's, each county's, the province's; of a parked school only that it says so."""
        sums = figures.folded(logs.values(), frozenset(self.poisoned))
        today, paths = business_today(), self.ground.paths
        first = today - timedelta(days=DAYS)
        # Some have happened later than it ever was, by clocks that were ahead.
        last = max([today, *(event.day for log in logs.values() for event in log)])
        for unit, person in self.ground.lookers.items():
            answer = await self._ask(person, unit, f"{first}..{last}")
            below = [place for place, path in paths.items() if unit in path]
            if not parked.isdisjoint(below):
                waiting = {key for reach in answer["as_of"] for key in reach["waiting"]}
                missing = sorted(parked & set(below) - waiting)
                found.wrong += [f"{one} waits, and its figures do not say so" for one in missing]
                continue
            figures.as_shown(found, sums, answer, unit, set(below).__contains__, first)

    async def _ask(self, person: str, unit: str, period: str) -> dict[str, Any]:
        answer: dict[str, Any] = await self.ground.world.api.read(
            person, "/reporting/figures", unit=unit, period=period,
            measures=",".join(figures.MEASURES),
        )  # fmt: skip
        return answer
