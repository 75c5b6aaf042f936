"""Sealing opens what it sealed, where it was sealed, whole: nothing else."""

from uuid import uuid4

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given
from hypothesis import strategies as st

from sealing.cipher import DataKey, Tampered, new_secret, seal, unseal

ALGORITHMS = st.sampled_from(["aes-256-gcm", "sm4-gcm"])


@given(ALGORITHMS, st.binary(max_size=300), st.binary(max_size=40))
def test_what_is_sealed_opens_again(algorithm: str, text: bytes, place: bytes) -> None:
    secret = new_secret(algorithm)
    whole = seal(algorithm, secret, text, place)
    assert unseal(algorithm, secret, whole, place) == text
    assert whole != seal(algorithm, secret, text, place), "the same is never sealed alike twice"
    if len(text) > 6:
        assert text not in whole


@given(ALGORITHMS, st.binary(max_size=60), st.data())
def test_every_altered_bit_is_found(algorithm: str, text: bytes, data: st.DataObject) -> None:
    secret = new_secret(algorithm)
    whole = bytearray(seal(algorithm, secret, text, b"here"))
    bit = data.draw(st.integers(0, len(whole) * 8 - 1))
    whole[bit // 8] ^= 1 << bit % 8
    with pytest.raises(Tampered):
        unseal(algorithm, secret, bytes(whole), b"here")


@given(ALGORITHMS, st.binary(max_size=60), st.binary(max_size=20), st.binary(max_size=20))
def test_it_opens_nowhere_else_and_to_no_other_key(
    algorithm: str, text: bytes, place: bytes, other: bytes
) -> None:
    secret = new_secret(algorithm)
    whole = seal(algorithm, secret, text, place)
    if place != other:
        with pytest.raises(Tampered):
            unseal(algorithm, secret, whole, other)
    with pytest.raises(Tampered):
        unseal(algorithm, new_secret(algorithm), whole, place)


@pytest.mark.parametrize("size", range(28))
def test_what_is_too_short_is_none(size: int) -> None:
    with pytest.raises(Tampered):
        unseal("aes-256-gcm", new_secret("aes-256-gcm"), bytes(size), b"")


def test_an_unknown_algorithm_opens_nothing() -> None:
    with pytest.raises(Tampered):
        unseal("rot13", bytes(32), bytes(40), b"")


def test_sm4_is_the_national_one() -> None:
    """The example of GB/T 32907: one block, encrypted once."""
    block = bytes.fromhex("0123456789abcdeffedcba9876543210")
    sealer = Cipher(algorithms.SM4(block), modes.ECB()).encryptor()
    assert sealer.update(block).hex() == "681edf34d206965e86b3e94f536e4246"


def test_a_key_never_shows_itself() -> None:
    key = DataKey(uuid4(), "sm4-gcm", new_secret("sm4-gcm"))
    assert key.secret.hex() not in repr(key) + str(key) + key.fingerprint
    assert repr(key.secret) not in repr(key)
    assert len(key.fingerprint) == 32
