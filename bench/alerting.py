"""How soon an alert stands in the list once what it is about is committed, with real processes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from uuid import UUID, uuid4

import asyncpg
import httpx

from bench.feed import World, world
from bench.live import SCHOOLS, Watch
from bench.place import Place, Pool, free_port
from bench.rows import Row, percentile, plain
from bench.web import current
from bench.world import settle
from hosting.compose import prepare_database
from services.assets import assets
from services.reporting import reporting
from shared.organisation import Role

PREFIX = "bench-alerts"
REPORTER, ASSESSOR = "storekeeper", "principal"
"""Two of the provider's people: nobody assesses what they have reported."""

PER_S = 50
COST_CNY = "1000000.00"
"""Above any limit from which wilful damage is an alert."""

_RAISED = "select count(*) from view_alert_list"


@asynccontextmanager
async def serving(place: Place, made: World) -> AsyncIterator[tuple[int, Watch]]:
    """Assets and reporting as processes of their own; the port of assets, the alerts' list."""
    stack = await place.stores()
    keys = {"HOUQIN_KEYS": stack.dsns["keys"], "HOUQIN_SECRETS": str(stack.secrets)}
    async with AsyncExitStack() as exits:
        ports, pools = (free_port(), free_port()), list[Pool]()
        for service, name in ((assets, "bench_alerts_assets"), (reporting, "bench_alerts")):
            dsn = await place.dsn(name)
            pool = await exits.enter_async_context(asyncpg.create_pool(dsn, min_size=1, max_size=2))
            await prepare_database(service, pool)
            await settle(pool, made, REPORTER, Role.STOREKEEPER)
            await settle(pool, made, ASSESSOR, Role.PRINCIPAL)
            await exits.enter_async_context(current(pool))
            port = ports[len(pools)]
            env = await place.environment(dsn, port, PREFIX) | keys
            module = f"services.{service.name}"
            await exits.enter_async_context(place.process(service.name, module, port=port, env=env))
            pools.append(pool)
        yield ports[0], Watch(pools[1], _RAISED)


async def alert(place: Place) -> list[Row]:
    """From the answer to a command until the alert that it is cause of stands in the list."""
    made, times = world(SCHOOLS, counties=1), place.size(500, 50)
    waits: list[list[float]] = []
    async with serving(place, made) as (port, watch):
        people = [await place.token(one) for one in (REPORTER, ASSESSOR)]
        headers = [{"Authorization": f"Bearer {token}"} for token in people]
        url = f"http://127.0.0.1:{port}/assets"
        async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=30) as client:
            for _ in range(place.rounds):
                ids = await reported(client, headers[0], made.schools, times)
                waits.append(await watch.waits(partial(assessed, client, headers[1], ids)))
    name = f"committed → alert in the list, {PER_S}/s"
    rows = [plain(f"{name}, p50", "ms", [1000 * percentile(one, 0.5) for one in waits])]
    every = [1000 * percentile(one, 0.99) for one in waits]
    return [*rows, plain(f"{name}, p99", "ms", every, at_most=2000)]


async def reported(
    client: httpx.AsyncClient, headers: dict[str, str], schools: Sequence[UUID], times: int
) -> list[str]:
    """So many broken windows, in one school after the other; their ids."""
    commands = [
        {
            "key": str(uuid4()),
            "command": "ReportDamage",
            "body": {
                "organisation": str(schools[n % len(schools)]),
                "cause": "wilful",
                "item": "玻璃",
            },
        }
        for n in range(times)
    ]
    answer = await client.post("/batch", json={"commands": commands}, headers=headers)
    return [one["body"]["id"] for one in answer.raise_for_status().json()["results"]]


async def assessed(
    client: httpx.AsyncClient, headers: dict[str, str], ids: Sequence[str]
) -> list[float]:
    """Assesses them at the row's pace, each a cause of its own; the times of the answers."""
    body = {"cause": "wilful", "replacement_cost_cny": COST_CNY}

    async def assess(id_: str) -> float:
        keyed = headers | {"Idempotency-Key": str(uuid4())}
        answer = await client.post(f"/damages/{id_}/assess", json=body, headers=keyed)
        answer.raise_for_status()
        return time.time()

    begun, tasks = time.perf_counter(), []
    for n, id_ in enumerate(ids):
        await asyncio.sleep(max(0.0, begun + n / PER_S - time.perf_counter()))
        tasks.append(asyncio.create_task(assess(id_)))
    return sorted(await asyncio.gather(*tasks))
