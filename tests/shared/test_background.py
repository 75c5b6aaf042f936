"""Background work ends also where what it was in the midst of swallows its cancellation."""

import asyncio

from shared.background import ended


async def test_a_swallowed_cancellation_is_repeated() -> None:
    swallowed = 0

    async def goes_on() -> None:
        nonlocal swallowed
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                if swallowed == 2:
                    raise
                swallowed += 1

    async def fails() -> None:
        raise LookupError

    tasks = [asyncio.create_task(goes_on()), asyncio.create_task(fails())]
    await asyncio.sleep(0)
    await ended(tasks, again_s=0.01)
    assert swallowed == 2
    assert all(task.done() for task in tasks)
    await ended([])
