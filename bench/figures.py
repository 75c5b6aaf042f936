"""How soon a figure, a page of figures or a ranking is answered, over HTTP, by the real process."""

from __future__ import annotations

import time

import httpx

from bench.events import fill
from bench.feed import PARTITIONS, Feed, world
from bench.place import Place, free_port
from bench.projection import count
from bench.rows import Row, percentile, plain
from bench.web import PERSON
from hosting.compose import running
from services.reporting import reporting
from shared.config import Settings

YEAR = "2026-09-07..2027-09-06"
MEASURE = "assets.repairs_done"


async def figures(place: Place) -> list[Row]:
    """A county of 200 schools over a year, alone and as a page, and a province of 20,000 ranked."""
    feed = Feed(place.size(500_000, 20_000), place.size(20_000, 2_000), days=365)
    made = world(feed.schools)
    env, port = await counted(place, feed, "bench_figures")
    headers = {"Authorization": f"Bearer {await place.token(PERSON)}"}
    base = f"http://127.0.0.1:{port}/reporting"
    async with (
        place.process("reporting", "services.reporting", "api", port=port, env=env),
        httpx.AsyncClient(trust_env=False, headers=headers, timeout=30) as client,
    ):
        county, paged, ranked = [], [], []
        for n in range(place.size(40, 10) * place.rounds):
            unit = made.counties[n % len(made.counties)]
            asked = {"unit": str(unit), "period": YEAR}
            county.append(await _timed(client, f"{base}/figures/{MEASURE}", asked))
            page = asked | {"measures": MEASURE, "by_unit": MEASURE}
            paged.append(await _timed(client, f"{base}/dashboards", page))
            if n % 2 == 0:
                asked = {"unit": str(made.province), "period": YEAR, "level": "school"}
                ranked.append(await _timed(client, f"{base}/rankings/{MEASURE}", asked))
    schools = feed.schools
    return [
        plain(
            f"figure of a county of {schools // 100} schools, a year, p95", "ms",
            [1000 * percentile(county, 0.95)], at_most=30,
        ),
        plain(
            f"the same with comparisons and its {schools // 100} schools in one answer, p95", "ms",
            [1000 * percentile(paged, 0.95)], at_most=30,
        ),
        plain(
            f"ranking of a province of {schools:,} schools, p95", "ms",
            [1000 * percentile(ranked, 0.95)], at_most=200,
        ),
    ]  # fmt: skip


async def counted(place: Place, feed: Feed, name: str) -> tuple[dict[str, str], int]:
    """A reporting database that has counted a feed: what its process is told, and its port."""
    stack = await place.stores()
    await fill(stack.kafka, feed)
    dsn, port = await place.dsn(name), free_port()
    config = Settings(
        database=dsn, kafka=stack.kafka, topic_prefix=feed.prefix, partitions=PARTITIONS
    )
    async with running(reporting, config, "api") as rt:
        await count(rt, feed, PERSON)
        await rt.pool.execute("vacuum analyze", timeout=600)
    return await place.environment(dsn, port, feed.prefix), port


async def _timed(client: httpx.AsyncClient, url: str, params: dict[str, str]) -> float:
    begun = time.perf_counter()
    answer = await client.get(url, params=params)
    answer.raise_for_status()
    return time.perf_counter() - begun
