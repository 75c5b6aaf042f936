"""The portal as people use it: the built application in a real Chromium, on the whole platform."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from deploy.local import web
from tests.world import World

HERE = Path(__file__).parent

pytestmark = pytest.mark.stack


def test_people_do_their_work_in_a_browser(world: World) -> None:
    assert web.main() == 0
    if not (HERE / "node_modules").exists():
        assert web.npm(HERE, "ci", "--silent") == 0
    told = {"HOUQIN_PORTAL": world.api.urls["portal"]}
    ran = subprocess.run(
        [web.NODE, "--test", "--test-reporter=spec", "journeys.test.mjs"],
        cwd=HERE, env={**os.environ, **told}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout[-8000:] + ran.stderr[-2000:]
