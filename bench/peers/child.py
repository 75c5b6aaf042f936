"""A job in processes of its own: how fast it was, what processor time and memory it took.

Each process is told its job as JSON in its last argument, prints {"begun": …, "ended": …} (seconds
since 1970, first message and last row written) when done, and stays until its input is closed.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]

from bench.peers import parts
from deploy.local.supervisor import ROOT, Stack

PATIENCE_S = 900.0
PARTS = ("kafka", "postgres")


@dataclass(frozen=True, slots=True)
class Ran:
    """`cpu_us`: per event, of the job's processes, their start included; `all_cpu_us`: with that of
    Kafka and Postgres meanwhile; `memory_mb`: the processes' peaks of resident memory, summed.
    """

    rate: float
    cpu_us: float
    all_cpu_us: float
    memory_mb: float


async def ran(stack: Stack, commands: Sequence[Sequence[str | Path]], events: int) -> Ran:
    """Runs the processes of one job side by side; RuntimeError if one of them fails."""
    before = _spent(stack)
    children = [
        await asyncio.create_subprocess_exec(
            *command, cwd=ROOT, env=parts.environment(),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )
        for command in commands
    ]  # fmt: skip
    told: list[dict[str, Any]] = []
    try:
        async with asyncio.timeout(PATIENCE_S):
            told = list(await asyncio.gather(*(_told(child) for child in children)))
        cpu_s = sum(_seconds(psutil.Process(child.pid)) for child in children)
        all_cpu_s = cpu_s + _spent(stack) - before
        memory_mb = sum(_peak_mb(child.pid) for child in children)
    finally:
        await asyncio.gather(*(_end(child, 30 if told else 0) for child in children))
    seconds = max(one["ended"] for one in told) - min(one["begun"] for one in told)
    return Ran(events / seconds, 1e6 * cpu_s / events, 1e6 * all_cpu_s / events, memory_mb)


async def _told(child: asyncio.subprocess.Process) -> dict[str, Any]:
    assert child.stdout is not None
    async for line in child.stdout:
        if line.startswith(b'{"'):
            told: dict[str, Any] = json.loads(line)
            return told
    raise RuntimeError("a job ended before it was done; what it said stands above")


async def _end(child: asyncio.subprocess.Process, patience_s: float) -> None:
    assert child.stdin is not None
    child.stdin.close()
    try:
        await asyncio.wait_for(child.wait(), patience_s)
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            child.kill()
        await child.wait()


def _spent(stack: Stack) -> float:
    """Processor seconds that Kafka and Postgres have taken so far."""
    total = 0.0
    for part in PARTS:
        process = psutil.Process(stack.pid(part))
        for one in (process, *process.children(recursive=True)):
            with contextlib.suppress(psutil.Error):
                total += _seconds(one)
    return total


def _seconds(process: psutil.Process) -> float:
    return float(sum(process.cpu_times()[:2]))


def _peak_mb(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise LookupError(pid)
