"""Copies of the stored files: whatever is not there yet, and nothing that was erased."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from deploy.local import file_copies
from deploy.local.file_copies import Copies, put_back
from tests.shared.wire import until

A, B, C = "a1" + "0" * 62, "a1" + "1" * 62, "c3" + "0" * 62


def put(folder: Path, name: str) -> None:
    path = folder / name[:2] / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(name)


def held(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_what_is_new_is_copied_and_what_was_lost_comes_back(tmp_path: Path) -> None:
    live, kept = tmp_path / "live", tmp_path / "kept"
    copies = Copies(live, kept)
    assert copies.take() == 0, "nothing has been stored yet"
    put(live, A)
    put(live, C)
    (live / "a1" / ".on-its-way").write_text("half")
    assert (copies.take(), copies.take()) == (2, 0)
    put(live, B)
    assert (copies.take(), held(kept)) == (1, {A: A, B: B, C: C})
    (live / "a1" / A).unlink()
    assert Copies(live, kept).take() == 0, "what went there stays here"
    assert Copies(kept, live).take() == 1
    assert held(live)[A] == A


def test_what_was_erased_is_removed_from_the_copies(tmp_path: Path) -> None:
    live, kept = tmp_path / "live", tmp_path / "kept"
    put(live, A)
    put(live, C)
    copies = Copies(live, kept)
    copies.take()
    assert copies.drop([A, B]) == 1
    assert held(kept) == {C: C}


def test_a_restore_brings_nothing_back_that_was_erased(tmp_path: Path) -> None:
    live, kept = tmp_path / "live", tmp_path / "kept"
    for name in (A, B, C):
        put(kept, name)
    put(live, B)
    put_back(kept, live, [A, B])
    assert held(live) == held(kept) == {C: C}


async def test_what_is_in_the_way_is_said_once_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(file_copies, "EVERY_S", 0.01)
    live, kept = tmp_path / "live", tmp_path / "kept"
    put(live, A)
    kept.write_bytes(b"no folder")
    said: list[str] = []
    task = asyncio.create_task(Copies(live, kept).keep_taking())

    def heard() -> bool:
        said.append(capfd.readouterr().err)
        return any(said)

    await until(heard)
    kept.unlink()
    await until((kept / A[:2] / A).exists)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert "".join(said).count("\n") == 1 and "会继续重试" in "".join(said)
