"""One running platform for the whole session: every service as a process, a small world entered
through organisation's public API, and people who sign in at the real provider.

Province > city > two counties > townships > schools, a campus, a class. Whoever wants a place of
his own (faults, chains that count) asks for `new_school`.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import time
import tomllib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx

from deploy.local import postgres as postgres_part
from deploy.local.supervisor import ACCOUNTS, SERVICES, Stack
from deploy.local.token import fetch_token
from shared.rules import region_of

PASSWORD = "houqin-tests"
SINCE = "2020-09-01"

PROVINCE, CITY, COUNTY, OTHER_COUNTY = "43", "431000", "431081", "431022"
TOWN, OTHER_TOWN = "431081100", "431022100"
SCHOOL, SIBLING, FOREIGN = "2143000001", "2143000002", "2143000003"
CAMPUS, CLASS = f"{SCHOOL}-01", f"{SCHOOL}-2025-01"

TREE = (
    (PROVINCE, "湖南省", "province", None),
    (CITY, "郴州市", "city", PROVINCE),
    (COUNTY, "资兴市", "county", CITY),
    (OTHER_COUNTY, "宜章县", "county", CITY),
    (TOWN, "唐洞中心校", "township", COUNTY),
    (OTHER_TOWN, "玉溪中心校", "township", OTHER_COUNTY),
    (SCHOOL, "测试第一小学", "school", TOWN),
    (SIBLING, "测试第二小学", "school", TOWN),
    (FOREIGN, "外县小学", "school", OTHER_TOWN),
    (CAMPUS, "北校区", "campus", SCHOOL),
    (CLASS, "一班", "class", SCHOOL),
)

POSTS = (
    ("director", "logistics_director", SCHOOL),
    ("head", "principal", SCHOOL),
    ("buyer", "buyer", SCHOOL),
    ("keeper", "storekeeper", SCHOOL),
    ("accountant", "accountant", SCHOOL),
    ("safety", "safety_officer", SCHOOL),
    ("teacher", "teacher", SCHOOL),
    ("sibling-head", "principal", SIBLING),
    ("sibling-buyer", "buyer", SIBLING),
    ("county-officer", "bureau_officer", COUNTY),
    ("county-inspector", "inspector", COUNTY),
    ("county-inspector-2", "inspector", COUNTY),
    ("county-finance", "finance_officer", COUNTY),
    ("town-supervisor", "supervisor", TOWN),
    ("city-officer", "bureau_officer", CITY),
    ("province-officer", "bureau_officer", PROVINCE),
    ("other-officer", "bureau_officer", OTHER_COUNTY),
    ("foreign-head", "principal", FOREIGN),
)
EXTRA = (
    "stranger", "newcomer", "temp", "everybody-1", "everybody-2",
    *(f"user-{n}" for n in range(12)),
)  # fmt: skip
"""People who can sign in but hold no post until a test gives them one."""

LISTS = {
    "organisation": "/organisation/units", "procurement": "/procurement/budgets",
    "assets": "/assets/cards", "safety": "/safety/hazards", "nutrition": "/nutrition/dishes",
    "reporting": "/reporting/alerts",
}  # fmt: skip
"""A list of each service, to wait with."""

REAL = ("administrator",)


PEOPLE = (*(person for person, _, _ in POSTS), *EXTRA)


def accounts(path: Path, people: Iterable[str] = PEOPLE) -> Path:
    """The demonstration's clients, and our own people."""
    clients = tomllib.loads(ACCOUNTS.read_text("utf-8"))["clients"]
    lines = ["demo = true"]
    for client in clients:
        lines += ["[[clients]]", *(f"{name} = {value!r}" for name, value in client.items())]
    for person in (*REAL, *people):
        lines += [
            "[[people]]", f"subject = {person!r}", f"name_zh = {person!r}",
            f"name_en = {person!r}", f"demo_password = {PASSWORD!r}",
        ]  # fmt: skip
    path.write_text("\n".join(lines), "utf-8")
    return path


def unit(code: str) -> UUID:
    """The id of the unit with that code."""
    return region_of(code)


class Api:
    """What people's screens do: HTTP with a token, a key per command, and positions to wait for."""

    def __init__(self, urls: Mapping[str, str]) -> None:
        self.urls = dict(urls)
        self.client = httpx.AsyncClient(trust_env=False, timeout=30)
        self.after: dict[str, str] = {}
        self._tokens: dict[str, str] = {}
        self._signing_in = asyncio.Lock()

    async def token(self, person: str) -> str:
        """The person's access token, through the real code flow."""
        async with self._signing_in:
            if person not in self._tokens:
                issuer = self.urls["provider"]
                self._tokens[person] = await fetch_token(issuer, person, PASSWORD)
        return self._tokens[person]

    def forget(self, person: str) -> None:
        """The person's token has run out: the next one is fetched anew."""
        self._tokens.pop(person, None)

    def forget_all(self) -> None:
        """Everybody signs in anew when he next asks for something."""
        self._tokens.clear()

    def url(self, path: str) -> str:
        return self.urls[path.split("/")[1]] + path

    async def send(
        self,
        person: str,
        path: str,
        body: Any = None,
        *,
        key: str | None = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        after: str = "",
    ) -> httpx.Response:
        """Posts a command and returns whatever is answered; notes how far the log has got."""
        asked = {
            "Authorization": f"Bearer {await self.token(person)}",
            "Idempotency-Key": key or uuid4().hex,
            **({"Houqin-After": after} if after else {}),
            **(headers or {}),
        }
        if content is None:
            content = json.dumps({} if body is None else body).encode()
        answer = await self.client.post(self.url(path), content=content, headers=asked)
        position = answer.json().get("position") if answer.is_success else None
        if position:
            self.after[position.partition(";")[0]] = position
        return answer

    async def do(self, person: str, path: str, body: Any = None, **more: Any) -> dict[str, Any]:
        """Posts a command that must be accepted. Told to come back in a moment (503), it does, with
        the same key.
        """
        key, deadline = more.pop("key", None) or uuid4().hex, time.monotonic() + 20
        answer = await self.send(person, path, body, key=key, **more)
        while answer.status_code == 503 and time.monotonic() < deadline:
            await asyncio.sleep(0.1)
            answer = await self.send(person, path, body, key=key, **more)
        assert answer.is_success, f"{path}: {answer.status_code} {answer.text}"
        made: dict[str, Any] = answer.json()
        return made

    async def get(self, person: str, path: str, *, after: str = "", **query: Any) -> httpx.Response:
        """Reads; `after` names a position or a service whose latest one here is waited for."""
        headers = {"Authorization": f"Bearer {await self.token(person)}"}
        if after:
            headers["Houqin-After"] = self.after.get(after, after)
        return await self.client.get(self.url(path), params=query, headers=headers)

    async def read(self, person: str, path: str, *, after: str = "", **query: Any) -> Any:
        """Reads what must be there."""
        answer = await self.get(person, path, after=after, **query)
        assert answer.is_success, f"{path}: {answer.status_code} {answer.text}"
        return answer.json()

    async def pages(self, person: str, path: str, **query: Any) -> list[dict[str, Any]]:
        """Every row of a list."""
        rows: list[dict[str, Any]] = []
        cursor: str | None = ""
        while cursor is not None:
            page = await self.read(person, path, **query, **({"cursor": cursor} if cursor else {}))
            rows, cursor = rows + page["items"], page["next"]
        return rows


async def until[T](found: Callable[[], Awaitable[T]], seconds: float = 20.0) -> T:
    """Waits for a condition, and returns what made it true; TimeoutError with the last answer."""
    deadline = time.monotonic() + seconds
    while True:
        last = await found()
        if last:
            return last
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds:g} s: {last!r}")
        await asyncio.sleep(0.05)


@dataclass
class World:
    """The running platform."""

    stack: Stack
    api: Api
    pools: dict[str, asyncpg.Pool[asyncpg.Record]] = field(default_factory=dict)
    serial: itertools.count[int] = field(default_factory=lambda: itertools.count(100))

    async def pool(self, service: str) -> asyncpg.Pool[asyncpg.Record]:
        """The service's own database, to look at what its API cannot tell."""
        if service not in self.pools:
            self.pools[service] = await asyncpg.create_pool(
                self.stack.dsns[service], min_size=1, max_size=4
            )
        return self.pools[service]

    async def written(self, service: str) -> tuple[int, int]:
        """How many events and kept answers a service's database holds."""
        row = await (await self.pool(service)).fetchrow(
            "select (select count(*) from event), (select count(*) from idempotency)"
        )
        assert row is not None
        return tuple(row)

    async def register(self, code: str, name: str, level: str, above: str | None) -> str:
        body = {
            "organisation": str(unit(above or code)), "code": code, "name": name, "level": level,
            "parent_code": above, "since": SINCE,
        }  # fmt: skip
        await self.api.do("administrator", "/organisation/units", body)
        return code

    async def appoint(self, person: str, role: str, code: str) -> dict[str, Any]:
        body = {
            "organisation": str(unit(code)), "person": person, "role": role, "since": SINCE,
        }  # fmt: skip
        return await self.api.do("administrator", "/organisation/staff", body)

    async def new_school(self, town: str = TOWN, *posts: tuple[str, str]) -> str:
        """A school of one's own, with (person, role) appointed; known everywhere on return."""
        number = next(self.serial)
        code = await self.register(f"21430{number:05}", f"测试小学{number}", "school", town)
        for person, role in posts:
            await self.appoint(person, role, code)
        await self.known()
        return code

    async def known(self) -> None:
        """Waits until every service has heard of all that organisation has said."""
        for service in LISTS:
            await until(partial(self._reads, service, "organisation"), 60)

    async def settled(self, service: str) -> None:
        """Waits until the service has done all that its own events call for."""
        if service in self.api.after:
            await until(partial(self._reads, service, service), 60)

    async def _reads(self, service: str, after: str) -> bool:
        said = self.api.after.get(after, "")  # nothing yet: there is nothing to wait for
        answer = await self.api.get("administrator", LISTS[service], after=said, limit=1)
        assert answer.status_code in {200, 504}, answer.text
        return answer.status_code == 200


@contextmanager
def without_fsync() -> Iterator[None]:
    """Starts a Postgres whose commits need not reach the disk: tests kill processes, never the
    machine, and what the kernel has been given it keeps.
    """
    kept = postgres_part.SETTINGS["fsync"]
    postgres_part.SETTINGS["fsync"] = "off"
    try:
        yield
    finally:
        postgres_part.SETTINGS["fsync"] = kept


@asynccontextmanager
async def entered(folder: Path) -> AsyncIterator[World]:
    """The platform, started, with everybody in his place."""
    env = {
        "HOUQIN_ACCOUNTS": str(accounts(folder / "accounts.toml")),
        "HOUQIN_TRACE_SHARE": "1",
        "HOUQIN_LATE_ENTRY_GRACE_S": "1",
        "HOUQIN_KEY_LIFE_S": "1",
    }
    said: list[str] = []
    stack = Stack(folder / "stack", SERVICES, env=env, progress=said.append)
    try:
        with without_fsync():
            await stack.start()
        try:
            api = Api(stack.urls)
            world = World(stack, api)
            try:
                for code, name, level, above in TREE:
                    await world.register(code, name, level, above)
                for person, role, code in POSTS:
                    await world.appoint(person, role, code)
                await world.known()
                yield world
            finally:
                await api.client.aclose()
                for pool in world.pools.values():
                    await asyncio.wait_for(pool.close(), 10)
        finally:
            await stack.stop()
    finally:
        (folder / "stack.txt").write_text("\n".join(said), "utf-8")
        postgres_part.remove(folder / "stack")
