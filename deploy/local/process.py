"""One child process: started in its own session, recognised again after a crash, ended by its pid.

Every command line carries a mark, a text that names this instance's folder. A pid file and the
start time tell a process of ours from a later one that was given the same pid.
"""
# ruff: noqa: ASYNC110, ASYNC240 - processes are polled; their pid files are tiny and local

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil  # type: ignore[import-untyped]

GUARD = Path(__file__).with_name("guard.py")
POLL_S = 0.03
# After the stop signal: how long a process may take before it is killed.
GRACE_S = 15.0
# A larger log is set aside at the next start; the one before it is dropped.
LOG_BYTES_MAX = 20_000_000


class StartFailed(RuntimeError):  # noqa: N818 - says what is, as the house's names do
    """A part ended, or was not ready in time. The message holds the last lines of its log."""


def inherited(*names: str) -> dict[str, str]:
    """These variables of our own environment; some Pythons need LD_LIBRARY_PATH to start."""
    return {name: os.environ[name] for name in names if name in os.environ}


def start_time(pid: int) -> float | None:
    """When `pid` was started (clock ticks since boot on Linux, else a timestamp); None if gone."""
    try:
        if sys.platform == "linux":
            # The name in brackets may hold spaces, so count from the last bracket: field 22.
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            return None if fields[0] in "ZX" else float(fields[19])
        return float(psutil.Process(pid).create_time())
    except (OSError, psutil.Error):
        return None


def carries_mark(pid: int, mark: str) -> bool:
    """Whether the command line of `pid` has `mark` as, or at the end of, one of its arguments."""
    try:
        arguments: list[str] = psutil.Process(pid).cmdline()
    except psutil.Error:
        return False
    return any(argument.endswith(mark) for argument in arguments)


async def end(pid: int, mark: str, stop_signal: int = signal.SIGTERM) -> None:
    """End a process of ours that is not our child: signal, wait, kill. Others are left alone."""
    for number, seconds in ((stop_signal, GRACE_S), (signal.SIGKILL, 5.0)):
        started = start_time(pid)
        if started is None or not carries_mark(pid, mark):
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        deadline = time.monotonic() + seconds
        while start_time(pid) == started and time.monotonic() < deadline:
            await asyncio.sleep(POLL_S)


async def end_leftover(pid_file: Path) -> bool:
    """End what a killed supervisor left running, by its pid file; True if there was any."""
    try:
        entry = json.loads(pid_file.read_text())
        pid, started, mark = int(entry["pid"]), float(entry["started"]), str(entry["mark"])
        stop_signal = int(entry["stop_signal"])
    except (OSError, ValueError, KeyError, TypeError):
        return False
    found = start_time(pid) == started and carries_mark(pid, mark)
    if found:
        await end(pid, mark, stop_signal)
    pid_file.unlink(missing_ok=True)
    return found


def tail(log: Path, lines: int = 15) -> str:
    """The last lines of a log, for an error message; "" if there is none."""
    try:
        with log.open("rb") as stream:
            stream.seek(max(0, log.stat().st_size - 8_000))
            text = stream.read().decode(errors="replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-lines:])


async def together(*steps: Coroutine[object, object, object]) -> None:
    """Run steps at once; if one fails the others are cancelled and awaited, then it is raised."""
    try:
        async with asyncio.TaskGroup() as group:
            for step in steps:
                group.create_task(step)
    except BaseExceptionGroup as failed:
        raise failed.exceptions[0] from None


@dataclass(eq=False)
class Process:
    """A command that can be started, watched and stopped again and again.

    `mark` must be part of the command line. `uid` drops root for that user. `stop_signal` asks
    for a clean end, SIGKILL follows after `grace_s`; `death_signal` is what the kernel sends if
    the supervisor itself is killed.
    """

    name: str
    command: Sequence[str]
    mark: str
    log: Path
    pid_file: Path
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: Path | None = None
    uid: int | None = None
    stop_signal: int = signal.SIGTERM
    death_signal: int = signal.SIGKILL
    grace_s: float = GRACE_S
    child: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        """The pid of the running process; raises LookupError if there is none."""
        if self.child is None or self.child.returncode is not None:
            raise LookupError(f"{self.name} is not running")
        return self.child.pid

    @property
    def running(self) -> bool:
        return self.child is not None and self.child.returncode is None

    async def start(self) -> None:
        """Start the command, after what an earlier run left of it has ended."""
        await end_leftover(self.pid_file)
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self.pid_file.parent.mkdir(parents=True, exist_ok=True)
        if self.log.exists() and self.log.stat().st_size > LOG_BYTES_MAX:
            self.log.replace(self.log.with_suffix(".old.log"))
        guard = [sys.executable, "-I", "-S", str(GUARD), str(os.getpid())]
        guard += [str(int(self.death_signal)), "-" if self.uid is None else str(self.uid)]
        with self.log.open("ab") as stream:
            self.child = await asyncio.create_subprocess_exec(
                *guard,
                *self.command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                cwd=self.cwd or self.log.parent,
                env=dict(self.env),
                start_new_session=True,
            )
        # The guard replaces itself: pid and start time are those of the command.
        pid = self.child.pid
        entry = {
            "pid": pid,
            "started": start_time(pid),
            "mark": self.mark,
            "stop_signal": int(self.stop_signal),
        }
        fresh = self.pid_file.with_suffix(".new")
        fresh.write_text(json.dumps(entry))
        fresh.replace(self.pid_file)

    async def until_ready(self, ready: Callable[[], Awaitable[bool]], seconds: float) -> None:
        """Wait until `ready()`; raises StartFailed if the process ends or `seconds` pass."""
        deadline = time.monotonic() + seconds
        while not await ready():
            if not self.running:
                code = None if self.child is None else self.child.returncode
                raise StartFailed(f"{self.name} ended with {code}:\n{tail(self.log)}")
            if time.monotonic() > deadline:
                raise StartFailed(f"{self.name}: not ready in {seconds:g} s\n{tail(self.log)}")
            await asyncio.sleep(POLL_S)

    async def ended(self) -> int:
        """Wait until the process has ended; gives its return code."""
        if self.child is None:
            raise LookupError(f"{self.name} was not started")
        return await self.child.wait()

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send a signal to the process; raises LookupError if it is not running."""
        os.kill(self.pid, number)

    async def stop(self) -> None:
        """Ask it to end, wait, kill it and its group if it does not. Not running: nothing."""
        child = self.child
        if child is None:
            return
        for number, seconds in ((self.stop_signal, self.grace_s), (signal.SIGKILL, 5.0)):
            if child.returncode is not None:
                break
            with contextlib.suppress(ProcessLookupError):
                if number == signal.SIGKILL:
                    os.killpg(child.pid, number)
                else:
                    child.send_signal(number)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(child.wait(), seconds)
        self.pid_file.unlink(missing_ok=True)


async def follow(process: Process, say: Callable[[str], None]) -> None:
    """Show what a part writes to its log from now on, each line with the part's name."""
    position = process.log.stat().st_size
    while True:
        await asyncio.sleep(0.2)
        if process.log.stat().st_size < position:
            position = 0
        with process.log.open("rb") as stream:
            stream.seek(position)
            text = stream.read()
        whole = text[: text.rfind(b"\n") + 1]
        position += len(whole)
        for line in whole.decode(errors="replace").splitlines():
            say(f"{process.name} | {line}")
