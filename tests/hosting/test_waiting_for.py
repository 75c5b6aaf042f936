"""A process tells where its tasks stand."""

import asyncio
import os
import signal

from structlog.testing import capture_logs

from hosting.waiting_for import tell_on_signal


async def test_asked_by_a_signal_it_names_what_each_task_waits_for() -> None:
    released = asyncio.Event()

    async def inner() -> None:
        await released.wait()

    async def outer() -> None:
        await inner()

    tell_on_signal()
    task = asyncio.create_task(outer(), name="who waits")
    await asyncio.sleep(0)
    with capture_logs() as logs:
        os.kill(os.getpid(), signal.SIGUSR1)
        while not logs:
            await asyncio.sleep(0)
    released.set()
    await task
    (found,) = (one for one in logs if one.get("task") == "who waits")
    names = [call.rpartition(":")[0].rpartition(".")[2] for call in found["calls"]]
    assert names[:3] == ["outer", "inner", "wait"]
