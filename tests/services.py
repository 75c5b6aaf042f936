"""What walks every service."""

from contracts.__main__ import services
from shared.kernel import Aggregate, Decision, Service

SERVICES: list[Service] = services()
AGGREGATES: list[tuple[Service, Aggregate]] = [
    (service, aggregate) for service in SERVICES for aggregate in service.aggregates
]
DECISIONS: list[tuple[Service, Decision]] = [
    (service, decision) for service in SERVICES for decision in service.decisions().values()
]
