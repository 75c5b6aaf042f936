"""Where the bytes of files lie: each under its own name, written once, never changed."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Protocol
from uuid import uuid4


class Blobs(Protocol):
    """A store of whole files by name."""

    async def put(self, name: str, content: bytes) -> None:
        """Keeps it, for good once this returns; again is no harm."""

    async def get(self, name: str) -> bytes:
        """Its bytes; raises FileNotFoundError."""

    async def drop(self, name: str) -> None:
        """Removes it, if it is there."""


class Folder:
    """Files in a folder, in 256 folders of it by the first two digits of their names."""

    def __init__(self, root: Path) -> None:
        self.root = root

    async def put(self, name: str, content: bytes) -> None:
        """Keeps it, for good once this returns; again is no harm."""
        await asyncio.to_thread(self._write, name, content)

    async def get(self, name: str) -> bytes:
        """Its bytes; raises FileNotFoundError."""
        return await asyncio.to_thread(self._path(name).read_bytes)

    async def drop(self, name: str) -> None:
        """Removes it, if it is there."""
        await asyncio.to_thread(self._path(name).unlink, missing_ok=True)

    def _path(self, name: str) -> Path:
        return self.root / name[:2] / name

    def _write(self, name: str, content: bytes) -> None:
        """Whole or not at all, and on the disk: whoever sent it deletes his own copy then."""
        path = self._path(name)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        fresh = path.with_name(f".{uuid4().hex}")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        fresh.rename(path)
        for folder in (path.parent, self.root):
            _sync(folder)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
