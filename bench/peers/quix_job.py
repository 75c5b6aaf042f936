"""Rows per school and day, and per county and day, with Quix Streams, exactly once.

Runs in the peers' own environment. What it promises is what Kafka Streams does: state, messages to
the counties' partitions and offsets move in one Kafka transaction; its own Postgres sink writes
absolute values just before, and no offset with them.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from quixstreams import Application, State  # type: ignore[import-not-found]
from quixstreams.sinks.community.postgresql import (  # type: ignore[import-not-found]
    PostgreSQLSink,
)

FIELDS = {
    "RepairSigned": "cost_cny",
    "PurchaseApproved": "amount_cny",
    "AssetDamaged": "replacement_cost_cny",
    "InspectionPassed": "score",
    "HazardClosed": "rectified_in_minutes",
}


class Sink(PostgreSQLSink):  # type: ignore[misc]
    """Its Postgres sink, for one table; notes how many events its rows are the sum of."""

    def __init__(self, table: str, place: str, postgres: dict[str, Any]) -> None:
        super().__init__(
            **postgres, table_name=table, primary_key_columns=["kind", place, "day"],
            upsert_on_primary_key=True, include_metadata=False, schema_auto_update=False,
        )  # fmt: skip
        self.place, self.taken, self.written = place, 0, 0
        self.after_write: Callable[[], None] = lambda: None

    def add(self, value: dict[str, Any], *rest: Any, **named: Any) -> None:
        self.taken += 1
        row = {name: value[name] for name in ("kind", self.place, "day", "count", "amount")}
        super().add(row, *rest, **named)

    def flush(self) -> None:
        super().flush()
        self.written = self.taken
        self.after_write()


def added(value: dict[str, Any], state: State) -> dict[str, Any]:
    """The value with the totals of its place, kind and day so far; the place is the key."""
    name = f"{value['kind']}:{value['day']}"
    count, amount = state.get(name, (0, "0"))
    count, amount = count + 1, str(Decimal(amount) + Decimal(value["one"]))
    state.set(name, (count, amount))
    return {**value, "count": count, "amount": amount}


def main(options: dict[str, Any]) -> dict[str, float]:
    """Runs until every event is in both tables; when the first came and the last was written."""
    app = Application(
        broker_address=options["kafka"], consumer_group=options["name"],
        auto_offset_reset="earliest", processing_guarantee="exactly-once", loglevel="ERROR",
        commit_interval=options["commit_s"], state_dir=options["state"],
    )  # fmt: skip
    schools = Sink("school_day", "school", options["postgres"])
    counties = Sink("county_day", "county", options["postgres"])
    found: dict[str, float] = {}
    with open(options["counties"], encoding="ascii") as lines:  # noqa: PTH123
        county_of = dict(line.split() for line in lines)

    def needed(value: Any, key: str, timestamp: int, headers: Any) -> dict[str, Any]:
        found.setdefault("begun", time.time())
        named = dict(headers)
        kind = named["ce_type"].decode()
        at = datetime.fromisoformat(named["ce_time"].decode()) + timedelta(hours=8)
        return {
            "kind": kind, "school": key, "county": county_of[key], "day": at.date().isoformat(),
            "one": str(value[FIELDS[kind]]),
        }  # fmt: skip

    def written() -> None:
        if min(schools.written, counties.written) >= options["events"]:
            found.setdefault("ended", time.time())
            app.stop()

    schools.after_write = counties.after_write = written
    for name in options["topics"]:
        topic = app.topic(name, key_deserializer="str", value_deserializer="json")
        events = app.dataframe(topic).apply(needed, metadata=True)
        events.apply(added, stateful=True).sink(schools)
        above = events.group_by(lambda value: value["county"], name="county")
        above.apply(added, stateful=True).sink(counties)
    app.run()
    return found


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]))), flush=True)
    sys.stdin.read()
