"""Authenticated encryption, with the algorithm named in whatever it made.

AES-256-GCM, or SM4-GCM (GB/T 32907) where national cryptography is required. Nonces are random, 96
bits: a data key seals one person's values, far below the 2^32 messages that these allow.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

type Algorithm = Literal["aes-256-gcm", "sm4-gcm"]

_NONCE_BYTES, _TAG_BYTES = 12, 16
_KINDS: dict[str, tuple[type[algorithms.AES | algorithms.SM4], int]] = {
    "aes-256-gcm": (algorithms.AES, 32),
    "sm4-gcm": (algorithms.SM4, 16),
}


class Tampered(Exception):  # noqa: N818 - says what it is
    """What was sealed is not what is there, or does not belong where it stands."""


@dataclass(frozen=True, slots=True, repr=False)
class DataKey:
    """A key in the clear: only ever in memory, and never shown."""

    id: UUID
    algorithm: str
    secret: bytes

    @property
    def fingerprint(self) -> str:
        """Names the key for good without telling anything of it: 128 bits, as hex."""
        return hashlib.sha256(b"houqin data key" + self.secret).hexdigest()[:32]


def secret_bytes(algorithm: str) -> int:
    """How long a key of the algorithm is."""
    return _KINDS[algorithm][1]


def new_secret(algorithm: str) -> bytes:
    """A random secret of the algorithm's length."""
    return os.urandom(secret_bytes(algorithm))


def seal(algorithm: str, secret: bytes, text: bytes, bound_to: bytes) -> bytes:
    """Nonce, ciphertext and tag of `text`; only opens again with the same `bound_to`."""
    nonce = os.urandom(_NONCE_BYTES)
    sealer = Cipher(_KINDS[algorithm][0](secret), modes.GCM(nonce)).encryptor()
    sealer.authenticate_additional_data(bound_to)
    return nonce + sealer.update(text) + sealer.finalize() + sealer.tag


def unseal(algorithm: str, secret: bytes, sealed: bytes, bound_to: bytes) -> bytes:
    """The text again; raises `Tampered` if a bit of it, or what it is bound to, is different."""
    if algorithm not in _KINDS or len(sealed) < _NONCE_BYTES + _TAG_BYTES:
        raise Tampered
    nonce, tag = sealed[:_NONCE_BYTES], sealed[-_TAG_BYTES:]
    opener = Cipher(_KINDS[algorithm][0](secret), modes.GCM(nonce, tag)).decryptor()
    opener.authenticate_additional_data(bound_to)
    try:
        return opener.update(sealed[_NONCE_BYTES:-_TAG_BYTES]) + opener.finalize()
    except InvalidTag as error:
        raise Tampered from error
