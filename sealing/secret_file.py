"""The file that holds what wraps data keys. It is never in a database, nor in its back-ups.

JSON: `index` (hashes who a key is for; never changes), `wrapping` (number -> key that wraps data
keys; the highest number wraps new ones). All are 32 random bytes in base64.
"""

from __future__ import annotations

import base64
import json
import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, repr=False)
class Secrets:
    """What the file holds."""

    index: bytes
    wrapping: dict[int, bytes]

    @property
    def newest(self) -> int:
        """The number of the key that wraps what is made now."""
        return max(self.wrapping)


def read(path: Path) -> Secrets:
    """The file's secrets; ValueError if others than its owner may read it, or it is none."""
    if path.stat().st_mode & 0o077:
        raise ValueError(f"{path}: others than its owner may read it (chmod 600)")
    found = json.loads(path.read_text())
    wrapping = {int(number): _key(text) for number, text in found["wrapping"].items()}
    return Secrets(_key(found["index"]), wrapping)


def make(path: Path) -> None:
    """Makes the file with fresh secrets, for its owner alone, unless it is there already."""
    if not path.exists():
        _write(path, {"index": _fresh(), "wrapping": {"1": _fresh()}})


def add_wrapping_key(path: Path) -> int:
    """Adds a newer wrapping key and returns its number; the older ones still open."""
    found = json.loads(path.read_text())
    number = max(map(int, found["wrapping"])) + 1
    found["wrapping"][str(number)] = _fresh()
    _write(path, found)
    return number


def drop_older_wrapping_keys(path: Path) -> None:
    """Leaves only the newest wrapping key: whatever an older one wrapped never opens again."""
    found = json.loads(path.read_text())
    newest = str(max(map(int, found["wrapping"])))
    found["wrapping"] = {newest: found["wrapping"][newest]}
    _write(path, found)


def _write(path: Path, content: dict[str, object]) -> None:
    fresh = path.with_suffix(".new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        json.dump(content, stream)
        stream.flush()
        os.fsync(stream.fileno())
    fresh.replace(path)


def _fresh() -> str:
    return base64.b64encode(os.urandom(32)).decode()


def _key(text: str) -> bytes:
    key = base64.b64decode(text)
    if len(key) != 32:
        raise ValueError("a secret of the key file is not 32 bytes long")
    return key
