"""The key that signs what this package vouches for: kept in a state folder, made at first start."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from joserfc.jwk import RSAKey


def load_key(folder: Path, name: str) -> RSAKey:
    """The key of that name; made if there is none, readable by its owner only. Processes that
    start at once agree on one.
    """
    path = folder / f"{name}.pem"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        fresh = path.with_suffix(f".{os.getpid()}")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(RSAKey.generate_key(2048).as_pem(private=True))
        with contextlib.suppress(FileExistsError):
            os.link(fresh, path)  # never over a key that another process has just made
        fresh.unlink()
    key = RSAKey.import_key(path.read_bytes(), {"use": "sig", "alg": "RS256"})
    key.ensure_kid()
    return key
