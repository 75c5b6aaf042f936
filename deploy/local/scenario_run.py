"""Enters a planned scenario through the public APIs, batch by batch, as its people.

Every command has its own idempotency key that is the same in each run of the file: a second run
enters nothing twice, and one that was killed goes on where it stopped. A command that is refused
ends the run, with the service's own words.
"""

from __future__ import annotations

import asyncio
import contextlib
import difflib
import hashlib
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import msgspec

from deploy.local.scenario import Complaint, Wrong
from deploy.local.scenario_ground import ADMINISTRATOR, Phase, Planned, Wave
from deploy.local.scenario_plan import Plan
from deploy.local.scenario_values import Meaningless, settled

BATCH = 500
"""Commands in one request; the services take 1,000."""

PATIENCE_S = 30.0
"""How long a service that is away or behind is asked again."""

RETRY = frozenset({401, 409, 502, 503, 504})
"""Answers after which the same command, under the same key, may well be taken."""

type Tell = Callable[[str], None]
type Fetch = Callable[[str], Awaitable[str]]
"""A person's access token."""


@dataclass(frozen=True, slots=True)
class Operation:
    """A command as its service declares it in its OpenAPI document."""

    name: str
    path: str
    fields: frozenset[str]
    required: frozenset[str]

    @property
    def about(self) -> bool:
        """Whether it is about a thing that is there already."""
        return "{id}" in self.path


@dataclass(slots=True)
class Entered:
    """What has come of it: answers by key, the last place in each service's log, and how long."""

    answers: dict[str, dict[str, Any]] = field(default_factory=dict)
    positions: dict[str, tuple[int, ...]] = field(default_factory=dict)
    seconds: float = 0.0

    def note(self, key: str, answer: dict[str, Any]) -> None:
        """Keeps an answer, and how far the log has got with it."""
        self.answers[key] = answer
        service, _, place = str(answer.get("position") or "").partition(";")
        if place:
            at = tuple(map(int, place.partition(";")[0].split(".")))
            self.positions[service] = max(self.positions.get(service, at), at)

    def after(self, service: str) -> str | None:
        """The header value that waits for all that was entered there."""
        at = self.positions.get(service)
        return None if at is None else f"{service};{'.'.join(map(str, at))}"


class Shown:
    """The refusals that were shown as expected, in a file of the state folder.

    A service keeps no refusals, and what was refused then may be so already now: once shown, such a
    command is not sent again.
    """

    def __init__(self, file: Path | None) -> None:
        self.file = file
        known = file is not None and file.exists()
        self.marks = set(file.read_text().split()) if file is not None and known else set()

    def __contains__(self, one: Planned) -> bool:
        return self._mark(one) in self.marks

    def add(self, one: Planned) -> None:
        """Remembers that it was refused as expected."""
        self.marks.add(self._mark(one))
        if self.file is not None:
            with self.file.open("a") as stream:
                stream.write(f"{self._mark(one)}\n")

    def _mark(self, one: Planned) -> str:
        text = f"{one.key} {one.who} {one.operation} {one.body} {one.target} {one.expect_refusal}"
        return hashlib.sha256(text.encode()).hexdigest()


class Runner:
    """Sends a plan. `token` gives a person's access token; `tell` shows progress; `memory`: the
    file that keeps which refusals have been shown.
    """

    def __init__(
        self, file: Path, urls: dict[str, str], token: Fetch, tell: Tell, *,
        client: httpx.AsyncClient, memory: Path | None = None, patience_s: float = PATIENCE_S,
    ) -> None:  # fmt: skip
        self.file, self.urls, self.fetch, self.tell = file, urls, token, tell
        self.client, self.patience_s = client, patience_s
        self.operations: dict[str, dict[str, Operation]] = {}
        self.entered, self.shown = Entered(), Shown(memory)
        self.tokens: dict[str, str] = {}
        self._informed: dict[str, str] = {}

    async def enter(self, plan: Plan) -> Entered:
        """Sends everything; raises `Wrong` with what is refused, or does not fit a service."""
        began = time.monotonic()
        every = [one for phase in plan.phases for wave in phase.waves for one in wave]
        await self._learn({one.service for one in every})
        self._check(every)
        await self._sign_in({ADMINISTRATOR, *(one.who for one in every)})
        for phase in plan.phases:
            await self._phase(phase)
        self.entered.seconds = time.monotonic() - began
        return self.entered

    async def _learn(self, services: Iterable[str]) -> None:
        """Reads which commands the services have."""
        known = [name for name in services if name in self.urls]
        documents = await asyncio.gather(*map(self._document, known))
        for name, document in zip(known, documents, strict=True):
            self.operations[name] = operations_of(document)

    async def _document(self, service: str) -> dict[str, Any]:
        answer = await self.client.get(f"{self.urls[service]}/{service}/openapi.json")
        answer.raise_for_status()
        return dict(answer.json())

    def _check(self, every: Sequence[Planned]) -> None:
        """Refuses commands that no service has, and fields that no command has."""
        found = {
            (complaint.line, complaint.zh): complaint
            for one in every
            for complaint in misfits(one, self.operations)
        }
        if found:
            raise Wrong(self.file, list(found.values()))

    def operation(self, one: Planned) -> Operation:
        """The operation that a planned command names."""
        return self.operations[one.service][one.operation]

    async def _sign_in(self, people: Iterable[str]) -> None:
        wanted = [person for person in people if person not in self.tokens]
        fetched = await asyncio.gather(*map(self.fetch, wanted))
        self.tokens.update(zip(wanted, fetched, strict=True))

    async def _phase(self, phase: Phase) -> None:
        began = time.monotonic()
        for wave in phase.waves:
            await self._inform({one.service for one in wave})
            await self._wave(wave)
        took = time.monotonic() - began
        self.tell(f"录入 {phase.zh} · {phase.en}: {phase.count} 条 commands, {took:.1f} s")

    async def _inform(self, services: Iterable[str]) -> None:
        """Waits until services know the units and posts that were entered before."""
        after = self.entered.after("organisation")
        if after is None:
            return
        late = [name for name in services if self._informed.get(name) != after]
        own = self.tokens[ADMINISTRATOR]
        await asyncio.gather(
            *(
                self._reached(self._batch_url(name), own, after)
                for name in late
                if name != "organisation"
            )
        )
        self._informed.update(dict.fromkeys(late, after))

    def _batch_url(self, service: str) -> str:
        return f"{self.urls[service]}/{service}/batch"

    async def _wave(self, wave: Wave) -> None:
        """Sends a wave, all its batches at once; raises `Wrong` if a command is refused."""
        groups: dict[tuple[str, str], list[Planned]] = defaultdict(list)
        for one in wave:
            groups[one.group].append(one)
        told = await asyncio.gather(*map(self._group, groups.values()))
        complaints = {(one.line, one.more[:2]): one for some in told for one in some}
        if complaints:
            raise Wrong(self.file, list(complaints.values()))

    async def _group(self, group: Sequence[Planned]) -> list[Complaint]:
        complaints: list[Complaint] = []
        for start in range(0, len(group), BATCH):
            complaints += await self._batch(group[start : start + BATCH])
        return complaints

    async def _batch(self, batch: Sequence[Planned]) -> list[Complaint]:
        """Sends a batch until each of it is answered for good; what is refused is returned."""
        complaints: list[Complaint] = []
        rows: list[tuple[Planned, dict[str, Any]]] = []
        for one in batch:
            if one.expect_refusal and one in self.shown:
                continue
            try:
                rows.append((one, self._row(one)))
            except Meaningless as error:
                complaints.append(Complaint(one.line, error.zh, error.en))
        deadline = time.monotonic() + self.patience_s
        while rows:
            results = await self._post(rows, deadline)
            last = time.monotonic() > deadline
            again: list[tuple[Planned, dict[str, Any]]] = []
            for (one, row), result in zip(rows, results, strict=True):
                if result["status"] in RETRY and not last:
                    again.append((one, row))
                else:
                    complaints += self._settle(one, result)
            rows = again
            if rows:
                await asyncio.sleep(0.2)
        return complaints

    def _row(self, one: Planned) -> dict[str, Any]:
        answers = self.entered.answers
        row = {
            "key": one.key,
            "command": self.operation(one).name,
            "body": settled(one.body, answers),
        }
        return row if one.target is None else {**row, "id": settled(one.target, answers)}

    async def _post(
        self, rows: Sequence[tuple[Planned, dict[str, Any]]], deadline: float
    ) -> list[dict[str, Any]]:
        """The results of one request; a service that is away is waited for. Raises `Wrong`."""
        first = rows[0][0]
        content = msgspec.json.encode({"commands": [row for _, row in rows]})
        while True:
            why = ""
            try:
                answer = await self.client.post(
                    self._batch_url(first.service), content=content, headers=self._header(first)
                )
            except httpx.HTTPError as error:
                why = f"{type(error).__name__} {error}"
            else:
                if answer.status_code == httpx.codes.OK:
                    return list(msgspec.json.decode(answer.content)["results"])
                why = f"{answer.status_code} {answer.text}"
                if answer.status_code not in RETRY:
                    deadline = 0.0
                if answer.status_code == httpx.codes.UNAUTHORIZED:
                    self.tokens[first.who] = await self.fetch(first.who)
            if time.monotonic() > deadline:
                raise Wrong(
                    self.file,
                    [Complaint(first.line, f"{first.service} 没有回答", "no answer", (why,))],
                )
            await asyncio.sleep(0.3)

    def _header(self, one: Planned) -> dict[str, str]:
        token = self.tokens[one.who]
        return {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

    def _settle(self, one: Planned, result: dict[str, Any]) -> list[Complaint]:
        """Keeps an answer; a refusal that was not expected is complained of, as is its absence."""
        if "problem" in result:
            slug = result["problem"]["slug"]
            if slug == one.expect_refusal:
                self.shown.add(one)
                return []
            return [refusal(one, result["problem"])]
        if one.expect_refusal:
            return [
                Complaint(
                    one.line,
                    f"应以 {one.expect_refusal} 被拒绝，却被接受了",
                    f"should be refused with {one.expect_refusal}, but was accepted",
                )
            ]
        self.entered.note(one.key, result["body"])
        return []

    async def reached(self, service: str, token: str) -> None:
        """Waits until a service has taken in all that was entered anywhere, or patience ends: then
        whoever reads there says what is missing.
        """
        url, positions = self._batch_url(service), self.entered.positions
        afters = [self.entered.after(source) or "" for source in positions]
        await asyncio.gather(*(self._reached(url, token, after) for after in afters))

    async def _reached(self, url: str, token: str, after: str) -> None:
        headers = {"Authorization": f"Bearer {token}", "Houqin-After": after}
        deadline = time.monotonic() + self.patience_s
        while time.monotonic() < deadline:
            with contextlib.suppress(httpx.HTTPError):
                answer = await self.client.post(url, json={"commands": []}, headers=headers)
                if answer.status_code not in RETRY:
                    return
            await asyncio.sleep(0.1)


def refusal(one: Planned, problem: dict[str, Any]) -> Complaint:
    """A service's no in its own words, with what to do."""
    zh, en = problem["zh"], problem["en"]
    fields = [
        f"{error['field']}: {error['zh']} · {error['en']}" for error in problem.get("errors", ())
    ]
    more = (
        f"{zh['reason']}。{zh['next_step']}",
        f"{en['reason']}. {en['next_step']}",
        *fields,
        f"{one.key} ({problem['slug']}, {problem['status']})",
    )
    who = f"{one.who} {one.service}.{one.operation}"
    return Complaint(one.line, f"被拒绝：{who}", "refused", more)


def operations_of(document: dict[str, Any]) -> dict[str, Operation]:
    """Every command of a service, by its name and by its route."""
    schemas = document["components"]["schemas"]
    found: dict[str, Operation] = {}
    for path, methods in document["paths"].items():
        name = methods.get("post", {}).get("operationId", "")
        if name in schemas:
            properties = frozenset(schemas[name].get("properties", ()))
            required = frozenset(schemas[name].get("required", ()))
            found[name] = found[path] = Operation(name, path, properties, required)
    return found


def misfits(one: Planned, operations: dict[str, dict[str, Operation]]) -> Iterable[Complaint]:
    """Where a planned command is not what its service declares."""
    if one.service not in operations:
        yield Complaint(one.line, f"没有服务 {one.service}", f"there is no service {one.service}")
        return
    operation = operations[one.service].get(one.operation)
    if operation is None:
        near = difflib.get_close_matches(one.operation, operations[one.service], 1)
        zh = f"{one.service} 没有命令 {one.operation}" + (f"；是 {near[0]} 吗？" if near else "")
        en = f"{one.service} has no {one.operation}" + (f"; {near[0]}?" if near else "")
        yield Complaint(one.line, zh, en)
        return
    if operation.about and one.target is None:
        yield Complaint(one.line, f"{operation.name} 要写 to", f"{operation.name} needs `to`")
    if not operation.about and one.target is not None:
        yield Complaint(one.line, f"{operation.name} 不用 to", f"{operation.name} has no `to`")
    for name in sorted(one.body.keys() - operation.fields):
        yield Complaint(
            one.line, f"{operation.name} 没有字段 {name}", f"{operation.name} has no field {name}"
        )
    for name in sorted(operation.required - one.body.keys()):
        yield Complaint(
            one.line, f"{operation.name} 缺少字段 {name}", f"{operation.name} needs {name}"
        )
