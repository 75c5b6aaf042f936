"""F12: many at once on one thing, over two processes: the log must not care who was quicker.

Same version: one wins, the others are told, and whatever one process has just done the other one
knows. Last money: what a line still has goes to as many as it is enough for. Late commit: what took
its place in the log first is committed last, and nothing may pass it meanwhile.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from tests.faults.ground import School, day_begun
from tests.faults.load import Asked
from tests.faults.scene import Fault, Scene
from tests.world import until

PROCUREMENT = "procurement"
VERSIONS, MONEY, LATE = "same version", "last money", "late commit"
RACES, RACERS = 8, 16
ASKERS, PRICE_CNY, FREE_CNY = 8, 100, 350
LATER = 12
WAITS_S = 10.0
WON, MAYBE, LOST = frozenset({200}), frozenset({200, 422}), 412
BEGUN = frozenset({201})

_HOLD = "select from head where stream = $1 for update"
_WAITING = """
select count(*) from pg_stat_activity
where datname = current_database() and wait_event_type = 'Lock' and query like '%insert into event%'
"""
_BOUND = """
select committed_cny + spent_cny from view_budget_lines where stream = $1 and code = 'tight'
"""


async def two_write(scene: Scene, variant: str) -> None:
    """F12. A second process of the service stands beside the first, and takes every other one."""
    async with scene.rig.spare(PROCUREMENT) as (_, port):
        await KINDS[variant](scene, f"http://127.0.0.1:{port}")


async def same_version(scene: Scene, other: str) -> None:
    """As many races, each followed by a change through either process in turn."""
    for race in range(RACES):
        school = scene.chance.choice(scene.ground.schools)
        winner = await raced(scene, race, school, other)
        for number, door in enumerate(("", other)):
            await handed_over(scene, f"race{race}.over{number}", school, door)
            if winner is not None:
                await scene.load.again(winner, door)


async def raced(scene: Scene, race: int, school: School, other: str) -> Asked | None:
    """All at the start, at the same version, each with a key of his own; who has won."""
    tag = await tag_of(scene, school)
    racers = [
        amend(scene, f"race{race}.{number}", school, {"If-Match": tag}, WON | {LOST})
        for number in range(RACERS)
    ]
    await all_ask(scene, racers, other)
    won = [one for one in racers if one.status in WON]
    if len(won) != 1:
        scene.wrong.append(f"race {race} at {tag} of {school.race}: {len(won)} have won")
    return won[0] if won else None


async def handed_over(scene: Scene, name: str, school: School, door: str) -> None:
    """Who alone knows the newest version is not refused, by whichever process wrote it."""
    tag = await tag_of(scene, school)
    await scene.load.ask(amend(scene, name, school, {"If-Match": tag}, WON), door)


async def last_money(scene: Scene, other: str) -> None:
    """More is asked for than a line has, at once: it goes to as many as it is enough for."""
    school = scene.chance.choice(scene.ground.schools)
    pool = await scene.rig.pool(PROCUREMENT)
    bound = await pool.fetchval(_BOUND, UUID(school.race))
    body = {"line": "tight", "amount_cny": str(bound + FREE_CNY)}
    await scene.load.ask(amend(scene, "tight", school, {}, WON, body))
    purchases = [UUID(int=scene.chance.getrandbits(128), version=4) for _ in range(ASKERS)]
    raised = [wish(scene, n, school, id_) for n, id_ in enumerate(purchases)]
    await all_ask(scene, raised, other)
    path = "/procurement/requisitions/{}/{}"
    buyer, director = school.person("buyer"), school.person("logistics_director")
    submitted = [
        written(
            scene, f"submit{n}", buyer, "SubmitRequisition", path.format(id_, "submit"), {}, WON
        )
        for n, id_ in enumerate(purchases)
    ]
    await all_ask(scene, submitted, other)
    approved = [
        written(
            scene, f"approve{n}", director, "ApproveRequisition", path.format(id_, "approve"),
            {"note": key_of(scene, f"approve{n}")}, MAYBE,
        )
        for n, id_ in enumerate(purchases)
    ]  # fmt: skip
    await all_ask(scene, approved, other)
    granted = sum(one.status in WON for one in approved)
    if granted != FREE_CNY // PRICE_CNY:
        scene.wrong.append(f"{granted} purchases of {PRICE_CNY} were approved out of {FREE_CNY}")


async def late_commit(scene: Scene, other: str) -> None:
    """One append waits for a row that an operator's session holds, with its place in the log taken;
    others take later places and commit before it.
    """
    held, *free = scene.chance.sample(scene.ground.schools, len(scene.ground.schools))
    pool = await scene.rig.pool(PROCUREMENT)

    async def waits() -> bool:
        return bool(await pool.fetchval(_WAITING))

    async with pool.acquire() as holder:
        async with holder.transaction():
            await holder.execute(_HOLD, UUID(held.race))
            late = asyncio.create_task(scene.load.ask(amend(scene, "late", held, {}, WON)))
            await until(waits, WAITS_S)
            for number in range(LATER):
                one = amend(scene, f"later{number}", free[number % len(free)], {}, WON)
                await scene.load.ask(one, other if number % 2 else "")
        await late


async def all_ask(scene: Scene, commands: Sequence[Asked], other: str) -> None:
    """All at once, by one door and the other in turn."""
    await asyncio.gather(
        *(scene.load.ask(one, other if number % 2 else "") for number, one in enumerate(commands))
    )


async def tag_of(scene: Scene, school: School) -> str:
    """The version at which the budget of the races is."""
    person, api = school.person("principal"), scene.ground.world.api
    answer = await api.get(person, f"/procurement/budgets/{school.race}")
    if "etag" not in answer.headers:
        scene.wrong.append(f"{school.race} is not shown: {answer.status_code}")
    return str(answer.headers.get("etag", '"0"'))


def key_of(scene: Scene, name: str) -> str:
    """The key of the command of that name in this round."""
    return f"k{scene.load.desk.seed}.{scene.number}.{name}"


def amend(
    scene: Scene,
    name: str,
    school: School,
    headers: Mapping[str, str],
    allowed: frozenset[int],
    body: Mapping[str, Any] | None = None,
) -> Asked:
    """A change of the budget that only races touch."""
    cents = scene.chance.randrange(10**10, 10**11)
    body = body or {"line": "food", "amount_cny": f"{cents / 100:.2f}"}
    return written(
        scene, name, school.person("principal"), "AmendBudget",
        f"/procurement/budgets/{school.race}/amend",
        {**body, "reason": key_of(scene, name)}, allowed, headers,
    )  # fmt: skip


def wish(scene: Scene, number: int, school: School, id_: UUID) -> Asked:
    """A requisition against the line that has little."""
    line = {
        "item": "抹布", "quantity": "1", "measure_unit": "块",
        "estimated_price_cny": str(PRICE_CNY),
    }  # fmt: skip
    body = {
        "id": str(id_), "organisation": school.id, "category": "consumables", "fund": "canteen",
        "budget": school.race, "budget_line": "tight", "needed_by": str(day_begun() + timedelta(days=60)),
        "purpose": key_of(scene, f"wish{number}"), "lines": [line],
    }  # fmt: skip
    return written(
        scene, f"wish{number}", school.person("buyer"), "RaiseRequisition",
        "/procurement/requisitions", body, BEGUN,
    )  # fmt: skip


def written(
    scene: Scene,
    name: str,
    person: str,
    command: str,
    path: str,
    body: Mapping[str, Any],
    allowed: frozenset[int],
    headers: Mapping[str, str] | None = None,
) -> Asked:
    """A command of procurement's as it is sent, noted for the checks."""
    sent = {"Idempotency-Key": key_of(scene, name), **(headers or {})}
    one = Asked(person, PROCUREMENT, command, path, json.dumps(body).encode(), sent, allowed)
    scene.load.asked.append(one)
    return one


KINDS: dict[str, Callable[[Scene, str], Coroutine[Any, Any, None]]] = {
    VERSIONS: same_version, MONEY: last_money, LATE: late_commit,
}  # fmt: skip

RACING = (Fault("F12", "two writers", list(KINDS), two_write),)
