"""What a process waits for: on SIGUSR1 it logs where each of its tasks stands.

A process that neither answers nor ends is asked by `kill -USR1` before it is killed.
"""

from __future__ import annotations

import asyncio
import signal
from typing import Any

from shared import observe


def tell_on_signal() -> None:
    """From now on the running loop's process tells when it is asked."""
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, tell)


def tell() -> None:
    """Logs every task with its name and the calls that it is in, outermost first."""
    for task in asyncio.all_tasks():
        observe.log.warning("waits", task=task.get_name(), calls=calls_of(task.get_coro()))


def calls_of(awaited: Any) -> list[str]:
    """The calls within each other of something that is awaited."""
    calls: list[str] = []
    while awaited is not None:
        frame = getattr(awaited, "cr_frame", None) or getattr(awaited, "ag_frame", None)
        if frame is None:
            return [*calls, repr(awaited)]
        calls.append(f"{frame.f_code.co_qualname}:{frame.f_lineno}")
        awaited = getattr(awaited, "cr_await", None) or getattr(awaited, "ag_await", None)
    return calls
