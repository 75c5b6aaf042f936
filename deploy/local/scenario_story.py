"""What became of the things that a scenario watches: each step with who and when; the alerts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import httpx

from deploy.local.scenario import Watched
from deploy.local.scenario_figures import aligned
from deploy.local.scenario_plan import Plan
from deploy.local.scenario_run import Entered

ZONE = ZoneInfo("Asia/Shanghai")


class Story:
    """Reads histories from the services, and alerts from reporting."""

    def __init__(
        self, urls: Mapping[str, str], client: httpx.AsyncClient, headers: Mapping[str, str]
    ) -> None:
        self.urls, self.client, self.headers = urls, client, headers

    async def told(self, watched: Sequence[Watched], plan: Plan, entered: Entered) -> list[str]:
        """Every step of the things that are watched, then the alerts."""
        made: list[str] = []
        for one in watched:
            ref = plan.names[one.thing]
            began, id_ = plan.find(ref.key), entered.answers[ref.key]["id"]
            steps = await self._history(began.service, began.operation, id_)
            made += ["", f"{one.zh} · {one.en}", *(f"  {step}" for step in steps)]
        return [*made, *await self._alerts(plan)]

    async def _alerts(self, plan: Plan) -> list[str]:
        """What reporting says that somebody must answer for, the latest first."""
        names = {str(plan.units[code]): unit.name for code, unit in plan.entries.items()}
        found = await self._get(f"{self.urls['reporting']}/reporting/alerts?sort=-raised_at")
        made: list[str] = []
        for alert in found["items"]:
            where = names.get(alert["organisation"], alert["organisation"])
            made += [
                f"  {alert['happened_on']}  {where}  {alert['rule']} ({alert['severity']})",
                f"    {alert['why_zh']}",
                f"    {alert['why_en']}",
            ]
        return ["", "告警 · alerts", *made] if made else []

    async def _history(self, service: str, operation: str, id_: str) -> list[str]:
        """Every event of the thing that an operation began: when, who, what."""
        base = self.urls[service]
        document = await self._get(f"{base}/{service}/openapi.json")
        path = history_path(document["paths"], operation)
        if path is None:
            return []
        history = await self._get(base + path.replace("{id}", id_))
        return aligned([step(item) for item in history["items"]], right=())

    async def _get(self, url: str) -> dict[str, Any]:
        answer = await self.client.get(url, headers=dict(self.headers))
        answer.raise_for_status()
        return dict(answer.json())


def history_path(paths: Mapping[str, Any], operation: str) -> str | None:
    """Where the history stands of what an operation (by name or route) is about."""
    for path, methods in paths.items():
        post = methods.get("post", {})
        if operation in (path, post.get("operationId")):
            for other, ways in paths.items():
                detail = ways.get("get", {})
                if other.endswith("/{id}") and detail.get("tags") == post.get("tags"):
                    return f"{other}/history"
    return None


def step(item: Mapping[str, Any]) -> list[str]:
    """One event of a history: when it happened, who did it, what it was in both languages."""
    at = datetime.fromisoformat(item["occurred_at"]).astimezone(ZONE)
    words = item["words"]
    return [f"{at:%Y-%m-%d %H:%M}", item["actor"], f"{words['zh']} · {words['en']}", item["type"]]
