"""`python -m contracts` writes every service's contracts; `--check` says where they differ.

Per service: `<name>.openapi.json` (routes, fields, refusals), `<name>.asyncapi.json` (events), and
for all `access.csv` (route × role). Reviewed in diffs, served as they are; an event that loses or
changes a field, or disappears, is refused even when regenerated: new meaning = new class.
"""

from __future__ import annotations

import csv
import importlib
import io
import json
import sys
from pathlib import Path
from typing import Any

from contracts.asyncapi import asyncapi
from contracts.openapi import openapi
from shared.kernel import Service
from shared.organisation import Role

FOLDER = Path(__file__).parent
NAMES = ("organisation", "procurement", "assets", "safety", "nutrition", "reporting")


def services() -> list[Service]:
    """Every service, by its package's variable of the same name."""
    return [getattr(importlib.import_module(f"services.{name}"), name) for name in NAMES]


def generate() -> dict[str, str]:
    """File name -> text of every contract."""
    files: dict[str, str] = {}
    for service in services():
        files[f"{service.name}.openapi.json"] = _json(openapi(service))
        files[f"{service.name}.asyncapi.json"] = _json(asyncapi(service))
    files["access.csv"] = access()
    return files


def access() -> str:
    """Who may do what: one line per route, one column per role."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["service", "operation", "at", *Role])
    for service in services():
        for decision in service.decisions().values():
            if decision.path is not None:
                marks = ["x" if role in decision.allow else "" for role in Role]
                table.writerow([service.name, decision.name, decision.at or "", *marks])
        for view in service.views():
            marks = ["x" if role in view.allow else "" for role in Role]
            table.writerow([service.name, view.name, "", *marks])
    return text.getvalue()


def _json(document: dict[str, Any]) -> str:
    # In the order of the declarations: forms and templates show fields and choices in it.
    return json.dumps(document, ensure_ascii=False, indent=1) + "\n"


def broken(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """Where an event's new schema no longer reads what was written under the old one."""
    found: list[str] = []
    before, after = old["components"]["schemas"], new["components"]["schemas"]
    for name, schema in before.items():
        if name not in after:
            found.append(f"{name}: gone")
            continue
        fields = after[name].get("properties", {})
        for field, made in schema.get("properties", {}).items():
            if field not in fields:
                found.append(f"{name}.{field}: gone")
            elif made.get("type") != fields[field].get("type"):
                found.append(f"{name}.{field}: another type")
        added = set(after[name].get("required", ())) - set(schema.get("required", ()))
        found += [f"{name}.{field}: new and required" for field in sorted(added)]
    return found


def main() -> int:
    """Writes, or compares with `--check`; 1 if something differs or breaks readers."""
    check, wrong = "--check" in sys.argv, 0
    for name, text in generate().items():
        path = FOLDER / name
        known = path.read_text("utf-8") if path.exists() else ""
        if known and name.endswith("asyncapi.json"):
            for line in broken(json.loads(known), json.loads(text)):
                print(f"{name}: {line}")
                wrong = 1
        if known == text:
            continue
        if check:
            print(f"{name}: differs; run `make contracts` and review the diff")
            wrong = 1
        else:
            path.write_text(text, "utf-8")
            print(f"{name}: written")
    return wrong


if __name__ == "__main__":
    sys.exit(main())
