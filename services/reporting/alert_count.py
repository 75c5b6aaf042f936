"""How many alerts wait for an answer, as a number that operators and their dashboards see."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from prometheus_client import Gauge

from shared.runtime import Runtime

ALERTS = Gauge("houqin_alerts", "Alerts that are not resolved", ["rule", "severity", "status"])

_OPEN = """
select rule, severity, status, count(*) from view_alert_list
where status in ('open', 'acknowledged', 'explained') group by rule, severity, status
"""


def alert_count(rt: Runtime) -> Callable[[], Awaitable[None]]:
    """The chore that counts them."""

    async def count() -> None:
        rows = await rt.pool.fetch(_OPEN)
        ALERTS.clear()  # a rule of which all are resolved has no row
        for rule, severity, status, times in rows:
            ALERTS.labels(rule, severity, status).set(times)

    return count
