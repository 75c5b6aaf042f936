"""Figures of the kitchen: menus published, and in time. 带量食谱公示."""

from __future__ import annotations

from collections.abc import Iterable

from services.reporting.measure import Fact
from services.reporting.measuring import measures
from services.reporting.upstream.nutrition import MenuPublished
from shared.kernel import Recorded


@measures.measure("nutrition.menus_published", on=MenuPublished, dims={"in_time": "YesNo"})
def menus_published(event: MenuPublished, recorded: Recorded) -> Iterable[Fact]:
    """A week's menu counts once: a corrected version supersedes, it does not add."""
    if event.version > 1:
        return []
    return [Fact(dims={"in_time": "no" if event.late else "yes"}, day=event.published_on)]


@measures.measure("nutrition.menus_corrected", on=MenuPublished)
def menus_corrected(event: MenuPublished, recorded: Recorded) -> Iterable[Fact]:
    return [Fact(day=event.published_on)] if event.version > 1 else []


measures.derived(
    "nutrition.menus_published_in_time", "nutrition.menus_published", where={"in_time": "yes"}
)
measures.ratio(
    "nutrition.menu_in_time_rate",
    numerator="nutrition.menus_published_in_time",
    denominator="nutrition.menus_published",
)
