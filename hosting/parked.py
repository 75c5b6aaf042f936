"""`python -m services.<name> parked`: what waits because an event could not be applied, and why;
`parked retry` has the running consumer apply it, once the cause is repaired.
"""

from __future__ import annotations

import argparse
import sys
from uuid import UUID

import asyncpg

from shared.config import settings
from shared.parking import unpark

_LIST = """
select consumer, topic, key, reason, parked_at at time zone 'Asia/Shanghai' as since, retry,
       (select count(*) from parked_event e
        where (e.consumer, e.topic, e.key) = (k.consumer, k.topic, k.key)) as waiting
from parked_key k order by parked_at
"""

EPILOG = """
搁置的是一个单位（key）在一个主题上的全部后续事件；其他单位照常。先按原因修好，再 retry：
整个 key 在一个事务里补上，补不上就带着新原因继续搁置。
What is parked is all that follows of one unit (key) on one topic; everybody else flows. Repair the
cause first, then retry: a key is applied whole, in one transaction, or stays with the new reason.
"""


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The command's own words and parameters."""
    made = commands.add_parser(
        "parked", help="搁置的事件 · events that wait for repair", epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    made.add_argument("what", nargs="?", choices=["list", "retry"], default="list")
    made.add_argument("--consumer", help="只这一个消费者 · only this consumer")
    made.add_argument("--topic", help="只这个主题 · only this topic")
    made.add_argument("--key", type=UUID, help="只这个单位 · only this unit")


async def run(given: argparse.Namespace) -> int:
    """Does what was asked; how the process is to end (1: there was nothing to retry)."""
    async with asyncpg.create_pool(settings().database, min_size=1, max_size=1) as pool:
        if given.what == "list":
            return await _list(pool)
        found = await pool.fetch("select distinct consumer from parked_key")
        names = [given.consumer] if given.consumer else [row["consumer"] for row in found]
        count = 0
        for name in names:
            count += await unpark(pool, name, given.topic, given.key)
    print(f"重试 {count} 个 · keys to be tried again: {count}")
    if not count:
        print("没有符合的搁置项，见 `parked list` · nothing like it is parked", file=sys.stderr)
    return 0 if count else 1


async def _list(pool: asyncpg.Pool[asyncpg.Record]) -> int:
    rows = await pool.fetch(_LIST)
    for row in rows:
        again = " · 正在重试 being retried" if row["retry"] else ""
        print(f"{row['consumer']}  {row['topic']}  {row['key']}{again}")
        print(f"  {row['since']:%Y-%m-%d %H:%M:%S}  事件 events: {row['waiting']}")
        print(f"  {row['reason']}")
    if not rows:
        print("没有搁置的事件 · nothing is parked")
    return 0
