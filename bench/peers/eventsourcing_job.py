"""The append job with the library `eventsourcing` and its Postgres database functions.

Runs in the peers' own environment, its database named by the environment as the library reads it.
Reads {"commands": n} from its input, has n commands asked by 32 threads at once, and answers with
{"rate": commands a second}. Whether aggregates are read for each command or stay in the library's
cache is its environment's to say; the version in the append proves in both cases that nobody else
wrote meanwhile.
"""

from __future__ import annotations

import gc
import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from itertools import count
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from eventsourcing.application import Application  # type: ignore[import-not-found]
from eventsourcing.domain import Aggregate, event  # type: ignore[import-not-found]
from eventsourcing.persistence import IntegrityError  # type: ignore[import-not-found]

TRIES = 10


class Budget(Aggregate):  # type: ignore[misc]
    """A school's budget: amounts by line."""

    def __init__(self, number: int, year: int, lines: dict[str, Decimal]) -> None:
        self.number, self.year, self.lines = number, year, lines

    @staticmethod
    def create_id(number: int, year: int) -> UUID:
        return uuid5(NAMESPACE_URL, f"{number}:{year}")

    def amend(self, line: str, amount: Decimal, reason: str) -> None:
        """Decides: the line is known, the amount another one than before."""
        previous = self.lines.get(line)
        if previous is None or amount <= 0:
            raise ValueError(line)
        if amount != previous:
            self.amended(line, amount, previous, reason)

    @event("Amended")  # type: ignore[untyped-decorator]
    def amended(
        self,
        line: str,
        amount_cny: Decimal,
        previous_cny: Decimal,  # noqa: ARG002 - kept in the event
        reason: str,  # noqa: ARG002 - kept in the event
    ) -> None:
        self.lines[line] = amount_cny


class Budgets(Application[UUID]):  # type: ignore[misc]
    """The budgets of all schools."""

    def adopt(self, number: int, changes: int) -> None:
        """A budget that has some events already."""
        budget = Budget(number, 2026, {"a": Decimal(1_000_000)})
        for n in range(1, changes):
            budget.amend("a", Decimal(n), "按实际调整预算")
        self.save(budget)

    def amend(self, number: int, amount: Decimal) -> None:
        """One command: loaded, decided, stored; anew if somebody else was faster."""
        for left in reversed(range(TRIES)):
            budget = self.repository.get(Budget.create_id(number, 2026))
            budget.amend("a", amount, "按实际调整预算")
            try:
                self.save(budget)
            except IntegrityError:
                if not left:
                    raise
            else:
                return


def main(options: dict[str, Any]) -> None:
    app, marks = Budgets(), count()
    streams: int = options["streams"]
    for number in range(streams):
        app.adopt(number, options["before"])
    print(json.dumps({"ready": streams}), flush=True)

    def ask(_: int) -> None:
        mark = next(marks)
        app.amend(mark % streams, Decimal(1_000 + mark))

    with ThreadPoolExecutor(options["at_once"]) as pool:
        for line in sys.stdin:
            commands: int = json.loads(line)["commands"]
            gc.collect()
            begun = time.perf_counter()
            for _ in pool.map(ask, range(commands)):
                pass
            rate = commands / (time.perf_counter() - begun)
            print(json.dumps({"rate": rate}), flush=True)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
