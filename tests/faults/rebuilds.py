"""F14: what is read is built anew while everybody goes on working.

The operator's own command, as a process of its own, beside the running services. It must find what
is read to be right (the same hash), nobody who reads may be failed meanwhile, and what stands after
it is checked like after every other fault.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx

from deploy.local.supervisor import ROOT
from tests.faults.commands import PLAIN
from tests.faults.ground import business_today
from tests.faults.scene import Fault, Scene

FIGURES = "figures"
LISTS = {
    "procurement": "requisition_list", "assets": "asset_ledger", "safety": "hazard_register",
    "organisation": "unit_list",
}  # fmt: skip
KILLED = "killed"
"""The rebuild dies, and the same command goes on where it was."""

READ_S = 10.0


@dataclass
class Reading:
    """Readers who look again and again; what they were told that is no answer."""

    scene: Scene
    service: str
    answers: int = 0
    failed: list[str] = field(default_factory=list)

    async def run(self) -> None:
        world, person = self.scene.ground.world, self.scene.ground.schools[0].person("principal")
        path, query = self._asked()
        url = world.api.urls[self.service] + path
        token = await world.api.token(person)
        async with httpx.AsyncClient(timeout=READ_S, trust_env=False) as client:
            while True:
                try:
                    answer = await client.get(
                        url, params=query, headers={"Authorization": f"Bearer {token}"}
                    )
                    if answer.status_code != httpx.codes.OK:
                        self.failed.append(f"{path}: {answer.status_code} {answer.text[:200]}")
                except httpx.HTTPError as error:
                    self.failed.append(f"{path}: {error!r}")
                self.answers += 1

    def _asked(self) -> tuple[str, dict[str, str]]:
        if self.service == "reporting":
            school = self.scene.ground.schools[0].id
            return "/reporting/figures/assets.repairs_reported", {
                "unit": school, "period": f"{business_today():%Y-%m}",
            }  # fmt: skip
        return PATHS[self.service], {}


PATHS = {
    "procurement": "/procurement/requisitions", "assets": "/assets/cards",
    "safety": "/safety/hazards", "organisation": "/organisation/units",
}  # fmt: skip


@asynccontextmanager
async def read(scene: Scene, service: str) -> AsyncIterator[Reading]:
    """Somebody reads for as long as the block lasts."""
    reading = Reading(scene, service)
    tasks = [asyncio.create_task(reading.run()) for _ in range(2)]
    try:
        yield reading
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def rebuilt(scene: Scene, variant: str) -> None:
    """F14. The command's exit status and words, the readers' answers."""
    service, name, *how = variant.split()
    async with read(scene, service) as reading:
        task = asyncio.create_task(command(scene, service, name, kill=KILLED in how))
        if service in PLAIN:
            await scene.nudge(service, task.done)
        else:
            await scene.lasting()
        code, said = await task
    if code or "一致" not in said:
        scene.wrong.append(f"rebuild {variant} ended with {code}: {said}")
    scene.wrong += [f"a reader was failed: {one}" for one in reading.failed[:5]]
    if not reading.answers:
        scene.wrong.append(f"nobody read {service} during the rebuild")


async def command(scene: Scene, service: str, name: str, *, kill: bool) -> tuple[int, str]:
    """Runs it, once more if it was killed; its exit status and what it said."""
    if kill:
        child = await start(scene, service, name)
        await asyncio.wait_for(child.stderr.readline(), 60) if child.stderr else None
        if child.returncode is None:
            child.send_signal(signal.SIGKILL)
        await child.communicate()
    child = await start(scene, service, name)
    out, error = await asyncio.wait_for(child.communicate(), 300)
    code = child.returncode
    assert code is not None
    return code, (out + error).decode()


async def start(scene: Scene, service: str, name: str) -> asyncio.subprocess.Process:
    """The operator's command, as he would type it."""
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", f"services.{service}", "rebuild", name,
        cwd=ROOT, env=scene.rig.environment(service),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip


REBUILDS = (
    Fault(
        "F14", "rebuild while used",
        [
            f"reporting {FIGURES}", f"reporting {FIGURES} {KILLED}",
            *(f"{service} {name}" for service, name in LISTS.items()),
        ],
        rebuilt,
    ),
)  # fmt: skip
