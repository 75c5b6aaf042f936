"""The portal's pages with the example's data, looked at by a script in the browser.

python -m tests.browser.demo_pages           `make screenshots`: pictures, into build/screens
python -m tests.browser.demo_pages budget    `make web-budget`: weights and times, into build/web.json
"""

from __future__ import annotations

import asyncio
import os
import sys

from deploy.local import web
from deploy.local.demo import DEFAULT, shown
from deploy.local.running import run
from deploy.local.scenario import read
from deploy.local.scenario_plan import plan
from deploy.local.supervisor import ROOT, RUN, Stack

HERE = ROOT / "tests" / "browser"


SCRIPTS = {"screens": "screens.mjs", "budget": "budget.mjs"}


async def looked_at(script: str) -> int:
    """Enters the example unless it is there, and looks at every page; node's exit status."""
    scenario = read(DEFAULT)
    planned = plan(DEFAULT, scenario)
    if web.npm(HERE, "ci", "--silent") != 0:
        return 1
    async with Stack(RUN / "demo") as stack:
        await shown(stack, DEFAULT, scenario, planned)
        told = {**os.environ, "HOUQIN_PORTAL": stack.urls["portal"]}
        node = await asyncio.create_subprocess_exec(web.NODE, HERE / script, env=told)
        return await node.wait()


if __name__ == "__main__":
    sys.exit(run(looked_at(SCRIPTS[(sys.argv[1:] or ["screens"])[0]])))
