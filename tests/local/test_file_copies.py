"""Copies of the stored files: whatever is not there yet, and nothing that was erased."""

from __future__ import annotations

from pathlib import Path

from deploy.local.file_copies import Copies

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
