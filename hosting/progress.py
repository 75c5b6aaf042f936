"""How far a long task has got, on the screen: done, rate, what remains."""

from __future__ import annotations

import sys
import time
from typing import TextIO

SHOWN_EVERY_S = 1.0
LINES_EVERY_S = 5.0
"""Where the output is no terminal, a line so often."""


class Progress:
    """Shows what is done of `total`, of the `name`d things; `total` may grow meanwhile.

    What was done in an earlier run (`before`) counts as done, but not for the rate.
    """

    def __init__(
        self, name: str, total: int = 0, before: int = 0, out: TextIO | None = None
    ) -> None:
        self.name, self.total, self.done, self.before = name, total, before, before
        self.out = out or sys.stderr
        self._terminal = self.out.isatty()
        self._begun, self._shown = time.monotonic(), 0.0

    def add(self, count: int) -> None:
        """So many more are done."""
        self.done += count
        now = time.monotonic()
        if now - self._shown > (SHOWN_EVERY_S if self._terminal else LINES_EVERY_S):
            self._shown = now
            self.show()

    def show(self) -> None:
        """One line; on a terminal always the same one."""
        self.out.write(("\r\033[K" if self._terminal else "") + str(self))
        self.out.write("" if self._terminal else "\n")
        self.out.flush()

    def say(self, text: str) -> None:
        """A step of another kind, on a line of its own."""
        self.out.write(("\r\033[K" if self._terminal else "") + f"{self.name}: {text}\n")
        self.out.flush()

    @property
    def rate(self) -> float:
        """Done a second, since this run began."""
        return (self.done - self.before) / max(time.monotonic() - self._begun, 1e-6)

    def __str__(self) -> str:
        total = max(self.total, self.done)
        left = f"  还需 {(total - self.done) / self.rate:,.0f} s left" if self.rate else ""
        share = 100 * self.done // total if total else 0
        return f"{self.name}: {self.done:,} / {total:,} ({share} %)  {self.rate:,.0f}/s{left}"
