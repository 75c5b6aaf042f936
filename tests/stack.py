"""Holds the Postgres and Kafka of one test session: `python -m tests.stack FOLDER PID`.

A process of its own, so that all workers of a parallel run share one stack, and so that it also
ends when the session (process PID) is killed.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

from deploy.local import postgres
from deploy.local.running import run
from deploy.local.supervisor import Stack

POLL_S = 0.1


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def hold(folder: Path, session: int) -> int:
    # Tests kill processes, never the machine, so what the kernel has is safe; else the last
    # checkpoint of a hundred test databases would outlast the tests.
    postgres.SETTINGS["fsync"] = "off"
    stack = Stack(folder, (), progress=lambda _: None)
    try:
        await stack.start_parts()
        fresh = folder / "about.new"
        dsn = stack.dsns["organisation"].replace("/organisation", "/{}")
        about = {"dsn": dsn, "kafka": stack.kafka, "secrets": str(stack.secrets)}
        fresh.write_text(json.dumps(about))
        fresh.replace(folder / "about.json")
        while alive(session) and not (folder / "stop").exists():
            await asyncio.sleep(POLL_S)
    finally:
        await stack.stop()
        postgres.remove(folder)
        (folder / "ended").touch()
    return 0


if __name__ == "__main__":
    sys.exit(run(hold(Path(sys.argv[1]), int(sys.argv[2]))))
