"""The jobs that run on the product's own packages, each a process: `python -m bench.peers.ours`.

`prototype`   the job of bench/prototype.py: exactly once, offsets in the same transaction
`one-by-one`  a plain consumer: per event one transaction with an upsert of each row and the offset;
              exactly once as well, and what most people write first
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import asyncpg
import uvloop

from bench.feed import Feed, world
from bench.prototype import KINDS, Prototype, batches, counties_of
from hosting.collector import collect_seldom

_SCHOOL = """
insert into school_day as t (kind, school, day, count, amount) values ($1, $2, $3, 1, $4)
on conflict (kind, school, day) do update set
    count = t.count + 1, amount = t.amount + excluded.amount
"""
_COUNTY = _SCHOOL.replace("school", "county")
_OFFSET = """
insert into taken (topic, partition, next_offset) values ($1, $2, $3)
on conflict (topic, partition) do update set next_offset = excluded.next_offset
"""


async def one_by_one(job: Prototype) -> float:
    """Counts one event after the other; when the first came."""
    begun = 0.0
    async with job.pool.acquire() as connection:
        async for records in batches(job.kafka, job.feed):
            begun = begun or time.time()
            for place, messages in records.items():
                for message in messages:
                    headers = dict(message.headers)
                    decoder, name = KINDS[headers["ce_type"]]
                    amount = Decimal(getattr(decoder.decode(message.value), name))
                    school, kind = UUID(message.key.decode()), headers["ce_type"].decode()
                    at = datetime.fromisoformat(headers["ce_time"].decode())
                    day = (at + timedelta(hours=8)).date()
                    async with connection.transaction():
                        await connection.execute(_SCHOOL, kind, school, day, amount)
                        await connection.execute(_COUNTY, kind, job.counties[school], day, amount)
                        await connection.execute(
                            _OFFSET, place.topic, place.partition, message.offset + 1
                        )
    return begun


async def run(options: dict[str, Any]) -> None:
    """Does a job, and keeps its connections until what they took has been looked at."""
    feed = Feed(**options["feed"])
    async with asyncpg.create_pool(options["dsn"], min_size=2, max_size=2) as pool:
        job = Prototype(options["kafka"], pool, feed, counties_of(world(feed.schools)))
        if options["job"] == "prototype":
            begun = await job.work(options["partitions"])
        else:
            begun = await one_by_one(job)
        print(json.dumps({"begun": begun, "ended": time.time()}), flush=True)
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    collect_seldom()
    uvloop.run(run(json.loads(sys.argv[1])))
