"""Copies of the platform with something changed in them: a bug to be caught, or a later release."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from deploy.local.supervisor import ROOT, RUN


def copied(folder: Path) -> Path:
    """The files of this checkout, with what it has installed and fetched."""
    copy = folder / "houqin"
    for name in names():
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, copy / name)
    (copy / ".venv").symlink_to(Path(sys.prefix))
    (copy / ".run").mkdir()
    (copy / ".run" / "cache").symlink_to(RUN / "cache")
    return copy


def names() -> list[str]:
    """The files of this tree, as git knows them; a copy, which git does not know, has no others."""
    if not (ROOT / ".git").exists():
        own = {".venv", ".run", "build"}
        tops = (top for top in ROOT.iterdir() if top.name not in own)
        files = (file for top in tops for file in (top, *top.rglob("*")) if file.is_file())
        return [str(file.relative_to(ROOT)) for file in files if "__pycache__" not in file.parts]
    git = shutil.which("git") or "git"
    listed = [git, "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    told = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return [name for name in told.split("\0") if name]


def replaced(text: str, changes: Iterable[tuple[str, str]]) -> str:
    """The text with each change made once; LookupError if a place is no longer as it was."""
    for was, becomes in changes:
        if text.count(was) != 1:
            raise LookupError(f"{text.count(was)} times there:\n{was}")
        text = text.replace(was, becomes)
    return text
