"""Every fault once or a few times, on one stack: nothing lost, doubled or wrong, lag 0 in 30 s.

The same as `make faults`, with the forms chosen so that each way of breaking meets something, and
without the longest ones (all services or all brokers at once), which `make record` has.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from tests.faults.ground import standing
from tests.faults.inspection import HEAL_S
from tests.faults.run import FAULTS, Run

pytestmark = [
    pytest.mark.stack,
    # A client that is connecting while its broker dies leaves that connection to the collector.
    pytest.mark.filterwarnings("ignore:Unclosed AIOKafka:ResourceWarning"),
]

SEED, SCHOOLS, COMMANDS = 1, 4, 3

ROUNDS = (
    ("F1", "kill organisation"),
    ("F2", "one"),
    ("F3", "immediate"),
    ("F3", "backend"),
    ("F4", "postgres procurement cut"),
    ("F4", "postgres assets stall"),
    ("F4", "kafka reporting cut"),
    ("F4", "client nutrition mute"),
    ("F5", "procurement"),
    ("F6", "procurement shuffled"),
    ("F6", "assets forgotten"),
    ("F9", "safety truncated"),
    ("F9", "procurement envelope"),
    ("F11", "0"),
    ("F12", "late commit"),
    ("F15", "assets"),
    ("F17", "every"),
)


@pytest.fixture(scope="module")
async def faults(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> AsyncIterator[Run]:
    said: list[str] = []
    folder = tmp_path_factory.mktemp("faults")
    async with standing(folder, schools=SCHOOLS, brokers=3, say=said.append) as ground:
        run = await Run.begin(ground, SEED, COMMANDS, said.append)
        yield run
        await run.end()
    plugins = request.config.pluginmanager
    reporter, capture = plugins.getplugin("terminalreporter"), plugins.getplugin("capturemanager")
    assert reporter is not None and capture is not None
    with capture.global_and_fixture_disabled():
        reporter.write_line(f"\n{run.table()}")
    (folder / "said.txt").write_text("\n".join(said), "utf-8")


@pytest.mark.parametrize(("code", "variant"), ROUNDS, ids=str)
async def test_a_promise_is_kept(faults: Run, code: str, variant: str) -> None:
    found = await faults.round(FAULTS[code], variant)
    assert found.every == []
    assert faults.tallies[code].seconds_to_lag_0 <= HEAL_S


async def test_the_load_was_one(faults: Run) -> None:
    """Else the faults would have met nothing: every kind of outcome occurred, in every service."""
    asked = faults.load.asked
    for status in (200, 201, 404, 412, 422):
        assert sum(one.status == status for one in asked) >= 10, status
    for service in faults.ground.rig.services:
        assert sum(bool(one.events) for one in asked if one.service == service) >= 10, service
    assert sum(one.unknown > 0 for one in asked) >= 10, "some outcomes were unknown"
    long_ago = datetime.now(UTC) - timedelta(days=1)
    log = await faults.inspector.log("safety")
    assert sum(event.occurred_at < long_ago for event in log) >= 5, "some was entered late"


async def test_who_is_asked_to_end_leaves_its_groups(faults: Run) -> None:
    """Else what it had would wait for its session to run out (10 s) at every release."""
    rig = faults.ground.rig
    async with rig.spare("safety", "worker") as (guest, _):
        pass
    assert guest.child is not None and guest.child.returncode == 0
    admin = AIOKafkaAdminClient(bootstrap_servers=rig.kafka)
    await admin.start()
    try:
        (described,) = await admin.describe_consumer_groups(["houqin.safety.directory"])
    finally:
        await admin.close()
    ((_, _, _, _, _, members, *_),) = described.groups
    assert len(members) == 1, "only the one who stayed"


LONGER = {"F7", "F8", "F10", "F13", "F14", "F16", "F18"}
"""Nothing for a short run: bursts, rebuilds, restores, restarts of everything, disks that only root can fill."""


def test_every_fault_is_met() -> None:
    assert {code for code, _ in ROUNDS} == FAULTS.keys() - LONGER
    for code, variant in ROUNDS:
        assert variant in FAULTS[code].variants
