"""The alert rules: each asks for numbers that exist, has its paragraph and its case."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from prometheus_client import REGISTRY
from ruamel.yaml import YAML

import hosting.application  # noqa: F401 - whatever a service's process measures is registered by it
from tests.conftest import ROOT

FOLDER = ROOT / "deploy" / "alerts"
RULES = FOLDER / "houqin.rules.yml"
CASES = FOLDER / "houqin.test.yml"


def read(path: Any) -> Any:
    return YAML(typ="safe").load(path.read_text("utf-8"))


def rules() -> Iterator[dict[str, Any]]:
    for group in read(RULES)["groups"]:
        yield from group["rules"]


@pytest.mark.parametrize("rule", list(rules()), ids=lambda rule: rule["alert"])
def test_a_rule_is_whole(rule: dict[str, Any]) -> None:
    name = rule["alert"]
    assert rule["labels"]["severity"] in {"page", "ticket"}
    summary = rule["annotations"]["summary"]
    assert re.search("[\u4e00-\u9fff]", summary)
    assert re.search("[a-z]{3}", re.sub(r"\{\{.*?\}\}", "", summary))
    assert rule["annotations"]["runbook"] == f"docs/runbook.md#{name.lower()}"
    runbook = (ROOT / "docs" / "runbook.md").read_text("utf-8")
    paragraph = runbook.partition(f"## {name}\n")[2].partition("\n## ")[0]
    assert paragraph.startswith(f"**{rule['labels']['severity']}**"), "another severity, or none"
    measured = {
        name for metric in REGISTRY.collect() for name in (metric.name, f"{metric.name}_total")
    }
    asked = set(re.findall(r"houqin_\w+", rule["expr"]))
    assert asked <= measured
    assert f'alertname="{name}"' in CASES.read_text("utf-8"), "no case in houqin.test.yml"


def test_every_paragraph_has_its_rule() -> None:
    headings = re.findall(
        r"^## (\w+)$", (ROOT / "docs" / "runbook.md").read_text("utf-8"), re.MULTILINE
    )
    assert headings == [rule["alert"] for rule in rules()]


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not on this machine")
def test_promtool_finds_them_right() -> None:
    for asked in (["check", "rules", str(RULES)], ["test", "rules", str(CASES)]):
        done = subprocess.run(["promtool", *asked], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
