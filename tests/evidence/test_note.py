"""Signed notes: Go's own example, and that nothing signed by nobody known is believed."""

from __future__ import annotations

import pytest

from evidence.note import Signer
from evidence.verify import Checkpoint, Unverifiable, open_note, parse_key

# The example of golang.org/x/mod/sumdb/note.
SECRET = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
PUBLIC = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"

NAME, ROOT = "example.cn/procurement", bytes(range(32))


def test_keys_are_those_of_go() -> None:
    signer = Signer.read(SECRET)
    assert (signer.public(), signer.secret(), signer.name) == (PUBLIC, SECRET, "PeterNeumann")
    assert parse_key(PUBLIC)[:2] == ("PeterNeumann", bytes.fromhex("c74f20a3"))


def test_a_checkpoint_is_read_as_it_was_signed() -> None:
    signer = Signer.made(NAME)
    note = signer.sign(7, ROOT)
    assert note.startswith(f"{NAME}\n7\nAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n\n— {NAME} ")
    assert open_note(note, [PUBLIC, signer.public()]) == Checkpoint(NAME, 7, ROOT)


def test_a_rotated_key_and_a_cosigner_do_no_harm() -> None:
    old, new, witness = Signer.made(NAME), Signer.made(NAME), Signer.made("bureau.example.cn")
    note = new.sign(7, ROOT)
    both = note + witness.sign(7, ROOT).rpartition("\n\n")[2]
    assert open_note(both, [old.public(), new.public()]) == Checkpoint(NAME, 7, ROOT)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda note: note.replace("\n7\n", "\n8\n"),
        lambda note: note.replace("AAECAw", "AAECBw"),
        lambda note: note.replace(f"{NAME}\n7", f"{NAME}x\n7"),
        lambda note: note.replace("— ", "-- "),
        lambda note: note.replace("\n\n", "\n"),
        lambda note: note[:-9] + "AAAAAAA=\n",
        lambda _: "",
    ],
)
def test_what_was_changed_is_not_believed(spoil: object) -> None:
    signer = Signer.made(NAME)
    with pytest.raises(Unverifiable):
        open_note(spoil(signer.sign(7, ROOT)), [signer.public()])  # type: ignore[operator]


def test_another_key_of_the_same_name_is_not_believed() -> None:
    note = Signer.made(NAME).sign(7, ROOT)
    with pytest.raises(Unverifiable, match="signed by no known key"):
        open_note(note, [Signer.made(NAME).public()])


@pytest.mark.parametrize("size", ["07", "-1", "7 ", "٧", "seven", ""])
def test_a_size_is_written_one_way(size: str) -> None:
    """Even where it was signed so."""
    signer = Signer.made(NAME)
    body = signer.sign(7, ROOT).partition("\n\n")[0].replace("\n7\n", f"\n{size}\n") + "\n"
    from base64 import b64encode  # noqa: PLC0415 - only where a bad note is made by hand

    signature = b64encode(signer._id + signer._key.sign(body.encode())).decode()
    with pytest.raises(Unverifiable, match="not a checkpoint"):
        open_note(f"{body}\n— {NAME} {signature}\n", [signer.public()])


@pytest.mark.parametrize("text", ["", "x", "x+c74f20a3+AQ==", PUBLIC.replace("c7", "c8")])
def test_what_is_no_key(text: str) -> None:
    with pytest.raises(Unverifiable):
        parse_key(text)


@pytest.mark.parametrize("text", ["PRIVATE+KEY+x+00+AQ==", SECRET.replace("c7", "c8"), PUBLIC])
def test_what_is_no_signing_key(text: str) -> None:
    with pytest.raises(ValueError, match="key"):
        Signer.read(text)


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\n"])
def test_what_a_log_cannot_be_called(name: str) -> None:
    with pytest.raises(ValueError, match="not a name"):
        Signer.made(name)
