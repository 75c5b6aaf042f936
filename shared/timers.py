"""What happens by itself at a moment: the due table, read by one leader per service.

A row of `due` is written, moved and taken away by the transactions that move its stream. Here it is
only found to be due: what is fired decides on the stream as it then is, so that firing twice, or
late, does no harm.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg

from shared.clock import this_moment
from shared.kernel import Aggregate
from shared.leading import Leader
from shared.locks import Lock
from shared.observe import log
from shared.store import Connection, Part, Stream

AGAIN = timedelta(minutes=1)
"""What could not be fired is due again after this long."""

_SET = """
insert into due select * from unnest({0}::uuid[], {1}::text[], {2}::timestamptz[])
on conflict (stream) do update set at = excluded.at
"""

type Fire = Callable[[UUID, str], Awaitable[bool]]


class Timers(Leader):
    """Calls `fire` with (stream, aggregate) of what is due, while it runs and is the leader.

    `fire` says whether that moved the stream (and so its row): what moved nothing is due no more.
    `clock` says what time it is.
    """

    def __init__(
        self,
        pool: asyncpg.Pool[asyncpg.Record],
        fire: Fire,
        *,
        batch: int = 200,
        idle_s: float = 1.0,
        clock: Callable[[], datetime] = this_moment,
    ) -> None:
        super().__init__(Lock.TIMERS, pool, idle_s)
        self.fire, self.batch, self.idle_s, self.clock = fire, batch, idle_s, clock

    async def lead(self, connection: Connection) -> None:
        """Fires what is due, then waits for the next moment, the next look, or a wake-up."""
        while True:
            now = self.clock()
            rows = await connection.fetch(
                "select stream, aggregate, at from due where at <= $1 order by at limit $2",
                now + timedelta(seconds=self.idle_s), self.batch,
            )  # fmt: skip
            due = [row for row in rows if row["at"] <= now]
            for row in due:
                await self._fire(connection, row["stream"], row["aggregate"])
            if not due:
                next_s = (rows[0]["at"] - now).total_seconds() if rows else self.idle_s
                await self.woken(next_s)

    async def _fire(self, connection: Connection, stream: UUID, aggregate: str) -> None:
        now = self.clock()
        try:
            if not await self.fire(stream, aggregate):
                done = "delete from due where stream = $1 and at <= $2"
                await connection.execute(done, stream, now)
        except Exception:  # noqa: BLE001 - the others are due as well; this one is tried again
            log.exception("due_failed", aggregate=aggregate, stream=str(stream))
            again = "update due set at = $3 where stream = $1 and at <= $2"
            await connection.execute(again, stream, now, now + AGAIN)


def due_parts(
    aggregates: Mapping[str, Aggregate], moved: Mapping[str, Sequence[Stream]], grace_s: float
) -> list[Part]:
    """Moves the due moments of streams (by aggregate) that have a timer. A moment that is past
    already gets `grace_s`: the record that fulfils it may be in the same late batch.
    """
    now = this_moment()
    late = now + timedelta(seconds=grace_s)
    moments = [
        (stream.id, name, timer.timer(stream.state))
        for name, streams in moved.items()
        if (timer := aggregates[name].timer) and timer.timer
        for stream in streams
    ]
    past = [id_ for id_, _, at in moments if at is None]
    due = [(id_, name, late if at <= now else at) for id_, name, at in moments if at]
    made = [Part("delete from due where stream = any({0}::uuid[])", (past,))] if past else []
    if due:
        made.append(Part(_SET, tuple(list(column) for column in zip(*due, strict=True))))
    return made
