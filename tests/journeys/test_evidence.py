"""An auditor, a witness and a school verify the log of a running service, over HTTP alone."""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.world import World, until

pytestmark = pytest.mark.stack


async def verifier(folder: Path, *arguments: object) -> tuple[int, str]:
    """The one file, where nothing else is."""
    shutil.copy(ROOT / "evidence" / "verify.py", folder)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-I", "verify.py", *map(str, arguments),
        cwd=folder, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    said, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, said.decode()


async def checkpoint(world: World) -> str:
    answer = await world.api.client.get(
        f"{world.api.urls['organisation']}/organisation/log/checkpoint"
    )
    return answer.text if answer.is_success else ""


async def test_from_outside(world: World, tmp_path: Path) -> None:
    base = f"{world.api.urls['organisation']}/organisation"
    note = await until(lambda: checkpoint(world))
    (key,) = (await world.api.client.get(f"{base}/log/keys")).json()["keys"]
    assert note.split("\n")[0] == key.split("+")[0]

    kept = tmp_path / "kept.txt"
    witness = (base, "--key", key, "--witness", kept, "--keep", kept)
    assert (await verifier(tmp_path, *witness))[0] == 0, "the first time there is none kept yet"
    status, said = await verifier(tmp_path, *witness)
    assert status == 0 and "leaves signed" in said, said

    token = tmp_path / "token.txt"
    token.write_text(await world.api.token("county-officer"))
    status, said = await verifier(
        tmp_path, base, "--key", key, "--token-file", token, "--witness", kept
    )
    assert status == 0 and "verified by hash alone" in said, said

    event = await an_event(world, base)
    answer = await world.api.get(
        "county-officer", "/organisation/log/proofs/inclusion", event=event
    )
    receipt = tmp_path / "receipt.json"
    receipt.write_text(json.dumps(answer.json()))
    assert (await verifier(tmp_path, receipt, "--key", key))[0] == 0
    changed = answer.json()
    changed["event"]["actor"] += "x"
    receipt.write_text(json.dumps(changed))
    status, said = await verifier(tmp_path, receipt, "--key", key)
    assert status == 1 and "this event was altered" in said


async def an_event(world: World, base: str) -> str:
    """The position of one that the officer may see, and that is signed."""
    page = await world.api.get("county-officer", "/organisation/log/leaves", limit=200)
    lines = [json.loads(text) for text in page.text.splitlines()]
    shown = [line["position"] for line in lines if "event" in line]
    assert 0 < len(shown) < sum("leaf" in line for line in lines), "some, not all"
    return str(shown[0])


@pytest.mark.parametrize(
    ("path", "query", "slug"),
    [
        ("proofs/consistency", {"first": 0, "second": 1}, "filter_malformed"),
        ("proofs/consistency", {"first": 2, "second": 1}, "size_beyond"),
        ("proofs/consistency", {"first": 1, "second": 99_999_999}, "size_beyond"),
        ("proofs/inclusion", {"event": "x"}, "filter_malformed"),
        ("proofs/inclusion", {"event": "1.1.1"}, "leaf_unknown"),
        ("leaves", {"limit": 100_000}, "filter_malformed"),
    ],
)
async def test_what_cannot_be_proved_is_said(
    world: World, path: str, query: dict[str, Any], slug: str
) -> None:
    await until(lambda: checkpoint(world))
    answer = await world.api.get("county-officer", f"/organisation/log/{path}", **query)
    assert answer.json()["slug"] == slug
