"""Late to begin, to finish or to sign: said at the deadline, then one level higher each time."""

from __future__ import annotations

from datetime import timedelta

from services.assets.climbing import next_alarm
from services.assets.repair import Repair, RepairOverdue, RepairPolicy, repairs
from shared.kernel import By, Command


class RemindOfRepair(Command):
    """Due at the deadline of what the repair waits for."""


@repairs.when_due(lambda state: state.alarm_at)
def remind(
    state: Repair, command: RemindOfRepair, by: By, policy: RepairPolicy
) -> RepairOverdue | None:
    stage, due_at = state.stage, state.due_at
    if stage is None or due_at is None or state.alarm_at is None or by.now < state.alarm_at:
        return None
    level = state.level + 1
    return RepairOverdue(
        stage=stage,
        level=level,
        kind=state.report.kind,
        urgency=state.report.urgency,
        due_at=due_at,
        repairer=state.repairer,
        place=state.report.place,
        next_alarm_at=next_alarm(level, policy.climbs, by, timedelta(hours=policy.climb_hours)),
    )
