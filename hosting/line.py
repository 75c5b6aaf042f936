"""Connections to Postgres that are given up in good time.

A line that the far side has given up without a word is noticed by the time limit of a statement.
What then tidies up (the rollback, the reset before the connection is used again) goes over the same
line, and would wait for as long each time: three limits, one after the other.
"""

from __future__ import annotations

from typing import Any

import asyncpg

STATEMENT_S = 15
"""A statement that takes longer fails; what it did is unknown, as with a broken line."""


class Line(asyncpg.Connection):  # type: ignore[misc]
    """A connection that has `tidy_s` for tidying up, and else is ended."""

    tidy_s = 2.0

    async def execute(self, query: str, *args: Any, timeout: float | None = None) -> str:
        """As ever; a rollback has less time."""
        limit = self.tidy_s if query.startswith("ROLLBACK") else timeout
        return str(await super().execute(query, *args, timeout=limit))

    async def reset(self, *, timeout: float | None = None) -> None:
        """As ever, in less time: a connection that cannot be reset is not used again."""
        limit = self.tidy_s if timeout is None else min(timeout, self.tidy_s)
        await super().reset(timeout=limit)
