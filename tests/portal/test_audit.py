"""The trails of several logs as one: nothing twice, nothing left out, nothing out of order."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from services.portal.audit import Cursors, Page, merged, moment_of
from services.portal.health import paragraphs
from tests.hosting.test_alert_rules import rules

NOON = datetime(2026, 9, 1, 12, tzinfo=UTC)
LOGS = st.dictionaries(
    st.sampled_from(["assets", "safety", "reporting"]), st.lists(st.integers(0, 50), max_size=30)
)


def entries(seconds: list[int]) -> list[dict[str, Any]]:
    """A log, the newest first; those of one moment may lie out of order by a little."""
    ordered = sorted(seconds, reverse=True)
    return [
        {"position": f"1.{len(ordered) - n}.0", "recorded_at": (NOON + timedelta(seconds=one, milliseconds=n % 3)).isoformat()}
        for n, one in enumerate(ordered)
    ]  # fmt: skip


def page(log: list[dict[str, Any]], cursor: str, limit: int, looked_at: int, step: int) -> Page:
    """As a service answers: so much is looked at, of which every `step`th fits."""
    places = [one["position"] for one in log]
    begin = places.index(cursor) + 1 if cursor else 0
    seen = log[begin : begin + looked_at]
    fitting = [one for one in seen if int(one["position"].split(".")[1]) % step == 0]
    if len(fitting) > limit:
        last = fitting[limit - 1]
        return Page(fitting[:limit], last["position"], moment_of(last))
    if begin + looked_at >= len(log):
        return Page(fitting, None, None)
    return Page(fitting, seen[-1]["position"], moment_of(seen[-1]))


@given(LOGS, st.integers(1, 7), st.integers(1, 9), st.integers(1, 3))
def test_paging_tells_every_entry_once_and_newest_first(
    given_logs: dict[str, list[int]], limit: int, looked_at: int, step: int
) -> None:
    logs = {service: entries(seconds) for service, seconds in given_logs.items()}
    cursors: Cursors = dict.fromkeys(logs, "")
    found: list[dict[str, Any]] = []
    for _ in range(200):
        due = {service: place for service, place in cursors.items() if place is not None}
        if not due:
            break
        pages = {s: page(logs[s], place, limit, looked_at, step) for s, place in due.items()}
        items, cursors = merged(pages, cursors, limit)
        assert len(items) <= limit
        found += items
    assert not any(place is not None for place in cursors.values()), "it ends"
    told = [(one["service"], one["position"]) for one in found]
    wanted = {
        (service, one["position"])
        for service, log in logs.items()
        for one in log
        if int(one["position"].split(".")[1]) % step == 0
    }
    assert len(told) == len(wanted) and set(told) == wanted
    moments = [moment_of(one) for one in found]
    late = timedelta(milliseconds=2)
    assert all(one >= other - late for one, other in pairwise(moments))


def test_a_service_that_is_away_goes_on_where_it_was() -> None:
    items, after = merged({"assets": Page([], None, None)}, {"assets": "", "safety": "1.5.0"}, 9)
    assert (items, after) == ([], {"assets": None, "safety": "1.5.0"})


def test_every_alert_has_its_paragraph_in_both_languages() -> None:
    known = paragraphs()
    for rule in rules():
        blocks = known[rule["alert"].lower()]
        assert {"zh", "en"} <= {one["kind"] for one in blocks}, rule["alert"]
        assert not any("](" in one["text"] for one in blocks)
