"""One instance: a state folder, held by one supervisor at a time, with ports that stay the same."""

import fcntl
import json
import os
import random
import socket
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

# Below the range from which systems take ports for outgoing connections, so that no connection
# of anybody's happens to sit on a port between two runs.
FIRST_PORT, LAST_PORT = 20_000, 32_000

CLAIM_S = 120.0
"""From choosing a port to listening on it, at most: Postgres and Kafka may start in between."""


class InUse(RuntimeError):  # noqa: N818 - says what is, as the house's names do
    """Another supervisor holds the state folder."""


class Hold:
    """The lock of a state folder. The kernel lets go of it when its holder dies, however."""

    def __init__(self, folder: Path) -> None:
        """Take the lock; raises InUse at once if another supervisor has it."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "lock"
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = path.read_text().strip() or "?"
            os.close(self._descriptor)
            raise InUse(
                f"{folder} 正在被另一个后勤进程使用（进程号 {holder}），请先停止它。 "
                f"{folder} is in use by another Houqin (process {holder}): stop that one first."
            ) from None
        os.ftruncate(self._descriptor, 0)
        os.write(self._descriptor, f"{os.getpid()}\n".encode())

    def release(self) -> None:
        os.close(self._descriptor)


def is_free(port: int) -> bool:
    """Whether a server could listen on this loopback port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def claimed(port: int, path: Path) -> bool:
    """Claims a port for the instance of that file; False if another has claimed it a moment ago:
    nobody listens on it yet, and it is about to.
    """
    claims = Path(tempfile.gettempdir()) / f"houqin-ports-{os.getuid()}"
    claims.mkdir(mode=0o700, exist_ok=True)
    claim, mine = claims / str(port), str(path.resolve())
    try:
        with claim.open("x") as made:
            made.write(mine)
    except FileExistsError:
        fresh = time.time() - claim.stat().st_mtime < CLAIM_S
        if fresh and claim.read_text() != mine:
            return False
        claim.write_text(mine)
    return True


def choose_ports(path: Path, names: Iterable[str]) -> dict[str, int]:
    """A free loopback port for each name: the one in the file `path` if still free, else a new one.

    The choice is written back, so that links and sign-in addresses survive a restart.
    """
    try:
        known = {str(name): int(port) for name, port in json.loads(path.read_text()).items()}
    except (OSError, ValueError, AttributeError, TypeError):
        known = {}
    chosen: dict[str, int] = {}
    for name in names:
        port = known.get(name, 0)
        while not port or port in chosen.values() or not is_free(port) or not claimed(port, path):
            port = random.randint(FIRST_PORT, LAST_PORT)
        chosen[name] = port
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(known | chosen, indent=1, sort_keys=True))
    fresh.replace(path)
    return chosen
