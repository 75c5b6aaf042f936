"""`make clean`: what is left of instances that nobody uses any more."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from deploy.local import postgres
from deploy.local.instance import Hold, InUse
from deploy.local.process import end_leftover


def clean(run_folder: Path) -> int:
    """Delete the state of every instance that is not in use; the downloads are kept."""
    in_use = 0
    for folder in sorted(path.parent for path in run_folder.glob("*/lock")):
        try:
            hold = Hold(folder)
        except InUse as problem:
            in_use += 1
            print(problem, file=sys.stderr)
            continue
        asyncio.run(_end_leftovers(sorted(folder.glob("pids/*.json"))))
        postgres.remove(folder)
        for path in sorted(folder.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
        folder.rmdir()
        hold.release()
    return min(1, in_use)


async def _end_leftovers(pid_files: Sequence[Path]) -> None:
    for pid_file in pid_files:
        await end_leftover(pid_file)
