"""I9: what a role may do is what the table says, for every route, at every distance.

The table is `contracts/access.csv`, which people review in diffs, and beside it, by hand, the few
routes that a service adds by itself (`access_of_routers.csv`). Every route is asked by every role
held at the place that counts, beside it, above it, in another county, and by somebody without any
post.
"""

from __future__ import annotations

import asyncio
import csv
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from functools import cache
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest

from contracts.__main__ import access
from evidence.note import Signer
from hosting import proof_store
from hosting.application import application
from hosting.compose import running
from hosting.proofs import Proofs
from services.organisation.unit import units
from shared import observe
from shared.config import Settings
from shared.kernel import Decision, Service
from shared.organisation import Role
from tests.conftest import ROOT, Parts, make_database
from tests.services import SERVICES
from tests.shared.identity import AUDIENCE, ISSUER, KEY, Provider, providing, signed
from tests.shared.office import SCHOOL, TREE, UNITS, Copy, Pool
from tests.shared.streams import Fresh, placed

import asyncpg  # isort: skip

pytestmark = pytest.mark.stack

TABLES = (ROOT / "contracts" / "access.csv", ROOT / "tests" / "access_of_routers.csv")
PLACES = {"own": "school", "sibling": "sibling", "parent": "county", "other county": "other_county"}
"""Where a role is held, seen from the school that everything here belongs to."""

ABOVE = {"own", "parent"}
"""From where it counts."""

OPEN_TO_ALL = {"/health", "/ready", "/metrics"}
MOMENT = datetime(2026, 9, 7, 8, tzinfo=UTC)
TOGETHER = 64
ENDS = ("", "/{id:uuid}", "/{id:uuid}/history", "/{id:uuid}/can")


def table() -> dict[tuple[str, str], tuple[str, frozenset[Role]]]:
    """(service, operation) -> the attribute that says where, and the roles that may."""
    rows = [row for path in TABLES for row in csv.DictReader(path.read_text("utf-8").splitlines())]
    return {
        (row["service"], row["operation"]): (
            row["at"],
            frozenset(role for role in Role if row[role] == "x"),
        )
        for row in rows
    }


EXPECTED = table()


def person_of(role: Role, place: str) -> str:
    return f"{role}@{PLACES[place].replace('_', '-')}"


PEOPLE = [(role, place, person_of(role, place)) for role in Role for place in PLACES]


def test_the_table_has_exactly_the_routes_that_there_are() -> None:
    """A route without a row fails, and so does a row without a route. (Routes that a service adds
    by itself are compared where it runs.)
    """
    assert access() == TABLES[0].read_text("utf-8"), "run `make contracts` and review the diff"


class Asking:
    """One service in this process, with a stream per aggregate, and everybody's token."""

    def __init__(self, service: Service, pool: Pool, app: Any) -> None:
        self.service, self.pool, self.app = service, pool, app
        self.event = ""
        self.base = f"/{service.name}"
        self._gate = asyncio.Semaphore(TOGETHER)

    async def status(
        self, person: str, method: str, path: str, content: bytes = b""
    ) -> tuple[int, Any]:
        """Status and body; straight into the application, since there is so much to ask."""
        headers = [(b"host", b"here")]
        if person:
            headers.append((b"authorization", b"Bearer " + token_of(person).encode()))
        if method == "POST":
            headers.append((b"idempotency-key", uuid4().hex.encode()))
        path, _, query = path.partition("?")
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "scheme": "http",
            "method": method, "path": path, "raw_path": path.encode(), "root_path": "",
            "query_string": query.encode(), "headers": headers, "client": ("127.0.0.1", 1),
            "server": ("here", 80),
        }  # fmt: skip
        sent: list[dict[str, Any]] = []
        asked, gone = iter([content]), asyncio.Event()

        async def receive() -> dict[str, Any]:
            for body in asked:
                return {"type": "http.request", "body": body, "more_body": False}
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)
            if message.get("more_body"):
                gone.set()  # a stream without end: whoever asked has seen enough

        async with self._gate:
            await self.app(scope, receive, send)
        body = b"".join(message.get("body", b"") for message in sent)
        lines = b"ndjson" in dict(sent[0]["headers"])[b"content-type"]
        answer = None if gone.is_set() or lines else msgspec.json.decode(body)
        return sent[0]["status"], answer


@cache
def token_of(person: str) -> str:
    return signed(KEY, sub=person)


@pytest.fixture(scope="module")
async def provider() -> AsyncIterator[Provider]:
    async with providing(KEY) as made_:
        yield made_


@pytest.fixture(scope="module", params=SERVICES, ids=lambda service: service.name)
async def asking(
    request: pytest.FixtureRequest, parts: Parts, template: str, provider: Provider
) -> AsyncIterator[Asking]:
    service: Service = request.param
    database = parts.dsn.format(await make_database(parts, template))
    config = Settings(
        database=database, kafka=parts.kafka, posts_age_s_max=3600, issuer=ISSUER,
        audience=AUDIENCE, jwks_url=provider.url, public_reads_per_s=10_000,
    )  # fmt: skip
    observe.configure(service.name, 0.0, "ERROR")
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(
            asyncpg.create_pool(database, min_size=1, max_size=2)
        )
        copy = Copy(pool)
        await copy.plant()
        await copy.appoint(*((person, role, PLACES[place]) for role, place, person in PEOPLE))
        rt = await stack.enter_async_context(running(service, config, "api"))
        async with pool.acquire() as connection:
            for aggregate in service.aggregates:
                wanted = {decision.at or "" for decision in aggregate.decisions.values()} | {""}
                for at in sorted(wanted):
                    await rt.writer.write(connection, [placed(aggregate, at).decided()], Fresh())
        asking = Asking(service, pool, application(rt, "api"))
        asking.event = await proved(service, pool)
        yield asking


async def proved(service: Service, pool: Pool) -> str:
    """Takes the log into its tree; the position of an event of the school's own."""
    signer = Signer.made(f"example.cn/{service.name}")
    proofs = Proofs(service.name, pool, signer)
    async with pool.acquire() as connection:
        epoch = await proofs.begin(connection)
        await proof_store.append(connection, proofs.tree, epoch, 1_000)
        await proofs.sign(connection, signer)
        row = await connection.fetchrow(
            "select epoch, tx, seq from event where organisation = $1 limit 1", SCHOOL
        )
    assert row is not None
    return proof_store.position_of(row)


def routed(service: Service) -> list[Decision]:
    return [d for d in service.decisions().values() if d.path is not None]


def request_of(service: Service, decision: Decision) -> tuple[str, bytes]:
    """Path and body: as little as is needed to say which thing, or whose."""
    assert decision.path is not None
    stream = placed(decision.aggregate, decision.at or "").id
    body = msgspec.json.encode({"organisation": SCHOOL}) if decision.creates else b"{}"
    return f"/{service.name}{decision.path}".replace("{id}", str(stream)), body


async def outcomes(asked: Sequence[Any]) -> Iterable[Any]:
    return await asyncio.gather(*asked)


async def test_commands(asking: Asking) -> None:
    """Every command × every role × own, sibling, parent, other county, none."""
    wrong: list[str] = []
    count = 0
    for decision in routed(asking.service):
        _, allowed = EXPECTED[asking.service.name, decision.name]
        path, body = request_of(asking.service, decision)
        asked = [asking.status(person, "POST", path, body) for _, _, person in PEOPLE]
        none = asking.status("nobody", "POST", path, body)
        stranger = asking.status("", "POST", path, body)
        *told, unknown, unnamed = await outcomes([*asked, none, stranger])
        count += len(told) + 2
        for (role, place, _), (status, answer) in zip(PEOPLE, told, strict=True):
            may = role in allowed and place in ABOVE
            got = status not in {401, 403}
            if got is not may or status >= 500:
                wrong.append(f"{decision.name} by {role} at {place}: {status} {answer['slug']}")
            elif not may:
                assert answer["slug"] == "forbidden"
        if (unknown[0], unnamed[0]) != (403, 401):
            wrong.append(f"{decision.name} without post, without token: {unknown[0]}, {unnamed[0]}")
    assert wrong == []
    assert count == len(routed(asking.service)) * (len(PEOPLE) + 2)


def below(place: str) -> set[UUID]:
    """The units that a post at `place` reaches."""
    found = {PLACES[place]}
    for name, (_, above) in TREE.items():  # parents come before their children
        if above in found:
            found.add(name)
    registered = {placed(units, "").id} if "school" in found else set()  # by the test, below it
    return {UNITS[name] for name in found} | registered


async def test_lists(asking: Asking) -> None:
    """Every list × every role × place: who may read, and which rows; nobody else's are shown."""
    wrong: list[str] = []
    for view in asking.service.views():
        _, allowed = EXPECTED[asking.service.name, view.name]
        path = f"{asking.base}{view.path}?limit=500"
        rows = await asking.pool.fetch(f"select stream, key, organisation from view_{view.name}")
        asked = [asking.status(person, "GET", path) for _, _, person in PEOPLE]
        none, stranger = asking.status("nobody", "GET", path), asking.status("", "GET", path)
        *told, unknown, unnamed = await outcomes([*asked, none, stranger])
        for (role, place, _), (status, answer) in zip(PEOPLE, told, strict=True):
            where = f"{view.name} by {role} at {place}"
            if (status == 200) is not (role in allowed) or status not in {200, 403}:
                wrong.append(f"{where}: {status}")
                continue
            wanted = {
                (str(row["stream"]), row["key"])
                for row in rows
                if row["organisation"] in below(place)
            }
            shown = {(item["id"], item.get("key", "")) for item in answer.get("items", ())}
            if status == 200 and shown != wanted:
                wrong.append(f"{where}: {len(shown)} rows, not {len(wanted)}")
        if (unknown[0], unnamed[0]) != (403, 401):
            wrong.append(f"{view.name} without post, without token: {unknown[0]}, {unnamed[0]}")
    assert wrong == []


async def test_pages_and_histories(asking: Asking) -> None:
    """A thing and its history are seen by whoever sees its row, and by nobody else."""
    wrong: list[str] = []
    for view in asking.service.views():
        _, allowed = EXPECTED[asking.service.name, view.name]
        rows = await asking.pool.fetch(f"select stream, organisation from view_{view.name}")
        streams = {row["stream"] for row in rows}
        for stream in sorted(streams)[:1] or [uuid4()]:
            owners = {row["organisation"] for row in rows if row["stream"] == stream}
            for path in (
                f"{asking.base}{view.path}/{stream}",
                f"{asking.base}{view.path}/{stream}/history",
                f"{asking.base}{view.path}/{stream}/can",
            ):
                asked = [asking.status(person, "GET", path) for _, _, person in PEOPLE]
                none, stranger = (
                    asking.status("nobody", "GET", path),
                    asking.status("", "GET", path),
                )
                *told, unknown, unnamed = await outcomes([*asked, none, stranger])
                for (role, place, _), (status, _) in zip(PEOPLE, told, strict=True):
                    seen = 200 if owners & below(place) else 404
                    wanted = seen if role in allowed else 403
                    if status != wanted:
                        wrong.append(f"{path} by {role} at {place}: {status}, not {wanted}")
                if (unknown[0], unnamed[0]) != (403, 401):
                    wrong.append(f"{path} without post, token: {unknown[0]}, {unnamed[0]}")
    assert wrong == []


async def test_rows_are_there_to_be_hidden(asking: Asking) -> None:
    """Else the tests of lists would show nothing."""
    counts = [
        await asking.pool.fetchval(f"select count(*) from view_{view.name}")
        for view in asking.service.views()
    ]
    assert not counts or sum(count > 0 for count in counts) >= len(counts) / 2, counts


async def test_batches_answer_each_row_for_its_sender(asking: Asking) -> None:
    """The same commands through the batch: nothing that is denied by itself is allowed in it."""
    decisions = routed(asking.service)
    if not decisions:
        return
    rows = []
    for decision in decisions:
        stream = placed(decision.aggregate, decision.at or "").id
        body = {"organisation": SCHOOL} if decision.creates else {}
        id_ = None if decision.creates else stream
        rows.append({"key": uuid4().hex, "command": decision.name, "id": id_, "body": body})
    content = msgspec.json.encode({"commands": rows})
    for person in ("nobody", *(person_of(role, "sibling") for role in Role)):
        status, answer = await asking.status(person, "POST", f"{asking.base}/batch", content)
        assert status == 200
        slugs = {row["problem"]["slug"] for row in answer["results"]}
        assert slugs == {"forbidden"}, (person, slugs)
    assert (await asking.status("", "POST", f"{asking.base}/batch", content))[0] == 401


def paths_of(routes: Iterable[Any]) -> Iterator[tuple[str, str]]:
    """(path, method) of every route, within routers that are included too."""
    for route in routes:
        inner = getattr(route, "original_router", None)
        if inner is not None:
            yield from paths_of(inner.routes)
        else:
            methods = getattr(route, "methods", None) or {"GET"}  # a folder of files has none
            yield from ((route.path, method) for method in methods - {"HEAD"})


def own_routes(service: Service) -> dict[tuple[str, str], tuple[str, frozenset[Role]]]:
    """The table's rows of routes that the service adds by itself: (path, method) -> where, who."""
    found = {}
    for (name, operation), row in EXPECTED.items():
        method, _, path = operation.partition(" ")
        if name == service.name and path:
            found[path, method] = row
    return found


async def test_every_other_route_wants_a_token(asking: Asking) -> None:
    """What is beside commands and views: each is known here, and asks who is there."""
    base = asking.base
    declared = {base + decision.path for decision in routed(asking.service) if decision.path}
    for view in asking.service.views():
        declared |= {base + view.path + end for end in ENDS}
    others = {
        (path, method)
        for path, method in paths_of(asking.app.routes)
        if path not in declared | OPEN_TO_ALL
    }
    pages = ("openapi.json", "events", "log/checkpoint", "log/keys", "log/proofs/consistency")
    public = {(f"{base}/{page}", "GET") for page in pages}
    public |= {
        (page, "GET")
        for page in ("/docs", "/redoc", "/docs/oauth2-redirect", "/static-offline-docs")
    }
    guarded = {(f"{base}/batch", "POST")}
    own = {route: at for route, (at, _) in own_routes(asking.service).items()}
    assert others - public == guarded | own.keys(), "the table has exactly the routes there are"
    for path, method in sorted(guarded | own.keys()):
        status, _ = await asking.status("", method, filled(path, asking), b"{}")
        # What anybody may send in is looked at: nothing is about no school.
        seen = 200 if method == "GET" else 404
        assert status == (seen if own.get((path, method)) == "public" else 401), path


def filled(path: str, asking: Asking) -> str:
    """A path with something in it, and what a figure or a proof is asked for."""
    if path.startswith(f"{asking.base}/public/"):
        return f"{path}?unit={SCHOOL}"
    path = path.replace("{measure}", "assets.repairs_done")
    wanted = f"unit={SCHOOL}&period=2026-09&measures=assets.repairs_done&event={asking.event}"
    return f"{path}?{wanted}"


async def test_a_services_own_routes(asking: Asking) -> None:
    """`unit`: the place that is asked about counts; `any`: a post anywhere; `all`: who signs in;
    `public`: everybody.
    """
    wrong: list[str] = []
    for (path, method), (at, allowed) in own_routes(asking.service).items():
        if at == "public" and method != "GET":
            continue  # what everybody may send is looked at before anything else
        full = filled(path, asking)
        asked = [asking.status(person, method, full) for _, _, person in PEOPLE]
        *told, unknown = await outcomes([*asked, asking.status("nobody", method, full)])
        for (role, place, _), (status, _) in zip(PEOPLE, told, strict=True):
            may = role in allowed and (at != "unit" or place in ABOVE)
            if status != (200 if may else 403):
                wrong.append(f"{path} by {role} at {place}: {status}")
        if unknown[0] != (200 if at in {"all", "public"} else 403):
            wrong.append(f"{path} without post: {unknown[0]}")
    assert wrong == []


async def test_what_is_public_is_read_one_school_at_a_time(asking: Asking) -> None:
    """Whoever has no account sees what one school publishes, and of a county nothing at all."""
    for view in asking.service.views():
        if not view.public:
            continue
        path = f"{asking.base}/public{view.path}"
        rows = await asking.pool.fetch(
            f"select stream, key from view_{view.name} where organisation = $1", SCHOOL
        )
        status, answer = await asking.status("", "GET", f"{path}?unit={SCHOOL}&limit=50")
        assert (status, answer["unit"]["id"]) == (200, str(SCHOOL))
        shown = {(item["id"], item.get("key", "")) for item in answer["items"]}
        assert shown == {(str(row["stream"]), row["key"]) for row in rows}
        for unit in (UNITS["county"], uuid4(), "", "nowhere"):
            assert (await asking.status("", "GET", f"{path}?unit={unit}"))[0] == 404, unit
