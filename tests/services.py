"""What walks every service."""

import msgspec

from contracts.__main__ import services
from hosting import contract
from services.portal.filled import read
from services.portal.sheet import Sheet, sheets
from shared.decide import Step
from shared.http import parse
from shared.kernel import Aggregate, Command, Creation, Decision, Service

SERVICES: list[Service] = services()
AGGREGATES: list[tuple[Service, Aggregate]] = [
    (service, aggregate) for service in SERVICES for aggregate in service.aggregates
]
DECISIONS: list[tuple[Service, Decision]] = [
    (service, decision) for service in SERVICES for decision in service.decisions().values()
]


def sheets_of(service: Service) -> dict[str, Sheet]:
    """Every command of a service that fits a row, as its contract has it."""
    return sheets(service.name, contract.openapi(service.name))


def sheet(service: Service, command: type[Command]) -> Sheet:
    """A command as a spreadsheet, as the contract has it."""
    return sheets_of(service)[command.__name__]


def steps(service: Service, command: type[Creation], content: bytes) -> list[Step]:
    """A file's rows as the portal sends them and the service takes them."""
    decision = service.decisions()[command]
    aggregate, made = decision.aggregate, []
    for body in read(sheet(service, command), content).bodies:
        asked = parse(decision, msgspec.json.encode(body))
        assert isinstance(asked, Creation) and asked.id is not None
        stream = aggregate.id_of(aggregate.key(asked)) if aggregate.key else asked.id
        made.append(Step(decision, stream, asked))
    return made
