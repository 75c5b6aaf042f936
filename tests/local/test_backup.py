"""Back-up, point-in-time restore of all and of one service: a real log, Postgres and Kafka."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from deploy.local import postgres as postgres_part
from deploy.local.backup import Archive, Refused, table
from deploy.local.instance import choose_ports
from deploy.local.postgres import Postgres
from deploy.local.process import StartFailed
from deploy.local.restore import (
    fetch_one,
    moment_of,
    not_reached,
    put_in,
    switch,
    switch_back,
    unpack,
)
from hosting.restored import settle, take_back
from shared.config import Settings
from tests.hosting.test_restored import Past, at_work, content, is_open, opened
from tests.shared.tally import tally
from tests.world import without_fsync

pytestmark = pytest.mark.stack

SERVICE = "tally"


def quiet(_: str) -> None:
    """Nobody watches."""


class Site:
    """An installation: a server whose log is archived, and a service that writes to it."""

    def __init__(self, folder: Path, kafka: str) -> None:
        self.state, self.archive = folder / "state", Archive(folder / "backup")
        self.state.mkdir(mode=0o711)
        self.kafka, self.prefix = kafka, f"t{uuid4().hex[:8]}"

    @asynccontextmanager
    async def up(self) -> AsyncIterator[Postgres]:
        """The server and what archives its log, as the supervisor runs them."""
        (port,) = choose_ports(self.state / "ports.json", ["postgres"]).values()
        server = Postgres(self.state, port, [SERVICE])
        with without_fsync():
            await server.start()
        receiving = asyncio.create_task(self.archive.receive(server))
        try:
            yield server
        finally:
            await server.stop()
            receiving.cancel()
            await asyncio.gather(receiving, return_exceptions=True)

    def config(self, server: Postgres) -> Settings:
        return Settings(
            database=server.dsn(SERVICE), kafka=self.kafka, topic_prefix=self.prefix, partitions=3
        )


@pytest.fixture
async def site(tmp_path: Path, kafka: str) -> AsyncIterator[Site]:
    made = Site(tmp_path, kafka)
    yield made
    postgres_part.remove(made.state)


async def now_in(server: Postgres) -> datetime:
    async with opened(server.dsn(SERVICE)) as pool:
        return (await pool.fetchval("select clock_timestamp()")).astimezone(UTC)  # type: ignore[no-any-return]


async def test_back_up_and_restore(site: Site) -> None:
    """One log, restored to a moment: whole, then one service of it; each time it takes back what
    Kafka has, and is then what it was when it was lost.
    """
    async with site.up() as server:
        past = Past(site.config(server))
        await past.found()
        async with at_work(past.config) as desk:
            await past.write(desk, 2)
            base = await site.archive.take(server, quiet)
            await past.write(desk, 2)
        then, moment = await content(past.now), await now_in(server)
        async with at_work(past.config) as desk:
            await past.write(desk, 2)
        lost = await content(past.now)
    assert str(base.folder) in table(site.archive.bases())

    # A moment that the log does not reach: the old data stay in place.
    never = datetime.now(UTC) + timedelta(days=1)
    unpack(site.archive.base_for(never), site.state, never)
    aside = switch(site.state)
    with pytest.raises(StartFailed) as failed:
        async with site.up():
            pass
    assert "make" not in str(failed.value) and "未动" in str(not_reached(failed.value, never))
    switch_back(site.state, aside)

    # The whole server, to the moment.
    unpack(site.archive.base_for(moment), site.state, moment)
    aside = switch(site.state)
    site.archive.begin_line()
    async with site.up() as server:
        assert await content(server.dsn(SERVICE)) == then
        config = site.config(server)
        async with opened(config.database) as pool:
            assert not await is_open(pool), "another timeline"
            assert await settle(pool, SERVICE, config) == len(lost["event"]) - len(then["event"])
            await take_back(pool, tally, config)
        assert await content(config.database) == lost
        async with at_work(config) as desk:
            await past.write(desk, 1)
            later = await site.archive.take(server, quiet)
            await past.write(desk, 1)
        written = await content(config.database)

        # One service, into the server that runs on; what is written now is of its third epoch.
        file = site.state / "tally.dump"
        await fetch_one(site.state, site.archive, SERVICE, later.ended_at, file, quiet)
        old = await put_in(server, SERVICE, file, quiet)
        assert await content(server.dsn(old)) == written
        async with opened(config.database) as pool:
            assert not await is_open(pool), "a log from elsewhere is closed"
            taken = await take_back(pool, tally, config)
            assert taken.events > 0 and await pool.fetchval("select max(epoch) from log_epoch") == 3
        assert await content(config.database) == written
        async with at_work(config) as desk:
            await past.write(desk, 1)

        await site.archive.prune(server, 0, quiet)
        assert [one.folder for one in site.archive.bases()] == [later.folder]
        assert not base.wal.exists(), "the log of a line without back-ups goes with them"
    shutil.rmtree(aside)


def test_what_cannot_be_is_refused_with_the_next_step(tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    with pytest.raises(Refused, match="make backup"):
        archive.base_for(None)
    folder = archive.begin_line() / "base" / "one"
    folder.mkdir()
    about = '{"ended_at": "2026-11-21T02:00:00+00:00", "size_bytes": 1, "first_segment": "x"}'
    (folder / "houqin.json").write_text(about)
    with pytest.raises(Refused, match="2026-11-21 10:00:00"):
        archive.base_for(moment_of("2026-11-21 09:59"))
    assert archive.base_for(moment_of("2026-11-21 10:00")).folder == folder
    with pytest.raises(Refused, match="2026-11-21 10:00"):
        moment_of("yesterday")
