"""What a process does again and again goes on, whatever it meets."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

from hosting.compose import _every


async def test_what_fails_once_is_done_again() -> None:
    """A damaged tile or a record that does not open must not end what would have reported more."""
    rt, calls, again = SimpleNamespace(background=[]), 0, asyncio.Event()

    async def work() -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise ValueError("damaged")
        again.set()

    _every(cast("Any", rt), 0, work, "not_done")
    (task,) = rt.background
    await asyncio.wait_for(again.wait(), 10)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
