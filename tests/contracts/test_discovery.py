"""Which refusals a decision may answer with: nothing it raises is left out."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest

from contracts.discovery import refusals
from hosting import contract
from services.procurement import procurement
from services.procurement.budget import AmendBudget, CommitBudget
from services.procurement.requisition.approval import ApproveRequisition, WithdrawRequisition
from shared.kernel import Service
from tests.conftest import ROOT
from tests.services import SERVICES

PROBLEM = "application/problem+json"


def test_own_and_those_of_functions_named() -> None:
    decisions = procurement.decisions()
    assert refusals(decisions[AmendBudget], procurement) == (
        "budget_below_committed", "budget_line_unknown",
    )  # fmt: skip
    assert refusals(decisions[CommitBudget], procurement) == (
        "budget_exceeded", "budget_line_unknown",
    )  # fmt: skip


def test_those_of_what_it_sends() -> None:
    found = refusals(procurement.decisions()[ApproveRequisition], procurement)
    assert {"budget_exceeded", "approves_own", "not_your_step"} <= set(found)
    assert "withdrawal_not_yours" not in found, "only what this decision reaches"
    withdrawn = refusals(procurement.decisions()[WithdrawRequisition], procurement)
    assert {"withdrawal_not_yours", "commitment_unknown"} <= set(withdrawn)


def raised(service: Service) -> dict[str, str]:
    """Every slug that a service's source raises, by the line where it stands."""
    found: dict[str, str] = {}
    for path in (ROOT / "services" / service.name).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Refused":
                where = f"{path.relative_to(ROOT)}:{node.lineno}"
                slug = node.args[0]
                assert isinstance(slug, ast.Constant), f"{where}: a slug is written out"
                found[str(slug.value)] = where
    return found


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
def test_every_refusal_of_an_operation_is_in_its_contract(service: Service) -> None:
    paths = contract.openapi(service.name)["paths"]
    for decision in service.decisions().values():
        if decision.path is not None:
            operation = paths[f"/{service.name}{decision.path}"]["post"]
            found = refusals(decision, service)
            assert tuple(operation["x-refusals"]) == found, decision.name
            assert set(found) <= examples_of(operation), decision.name


def examples_of(operation: dict[str, Any]) -> set[str]:
    """Every slug that an operation shows as a problem."""
    return {
        slug
        for answer in operation["responses"].values()
        for slug in answer.get("content", {}).get(PROBLEM, {}).get("examples", {})
    }


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
def test_every_slug_in_the_source_is_documented_somewhere(service: Service) -> None:
    documented = {
        slug for decision in service.decisions().values() for slug in refusals(decision, service)
    }
    for operations in contract.openapi(service.name)["paths"].values():
        for operation in operations.values():
            documented |= examples_of(operation)
    assert {slug: at for slug, at in raised(service).items() if slug not in documented} == {}


def test_the_source_is_where_it_is_looked_for() -> None:
    assert len(raised(procurement)) > 20
    assert Path(ROOT / "services" / "procurement" / "budget.py").exists()
