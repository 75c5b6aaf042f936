"""The load generator, a process of its own: `python -m bench.load` takes orders as JSON lines on
its input (`Order`) and answers each with a line (`Done`).

It speaks just enough HTTP/1.1 to keep connections busy, so that it is not what is measured.
"""
# ruff: noqa: ASYNC110 - other processes are watched by asking them

from __future__ import annotations

import asyncio
import sys
import time
from collections import deque
from collections.abc import Iterator
from typing import cast
from uuid import UUID

import msgspec
import uvloop
from uuid_utils.compat import uuid7

from bench.feed import world
from services.procurement.budget import budgets

YEAR = 2026


class Order(msgspec.Struct):
    """So many requests over so many connections; `batch` commands in each (0: one, on its own"""

    port: int
    requests: int
    connections: int
    token: str
    schools: int
    first: int
    batch: int = 0
    per_second: float = 0


class Done(msgspec.Struct):
    """`seconds` from the first request to the last answer; how often each status came;
    `answered_at`: the time of each answer, since 1970, in order.
    """

    seconds: float
    statuses: dict[int, int]
    latencies_s: list[float]
    answered_at: list[float]


def requests_of(order: Order) -> Iterator[bytes]:
    """The requests: each amends another school's budget to an amount not had before."""
    streams = [budgets.id_of(f"{id_}:{YEAR}") for id_ in world(order.schools).schools]
    head = f"Host: b\r\nAuthorization: Bearer {order.token}\r\nContent-Type: application/json\r\n"
    for n in range(order.first, order.first + order.requests):
        if order.batch:
            numbers = range(n * order.batch, (n + 1) * order.batch)
            path, body = "/procurement/batch", _batch(streams, numbers)
            key = ""
        else:
            path = f"/procurement/budgets/{streams[n % len(streams)]}/amend"
            body, key = _body(n), f"Idempotency-Key: {uuid7()}\r\n"
        yield (
            f"POST {path} HTTP/1.1\r\n{head}{key}Content-Length: {len(body)}\r\n\r\n".encode()
            + body
        )


def _body(n: int) -> bytes:
    return f'{{"line":"a","amount_cny":"{1000 + n}","reason":"按实际调整预算"}}'.encode()


def _batch(streams: list[UUID], numbers: range) -> bytes:
    rows = (
        b'{"key":"%b","command":"AmendBudget","id":"%b","body":%b}'
        % (str(uuid7()).encode(), str(streams[n % len(streams)]).encode(), _body(n))
        for n in numbers
    )
    return b'{"commands":[' + b",".join(rows) + b"]}"


class Caller(asyncio.Protocol):
    """One connection: sends, waits for the whole answer, sends the next."""

    def __init__(
        self, waiting: list[bytes], idle: deque[Caller] | None, finished: asyncio.Future[None]
    ) -> None:
        self.waiting, self.idle, self.finished = waiting, idle, finished
        self.answered_at: list[float] = []
        self.statuses: dict[int, int] = {}
        self.latencies_s: list[float] = []
        self.begun, self.missing, self.buffer = 0.0, 0, b""
        self.transport: asyncio.WriteTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:

        self.transport = cast("asyncio.WriteTransport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.finished.done():
            self.finished.set_exception(exc or ConnectionError("closed before the answer"))

    def send(self) -> None:
        if not self.waiting:
            self.finished.set_result(None)
            return
        self.begun = time.perf_counter()
        self.transport.write(self.waiting.pop())

    def data_received(self, data: bytes) -> None:
        if self.missing:
            self.missing -= len(data)
        else:
            self.buffer += data
            end = self.buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            head = self.buffer[:end].lower()
            length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
            self.missing = length - (len(self.buffer) - end - 4)
            status = int(head[9:12])
            self.statuses[status] = self.statuses.get(status, 0) + 1
            self.buffer = b""
        if self.missing == 0:
            self.latencies_s.append(time.perf_counter() - self.begun)
            self.answered_at.append(time.time())
            if self.idle is None:
                self.send()
            else:
                self.idle.append(self)


async def run(order: Order) -> Done:
    """Carries out one order."""
    loop = asyncio.get_running_loop()
    waiting = list(requests_of(order))
    waiting.reverse()
    callers: list[Caller] = []
    idle: deque[Caller] | None = deque() if order.per_second else None
    for _ in range(order.connections):
        caller = Caller(waiting, idle, loop.create_future())
        await loop.create_connection(lambda one=caller: one, "127.0.0.1", order.port)  # type: ignore[misc]
        callers.append(caller)
    begun = time.perf_counter()
    if idle is not None:
        idle += callers
        await _pace(order, waiting, idle)
    for caller in callers:
        caller.send()
    await asyncio.gather(*(caller.finished for caller in callers))
    seconds = time.perf_counter() - begun
    statuses: dict[int, int] = {}
    for caller in callers:
        caller.transport.close()
        for status, count in caller.statuses.items():
            statuses[status] = statuses.get(status, 0) + count
    return Done(
        seconds,
        statuses,
        [wait for caller in callers for wait in caller.latencies_s],
        sorted(at for caller in callers for at in caller.answered_at),
    )


async def _pace(order: Order, waiting: list[bytes], idle: deque[Caller]) -> None:
    """Sends at the order's pace, and waits for the last answers."""
    begun, sent = time.perf_counter(), 0
    while waiting:
        due = min(order.requests, int((time.perf_counter() - begun) * order.per_second))
        while sent < due and idle:
            idle.popleft().send()
            sent += 1
        await asyncio.sleep(0.001)
    while len(idle) < order.connections:
        await asyncio.sleep(0.001)


def main() -> None:
    for line in sys.stdin.buffer:
        done = uvloop.run(run(msgspec.json.decode(line, type=Order)))
        sys.stdout.buffer.write(msgspec.json.encode(done) + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
