"""A link passes on what it is given, and breaks as it is told to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.faults.proxy import Frontend, Link, Way

QUICK_S = 0.2

type Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@pytest.fixture
async def link() -> AsyncIterator[Link]:
    """A link to somebody who says everything again."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(1000):
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    made = Link("echo", server.sockets[0].getsockname()[1])
    await made.start()
    yield made
    await made.stop()
    server.close()


async def said(link: Link) -> Ends:
    reader, writer = await asyncio.open_connection("127.0.0.1", link.port)
    writer.write(b"one")
    assert await reader.readexactly(3) == b"one"
    return reader, writer


async def broken(reader: asyncio.StreamReader) -> bool:
    try:
        return await asyncio.wait_for(reader.read(100), 5) == b""
    except ConnectionError:
        return True


async def test_a_cut_link_breaks_and_refuses(link: Link) -> None:
    reader, writer = await said(link)
    link.cut()
    assert await broken(reader)
    writer.close()
    again, other = await asyncio.open_connection("127.0.0.1", link.port)
    assert await broken(again)
    other.close()
    link.heal()
    (await said(link))[1].close()


async def test_a_slow_link_takes_its_time_and_loses_nothing(link: Link) -> None:
    reader, writer = await said(link)
    link.slow(2 * QUICK_S, 1_000_000)
    writer.write(b"two")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(reader.read(3), QUICK_S)
    assert await asyncio.wait_for(reader.readexactly(3), 5) == b"two"
    writer.close()


@pytest.mark.parametrize("ways", [(), (Way.THERE,), (Way.BACK,)], ids=str)
async def test_a_stalled_link_keeps_what_was_said(link: Link, ways: tuple[Way, ...]) -> None:
    reader, writer = await said(link)
    link.stall(*ways)
    writer.write(b"two")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(reader.read(3), QUICK_S)
    link.heal()
    assert await asyncio.wait_for(reader.readexactly(3), 5) == b"two"
    writer.close()


async def test_a_link_breaks_after_some_bytes(link: Link) -> None:
    reader, writer = await said(link)
    link.allow(4)
    writer.write(b"12")
    assert await reader.readexactly(2) == b"12"
    writer.write(b"3")
    assert await broken(reader)
    writer.close()


async def test_a_forsaken_connection_is_never_told(link: Link) -> None:
    reader, writer = await said(link)
    link.forsake()
    writer.write(b"two")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(reader.read(3), QUICK_S)
    (await said(link))[1].close()
    writer.close()


async def test_a_link_leads_where_it_points(link: Link) -> None:
    reader, writer = await said(link)
    link.point(1)
    assert await broken(reader)
    writer.close()


def message(kind: bytes, body: bytes) -> bytes:
    return kind + (len(body) + 4).to_bytes(4) + body


@pytest.mark.parametrize("step", [1, 3, 1000])
def test_an_append_is_known_when_it_runs(step: int) -> None:
    start = (12).to_bytes(4) + (196608).to_bytes(4) + b"a\x00\x00\x00"
    other = message(b"P", b"s0\x00select 1\x00\x00\x00")
    parse = message(b"P", b"s1\x00with placed as (insert into event (month\x00\x00\x00")
    bind, foreign = message(b"B", b"\x00s1\x00\x00"), message(b"B", b"\x00s0\x00\x00")
    front = Frontend()

    def runs(data: bytes) -> bool:
        found = [front.appends(data[n : n + step]) for n in range(0, len(data), step)]
        return any(found)

    assert not runs(start + other + parse)
    assert not runs(foreign)
    assert runs(bind)
    assert not runs(message(b"S", b""))
    assert runs(foreign + bind)
