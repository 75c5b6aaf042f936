"""What walks every service."""

from typing import Any

from contracts.__main__ import services
from shared import contract
from shared.imports import Sheet, sheets
from shared.kernel import Aggregate, Command, Decision, Service

SERVICES: list[Service] = services()
AGGREGATES: list[tuple[Service, Aggregate]] = [
    (service, aggregate) for service in SERVICES for aggregate in service.aggregates
]
DECISIONS: list[tuple[Service, Decision]] = [
    (service, decision) for service in SERVICES for decision in service.decisions().values()
]


def schemas_of(service: Service) -> dict[str, Any]:
    """The schemas of a service's contract, by name."""
    return dict(contract.openapi(service.name)["components"]["schemas"])


def sheet(service: Service, command: type[Command]) -> Sheet:
    """A command as a spreadsheet, as the contract has it."""
    return sheets(service, schemas_of(service))[command.__name__]
