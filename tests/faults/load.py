"""Many people at once: every command is asked until its outcome is known, and every answer kept.

Where an outcome is unknown (the line broke, the service died, or said so), the same command is
asked again under the same key. What was answered is written down here, in memory, and is what the
logs are later held against.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.faults.commands import Act, Desk, Pen
from tests.faults.ground import ROLES, Ground, School

UNKNOWN = frozenset({500, 502, 503, 504})
"""What leaves open whether it was written."""

UNFORESEEN = 500
NOT_NOW = 409
"""Nothing was written, because too many others were; to be asked again."""

SIGN_IN_AGAIN = 401
STALE = 412
REUSED = 422
PACE_S = 0.05
SILENCE_S = 1.5
"""Nobody has been answered for so long: whatever is broken holds everybody up."""

PATIENCE_S = 90.0
"""Longer than that nobody should have to ask."""


@dataclass
class Asked:
    """A command, how often its outcome was unknown, and what it came to in the end."""

    person: str
    service: str
    command: str
    path: str
    body: bytes
    headers: dict[str, str]
    allowed: frozenset[int]
    unknown: int = 0
    status: int = 0
    events: tuple[str, ...] = ()
    stream: str = ""
    version: int = 0
    answer: bytes = b""

    @property
    def key(self) -> str:
        return self.headers["Idempotency-Key"]

    def take(self, status: int, body: dict[str, Any], answer: bytes) -> None:
        """Notes the outcome."""
        self.status, self.answer = status, answer
        if status < 300:
            self.events, self.stream = tuple(body["events"]), body["id"]
            self.version = body["version"]


@dataclass
class Load:
    """What people ask, round by round."""

    ground: Ground
    desk: Desk
    per_person: int
    asked: list[Asked] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    """What should not have been answered so."""
    attempts: int = 0
    """Requests sent, again and again counted."""
    turned_away: int = 0
    """Answers that said that something is not as it should be (5xx)."""
    _answered_at: float = 0.0
    _tags: dict[str, str] = field(default_factory=dict)
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)

    @property
    def size(self) -> int:
        """Commands in a round, more or less: some are batches."""
        return len(self.ground.schools) * len(ROLES) * self.per_person

    def start(self, number: int) -> None:
        """Everybody begins with round `number`."""
        self._answered_at = time.monotonic()
        self._tasks = [
            asyncio.create_task(self._person(number, school, role))
            for school in self.ground.schools
            for role in ROLES
        ]

    async def finish(self) -> None:
        """Everybody finishes what he is at: nothing is left unknown."""
        try:
            await asyncio.gather(*self._tasks)
        finally:
            await self.abandon()
        self.desk.turn()

    async def abandon(self) -> None:
        """Everybody drops what he is at."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    @property
    def over(self) -> bool:
        """Whether everybody has done what he had to."""
        return all(task.done() for task in self._tasks)

    async def reached(self, attempts: int) -> None:
        """Waits until so many requests have been sent in all, until nobody is answered any more,
        or until there is nothing left to ask.
        """
        while self.attempts < attempts and not self.over:
            for task in self._tasks:
                if task.done():
                    task.result()
            if time.monotonic() - self._answered_at > SILENCE_S:
                return
            await asyncio.sleep(0.01)

    async def more(self, attempts: int) -> None:
        """The same, counted from now."""
        await self.reached(self.attempts + attempts)

    async def nudge(
        self, role: str, act: Callable[[Pen], Act], until: Callable[[], bool], name: str
    ) -> int:
        """Has the same asked, school after school, until something has happened; how often."""
        number = 0
        while not until():
            school = self.ground.schools[number % len(self.ground.schools)]
            pen = self.desk.pen(f"{name}.n{number}", school)
            await self.ask(self.command(pen, role, act(pen)))
            number += 1
        return number

    async def _person(self, number: int, school: School, role: str) -> None:
        mine: list[Asked] = []
        for turn in range(self.per_person):
            pen = self.desk.pen(f"{number}.{school.code}.{role}.{turn}", school)
            manner = pen.chance.random()
            if manner < 0.1 and mine:
                await self.again(pen.chance.choice(mine))
            elif manner < 0.14 and mine:
                await self._other_body(pen.chance.choice(mine))
            elif manner < 0.26:
                await self._batch(pen, role, pen.chance.randint(2, 5))
            else:
                one = self.command(pen, role, self.desk.write(pen, role))
                await self.ask(one)
                mine += [one] if one.events else []

    def command(self, pen: Pen, role: str, act: Act) -> Asked:
        """The act as it is sent; some of them with the version that was seen last."""
        headers, allowed, manner = {"Idempotency-Key": pen.key}, act.allowed, pen.chance.random()
        if act.hot and manner < 0.3:
            stale = manner < 0.1
            headers["If-Match"] = '"1000000"' if stale else self._tags.get(act.id, '"1"')
            allowed = frozenset({STALE}) if stale else allowed | {STALE}
        body = json.dumps(act.body).encode()
        made = Asked(
            pen.school.person(role), act.service, act.command, act.path, body, headers, allowed
        )
        self.asked.append(made)
        return made

    async def ask(self, one: Asked, door: str = "") -> None:
        """Sends a command until its outcome is known; by another door than all others, if named."""
        answer = await self._answered(one, door)
        one.take(answer.status_code, answer.json(), answer.content)
        if "etag" in answer.headers:
            self._tags[one.stream] = answer.headers["etag"]
        if one.status not in one.allowed:
            self.wrong.append(f"{one.key} {one.command}: {one.status} {one.answer[:300]!r}")

    async def again(self, one: Asked, door: str = "") -> None:
        """A command taken before is sent again: the same answer, and no second effect."""
        answer = await self._answered(one, door)
        same = answer.content == one.answer and answer.headers.get("idempotent-replayed") == "true"
        if not same:
            self.wrong.append(f"{one.key} repeated: {answer.status_code} {answer.content[:300]!r}")

    async def _other_body(self, one: Asked) -> None:
        """Another command under a key that was used: refused, whatever it is."""
        other = Asked(
            one.person,
            one.service,
            one.command,
            one.path,
            one.body + b" ",
            one.headers,
            one.allowed,
        )
        answer = await self._answered(other)
        if answer.status_code != REUSED:
            self.wrong.append(f"{one.key} reused: {answer.status_code} {answer.content[:300]!r}")

    async def _batch(self, pen: Pen, role: str, size: int) -> None:
        """Several commands to one service at once, each with a key of its own."""
        rows: list[dict[str, Any]] = []
        parts: list[Asked] = []
        service = ""
        for number in range(size):
            own = Pen(
                pen.chance, pen.school, pen.ground, pen.shelf, f"{pen.key}.b{number}", pen.began
            )
            act = self.desk.write(own, role)
            if act.service == (service := service or act.service):
                row = {"key": own.key, "command": act.command, "body": act.body}
                rows.append(row | ({"id": act.id} if act.id else {}))
                parts.append(
                    Asked(
                        pen.school.person(role), service, act.command, "", b"",
                        {"Idempotency-Key": own.key}, act.allowed,
                    )
                )  # fmt: skip
        await self.ask_batch(rows, parts, pen.key)

    async def ask_batch(
        self, rows: Sequence[dict[str, Any]], parts: Sequence[Asked], key: str
    ) -> None:
        """Sends commands of one person to one service at once, until each outcome is known."""
        self.asked += parts
        service, body = parts[0].service, json.dumps({"commands": rows}).encode()
        whole = Asked(
            parts[0].person, service, "batch", f"/{service}/batch", body,
            {"Idempotency-Key": key}, frozenset({200}),
        )  # fmt: skip
        while any(part.status == 0 for part in parts):
            answer = await self._answered(whole)
            for part, result in zip(parts, answer.json()["results"], strict=True):
                part.unknown = whole.unknown
                if result["status"] not in UNKNOWN | {NOT_NOW}:
                    told = result.get("body") or result.get("problem")
                    part.take(result["status"], told, json.dumps(told).encode())
        self.wrong += [
            f"{part.key} {part.command} in a batch: {part.status} {part.answer[:300]!r}"
            for part in parts
            if part.status not in part.allowed
        ]

    async def _answered(self, one: Asked, door: str = "") -> httpx.Response:
        api, deadline = self.ground.world.api, time.monotonic() + PATIENCE_S
        url = door + one.path if door else api.url(one.path)
        while True:
            headers = {"Authorization": f"Bearer {await api.token(one.person)}", **one.headers}
            self.attempts += 1
            signed_in = True
            try:
                answer = await api.client.post(url, content=one.body, headers=headers)
            except httpx.TransportError as error:
                why = repr(error)
            else:
                why = f"{answer.status_code} {answer.text[:200]}"
                self.turned_away += answer.status_code in UNKNOWN
                if answer.status_code == SIGN_IN_AGAIN:
                    api.forget(one.person)
                    signed_in = False
                elif answer.status_code == UNFORESEEN:
                    self.wrong.append(f"{one.key} {one.command}: {why}")
                elif answer.status_code not in UNKNOWN | {NOT_NOW}:
                    self._answered_at = time.monotonic()
                    return answer
            one.unknown += signed_in
            if time.monotonic() > deadline:
                raise TimeoutError(f"{one.key} {one.path} is never answered: {why}")
            await asyncio.sleep(PACE_S)
