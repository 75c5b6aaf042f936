"""The whole way: events in Kafka become figures and alerts, each once."""

from __future__ import annotations

from typing import Any

import pytest

from hosting.compose import running
from services.reporting import reporting
from services.reporting.counting import SOURCES, Counting
from services.reporting.figures.roll import Roller
from services.reporting.measures import measures
from shared.config import Settings
from shared.relay import ensure_topics
from shared.runtime import Runtime
from tests.reporting.events import NORTH, ONE, PROVINCE, TREE, TWO, put_tree
from tests.reporting.figures import counted, kept
from tests.shared.wire import caught_up, filled, until

pytestmark = pytest.mark.stack

REPAIR: dict[str, Any] = {
    "kind": "lamp", "quantity": 1, "urgency": "normal", "cost_cny": "12.50",
    "response_minutes": 10, "finish_minutes": 60, "responded_in_time": True,
    "finished_in_time": True,
}  # fmt: skip
FAILED: dict[str, Any] = {
    "programme": "消防安全检查", "kind": "fire", "score": "60", "full": "100", "pass_score": "80",
    "veto": True, "failed_items": [{"code": "1", "text": "灭火器过期", "veto": True}],
}  # fmt: skip


async def total(rt: Runtime, measure: str, unit: object) -> int:
    found: int | None = await rt.pool.fetchval(
        "select sum(f.count)::bigint from figure f join series s on s.no = f.series"
        " join place p on p.no = f.place where s.measure = $1 and p.unit = $2 and f.grain = 1",
        measure, unit,
    )  # fmt: skip
    return found or 0


async def test_events_become_figures_and_alerts_once(config: Settings) -> None:
    topics = {config.topic(source): config.partitions for source in SOURCES}
    await ensure_topics(config.kafka, topics, 1)
    async with (
        running(reporting, config) as rt,
        filled(config, "assets") as assets,
        filled(config, "safety") as safety,
    ):
        await put_tree(rt.pool, TREE)
        await rt.directory.refresh()
        for _ in range(5):
            await assets.send(ONE, type="RepairSigned", **REPAIR)
        place = await assets.send(TWO, type="RepairSigned", **REPAIR)
        await assets.send(TWO, type="RepairSigned", position=place, **REPAIR)
        await safety.send(ONE, type="InspectionFailed", **FAILED)
        (figures,) = (one for one in rt.consumers if isinstance(one, Counting))
        await caught_up(figures)
        await until(lambda: _raised(rt))
        await Roller(rt.pool).step()
        assert await total(rt, "assets.repairs_done", PROVINCE) == 6
        assert await total(rt, "assets.repairs_done", NORTH) == 5
        assert await total(rt, "safety.inspections", NORTH) == 1
        assert await kept(rt.pool) == await counted(rt.pool)
        row = await rt.pool.fetchrow("select * from view_alert_list")
        assert row is not None
        assert (row["rule"], row["severity"], row["organisation"]) == (
            "safety.inspection_veto", "critical", ONE,
        )  # fmt: skip
        assert "灭火器过期" in row["why_zh"]
        assert {r[0] for r in await rt.pool.fetch("select measure from measured")} == {
            measure.name for measure in measures.stored
        }
        sources = await rt.pool.fetch(
            "select distinct topic from consumed where consumer = 'figures' and current_at"
            " is not null"
        )
        assert len(sources) == len(SOURCES)
        assert figures.parked == 0
        assert figures.duplicates == 1


async def _raised(rt: Runtime) -> bool:
    return bool(await rt.pool.fetchval("select count(*) from view_alert_list"))
