"""The file of secrets: for its owner alone, made once, renewed without losing what is sealed."""

import stat
from pathlib import Path

import pytest

from sealing import secret_file


def test_it_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "keys.secret"
    secret_file.make(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    first = secret_file.read(path)
    secret_file.make(path)
    assert secret_file.read(path) == first
    assert len(first.index) == len(first.wrapping[first.newest]) == 32
    assert first.index not in first.wrapping.values()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644])
def test_what_others_may_read_is_not_used(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "keys.secret"
    secret_file.make(path)
    path.chmod(mode)
    with pytest.raises(ValueError, match="chmod 600"):
        secret_file.read(path)


def test_wrapping_keys_are_added_and_older_ones_dropped(tmp_path: Path) -> None:
    path = tmp_path / "keys.secret"
    secret_file.make(path)
    first = secret_file.read(path)
    assert secret_file.add_wrapping_key(path) == 2
    both = secret_file.read(path)
    assert (both.newest, both.wrapping[1], both.index) == (2, first.wrapping[1], first.index)
    secret_file.drop_older_wrapping_keys(path)
    last = secret_file.read(path)
    assert last.wrapping == {2: both.wrapping[2]}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_short_secret_is_none(tmp_path: Path) -> None:
    path = tmp_path / "keys.secret"
    path.write_text('{"index": "AAAA", "wrapping": {"1": "AAAA"}}')
    path.chmod(0o600)
    with pytest.raises(ValueError, match="32 bytes"):
        secret_file.read(path)
