"""What is changed in copies of the platform is still there to be changed."""

from __future__ import annotations

import ast

import pytest

from deploy.local.supervisor import ROOT
from tests.faults.copies import replaced
from tests.faults.planted import BUGS, Bug
from tests.faults.rolling import LATER, NOTES
from tests.faults.run import FAULTS


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_a_bug_can_be_planted(bug: Bug) -> None:
    changed = replaced((ROOT / bug.file).read_text("utf-8"), bug.changes)
    if bug.file.endswith(".py"):
        ast.parse(changed)
    assert any(bug.variant in form for form in FAULTS[bug.fault].variants)


@pytest.mark.parametrize("name", LATER)
def test_the_later_release_can_be_made(name: str) -> None:
    ast.parse(replaced((ROOT / name).read_text("utf-8"), LATER[name]))
    ast.parse(NOTES)


def test_what_is_no_longer_there_is_not_passed_over() -> None:
    with pytest.raises(LookupError):
        replaced("one two", [("three", "four")])
    with pytest.raises(LookupError):
        replaced("one one", [("one", "two")])
