"""What the issue's `curl` lines get: each wrong request its problem answer, and nothing written."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import RSAKey

from tests.world import FOREIGN, SCHOOL, SIBLING, World, unit

pytestmark = pytest.mark.stack

LINE = {"code": "office", "name": "办公", "fund": "public", "amount_cny": "10000.00"}
YEAR = datetime.now(UTC).year


def budget(**changes: Any) -> dict[str, Any]:
    """A budget that would be adopted; with changes, one that must not be."""
    made = {"organisation": str(unit(SCHOOL)), "year": YEAR + 1, "lines": [LINE]} | changes
    return {name: value for name, value in made.items() if value is not None}


def is_problem(
    answer: httpx.Response, status: int, slug: str, field: str | None = None
) -> dict[str, Any]:
    """Checks a problem answer whole: RFC 9457, slug, field, reason and next step in zh and en."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert body["slug"] == slug and body["status"] == status
    assert body["type"] == f"urn:houqin:problem:{slug}"
    assert body["title"] and body["detail"]
    assert body["instance"] == answer.request.url.path
    for language in ("zh", "en"):
        assert body[language]["reason"].strip() and body[language]["next_step"].strip()
        assert "{" not in body[language]["reason"] + body[language]["next_step"]
    assert any(letter >= "\u4e00" for letter in body["zh"]["reason"])
    assert body["en"]["reason"] != body["zh"]["reason"]
    if field is not None:
        fields = {error["field"] for error in body["errors"]}
        assert field in fields, body["errors"]
        assert all(error["zh"] and error["en"] for error in body["errors"])
    if status == 401:
        assert answer.headers["www-authenticate"] == "Bearer"
    return body


class Nothing:
    """Within it, no service's database may come to hold one event or kept answer more."""

    def __init__(self, world: World, *services: str) -> None:
        self.world, self.services = world, services or ("procurement",)

    async def __aenter__(self) -> None:
        for service in self.services:
            await self.world.settled(service)
        self.before = [await self.world.written(service) for service in self.services]

    async def __aexit__(self, kind: object, *_: object) -> None:
        if kind is None:
            after = [await self.world.written(service) for service in self.services]
            assert after == self.before, "something was written"


@pytest.fixture(scope="module")
async def adopted(world: World) -> str:
    """This year's budget of the school."""
    made = await world.api.do("head", "/procurement/budgets", budget(year=YEAR))
    return str(made["id"])


WRONG_BODIES: list[tuple[str, dict[str, Any], str]] = [
    ("a negative amount", {"lines": [{**LINE, "amount_cny": "-5"}]}, "lines.0.amount_cny"),
    ("a third decimal", {"lines": [{**LINE, "amount_cny": "1.001"}]}, "lines.0.amount_cny"),
    ("not a number", {"lines": [{**LINE, "amount_cny": "much"}]}, "lines.0.amount_cny"),
    ("money as a float", {"lines": [{**LINE, "amount_cny": 0.1}]}, "lines.0.amount_cny"),
    ("an unknown field", {"colour": "red"}, "colour"),
    ("an unknown field within", {"lines": [{**LINE, "vat": "13"}]}, "lines.0.vat"),
    ("an unknown fund", {"lines": [{**LINE, "fund": "gift"}]}, "lines.0.fund"),
    ("nothing in it", {"lines": []}, "lines"),
    ("a missing field", {"year": None}, "year"),
    ("a year as text", {"year": "2026"}, "year"),
    ("a moment without zone", {"occurred_at": "2026-09-01T08:00:00"}, "occurred_at"),
]


@pytest.mark.parametrize(
    ("changes", "field"), [c[1:] for c in WRONG_BODIES], ids=[c[0] for c in WRONG_BODIES]
)
async def test_a_wrong_field(world: World, changes: dict[str, Any], field: str) -> None:
    async with Nothing(world):
        answer = await world.api.send("head", "/procurement/budgets", budget(**changes))
        body = is_problem(answer, 422, "invalid", field)
        assert len(body["errors"]) == 1, "and nothing else is blamed"


async def test_later_than_now(world: World) -> None:
    ahead = (datetime.now(UTC) + timedelta(minutes=10)).isoformat()
    async with Nothing(world):
        answer = await world.api.send("head", "/procurement/budgets", budget(occurred_at=ahead))
        is_problem(answer, 422, "occurred_in_future", "occurred_at")


@pytest.mark.parametrize(
    "content", [b"{", b"", b"[]]", b'{"year":2026,}', b"\xff\xfe{}", b"year=2026"]
)
async def test_a_body_that_is_no_command(world: World, content: bytes) -> None:
    async with Nothing(world):
        answer = await world.api.send("head", "/procurement/budgets", content=content)
        if content:
            is_problem(answer, 400, "body_not_json")
        else:
            is_problem(answer, 422, "invalid", "lines")


async def test_a_body_too_large(world: World) -> None:
    content = json.dumps(budget(lines=[{**LINE, "name": "长" * 900_000}])).encode()
    async with Nothing(world):
        answer = await world.api.send("head", "/procurement/budgets", content=content)
        is_problem(answer, 413, "body_too_large")


async def test_keys(world: World) -> None:
    """None, malformed, used with another body; used with the same body is the same answer."""
    api, path = world.api, "/procurement/budgets"
    headers = {"Authorization": f"Bearer {await api.token('head')}"}
    async with Nothing(world):
        answer = await api.client.post(api.url(path), json=budget(), headers=headers)
        is_problem(answer, 400, "key_missing", "Idempotency-Key")
        answer = await api.send("head", path, budget(), key="x" * 201)
        is_problem(answer, 400, "key_malformed", "Idempotency-Key")
    key, content = uuid4().hex, json.dumps(budget(year=YEAR + 2)).encode()
    first = await api.send("head", path, key=key, content=content)
    assert first.status_code == 201 and "idempotent-replayed" not in first.headers
    async with Nothing(world):
        again = await api.send("head", path, key=key, content=content)
        assert (again.status_code, again.content) == (201, first.content)
        assert again.headers["etag"] == first.headers["etag"]
        assert again.headers["idempotent-replayed"] == "true"
        other = budget(year=YEAR + 2, lines=[{**LINE, "amount_cny": "1.00"}])
        is_problem(
            await api.send("head", path, other, key=key), 422, "key_reused", "Idempotency-Key"
        )
        amend = f"/procurement/budgets/{first.json()['id']}/amend"
        answer = await api.send("head", amend, key=key, content=content)
        assert answer.status_code == 422


async def test_many_at_once_under_one_key_are_one(world: World) -> None:
    api, key = world.api, uuid4().hex
    content = json.dumps(budget(year=YEAR + 3)).encode()
    before = await world.written("procurement")
    answers = await asyncio.gather(
        *(api.send("head", "/procurement/budgets", key=key, content=content) for _ in range(12))
    )
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    assert sum("idempotent-replayed" not in answer.headers for answer in answers) == 1
    after = await world.written("procurement")
    assert (after[0] - before[0], after[1] - before[1]) == (1, 1)


async def test_versions(world: World, adopted: str) -> None:
    api, path = world.api, f"/procurement/budgets/{adopted}/amend"
    shown = await api.get("head", f"/procurement/budgets/{adopted}")
    etag = shown.headers["etag"]
    amend = {"line": "office", "amount_cny": "11000", "reason": "追加预算"}
    async with Nothing(world):
        for match in ("abc", '"1.5"', "-1", '"', "1,2"):
            answer = await api.send("head", path, amend, headers={"If-Match": match})
            is_problem(answer, 400, "match_malformed", "If-Match")
        answer = await api.send("head", path, amend, headers={"If-Match": '"999"'})
        is_problem(answer, 412, "stale", "If-Match")
    answer = await api.send("head", path, amend, headers={"If-Match": etag})
    assert answer.status_code == 200
    async with Nothing(world):
        back = amend | {"amount_cny": "10000"}
        answer = await api.send("head", path, back, headers={"If-Match": etag})
        body = is_problem(answer, 412, "stale", "If-Match")
        version = int(etag.strip('"')) + 1
        assert str(version) in body["en"]["reason"], "and says where it stands now"


async def test_a_foreign_school(world: World, adopted: str) -> None:
    """Sibling, other county, no post at all: refused with who may, before anything else is said."""
    path = f"/procurement/budgets/{adopted}/amend"
    amend = {"line": "office", "amount_cny": "1", "reason": "不该成功"}
    async with Nothing(world):
        for person in ("sibling-head", "foreign-head", "stranger", "teacher", "county-officer"):
            for body in (amend, {"colour": "red"}):
                answer = await world.api.send(person, path, body)
                told = is_problem(answer, 403, "forbidden", "organisation")
                assert "测试第一小学" in told["zh"]["reason"]
                assert "校长" in told["zh"]["next_step"] and "Principal" in told["en"]["next_step"]
        for code in (SIBLING, FOREIGN):
            adopt = budget(organisation=str(unit(code)))
            answer = await world.api.send("head", "/procurement/budgets", adopt)
            is_problem(answer, 403, "forbidden", "organisation")
        answer = await world.api.send(
            "head", "/procurement/budgets", budget(organisation=str(uuid4()))
        )
        is_problem(answer, 422, "unit_unknown", "organisation")


async def test_things_that_are_not_there(world: World) -> None:
    async with Nothing(world):
        for path in (
            f"/procurement/budgets/{uuid4()}/amend",
            "/procurement/budgets/nonsense/amend",
        ):
            body = {"line": "office", "amount_cny": "1", "reason": "没有"}
            is_problem(await world.api.send("head", path, body), 404, "not_found", "id")
        is_problem(await world.api.get("head", f"/procurement/budgets/{uuid4()}"), 404, "not_found")
        answer = await world.api.get("head", f"/procurement/budgets/{uuid4()}/history")
        is_problem(answer, 404, "not_found")


async def test_a_refused_decision_says_why(world: World, adopted: str) -> None:
    async with Nothing(world):
        path = f"/procurement/budgets/{adopted}/amend"
        body = {"line": "nowhere", "amount_cny": "1", "reason": "不存在的科目"}
        answer = await world.api.send("head", path, body)
        is_problem(answer, 422, "budget_line_unknown", "line")
        twice = budget(lines=[LINE, LINE])
        answer = await world.api.send("head", "/procurement/budgets", twice)
        is_problem(answer, 422, "budget_line_twice", "lines")


def forged(case: str, token: str, provider_key: RSAKey) -> str:
    """The person's own token, wrong in one way; signed with the provider's real key where a
    signature is not what is wrong.
    """
    head, body, _ = token.split(".")
    kid = json.loads(base64.urlsafe_b64decode(head + "=="))["kid"]
    claims = json.loads(base64.urlsafe_b64decode(body + "=="))
    now = int(time.time())

    def signed(*, typ: str = "at+jwt", key: RSAKey = provider_key, **changes: Any) -> str:
        return jwt.encode({"alg": "RS256", "typ": typ, "kid": kid}, claims | changes, key)

    def bare(alg: str) -> str:
        header = json.dumps({"alg": alg, "typ": "at+jwt", "kid": kid}).encode()
        return f"{base64.urlsafe_b64encode(header).decode().rstrip('=')}.{body}."

    made: dict[str, Callable[[], str]] = {
        "expired": lambda: signed(exp=now - 600, iat=now - 1500),
        "another audience": lambda: signed(aud="finance"),
        "another issuer": lambda: signed(iss="https://elsewhere.example.org"),
        "an id token": lambda: signed(typ="JWT"),
        "another's key": lambda: signed(key=RSAKey.generate_key(2048)),
        "alg none": lambda: bare("none"),
        "HS256": lambda: bare("HS256") + "c2ln",
        "nonsense": lambda: "not.a.token",
    }
    return made[case]()


FORGERIES = (
    "expired", "another audience", "another issuer", "an id token", "another's key", "alg none",
    "HS256", "nonsense",
)  # fmt: skip


@pytest.fixture(scope="module")
async def provider_key(world: World) -> RSAKey:
    """What the provider signs with: so that only the claim under test is wrong."""
    (pem,) = world.stack.folder.glob("state/provider/*.pem")
    return RSAKey.import_key(pem.read_bytes())


async def test_the_forger_would_be_let_in_with_a_good_token(
    world: World, provider_key: RSAKey
) -> None:
    """Signed by us as the provider would, nothing wrong: else the next test shows nothing."""
    token = await world.api.token("head")
    head, body, _ = token.split(".")
    header = json.loads(base64.urlsafe_b64decode(head + "=="))
    claims = json.loads(base64.urlsafe_b64decode(body + "=="))
    made = jwt.encode(header, claims | {"jti": "ours"}, provider_key)
    headers = {"Authorization": f"Bearer {made}"}
    answer = await world.api.client.get(world.api.url("/procurement/budgets"), headers=headers)
    assert answer.status_code == 200


@pytest.mark.parametrize("case", ["no token", *FORGERIES])
async def test_who_are_you(world: World, provider_key: RSAKey, case: str) -> None:
    api, path = world.api, "/procurement/budgets"
    headers = {"Idempotency-Key": uuid4().hex}
    if case != "no token":
        made = forged(case, await api.token("head"), provider_key)
        headers["Authorization"] = f"Bearer {made}"
    async with Nothing(world):
        answer = await api.client.post(api.url(path), json=budget(), headers=headers)
        is_problem(answer, 401, "unauthenticated", "Authorization")
        answer = await api.client.get(api.url(path), headers=headers)
        is_problem(answer, 401, "unauthenticated", "Authorization")


async def test_a_batch_answers_each_row(world: World, adopted: str) -> None:
    """Good and bad rows side by side: each good one is written once, each bad one is explained."""

    def row(command: str, body: Any, **more: Any) -> dict[str, Any]:
        return {"key": uuid4().hex, "command": command, "body": body, **more}

    amend = {"line": "office", "amount_cny": "12000", "reason": "年中调整"}
    twice = row("AmendBudget", amend | {"amount_cny": "12500"}, id=adopted)
    rows: list[tuple[dict[str, Any], int, str | None]] = [
        (row("AmendBudget", amend, id=adopted), 200, None),
        (row("AmendBudget", amend | {"amount_cny": "-1"}, id=adopted), 422, "invalid"),
        (row("AmendBudget", amend | {"line": "zzz"}, id=adopted), 422, "budget_line_unknown"),
        (row("AmendBudget", amend, id=str(uuid4())), 404, "not_found"),
        (row("AmendBudget", amend, id=adopted, if_match=99), 412, "stale"),
        (row("AdoptBudget", budget(organisation=str(unit(SIBLING)))), 403, "forbidden"),
        (row("NoSuchCommand", {}), 422, "command_unknown"),
        (row("AdoptBudget", budget(year=YEAR + 4)), 201, None),
        (twice, 200, None),
        (twice, 200, None),
        ({**row("AmendBudget", amend, id=adopted), "key": ""}, 400, "key_malformed"),
    ]
    before = await world.written("procurement")
    answer = await world.api.send(
        "head", "/procurement/batch", {"commands": [r for r, _, _ in rows]}
    )
    assert answer.status_code == 200
    results = answer.json()["results"]
    assert [result["status"] for result in results] == [status for _, status, _ in rows]
    for (sent, status, slug), result in zip(rows, results, strict=True):
        assert result["key"] == sent["key"]
        if slug is None:
            assert result["body"]["events"] and result["body"]["position"]
        else:
            problem = result["problem"]
            assert (problem["slug"], problem["status"]) == (slug, status)
            assert problem["zh"]["next_step"] and problem["en"]["next_step"]
    after = await world.written("procurement")
    assert (after[0] - before[0], after[1] - before[1]) == (3, 3), (
        "three good ones, one asked twice"
    )


async def test_batches_that_are_none(world: World) -> None:
    api, path = world.api, "/procurement/batch"
    many = {"commands": [{"key": "k", "command": "AmendBudget"}] * 1001}
    async with Nothing(world):
        is_problem(await api.send("head", path, many), 422, "too_many_commands", "commands")
        wrong: list[dict[str, Any]] = [
            {"rows": []}, {"commands": [{"key": 1}]}, {"commands": [], "more": 1},
        ]  # fmt: skip
        for body in wrong:
            is_problem(await api.send("head", path, body), 422, "batch_malformed")
        is_problem(await api.send("head", path, content=b"{"), 400, "body_not_json")
