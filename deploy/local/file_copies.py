"""Copies of the stored files (photos, signatures, documents) beside the back-ups of the databases.

A file never changes and has the name of its content, so a copy is whatever is not there yet: taken
every few seconds from the first back-up on, and put back by a restore, whatever its moment.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from uuid import uuid4

import asyncpg

from deploy.local.postgres import Postgres

EVERY_S = 5.0
ERASED = "select encode(sha256, 'hex') from file where erased_at is not null"


def files_of(state: Path) -> Path:
    """Where an instance keeps its files."""
    return state / "files"


class Copies:
    """Files at one place, copied from another. `seen`: when each folder there last changed."""

    def __init__(self, source: Path, target: Path) -> None:
        self.source, self.target = source, target
        self.seen: dict[str, int] = {}

    def take(self) -> int:
        """Copies what is new; how many. Costs next to nothing where nothing is."""
        taken = 0
        for folder in sorted(self.source.glob("[0-9a-f][0-9a-f]")):
            changed = folder.stat().st_mtime_ns
            if self.seen.get(folder.name) != changed:
                taken += sum(self._copy(path) for path in folder.glob("[0-9a-f]*"))
                self.seen[folder.name] = changed
        return taken

    async def keep_taking(self) -> None:
        """Copies until cancelled, and then once more. What is in the way (a full disk, a lost
        mount) is said, and tried again.
        """
        said = ""
        try:
            while True:
                said = await asyncio.to_thread(self._try, said)
                await asyncio.sleep(EVERY_S)
        finally:
            self._try(said)

    def _try(self, said: str) -> str:
        """Copies what is new; what is in the way, said unless it was `said` before."""
        try:
            self.take()
        except OSError as error:
            problem = error.strerror or str(error)
            if problem != said:
                print(
                    f"文件暂时无法备份，会继续重试：{problem} "
                    f"Files cannot be backed up just now; it is tried again: {problem}",
                    file=sys.stderr, flush=True,
                )  # fmt: skip
            return problem
        return ""

    def drop(self, names: Iterable[str]) -> int:
        """Removes copies; how many there were."""
        paths = [self.target / name[:2] / name for name in names]
        there = [path for path in paths if path.exists()]
        for path in there:
            path.unlink()
        return len(there)

    def _copy(self, path: Path) -> bool:
        """Whole or not at all; whether it was missing."""
        to = self.target / path.parent.name / path.name
        if to.exists():
            return False
        to.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        fresh = to.with_name(f".{uuid4().hex}")
        try:
            shutil.copyfile(path, fresh)
            fresh.chmod(0o600)
            with fresh.open("rb") as stream:
                os.fsync(stream.fileno())
            fresh.rename(to)
        except FileNotFoundError:  # it was swept or erased just now
            return False
        finally:
            fresh.unlink(missing_ok=True)  # half a copy must not fill the disk further
        return True


def put_back(kept: Path, live: Path, gone: Sequence[str]) -> None:
    """What was lost comes back from its copies; what is `gone` by right does not, here or there."""
    back, copies = Copies(kept, live), Copies(live, kept)
    back.take()
    for one in (back, copies):
        one.drop(gone)


async def erased(postgres: Postgres) -> list[str]:
    """The names of files that were destroyed, and must not live on in copies."""
    try:
        connection = await asyncpg.connect(postgres.dsn("portal"))
    except asyncpg.InvalidCatalogNameError:
        return []
    try:
        if await connection.fetchval("select to_regclass('file') is null"):
            return []
        return [row[0] for row in await connection.fetch(ERASED)]
    finally:
        await connection.close()
