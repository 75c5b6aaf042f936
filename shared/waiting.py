"""Requests on their way into the log: what is asked, what is answered, and who goes next.

Several groups are in hand at once: one is decided while the database writes another. No two of
them have the same stream or idempotency key in hand, so within a process they never race.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import msgspec

from shared.decide import Request

GROUP_MIN = 8
"""So few requests are not shared between lanes."""


@dataclass(frozen=True, slots=True)
class Key:
    """An idempotency key of one person, with the fingerprint of what was asked under it."""

    subject: str
    key: str
    operation: str
    fingerprint: bytes


class Answer(msgspec.Struct, frozen=True):
    """What a request came to: status and body, the stream's version as ETag, and the order key
    (`service;epoch.tx.seq`) of its last event, if it made one.
    """

    status: int
    body: bytes
    etag: int | None
    position: str | None = None
    replayed: bool = False

    @property
    def content(self) -> bytes:
        """The body with the order key in it, as it goes out."""
        if self.position is None:
            return self.body
        return b'%b,"position":"%b"}' % (self.body[:-1], self.position.encode())


@dataclass(slots=True, eq=False)
class Asked:
    """A request waiting for its answer. `needs`: the streams that it moves, as far as is known,
    and its key.
    """

    request: Request
    key: Key | None = None
    attempts: int = 0
    done: asyncio.Future[Answer] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )
    needs: set[object] = field(init=False)

    def __post_init__(self) -> None:
        self.needs = {step.stream for step in self.request.steps}
        if self.key is not None:
            self.needs.add((self.key.subject, self.key.key))

    def fail(self, error: BaseException) -> None:
        """Tells the asker why not."""
        if not self.done.done():
            self.done.set_exception(error)

    def answer(self, answer: Answer) -> None:
        """Tells the asker what came of it."""
        if not self.done.done():
            self.done.set_result(answer)


@dataclass(slots=True, eq=False)
class Group:
    """Requests that are decided and written together, and what they hold meanwhile."""

    asked: Sequence[Asked]
    holds: set[object]


class Queue:
    """Who waits, and what is in hand."""

    def __init__(self, group_size: int) -> None:
        self.group_size = group_size
        self.waiting: list[Asked] = []
        self.groups: list[Group] = []
        self.called = asyncio.Event()
        self._held: set[object] = set()
        self._lanes_free = 0

    def open(self) -> list[asyncio.Future[Answer]]:
        """What waits or is in hand, and has no answer yet."""
        every = [*self.waiting, *(asked for group in self.groups for asked in group.asked)]
        return [asked.done for asked in every if not asked.done.done()]

    async def next(self) -> Group:
        """Waits until a lane can be given something, and all that is ready to ask has asked."""
        while (group := self.take()) is None:
            self.called.clear()
            self._lanes_free += 1
            try:
                await self.called.wait()
            finally:
                self._lanes_free -= 1
        return group

    def take(self) -> Group | None:
        """A lane's share, beside those that are free, in order. Who needs what is in other hands
        waits, and all behind it that need the same; who is asked again goes alone.
        """
        share = -(-len(self.waiting) // (self._lanes_free + 1))
        size = min(self.group_size, max(GROUP_MIN, share))
        taken: list[Asked] = []
        later: list[Asked] = []
        blocked = set(self._held)
        for n, asked in enumerate(self.waiting):
            if len(taken) == size or (taken and taken[0].attempts):
                later += self.waiting[n:]
                break
            if asked.needs.isdisjoint(blocked) and not (taken and asked.attempts):
                taken.append(asked)
            else:
                blocked |= asked.needs
                later.append(asked)
        if not taken:
            return None
        self.waiting = later
        group = Group(taken, set().union(*(asked.needs for asked in taken)))
        self._held |= group.holds
        self.groups.append(group)
        return group

    def widen(self, group: Group, streams: Iterable[object]) -> bool:
        """Takes further streams in hand for a group; False if another one has one of them."""
        more = set(streams) - group.holds
        if not more.isdisjoint(self._held):
            return False
        group.holds |= more
        self._held |= more
        return True

    def let_go(self, group: Group) -> None:
        """The group has been settled."""
        self._held -= group.holds
        self.groups.remove(group)
        self.called.set()
