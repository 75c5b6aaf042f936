"""The web application is built once for each state of its sources."""

from pathlib import Path

import pytest

from deploy.local import web


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Sources that are built already."""
    for name in ("web/src", "web/node_modules", "contracts", "build/web"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "web" / "src" / "main.ts").write_text("1")
    (tmp_path / "build" / "web" / "index.html").write_text("")
    monkeypatch.setattr(web, "ROOT", tmp_path)
    for name in ("WEB", "CONTRACTS"):
        monkeypatch.setattr(web, name, tmp_path / name.lower())
    monkeypatch.setattr(web, "OUTPUT", tmp_path / "build" / "web")
    monkeypatch.setattr(web, "STAMP", tmp_path / "build" / "web.stamp")
    web.STAMP.write_text(web.fingerprint())
    return tmp_path


def test_nothing_is_built_again_for_what_the_build_itself_makes(sources: Path) -> None:
    (sources / "web" / "node_modules" / "made.js").write_text("made")
    assert web.built()


@pytest.mark.parametrize("name", ["web/src/main.ts", "web/src/new.ts", "contracts/a.openapi.json"])
def test_a_changed_source_or_contract_is_built_anew(sources: Path, name: str) -> None:
    (sources / name).write_text("2")
    assert not web.built()


def test_what_somebody_deleted_is_built_anew(sources: Path) -> None:
    (sources / "build" / "web" / "index.html").unlink()
    assert not web.built()
