"""Operators see how many alerts nobody has resolved."""

import pytest
from prometheus_client import REGISTRY

from services.reporting.alert_count import alert_count
from shared.runtime import Runtime
from tests.reporting.events import ONE
from tests.reporting.test_alert_stream import raise_at

pytestmark = pytest.mark.stack


def waiting() -> float:
    labels = {"rule": "safety.hazard_overdue", "severity": "high", "status": "open"}
    return REGISTRY.get_sample_value("houqin_alerts", labels) or 0


async def test_alerts_are_counted_by_rule(rt: Runtime) -> None:
    count = alert_count(rt)
    await count()
    before = waiting()
    await raise_at(rt, ONE)
    await count()
    assert waiting() == before + 1
