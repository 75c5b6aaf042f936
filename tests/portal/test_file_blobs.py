"""The store of files, in a folder and in a bucket of a real S3 server (rclone's)."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from obstore.exceptions import PermissionDeniedError

from services.portal.files.blobs import Blobs, Folder, blobs_at
from tests.portal.pictures import png, sha256
from tests.portal.place import any_port

KEY, SECRET = "houqin", "of-the-tests-alone"
SEARCHED = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])

CONTENT = png()
NAME = sha256(CONTENT)


@asynccontextmanager
async def s3(folder: Path) -> AsyncIterator[str]:
    """An S3 server with a bucket; its address."""
    (folder / "houqin").mkdir()
    port = any_port()
    program = shutil.which("rclone", path=SEARCHED)
    assert program is not None
    child = await asyncio.create_subprocess_exec(
        program, "serve", "s3", "--config", os.devnull, "--addr", f"127.0.0.1:{port}",
        "--auth-key", f"{KEY},{SECRET}", "--vfs-write-back", "0s", str(folder),
        stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        async with asyncio.timeout(20):
            while not await answers(port):
                await asyncio.sleep(0.02)
        yield f"http://127.0.0.1:{port}"
    finally:
        child.terminate()
        await child.wait()


async def answers(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


async def keeps_files(blobs: Blobs) -> None:
    with pytest.raises(FileNotFoundError):
        await blobs.get(NAME)
    await blobs.put(NAME, CONTENT)
    await blobs.put(NAME, CONTENT)
    assert await blobs.get(NAME) == CONTENT
    await blobs.drop(NAME)
    await blobs.drop(NAME)
    with pytest.raises(FileNotFoundError):
        await blobs.get(NAME)


async def test_a_folder_keeps_files(tmp_path: Path) -> None:
    await keeps_files(blobs_at(str(tmp_path / "files")))


async def test_a_folder_holds_a_file_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Folder(tmp_path)

    def full(_: int) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space"):
        await folder.put(NAME, CONTENT)
    with pytest.raises(FileNotFoundError):
        await folder.get(NAME)


@pytest.mark.stack
async def test_a_bucket_keeps_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with s3(tmp_path) as url:
        said = {
            "AWS_ENDPOINT_URL": url, "AWS_ALLOW_HTTP": "true", "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET,
        }  # fmt: skip
        for name, text in said.items():
            monkeypatch.setenv(name, text)
        await keeps_files(blobs_at("s3://houqin/files"))
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another")
        with pytest.raises(PermissionDeniedError):
            await blobs_at("s3://houqin/files").put(NAME, CONTENT)
