"""What operators watch: how far log, relay, consumers and timers are apart, and what has stuck.

Each number is here because a fault showed itself in it; the alert rules on them are in
`deploy/alerts/`, what to do about each in `docs/runbook.md`.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from prometheus_client import Gauge

from hosting.proof_check import ProofCheck
from hosting.proofs import Proofs
from hosting.release import release
from shared.relay import Relay
from shared.runtime import Runtime

UNSENT_MAX = 100_000
"""Up to so many waiting events are counted: more are as bad, and counting them is work, too."""

HORIZON_AGE = Gauge(
    "houqin_log_horizon_age_seconds",
    "Age of the oldest open write transaction: no event that is younger can be sent",
    ["service"],
)
RELAY_LAG = Gauge("houqin_relay_lag_events", "Events in the log not yet in Kafka", ["service"])
RELAY_LAG_SECONDS = Gauge(
    "houqin_relay_lag_seconds", "Age of the oldest event not yet in Kafka", ["service"]
)
RELAY_LEADING = Gauge(
    "houqin_relay_leading", "1 if this process sends the service's log, else 0", ["service"]
)
RELAY_HALTED = Gauge(
    "houqin_relay_halted", "1 if the log's order is broken and nothing is sent", ["service"]
)
TREE_SIZE = Gauge("houqin_tree_size", "Leaves of the tree over the log", ["service"])
TREE_LAG = Gauge("houqin_tree_lag_events", "Events in the log not yet in its tree", ["service"])
CONSUMER_LAG = Gauge(
    "houqin_consumer_lag_events", "Events in Kafka not yet applied", ["service", "consumer"]
)
CONSUMER_LAG_SECONDS = Gauge(
    "houqin_consumer_lag_seconds",
    "Age of the last event applied, while there are later ones",
    ["service", "consumer"],
)
# Gauges that only grow: the consumer counts, and says how far it has got.
CONSUMER_REBUILDS = Gauge(
    "houqin_consumer_rebuilds",
    "Kafka clients given up since start: failed, stalled or overtaken",
    ["service", "consumer"],
)
CONSUMER_DUPLICATES = Gauge(
    "houqin_consumer_duplicates", "Repetitions dropped since start", ["service", "consumer"]
)
CONSUMER_MISSING = Gauge(
    "houqin_consumer_missing_events",
    "Events since start that Kafka no longer had when they were asked for",
    ["service", "consumer"],
)
REFILLING = Gauge(
    "houqin_refilling_partitions",
    "Partitions of which Kafka no longer has what comes next, until a feed has given it",
    ["service", "consumer"],
)
REFILLED = Gauge(
    "houqin_refilled_events", "Events taken from a feed since start", ["service", "consumer"]
)
PARKED = Gauge("houqin_parked_keys", "Keys that wait for repair", ["service", "consumer"])
PARKED_EVENTS = Gauge(
    "houqin_parked_events", "Events that wait behind parked keys", ["service", "consumer"]
)
PARKED_AGE = Gauge(
    "houqin_parked_age_seconds",
    "How long the oldest parked key has waited",
    ["service", "consumer"],
)
TIMER_LAG = Gauge(
    "houqin_timer_lag_seconds", "How long the oldest due moment has waited", ["service"]
)
DIRECTORY_AGE = Gauge(
    "houqin_directory_age_seconds", "Age of the local copy of units and posts", ["service"]
)
BACKUP_AGE = Gauge(
    "houqin_backup_age_seconds",
    "Time since the last back-up; since the database was set up, if there was none",
    ["service"],
)

LOG = f"""
select (
    select coalesce(extract(epoch from now() - min(xact_start)), 0)::float8
    from pg_stat_activity where backend_xid is not null
) as horizon_age,
count(unsent.recorded_at) as unsent,
coalesce(extract(epoch from now() - min(unsent.recorded_at)), 0)::float8 as unsent_age,
(select coalesce(greatest(extract(epoch from now() - min(at)), 0), 0)::float8 from due) as due_age,
(select size from log_tree) as tree_size,
extract(epoch from now() - coalesce(
    (select max(at) from backed_up), (select min(applied_at) from migration)
))::float8 as backup_age,
(select count(*) from (
    select from event, log_tree tree
    where (event.epoch, event.tx, event.seq) > (tree.epoch, tree.tx, tree.seq)
    limit {UNSENT_MAX}
) as unproved) as unproved
from (
    select event.recorded_at from event, relay
    where (event.epoch, event.tx, event.seq) > (relay.epoch, relay.tx, relay.seq)
    order by event.epoch, event.tx, event.seq
    limit {UNSENT_MAX}
) as unsent
"""

_KEEP = """
with ended as (delete from watched where at < clock_timestamp() - interval '1 hour')
insert into watched (process, seen) values ($1, $2)
on conflict (process) do update set at = clock_timestamp(), seen = excluded.seen
"""

_PARKED = """
select k.consumer, count(*)::float8 as events,
       extract(epoch from now() - min(k.parked_at))::float8 as age
from parked_key k join parked_event using (consumer, topic, key) group by k.consumer
"""


class Followed(msgspec.Struct, frozen=True):
    """A consumer as its worker sees it; `missing` and `rebuilds` since the worker's start."""

    name: str
    lag_events: int
    missing: int
    rebuilds: int
    refilling: int


class Seen(msgspec.Struct, frozen=True):
    """What a worker says of itself to the service's other processes. `halted`: why relay or
    signing stand still; `findings`: where log, tree and signature differ.
    """

    release: str
    leads: bool
    halted: list[str]
    findings: list[str]
    consumers: list[Followed]


@dataclass(frozen=True, slots=True)
class Watch:
    """Sets the numbers of one worker, and tells the other processes of the service."""

    rt: Runtime
    relay: Relay
    proofs: Proofs
    check: ProofCheck

    async def look(self) -> None:
        """Reads everything once."""
        name = self.rt.service.name
        log = await self.rt.pool.fetchrow(LOG)
        assert log is not None
        HORIZON_AGE.labels(name).set(log["horizon_age"])
        TIMER_LAG.labels(name).set(log["due_age"])
        RELAY_LEADING.labels(name).set(self.relay.leading)
        RELAY_HALTED.labels(name).set(bool(self.relay.halted))
        RELAY_LAG.labels(name).set(log["unsent"])
        RELAY_LAG_SECONDS.labels(name).set(log["unsent_age"])
        TREE_SIZE.labels(name).set(log["tree_size"])
        TREE_LAG.labels(name).set(log["unproved"])
        BACKUP_AGE.labels(name).set(log["backup_age"])
        self._consumers(name, await self.rt.pool.fetch(_PARKED))
        process = f"{socket.gethostname()} {os.getpid()}"
        await self.rt.pool.execute(_KEEP, process, msgspec.json.encode(self.seen()).decode())

    def seen(self) -> Seen:
        """The worker as it is now."""
        return Seen(
            release=release(),
            leads=self.relay.leading,
            halted=[why for why in (self.relay.halted, self.proofs.halted) if why],
            findings=sorted(map(str, self.check.found)),
            consumers=[
                Followed(one.name, one.lag_events, one.missing, one.rebuilds, len(one.lost))
                for one in self.rt.consumers
            ],
        )

    def _consumers(self, name: str, rows: Sequence[Any]) -> None:
        parked = {row["consumer"]: (row["events"], row["age"]) for row in rows}
        for one in self.rt.consumers:
            events, age = parked.get(one.name, (0.0, 0.0))
            for metric, value in (
                (CONSUMER_LAG, one.lag_events),
                (CONSUMER_LAG_SECONDS, one.lag_seconds),
                (CONSUMER_REBUILDS, one.rebuilds),
                (CONSUMER_DUPLICATES, one.duplicates),
                (CONSUMER_MISSING, one.missing),
                (REFILLING, len(one.lost)),
                (REFILLED, one.refilled),
                (PARKED, one.parked),
                (PARKED_EVENTS, events),
                (PARKED_AGE, age),
            ):
                metric.labels(name, one.name).set(value)
