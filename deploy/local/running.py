"""A program that can be stopped in every way people know, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import contextlib
import select
import signal
import sys
from collections.abc import Callable, Coroutine

from deploy.local.instance import InUse
from deploy.local.process import StartFailed


def run(main: Coroutine[object, object, int]) -> int:
    """Run a program that owns a Stack; Ctrl-C, SIGTERM or a closed terminal cancel it once.

    The program's `async with Stack(...)` then stops everything. Returns its exit code, or
    128 + the signal's number.
    """
    received: list[int] = []

    async def guarded() -> int:
        task = asyncio.create_task(main)
        loop = asyncio.get_running_loop()

        def on_signal(number: int) -> None:
            if not received:  # later ones must not break off the stopping
                received.append(number)
                task.cancel()

        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, on_signal, number)
        # Asked before anything is written: a terminal that is closed already says it is none.
        watching = asyncio.create_task(_on_terminal_closed(_terminal(), on_signal))
        try:
            return await task
        except asyncio.CancelledError:
            return 128 + received[0] if received else 1
        finally:
            watching.cancel()

    try:
        return asyncio.run(guarded())
    except (StartFailed, InUse) as problem:
        with contextlib.suppress(OSError):
            print(problem, file=sys.stderr)
        return 1


def _terminal() -> select.poll:
    """What tells when the terminal that we write to is gone; nothing, if there is none."""
    terminal = select.poll()
    if sys.stdout.isatty():
        terminal.register(sys.stdout.fileno(), 0)
    return terminal


async def _on_terminal_closed(terminal: select.poll, hang_up: Callable[[int], None]) -> None:
    """Hangs up once the terminal is gone. The signal alone would not tell: `make` as the terminal's
    first process (`xterm -e make demo`) gets it, keeps it, and waits for us.
    """
    while not any(event & select.POLLHUP for _, event in terminal.poll(0)):  # noqa: ASYNC110
        await asyncio.sleep(1)
    hang_up(signal.SIGHUP)
