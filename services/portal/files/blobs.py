"""Where the bytes of files lie, a folder or a bucket: each under its own name, written once, never
changed.
"""

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
        return self.root / _key(name)

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


class Bucket:
    """Files in a bucket of any S3; where that is, and with which key, say the usual variables
    (`AWS_ENDPOINT_URL`, `AWS_REGION`, `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`).
    """

    def __init__(self, url: str) -> None:
        # Only where it is used: it costs a process some megabytes.
        from obstore.store import from_url  # noqa: PLC0415

        self.store = from_url(url)

    async def put(self, name: str, content: bytes) -> None:
        """Keeps it, for good once this returns; again is no harm."""
        await self.store.put_async(_key(name), content)

    async def get(self, name: str) -> bytes:
        """Its bytes; raises FileNotFoundError."""
        found = await self.store.get_async(_key(name))
        return bytes(await found.bytes_async())

    async def drop(self, name: str) -> None:
        """Removes it, if it is there."""
        await self.store.delete_async(_key(name))


def blobs_at(place: str) -> Blobs:
    """The store at a folder, or at `s3://bucket/prefix`."""
    return Bucket(place) if place.startswith("s3://") else Folder(Path(place))


def _key(name: str) -> str:
    return f"{name[:2]}/{name}"


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
