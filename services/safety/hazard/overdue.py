"""What is late and stays late is said again, each time one level higher in the tree.

督办. It starts at the unit itself and climbs by the policy's levels until the hazard is put right;
being sent back goes on where it stopped.
"""

from __future__ import annotations

from datetime import timedelta

from services.safety.hazard import Hazard, HazardOverdue, HazardPolicy, about, hazards
from shared.kernel import By, Command
from shared.organisation import Level, Unit


class RaiseHazardOverdue(Command):
    pass


@hazards.when_due(lambda state: state.alarm_at if state.open else None)
def overdue(
    state: Hazard, command: RaiseHazardOverdue, by: By, policy: HazardPolicy, unit: Unit
) -> HazardOverdue | None:
    if not state.open or state.alarm_at is None or by.now < state.alarm_at:
        return None
    level, climbs = next_level(state, policy, unit)
    return HazardOverdue(
        **about(state),
        level=level,
        awaiting=state.status,
        due_at=state.due_at,
        hours_overdue=(by.now - state.due_at) // timedelta(hours=1),
        rectifier=state.rectifier,
        next_alarm_at=by.now + timedelta(hours=policy.climb_hours) if climbs else None,
    )


def next_level(state: Hazard, policy: HazardPolicy, unit: Unit) -> tuple[Level, bool]:
    """Where lateness is said now, and whether it can climb further; the unit starts the ladder."""
    ladder = [level for level in policy.climb_levels if level <= unit.level] or [unit.level]
    reached = state.alarm_level
    above = [level for level in ladder if reached is None or level < reached]
    return (above[0], len(above) > 1) if above else (reached or ladder[-1], False)
