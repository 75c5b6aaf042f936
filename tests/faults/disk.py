"""F8: a disk is full. The folder of Postgres's write-ahead log, or of a broker, is moved onto a small
disk (a tmpfs), something else fills that disk, and goes away again.

Only root may mount. The mounts are made in a namespace of the harness's own, so that no other
process of the machine sees them, and they end with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path

import asyncpg

from tests.faults.rig import BACK_S, KAFKA, POSTGRES, Rig, until_gone
from tests.faults.scene import Fault, Scene

ROOM_BYTES = 64 * 1024 * 1024
BALLAST = "ballast"
SWITCHES_MAX = 400
FULL_S = 60.0
MS_PRIVATE_REC = 1 << 18 | 1 << 14

_NEXT_SEGMENT = "select pg_logical_emit_message(false, 'faults', 'x'), pg_switch_wal()"


@cache
def why_not() -> str:
    """Why no disk can be filled here; nothing if one can."""
    if os.geteuid() != 0:
        return "only root may mount a small disk"
    try:
        os.unshare(os.CLONE_NEWNS)
    except OSError as error:
        return f"no mounts of one's own: {error}"
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"none", b"/", None, MS_PRIVATE_REC, None) != 0:
        return f"mounts would be seen by others: {os.strerror(ctypes.get_errno())}"
    return ""


async def disk_is_full(scene: Scene, variant: str) -> None:
    """F8. Nothing may be acknowledged that is not on the disk."""
    rig = scene.rig
    if variant == POSTGRES:
        wal = (rig.folder / "postgres").resolve() / "data" / "pg_wal"
        async with on_small_disk(rig, POSTGRES, wal) as ballast:
            await segments_run_out(scene, ballast)
            await scene.lasting()
            ballast.unlink()
            await rig.until_ready(POSTGRES, BACK_S)
            await scene.load.finish()
        return
    name = scene.chance.choice(rig.brokers)
    number = name.partition("-")[2] or "1"
    async with on_small_disk(rig, name, rig.folder / KAFKA / number / "data") as ballast:
        pid = rig.pid(name)
        fill(ballast)
        died = asyncio.create_task(until_gone(pid))
        await scene.load.finish()
        await asyncio.wait([died], timeout=FULL_S)
        if not died.done():
            scene.wrong.append(f"{name} did not care that its disk was full")
            died.cancel()
        ballast.unlink()
        await rig.until_ready(name, BACK_S)
        await scene.inspector.caught_up()


@asynccontextmanager
async def on_small_disk(rig: Rig, part: str, folder: Path) -> AsyncIterator[Path]:
    """Stops a part, moves a folder of it onto a disk with little room, and starts it again; in the
    end the other way round. Gives the name of the file that fills it.
    """
    if why := why_not():
        raise RuntimeError(why)
    await rig.halt(part)
    aside, options = set_aside(folder)
    await done("mount", "-t", "tmpfs", "-o", options, "houqin-faults", str(folder))
    try:
        await done("cp", "-a", f"{aside}/.", str(folder))
        await rig.resume(part)
        yield folder / BALLAST
        await rig.halt(part)
        await asyncio.to_thread(emptied, aside)
        await done("cp", "-a", f"{folder}/.", str(aside))
    finally:
        await done("umount", "--lazy", str(folder))
        put_back(folder, aside)
    await rig.resume(part)


def set_aside(folder: Path) -> tuple[Path, str]:
    """Renames a folder, and makes an empty one in its place; its new name, and how a disk for it is
    to be mounted.
    """
    aside, owner = folder.with_name(f"{folder.name}-aside"), folder.stat()
    folder.rename(aside)
    folder.mkdir()
    used = sum(path.stat().st_size for path in aside.rglob("*") if path.is_file())
    return aside, f"size={used + ROOM_BYTES},uid={owner.st_uid},gid={owner.st_gid},mode=700"


def put_back(folder: Path, aside: Path) -> None:
    """The folder that was set aside has its name again."""
    folder.rmdir()
    aside.rename(folder)


def emptied(folder: Path) -> None:
    """Deletes what is in a folder, and keeps the folder with its owner."""
    for path in folder.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()


async def done(*command: str) -> None:
    """Runs a command that must succeed."""
    child = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
    _, said = await child.communicate()
    if child.returncode != 0:
        raise OSError(f"{' '.join(command)}: {said.decode(errors='replace')}")


def fill(ballast: Path) -> None:
    """Takes all the room that is left on a disk, while others take some of it as well."""
    with ballast.open("wb") as stream:
        while left := shutil.disk_usage(ballast.parent).free:
            with contextlib.suppress(OSError):  # somebody was quicker: what is left now is less
                os.posix_fallocate(stream.fileno(), stream.seek(0, os.SEEK_END), left)


async def segments_run_out(scene: Scene, ballast: Path) -> None:
    """Fills the disk of the write-ahead log and uses up what segments it holds in reserve: the next
    one can no longer be made, and Postgres gives up.
    """
    fill(ballast)
    pid = scene.rig.pid(POSTGRES)
    connection = await asyncpg.connect(scene.rig.dsns["procurement"])
    try:
        for _ in range(SWITCHES_MAX):
            await connection.execute(_NEXT_SEGMENT)
        scene.wrong.append("the write-ahead log does not end with its disk")
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
        await until_gone(pid)
    finally:
        connection.terminate()


FULL = (Fault("F8", "disk full", [POSTGRES, KAFKA], disk_is_full, why_not),)
