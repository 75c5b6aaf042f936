"""Signing checkpoints, with keys as Go's sumdb/note writes them."""

from __future__ import annotations

import base64
import os
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from evidence.verify import ED25519, key_id

PRIVATE = "PRIVATE+KEY"


class Signer:
    """A log's key. Its name is the log's origin: what the log is called wherever it is verified."""

    def __init__(self, name: str, private: bytes) -> None:
        """ValueError for a name that cannot stand in a note."""
        if not name or "+" in name or name.split() != [name]:
            raise ValueError(f"not a name for a key: {name!r}")
        self.name = name
        self._key = Ed25519PrivateKey.from_private_bytes(private)
        self._private, self._public = private, self._key.public_key().public_bytes_raw()
        self._id = key_id(name, self._public)

    @classmethod
    def made(cls, name: str) -> Signer:
        """A new key."""
        return cls(name, Ed25519PrivateKey.generate().private_bytes_raw())

    @classmethod
    def read(cls, text: str) -> Signer:
        """From `PRIVATE+KEY+<name>+<id>+<key>`; ValueError, which does not say the key."""
        *begin, name, id_, key = text.strip().split("+", 4)
        private = base64.b64decode(key)
        if begin != PRIVATE.split("+") or private[:1] != ED25519:
            raise ValueError("not a signing key")
        signer = cls(name, private[1:])
        if signer._id.hex() != id_:
            raise ValueError("not a signing key: its id does not match")
        return signer

    @classmethod
    def kept(cls, path: Path, name: str) -> Signer:
        """The key in a file that only its owner reads; made where there is none yet."""
        if not path.exists():
            fresh = path.with_suffix(".new")
            fresh.unlink(missing_ok=True)
            descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w") as stream:
                stream.write(cls.made(name).secret() + "\n")
            fresh.rename(path)
        return cls.read(path.read_text("utf-8"))

    def secret(self) -> str:
        """The key as `read` takes it. To be kept where nobody else reads."""
        return "+".join((PRIVATE, self.name, self._id.hex(), _text(ED25519 + self._private)))

    def public(self) -> str:
        """The public key as verifiers take it."""
        return "+".join((self.name, self._id.hex(), _text(ED25519 + self._public)))

    def sign(self, size: int, root: bytes) -> str:
        """A signed checkpoint of so many leaves."""
        body = f"{self.name}\n{size}\n{_text(root)}\n"
        signature = self._key.sign(body.encode())
        return f"{body}\n— {self.name} {_text(self._id + signature)}\n"


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode()
