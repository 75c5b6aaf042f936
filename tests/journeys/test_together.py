"""Many commands in one request that stand or fall together: one key, one transaction, or nothing."""

from __future__ import annotations

from itertools import count
from typing import Any
from uuid import uuid4

import pytest

from tests.journeys.test_problems import LINE, Nothing, budget, is_problem
from tests.world import SIBLING, World, unit

pytestmark = pytest.mark.stack

BATCH = "/procurement/batch"
YEARS = count(2041)
"""So that each test adopts budgets of years of its own."""


def adopt(**changes: Any) -> dict[str, Any]:
    return {"command": "AdoptBudget", "body": budget(year=next(YEARS)) | changes}


def amend(id_: str, **changes: Any) -> dict[str, Any]:
    body = {"line": "office", "amount_cny": "12000", "reason": "年中调整"} | changes
    return {"command": "AmendBudget", "id": id_, "body": body}


def together(*commands: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"commands": list(commands), "together": True, **more}


def places(problem: dict[str, Any]) -> set[str]:
    return {error["field"] for error in problem["errors"]}


@pytest.fixture(scope="module")
async def adopted(world: World) -> str:
    made = await world.api.do("head", "/procurement/budgets", adopt()["body"])
    return str(made["id"])


async def test_all_under_one_key(world: World, adopted: str) -> None:
    api, key = world.api, uuid4().hex
    asked = together(adopt(), amend(adopted), adopt())
    before = await world.written("procurement")
    answer = await api.send("head", BATCH, asked, key=key)
    assert answer.status_code == 200, answer.text
    made = answer.json()
    assert made["count"] == 3 and made["position"].startswith("procurement;")
    assert [len(one["events"]) for one in made["results"]] == [1, 1, 1]
    assert made["results"][1]["id"] == adopted and made["results"][1]["row"]
    after = await world.written("procurement")
    assert (after[0] - before[0], after[1] - before[1]) == (3, 1)
    async with Nothing(world):
        again = await api.send("head", BATCH, asked, key=key)
        assert again.content == answer.content
        assert again.headers["idempotent-replayed"] == "true"
        fewer = together(*asked["commands"][:2])
        other = await api.send("head", BATCH, fewer, key=key)
        is_problem(other, 422, "key_reused", "Idempotency-Key")


async def test_later_ones_build_on_earlier_ones(world: World, adopted: str) -> None:
    """In their order: what the first has made is there for the second."""
    twice = together(amend(adopted, amount_cny="13000"), amend(adopted, amount_cny="13500"))
    made = await world.api.do("head", BATCH, twice)
    versions = [one["version"] for one in made["results"]]
    assert versions[0] == versions[1], "each as it is in the end"
    shown = await world.api.read("head", f"/procurement/budgets/{adopted}")
    assert "13500" in str(shown)


@pytest.mark.parametrize("alone", [False, True])
async def test_one_is_refused_and_nothing_is_written(
    world: World, adopted: str, alone: bool
) -> None:
    wrong = amend(adopted, line="nowhere")
    sent = [wrong] if alone else [adopt(), wrong, adopt()]
    async with Nothing(world):
        for more in ({}, {"dry_run": True}):
            answer = await world.api.send("head", BATCH, together(*sent, **more))
            place = f"commands.{sent.index(wrong)}.line"
            body = is_problem(answer, 422, "budget_line_unknown", place)
            (error,) = body["errors"]
            assert body["zh"]["next_step"] in error["zh"]
            assert body["en"]["next_step"] in error["en"]


async def test_every_wrong_field_of_every_command_is_told_at_once(
    world: World, adopted: str
) -> None:
    wrong = together(
        adopt(),
        adopt(lines=[{**LINE, "amount_cny": "-5"}, {**LINE, "vat": "13"}]),
        amend(adopted, amount_cny="1.005", reason=""),
        {"command": "NoSuchCommand"},
        {"command": "AmendBudget", "body": amend("")["body"]},
        adopt(occurred_at="2090-01-01T00:00:00Z"),
        {"command": "AdoptBudget", "body": []},
    )
    async with Nothing(world):
        body = is_problem(await world.api.send("head", BATCH, wrong), 422, "invalid")
        assert places(body) == {
            "commands.1.lines.0.amount_cny", "commands.1.lines.1.vat", "commands.2.amount_cny",
            "commands.2.reason", "commands.3.command", "commands.4.id", "commands.5.occurred_at",
            "commands.6",
        }  # fmt: skip
        assert all(error["zh"] and error["en"] for error in body["errors"])


async def test_who_may_not(world: World) -> None:
    theirs = adopt(organisation=str(unit(SIBLING)))
    async with Nothing(world):
        answer = await world.api.send("head", BATCH, together(adopt(), theirs))
        is_problem(answer, 403, "forbidden", "commands.1.organisation")
        # Whoever may not send it is not told what its fields should be.
        answer = await world.api.send("teacher", BATCH, together(adopt(colour="red")))
        is_problem(answer, 403, "forbidden")


async def test_a_dry_run_says_what_would_come_of_it(world: World, adopted: str) -> None:
    asked, key = [adopt(), amend(adopted, amount_cny="14000")], uuid4().hex
    async with Nothing(world):
        tried = await world.api.send("head", BATCH, together(*asked, dry_run=True), key=key)
        assert tried.status_code == 200, tried.text
        assert tried.json() == {"count": 2, "events": 2, "dry_run": True}
    done = await world.api.do("head", BATCH, together(*asked), key=key)
    assert sum(len(one["events"]) for one in done["results"]) == 2, "the key was not used up"


async def test_nothing_together_is_nothing(world: World) -> None:
    made = await world.api.do("head", BATCH, together())
    assert made == {"count": 0, "results": []}


async def test_batches_that_cannot_be(world: World) -> None:
    api = world.api
    headers = {"Authorization": f"Bearer {await api.token('head')}"}
    async with Nothing(world):
        answer = await api.client.post(api.url(BATCH), json=together(adopt()), headers=headers)
        is_problem(answer, 400, "key_missing", "Idempotency-Key")
        many = together(*({"command": "AmendBudget"} for _ in range(10_001)))
        is_problem(await api.send("head", BATCH, many), 422, "too_many_commands", "commands")
        alone = {"commands": [], "dry_run": True}
        is_problem(await api.send("head", BATCH, alone), 422, "dry_run_alone", "dry_run")
        for body in (together(adopt()) | {"together": 1}, {"together": True}):
            is_problem(await api.send("head", BATCH, body), 422, "batch_malformed")
        keyless = await api.send("head", BATCH, {"commands": [adopt()]})
        (result,) = keyless.json()["results"]
        assert result["problem"]["slug"] == "key_malformed", "apart, each has a key of its own"
