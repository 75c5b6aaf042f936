"""What became of the things that a scenario watches: every step with who and when, and the alerts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import httpx

from deploy.local.scenario_figures import aligned
from deploy.local.scenario_plan import Plan
from deploy.local.scenario_run import Entered
from deploy.local.scenario_values import Ref

ZONE = ZoneInfo("Asia/Shanghai")


class Story:
    """Reads histories from the services, and alerts from reporting."""

    def __init__(
        self, urls: Mapping[str, str], client: httpx.AsyncClient, headers: Mapping[str, str]
    ) -> None:
        self.urls, self.client, self.headers = urls, client, headers

    async def told(self, names: Sequence[str], plan: Plan, entered: Entered) -> list[str]:
        """The lines of all of it."""
        made: list[str] = []
        for name in names:
            ref = plan.names[name]
            if isinstance(ref, Ref):
                service = plan.services[ref.key]
                steps = await self._history(service, entered.answers[ref.key]["id"])
                made += ["", f"{name} · {service}", *(f"  {line}" for line in steps)]
        return made + await self._alerts()

    async def _history(self, service: str, id_: str) -> list[str]:
        """Every event of a thing: when, who, what."""
        document = await self._get(f"{self.urls[service]}/{service}/openapi.json")
        for path in document["paths"]:
            if path.endswith("/{id}/history"):
                url = f"{self.urls[service]}{path.replace('{id}', id_)}"
                answer = await self.client.get(url, headers=dict(self.headers))
                if answer.status_code == httpx.codes.OK:
                    return aligned([step(item) for item in answer.json()["items"]], right=())
        return []

    async def _get(self, url: str) -> dict[str, Any]:
        answer = await self.client.get(url, headers=dict(self.headers))
        answer.raise_for_status()
        return dict(answer.json())


def step(item: Mapping[str, Any]) -> list[str]:
    """One event of a history: when it happened, who did it, what it was in both languages."""
    at = datetime.fromisoformat(item["occurred_at"]).astimezone(ZONE)
    words = item["words"]
    return [f"{at:%Y-%m-%d %H:%M}", item["actor"], f"{words['zh']} · {words['en']}", item["type"]]
