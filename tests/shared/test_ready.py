"""Whoever is told that a service is ready may ask everything of it."""

from __future__ import annotations

import httpx
import pytest

from hosting.application import application
from hosting.compose import running
from shared.config import Settings
from shared.organisation import Role
from shared.runtime import Runtime
from tests.shared.office import SCHOOL, Copy, Desk, Pool
from tests.shared.tally import CloseTally, OpenTally, tally
from tests.shared.wire import until

pytestmark = pytest.mark.stack

FIRST = (503, {"status": "copy not current"})
READY = (200, {"status": "ready", "parked": 0})


async def ready(rt: Runtime) -> tuple[int, object]:
    transport = httpx.ASGITransport(application(rt, "worker"))
    async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
        answer = await client.get("/ready")
    return answer.status_code, answer.json()


async def test_ready_once_the_copy_has_been_current(pool: Pool, config: Settings) -> None:
    async with running(tally, config, "api") as rt:
        assert await ready(rt) == FIRST, "nobody has ever kept the copy of this database"
    async with running(tally, config) as rt:

        async def said() -> bool:
            return await ready(rt) == READY

        await until(said)
        assert rt.directory.age_seconds < config.posts_age_s_max
    async with running(tally, config, "api") as rt:
        assert await ready(rt) == READY, "what the table says holds for every process"


async def test_weighty_commands_are_taken_by_whom_is_ready(pool: Pool, config: Settings) -> None:
    copy = Copy(pool)
    await copy.plant()
    await copy.appoint(("buyer", Role.BUYER, "school"), ("principal", Role.PRINCIPAL, "school"))
    await pool.execute("delete from consumed")
    async with running(tally, config) as rt:
        desk = Desk(rt)
        stream = await desk.open(OpenTally(organisation=SCHOOL, name="a"))

        async def said() -> bool:
            return await ready(rt) == READY

        await until(said)
        assert (await desk.ask(CloseTally(), stream, person="principal")).etag == 2
