"""Figures of safety: hazards found and put right, inspections, checks.

隐患、检查、排查. A hazard that proves to be none is taken back on the day on which it was found.
The rectification rate is of the hazards found in the period: how many have been closed since.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC

from services.reporting.measure import Fact
from services.reporting.measuring import measures
from services.reporting.upstream.safety import (
    HazardClosed,
    HazardDismissed,
    HazardFound,
    HazardOverdue,
    InspectionFailed,
    InspectionPassed,
    SafetyCheckDone,
)  # fmt: skip
from shared.fields import business_day
from shared.kernel import Recorded

FULL_SCHOOL = "full_school"
"""The kind of check that goes through the whole school (全校性安全大排查)."""

type Inspected = InspectionPassed | InspectionFailed


@measures.measure(
    "safety.hazards_found", on=(HazardFound, HazardDismissed), dims={"category": "HazardCategory"}
)
def hazards_found(event: HazardFound | HazardDismissed, recorded: Recorded) -> Iterable[Fact]:
    if isinstance(event, HazardFound):
        return [Fact(dims={"category": event.category})]
    found_on = business_day(event.found_at.astimezone(UTC))
    return [Fact(count=-1, dims={"category": event.category}, day=found_on)]


@measures.measure(
    "safety.hazards_closed",
    on=HazardClosed,
    dims={"category": "HazardCategory", "on_time": "YesNo"},
)
def hazards_closed(event: HazardClosed, recorded: Recorded) -> Iterable[Fact]:
    on_time = "yes" if event.on_time else "no"
    return [Fact(dims={"category": event.category, "on_time": on_time})]


@measures.measure(
    "safety.hazards_found_and_closed", on=HazardClosed, dims={"category": "HazardCategory"}
)
def hazards_found_and_closed(event: HazardClosed, recorded: Recorded) -> Iterable[Fact]:
    """Counts on the day on which it was found."""
    found_on = business_day(event.found_at.astimezone(UTC))
    return [Fact(dims={"category": event.category}, day=found_on)]


measures.derived(
    "safety.hazards_open", "safety.hazards_found", minus=["safety.hazards_closed"], balance=True
)
measures.derived("safety.hazards_closed_on_time", "safety.hazards_closed", where={"on_time": "yes"})


@measures.measure(
    "safety.hazards_overdue",
    on=HazardOverdue,
    dims={"category": "HazardCategory", "level": "Level"},
)
def hazards_overdue(event: HazardOverdue, recorded: Recorded) -> Iterable[Fact]:
    """How often lateness was said, by the level at which it was."""
    return [Fact(dims={"category": event.category, "level": str(event.level)})]


@measures.measure(
    "safety.inspections",
    on=(InspectionPassed, InspectionFailed),
    dims={"kind": "ProgrammeKind", "result": "InspectionStatus"},
)
def inspections(event: Inspected, recorded: Recorded) -> Iterable[Fact]:
    result = "passed" if isinstance(event, InspectionPassed) else "failed"
    return [Fact(quantity=event.score, dims={"kind": event.kind, "result": result})]


@measures.measure("safety.failed_items", on=InspectionFailed, dims=("item",))
def failed_items(event: InspectionFailed, recorded: Recorded) -> Iterable[Fact]:
    return [Fact(dims={"item": item.text}) for item in event.failed_items]


@measures.measure(
    "safety.inspection_points_full", on=(InspectionPassed, InspectionFailed), unit="point",
    dims={"kind": "ProgrammeKind"}, shows="quantity",
)  # fmt: skip
def inspection_points_full(event: Inspected, recorded: Recorded) -> Iterable[Fact]:
    return [Fact(quantity=event.full, dims={"kind": event.kind})]


@measures.measure(
    "safety.full_school_inspections", on=(InspectionPassed, InspectionFailed, SafetyCheckDone)
)
def full_school_inspections(
    event: Inspected | SafetyCheckDone, recorded: Recorded
) -> Iterable[Fact]:
    return [Fact()] if event.kind == FULL_SCHOOL else []


@measures.measure("safety.checks", on=SafetyCheckDone, dims={"kind": "ProgrammeKind"})
def checks(event: SafetyCheckDone, recorded: Recorded) -> Iterable[Fact]:
    """Checks without a checklist; going through the whole school is counted by itself."""
    return [Fact(dims={"kind": event.kind})] if event.kind != FULL_SCHOOL else []


measures.derived(
    "safety.food_checks", "safety.checks", "safety.inspections", where={"kind": "food_safety"}
)
measures.derived("safety.inspections_passed", "safety.inspections", where={"result": "passed"})
measures.derived("safety.inspections_failed", "safety.inspections", where={"result": "failed"})
measures.derived("safety.inspection_points", "safety.inspections", unit="point", shows="quantity")
measures.ratio(
    "safety.hazard_rectification_rate",
    numerator="safety.hazards_found_and_closed",
    denominator="safety.hazards_found",
)
measures.ratio(
    "safety.hazard_on_time_rate",
    numerator="safety.hazards_closed_on_time",
    denominator="safety.hazards_closed",
)
measures.ratio(
    "safety.inspection_pass_rate",
    numerator="safety.inspections_passed",
    denominator="safety.inspections",
)
measures.ratio(
    "safety.inspection_score_rate",
    numerator="safety.inspection_points",
    denominator="safety.inspection_points_full",
)
