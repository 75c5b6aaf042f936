"""What a process is set to, and what it does again and again, whatever it meets."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from types import SimpleNamespace
from typing import Any, cast

import pytest

from hosting.compose import _every
from tests.conftest import ROOT


async def test_what_fails_once_is_done_again() -> None:
    """A damaged tile or a record that does not open must not end what would have reported more."""
    rt, calls, again = SimpleNamespace(background=[]), 0, asyncio.Event()

    async def work() -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise ValueError("damaged")
        again.set()

    _every(cast("Any", rt), 0, work, "not_done")
    (task,) = rt.background
    await asyncio.wait_for(again.wait(), 10)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


SEEN = """
import gc
from argparse import Namespace
from hosting import command, operate

async def task(_):
    print(gc.get_threshold())
    return 0

if {operators}:
    operate.run(task, Namespace())
else:
    try:
        command._run(None, "all")
    except AttributeError:
        print(gc.get_threshold())
"""
"""A process that says what its collector is set to, of an operator or of a service."""


@pytest.mark.parametrize("operators", [True, False])
def test_every_process_collects_seldom(operators: bool) -> None:
    code = [sys.executable, "-c", SEEN.format(operators=operators)]
    said = subprocess.run(code, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert said.strip() == "(100000, 20, 20)"
