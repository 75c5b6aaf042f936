"""The operator's command on what is parked, as a process of its own, beside a running consumer."""

from __future__ import annotations

import asyncio
import os
import sys
from uuid import uuid4

import asyncpg
import pytest

from shared.config import Settings
from shared.envelope import Delivered, Unappliable
from shared.store import Connection
from tests.conftest import ROOT
from tests.shared.wire import (
    caught_up,
    consuming,
    effects,
    filled,
    make_effects,
    note,
    notes,
    until,
)

pytestmark = pytest.mark.stack

type Pool = asyncpg.Pool[asyncpg.Record]


async def command(config: Settings, *words: str) -> tuple[int, str]:
    """Exit status and what was said."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.procurement", "parked", *words, cwd=ROOT,
        env=os.environ | {"HOUQIN_DATABASE": config.database},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    said, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, said.decode()


async def test_what_is_parked_is_listed_and_tried_again(pool: Pool, config: Settings) -> None:
    await make_effects(pool)
    sick, broken = uuid4(), [True]

    async def apply(connection: Connection, events: list[Delivered]) -> None:
        await note(connection, events)
        if broken:
            raise Unappliable(events[0], "not today")

    assert await command(config) == (0, "没有搁置的事件 · nothing is parked\n")
    code, said = await command(config, "retry")
    assert code == 1
    assert "nothing like it is parked" in said
    async with filled(config) as topic:
        await topic.send(sick, what=0)
        await topic.send(sick, what=1)
        async with consuming(consumer := notes(pool, config, apply, check_s=0.05)):
            await caught_up(consumer)
            code, said = await command(config)
            assert code == 0
            assert f"notes  {topic.name}  {sick}" in said
            assert "events: 2" in said
            assert "not today" in said
            broken.clear()
            assert (await command(config, "retry", "--key", str(uuid4())))[0] == 1
            assert (await command(config, "retry", "--key", str(sick)))[0] == 0
            await until(lambda: pool.fetchval("select count(*) = 0 from parked_key"))
            assert await effects(pool) == [0, 1]
