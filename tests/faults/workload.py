"""Many people at once, on things that they share: accepted, refused, conflicting, repeated, batched.

Every command has a key. Where its outcome is unknown (the service died, or said so), the same
command is asked again under the same key until somebody answers; what was acknowledged is written
down here, in memory, and is what the log is later held against.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import httpx

from tests.world import World

SERVICE = "procurement"
UNKNOWN = {502, 503, 504}
"""What leaves open whether it was written."""

NOT_NOW = 409
"""Nothing was written, because too many others were; to be asked again."""


@dataclass
class Asked:
    """A command, how often its outcome was unknown, and what it came to in the end."""

    person: str
    path: str
    body: bytes
    headers: dict[str, str]
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
    """What people do to the budgets that they answer for, until told to stop."""

    world: World
    budgets: dict[str, list[str]]
    """Whose: person -> ids; several people share each."""
    seed: int = 1
    asked: list[Asked] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    """What should not have been answered so."""
    _stop: asyncio.Event = field(default_factory=asyncio.Event)
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)
    _tags: dict[str, str] = field(default_factory=dict)

    @property
    def acknowledged(self) -> list[Asked]:
        """What was answered as taken and made an event."""
        return [one for one in list(self.asked) if one.events]

    async def start(self) -> None:
        """Everybody begins."""
        self._stop.clear()
        for number, person in enumerate(self.budgets):
            await self.world.api.token(person)
            chance = random.Random(self.seed * 1000 + number)
            self._tasks.append(asyncio.create_task(self._person(person, chance)))
        self.seed += 1

    async def stop(self) -> None:
        """Everybody finishes what he is at: nothing is left unknown."""
        self._stop.set()
        await asyncio.gather(*self._tasks)
        self._tasks.clear()

    async def until(self, more: int) -> None:
        """Waits until so many more commands have been acknowledged; ends early if someone failed."""
        wanted = len(self.acknowledged) + more
        async with asyncio.timeout(60):
            while len(self.acknowledged) < wanted:
                for task in self._tasks:
                    if task.done():
                        task.result()
                await asyncio.sleep(0.02)

    async def _person(self, person: str, chance: random.Random) -> None:
        doing: list[tuple[int, Callable[[str, random.Random], Any]]] = [
            (5, self._amend), (1, self._refused), (2, self._expecting), (1, self._stale),
            (2, self._repeat), (2, self._batch),
        ]  # fmt: skip
        weights, acts = zip(*doing, strict=True)
        while not self._stop.is_set():
            (act,) = chance.choices(acts, weights)
            await act(person, chance)

    def _body(self, chance: random.Random, line: str = "food") -> dict[str, Any]:
        cents = chance.randrange(100_000_000)
        amount = f"{cents // 100}.{cents % 100:02}"
        return {"line": line, "amount_cny": amount, "reason": "负载中的调整"}

    def _command(self, person: str, chance: random.Random, **headers: str) -> Asked:
        budget = chance.choice(self.budgets[person])
        body = json.dumps(self._body(chance)).encode()
        path = f"/{SERVICE}/budgets/{budget}/amend"
        made = Asked(person, path, body, {"Idempotency-Key": uuid4().hex, **headers})
        self.asked.append(made)
        return made

    async def _amend(self, person: str, chance: random.Random) -> None:
        made = self._command(person, chance)
        await self.ask(made)
        if made.status != 200:
            self.wrong.append(f"amend: {made.status} {made.answer!r}")

    async def _refused(self, person: str, chance: random.Random) -> None:
        made = self._command(person, chance)
        made.body = json.dumps(self._body(chance, "nowhere")).encode()
        await self.ask(made)
        if made.status != 422:
            self.wrong.append(f"an unknown line: {made.status}")

    async def _expecting(self, person: str, chance: random.Random) -> None:
        """With the version seen last: whoever else was quicker makes it stale."""
        budget = chance.choice(self.budgets[person])
        tag = self._tags.get(budget, '"1"')
        made = self._command(person, chance, **{"If-Match": tag})
        made.path = f"/{SERVICE}/budgets/{budget}/amend"
        await self.ask(made)
        if made.status not in {200, 412}:
            self.wrong.append(f"an expected version: {made.status}")

    async def _stale(self, person: str, chance: random.Random) -> None:
        made = self._command(person, chance, **{"If-Match": '"1000000"'})
        await self.ask(made)
        if made.status != 412:
            self.wrong.append(f"a version that is not: {made.status}")

    async def _repeat(self, person: str, chance: random.Random) -> None:
        """A command acknowledged long ago is sent again: the same bytes, and no second effect."""
        mine = [a for a in self.acknowledged if a.person == person and a.path.endswith("amend")]
        if not mine:
            return
        one = chance.choice(mine)
        answer = await self._answered(one)
        same = answer.content == one.answer and answer.headers.get("idempotent-replayed") == "true"
        if not same:
            self.wrong.append(f"repeated: {answer.status_code} {answer.content!r}")

    async def _batch(self, person: str, chance: random.Random) -> None:
        rows = []
        for _ in range(chance.randint(2, 6)):
            budget = chance.choice(self.budgets[person])
            row = {
                "key": uuid4().hex,
                "command": "AmendBudget",
                "id": budget,
                "body": self._body(chance),
            }
            if chance.random() < 0.2:
                row["body"] = self._body(chance, "nowhere")
            rows.append(row)
        body = json.dumps({"commands": rows}).encode()
        parts = [Asked(person, "", b"", {"Idempotency-Key": str(row["key"])}) for row in rows]
        self.asked += parts
        whole = Asked(person, f"/{SERVICE}/batch", body, {"Idempotency-Key": uuid4().hex})
        while any(part.status == 0 for part in parts):
            answer = await self._answered(whole)
            for part, result in zip(parts, answer.json()["results"], strict=True):
                part.unknown = whole.unknown
                if result["status"] not in UNKNOWN | {NOT_NOW}:
                    told = result.get("body", {})
                    part.take(result["status"], told, json.dumps(told).encode())
        if {part.status for part in parts} - {200, 422}:
            self.wrong.append(f"batch: {[part.status for part in parts]}")

    async def ask(self, one: Asked) -> None:
        """Sends a command until its outcome is known."""
        answer = await self._answered(one)
        one.take(answer.status_code, answer.json(), answer.content)
        if "etag" in answer.headers:
            self._tags[one.path.split("/")[3]] = answer.headers["etag"]

    async def _answered(self, one: Asked) -> httpx.Response:
        api = self.world.api
        headers = {"Authorization": f"Bearer {await api.token(one.person)}", **one.headers}
        while True:
            try:
                answer = await api.client.post(api.url(one.path), content=one.body, headers=headers)
            except httpx.TransportError:
                one.unknown += 1
                await self.world.stack.until_ready(SERVICE)
                continue
            if answer.status_code == NOT_NOW:
                continue
            if answer.status_code not in UNKNOWN:
                return answer
            one.unknown += 1
            await self.world.stack.until_ready(SERVICE)
