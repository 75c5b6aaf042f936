"""A link between two processes that can be cut, stalled, or made to lose what the other side says.

One link stands for one pair (procurement and Postgres, a client and assets), so that a fault meets
that pair alone. Bytes are passed on as they come. A stalled link keeps what it has read and goes on
with it when it heals, as TCP does; a cut one resets its connections and refuses new ones.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Iterator
from enum import StrEnum

CHUNK_BYTES = 65_536
HOST = "127.0.0.1"
APPEND = b"insert into event"
READY = b"Z\x00\x00\x00\x05"
"""Postgres has ended a statement, and with it its transaction."""


class Way(StrEnum):
    """Which side speaks."""

    THERE = "there"
    BACK = "back"


class Wire:
    """One connection through a link."""

    def __init__(self, near: asyncio.StreamWriter, far: asyncio.StreamWriter) -> None:
        self.near, self.far = near, far
        self.asks = Frontend()
        self.losing = False
        self.forsaken = False
        self.left = asyncio.Event()
        """The near side has gone."""

    def reset(self) -> None:
        """Ends both connections at once, with nothing flushed."""
        for writer in (self.near, self.far):
            abort(writer)


def abort(writer: asyncio.StreamWriter) -> None:
    """Resets a connection: the other side learns that it broke, not that it ended."""
    plain = writer.get_extra_info("socket")
    if plain is not None:
        with contextlib.suppress(OSError):
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


class Link:
    """A port on loopback whose connections lead to the port `target`; `postgres`: to a server whose
    language is understood.

    `appends_to_lose`: so many append statements more are sent to Postgres and run there, and their
    answer is lost with the connection. `lost`: how many were.
    """

    def __init__(self, name: str, target: int, *, postgres: bool = False) -> None:
        self.name, self.target, self.postgres, self.port = name, target, postgres, 0
        self.wires: set[Wire] = set()
        self.shut = False
        self.bytes_left: int | None = None
        self.latency_s, self.bytes_a_second = 0.0, 0
        self.appends_to_lose, self.lost = 0, 0
        self._passing = {way: asyncio.Event() for way in Way}
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.heal()

    async def start(self) -> None:
        """Begins to take connections, on a free port."""
        self._server = await asyncio.start_server(self._accept, HOST, 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Ends every connection and takes no more."""
        if self._server is not None:
            self._server.close()
        self._reset()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def heal(self) -> None:
        """Everything passes again, also what was held back."""
        self.shut, self.bytes_left, self.appends_to_lose = False, None, 0
        self.latency_s, self.bytes_a_second = 0.0, 0
        for passing in self._passing.values():
            passing.set()

    def cut(self) -> None:
        """Resets every connection, and each new one at once."""
        self.shut = True
        self._reset()

    def stall(self, *ways: Way) -> None:
        """Holds back what is said from now on, one way or both."""
        for way in ways or tuple(Way):
            self._passing[way].clear()

    def allow(self, count: int) -> None:
        """Resets each connection once so many bytes more have passed through the link."""
        self.bytes_left = count

    def slow(self, latency_s: float, bytes_a_second: int) -> None:
        """Whatever is said takes so long, each way and on each connection, and no more passes."""
        self.latency_s, self.bytes_a_second = latency_s, bytes_a_second

    def forsake(self) -> None:
        """Every connection is given up by the far side, and the near side is never told; new ones
        are as they should be.
        """
        for wire in tuple(self.wires):
            wire.forsaken = True
            abort(wire.far)

    def point(self, target: int) -> None:
        """Leads elsewhere from now on; connections under way are reset."""
        self.target = target
        self._reset()

    def _reset(self) -> None:
        for wire in tuple(self.wires):
            wire.reset()

    async def _accept(self, reader: asyncio.StreamReader, near: asyncio.StreamWriter) -> None:
        if self.shut:
            abort(near)
            return
        try:
            back, far = await asyncio.open_connection(HOST, self.target)
        except OSError:
            abort(near)
            return
        wire = Wire(near, far)
        self.wires.add(wire)
        pumps = [
            asyncio.create_task(self._pump(wire, reader, far, Way.THERE)),
            asyncio.create_task(self._pump(wire, back, near, Way.BACK)),
        ]
        self._tasks.update(pumps)
        try:
            await asyncio.gather(*pumps)
        finally:
            self.wires.discard(wire)
            self._tasks.difference_update(pumps)
            for writer in (near, far):
                writer.close()

    async def _pump(
        self, wire: Wire, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: Way
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(CHUNK_BYTES):
                await self._passing[way].wait()
                if self.bytes_a_second:
                    await asyncio.sleep(self.latency_s + len(data) / self.bytes_a_second)
                if not wire.forsaken:
                    await self._hand_on(wire, data, writer, way)
        if way is Way.THERE:
            wire.left.set()
        elif wire.forsaken:
            await wire.left.wait()
        with contextlib.suppress(OSError):
            writer.write_eof()

    async def _hand_on(
        self, wire: Wire, data: bytes, writer: asyncio.StreamWriter, way: Way
    ) -> None:
        if self.bytes_left is not None:
            data, self.bytes_left = self._rationed(data, self.bytes_left)
        if way is Way.THERE and self.postgres:
            self._look(wire, data)
        elif wire.losing:
            self._lose(wire, data)
            return
        writer.write(data)
        await writer.drain()
        if self.bytes_left == 0:
            wire.reset()

    @staticmethod
    def _rationed(data: bytes, left: int) -> tuple[bytes, int]:
        return data[:left], max(0, left - len(data))

    def _look(self, wire: Wire, data: bytes) -> None:
        """Whether an append statement passes whose answer is to be lost."""
        if wire.asks.appends(data) and self.appends_to_lose and not wire.losing:
            self.appends_to_lose -= 1
            wire.losing = True

    def _lose(self, wire: Wire, data: bytes) -> None:
        """Keeps the answer back; once it is whole, the transaction has ended: the line breaks."""
        if data[-6:-1] == READY:
            self.lost += 1
            wire.reset()


class Frontend:
    """What a Postgres client says, as far as needed to know an append statement when it runs."""

    def __init__(self) -> None:
        self._rest = b""
        self._begun = False
        self._names: set[bytes] = set()

    def appends(self, data: bytes) -> bool:
        """Whether among the messages that end in `data` one runs an append statement."""
        found = False
        for kind, body in self._messages(data):
            if kind == b"P":
                name, query, _ = body.split(b"\x00", 2)
                (self._names.add if APPEND in query else self._names.discard)(name)
            elif kind == b"B":
                found |= body.split(b"\x00", 2)[1] in self._names
        return found

    def _messages(self, data: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Whole messages: kind and body. The first of a connection has no kind."""
        self._rest += data
        while True:
            head = 5 if self._begun else 4
            size = int.from_bytes(self._rest[head - 4 : head]) + head - 4
            if len(self._rest) < head or len(self._rest) < size:
                return
            kind = self._rest[:1] if self._begun else b""
            body, self._rest, self._begun = self._rest[head:size], self._rest[size:], True
            yield kind, body
