"""F17: somebody with every right on a service's database changes its log, and lacks only the key.

Each attack is made on the live log in a transaction that is given up in the end: what is exported
within it is what everybody would see had it been committed. Held against: the verifier, one file,
copied to where nothing else is.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import asyncpg

from deploy.local.supervisor import ROOT
from evidence.verify import Finding
from hosting.export_log import export
from tests.evidence.attacks import ATTACKS
from tests.faults.rig import SERVICES
from tests.faults.scene import Fault, Scene
from tests.world import until

EVERY = "every"
LEAVES_MIN = 20
SIGNED_S = 30.0
TRIES = 10


async def tampers(scene: Scene, variant: str) -> None:
    """The untouched logs verify, all of them; each attack on one of them is found and located."""
    with tempfile.TemporaryDirectory(prefix="houqin-tamper-") as fresh:
        folder = Path(fresh)
        shutil.copy(ROOT / "evidence" / "verify.py", folder)
        for service in SERVICES:
            await _signed(await scene.rig.pool(service))
            found = await _verified(scene, folder, service, "")
            scene.wrong += [f"F17 {service}, untouched: {one}" for one in found]
        for name in ATTACKS if variant == EVERY else [variant] * len(ATTACKS):
            service = scene.chance.choice(SERVICES)
            missed = await _verified(scene, folder, service, name)
            scene.wrong += [f"F17 {service}, {name}: {one}" for one in missed]


async def _signed(pool: Any) -> None:
    """Waits until enough of a log is signed."""

    async def enough() -> bool:
        size = await pool.fetchval("select max(size) from log_checkpoint")
        count = await pool.fetchval("select count(*) from event")
        return bool(size is not None and size >= min(count, LEAVES_MIN) and size >= 2)

    await until(enough, SIGNED_S)


async def _verified(scene: Scene, folder: Path, service: str, name: str) -> list[str]:
    """What the verifier says of a log after an attack that it should not, or misses. The relay of
    the tree writes meanwhile, so that an attack may have to begin anew.
    """
    pool, path = await scene.rig.pool(service), folder / "log.jsonl"
    for _ in range(TRIES):
        async with pool.acquire() as connection:
            attempt = connection.transaction(isolation="repeatable_read")
            await attempt.start()
            try:
                attack = None
                if name:
                    size = await connection.fetchval("select max(size) from log_checkpoint")
                    attack = await ATTACKS[name](connection, scene.chance, size)
                await export(connection, path)
            except asyncpg.SerializationError:
                continue
            finally:
                await attempt.rollback()
        findings = await _run(folder, path)
        if attack is None:
            return [str(one) for one in findings]
        return [missed] if (missed := attack.missed(findings)) else []
    return [f"no attack in {TRIES} tries"]


async def _run(folder: Path, path: Path) -> list[Finding]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-I", "verify.py", str(path), "--json",
        cwd=folder, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    said, wrong = await process.communicate()
    if process.returncode == 2:
        return [Finding("unreadable", None, None, note=wrong.decode())]
    found = [Finding(**one) for one in json.loads(said)["findings"]]
    assert process.returncode == int(bool(found))
    return found


TAMPERING = (Fault("F17", "tampered log", [EVERY, *ATTACKS], tampers),)
