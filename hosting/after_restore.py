"""`python -m services.<name> after-restore`: what an operator does when a log has been restored."""

from __future__ import annotations

import argparse
import sys

import asyncpg

from hosting.compose import prepare_database, vault_of
from hosting.restored import Torn, settle, take_back
from shared.config import settings
from shared.kernel import Service
from shared.relay import ensure_topics

ABOUT = """\
Holds the log against Kafka. Where it lacks nothing it is opened; else it takes the missing events
back, as they were, and is opened then. All or nothing; asked again, it does no harm.
"""


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The command's own words and parameters."""
    made = commands.add_parser(
        "after-restore", help="恢复后从 Kafka 取回事件 · takes back what a restored log lacks",
        epilog=ABOUT, formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    made.add_argument(
        "--archive", default="", metavar="DSN",
        help="报表库，补全 Kafka 已不再保留的 · reporting's database, for what Kafka no longer has",
    )  # fmt: skip
    made.add_argument(
        "--void", action="store_true",
        help="作废无法取回的事件 · gives up what cannot be taken back",
    )  # fmt: skip


async def run(service: Service, given: argparse.Namespace) -> int:
    """Does it and says what came of it; how the process is to end (1: somebody must decide)."""
    config, name = settings(), service.name
    async with (
        asyncpg.create_pool(config.database, min_size=1, max_size=2) as pool,
        vault_of(service, config) as keys,
    ):
        await prepare_database(service, pool, keys)
        topics = {config.topic(name): config.partitions}
        await ensure_topics(config.kafka, topics, config.replication)
        await settle(pool, name, config)
        try:
            taken = await take_back(
                pool, service, config, archive=given.archive, void=given.void, keys=keys
            )
        except Torn as torn:
            print(f"{name}: {torn.words}", file=sys.stderr)
            return 1
        epoch = await pool.fetchval("select max(epoch) from log_epoch")
    print(
        f"{name}: 取回 {taken.events} 个事件（{taken.streams} 条记录），作废 {taken.voided} 个，"
        f"现为第 {epoch} 纪元。 {taken.events} events of {taken.streams} streams taken back,"
        f" {taken.voided} void; the log is open, in epoch {epoch}."
    )
    return 0
