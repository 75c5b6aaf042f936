"""A process that a failpoint may kill: `python -m tests.shared.worker relay|consumer`."""

from __future__ import annotations

import asyncio
import sys

import asyncpg

from shared.config import settings
from shared.consumer import Consumer
from shared.relay import Relay
from tests.shared.wire import SERVICE, Plain, note


async def main(role: str) -> None:
    config = settings()
    async with asyncpg.create_pool(config.database, min_size=1, max_size=4) as pool:
        part: Relay | Consumer
        if role == "relay":
            part = Relay(SERVICE, pool, config, batch=10)
        else:
            part = Consumer("notes", pool, config, [config.topic(SERVICE)], Plain(note), batch=10)
        await part.start()
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
