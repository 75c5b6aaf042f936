"""Work in the background, and its end."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence


async def ended(tasks: Sequence[asyncio.Task[None]], again_s: float = 3) -> None:
    """Ends tasks, and returns when they have. They are cancelled again and again: what a driver
    does to tidy up may swallow it once, and what goes on after errors would go on for good.
    """
    while pending := [task for task in tasks if not task.done()]:
        for task in pending:
            task.cancel()
        await asyncio.wait(pending, timeout=again_s)
    await asyncio.gather(*tasks, return_exceptions=True)
