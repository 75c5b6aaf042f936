"""`make demo`: everything started, an example entered, each published figure beside reporting's.

SCENARIO names the example (default examples/zixing-2011.yaml). With ONCE=1 it ends after the table,
with status 1 if a figure differs; else it stays until Ctrl-C. The figures go to build/demo.json.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import time
from pathlib import Path

import httpx

from deploy.local.running import run
from deploy.local.scenario import Scenario, Wrong, read
from deploy.local.scenario_figures import Figures, Line, Unanswered, aligned, record, table
from deploy.local.scenario_ground import ADMINISTRATOR
from deploy.local.scenario_plan import Plan, plan
from deploy.local.scenario_run import Runner
from deploy.local.scenario_story import Story
from deploy.local.supervisor import PORTAL, ROOT, RUN, Stack
from deploy.local.token import SignInFailed, demo_password, fetch_token

DEFAULT = Path("examples") / "zixing-2011.yaml"
REACHED_S, SETTLE_S = 3.0, 20.0
"""How long reporting may take to say that it has all that was entered, and to have it, with what
the services' reactions add.
"""

RESULT = ROOT / "build" / "demo.json"


async def demo(file: Path, *, once: bool) -> int:
    """The whole demonstration; the exit status."""
    began = time.monotonic()
    try:
        scenario = read(file)
        planned = plan(file, scenario)
    except Wrong as error:
        print(error, file=sys.stderr)
        return 1
    async with Stack(RUN / "demo") as stack:
        stack.say(f"全部就绪 all ready: {time.monotonic() - began:.1f} s")
        try:
            lines = await shown(stack, file, scenario, planned)
        except (Wrong, Unanswered, SignInFailed, httpx.HTTPError) as error:
            print(error, file=sys.stderr)
            return 1
        wrong = sum(not line.right for line in lines)
        stack.say(verdict(lines, wrong, time.monotonic() - began))
        if once:
            return int(wrong > 0)
        farewell(stack, scenario, planned)
        await asyncio.Event().wait()
    return 0


async def shown(stack: Stack, file: Path, scenario: Scenario, planned: Plan) -> list[Line]:
    """Enters the example, shows table and story; the lines of the table."""

    async def token(person: str) -> str:
        return await fetch_token(stack.urls["provider"], person, demo_password(person))

    limits = httpx.Limits(max_connections=20)
    async with httpx.AsyncClient(trust_env=False, timeout=60, limits=limits) as client:
        stack.say(f"\n{scenario.title.zh}\n{scenario.title.en}\n{file}: {scenario.source}")
        memory = stack.folder / "refusals-shown"
        runner = Runner(file, stack.urls, token, stack.say, client=client, memory=memory)
        entered = await runner.enter(planned)
        stack.say(f"录入完成 entered: {len(entered.answers)} 条 commands, {entered.seconds:.1f} s")
        began, own = time.monotonic(), await token(ADMINISTRATOR)
        headers, reporting = {"Authorization": f"Bearer {own}"}, stack.urls["reporting"]
        # After a restart a service may take a while to know that it is current: the figures tell.
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(runner.reached("reporting", own), REACHED_S)
        figures = Figures(reporting, client, headers)
        lines = await figures.until_right(planned, scenario.expected, seconds=SETTLE_S)
        stack.say(f"报表已收到 figures are in: {time.monotonic() - began:.1f} s")
        stack.say("\n".join(table(lines)))
        keep(scenario, lines, planned)
        for text in await Story(stack.urls, client, headers).told(scenario.watch, planned, entered):
            stack.say(text)
    return lines


def keep(scenario: Scenario, lines: list[Line], planned: Plan) -> None:
    """Writes the table for machines."""
    title = {"zh": scenario.title.zh, "en": scenario.title.en}
    result = {"title": title, "source": scenario.source, **record(lines, planned)}
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(result, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def verdict(lines: list[Line], wrong: int, seconds: float) -> str:
    """One sentence: whether every figure is as expected."""
    if wrong:
        return f"✗ {wrong}/{len(lines)} 个数字不符 figures differ ({seconds:.1f} s)"
    return f"✓ {len(lines)} 个数字全部相符 all figures as expected ({seconds:.1f} s)"


def farewell(stack: Stack, scenario: Scenario, planned: Plan) -> None:
    """Where to look and how to sign in, while everything stays up."""
    docs = [[name, f"{url}/docs"] for name, url in stack.urls.items() if name not in PORTAL]
    people = " ".join((ADMINISTRATOR, *(person.subject for person in scenario.people)))
    stack.say("\n接口文档 API documentation")
    for row in aligned(docs, right=()):
        stack.say(f"  {row}")
    stack.say(
        f"门户 the portal\n  {stack.urls['portal']}/\n"
        f"登录页 sign-in page\n  {stack.urls['portal']}/auth/sign-in\n"
        f"演示账号 demo users (密码 password: {demo_password(ADMINISTRATOR)})\n  {people}\n"
        "取令牌 a token\n  make token WHO=principal"
    )
    for one in scenario.expected[:1]:
        stack.say(
            '  curl -H "Authorization: Bearer $(make -s token WHO=administrator)" \\\n'
            f"    '{stack.urls['reporting']}/reporting/figures/{one.measure}"
            f"?unit={planned.units[one.unit]}&period={one.period}'"
        )
    stack.say("按 Ctrl-C 停止 · Ctrl-C stops everything")


def main() -> int:
    """Entry point of `python -m deploy.local.demo`."""
    file = Path(os.environ.get("SCENARIO") or DEFAULT)
    once = os.environ.get("ONCE", "") not in {"", "0"}
    return run(demo(file, once=once))


if __name__ == "__main__":
    sys.exit(main())
