"""I4, I8 and I10 by a fold of our own: what the raw logs come to, and what the platform shows.

The fold says again, in the plainest words, what some measures mean. Where it and reporting differ,
one of them is wrong.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from tests.faults.checks import Verdict
from tests.faults.evidence import Event, day_of

type Fact = tuple[str, str, date, Decimal]
"""Measure, unit, day, by how much."""

type Sums = dict[str, dict[tuple[str, date], Decimal]]
"""By measure: by unit and day."""

ONE = Decimal(1)
BALANCES = frozenset({
    "procurement.budget_committed", "assets.gross_value", "assets.transfers_under_way",
})  # fmt: skip
"""What is shown as it stands at the end of a period, summed up from the beginning."""


def _money(value: Any) -> Decimal:
    return Decimal(str(value))


def _counted(measure: str) -> Callable[[Event], list[Fact]]:
    return lambda event: [(measure, event.organisation, event.day, ONE)]


def _summed(measure: str, name: str, sign: int = 1) -> Callable[[Event], list[Fact]]:
    return lambda event: [(measure, event.organisation, event.day, sign * _money(event.body[name]))]


def _adopted(event: Event) -> list[Fact]:
    total = sum((_money(line["amount_cny"]) for line in event.body["lines"]), Decimal(0))
    return [("procurement.budget_adopted", event.organisation, event.day, total)]


def _amended(event: Event) -> list[Fact]:
    change = _money(event.body["amount_cny"]) - _money(event.body["previous_cny"])
    return [("procurement.budget_adopted", event.organisation, event.day, change)]


def _spent(event: Event) -> list[Fact]:
    place = (event.organisation, event.day)
    return [
        ("procurement.budget_spent", *place, _money(event.body["amount_cny"])),
        ("procurement.budget_committed", *place, -_money(event.body["committed_cny"])),
    ]


def _moved(event: Event) -> list[Fact]:
    gross = _money(event.body["gross_cny"])
    return [
        ("assets.gross_value", event.body["from_unit"], event.day, -gross),
        ("assets.gross_value", event.body["to_unit"], event.day, gross),
    ]


def _damaged(event: Event) -> list[Fact]:
    day = date.fromisoformat(event.body["happened_on"])
    return [("assets.damage_cases", event.organisation, day, ONE)]


def _dismissed(event: Event) -> list[Fact]:
    day = day_of(datetime.fromisoformat(event.body["found_at"]))
    return [("safety.hazards_found", event.organisation, day, -ONE)]


def _travels(sign: int) -> Callable[[Event], list[Fact]]:
    return lambda event: [
        ("assets.transfers_under_way", event.organisation, event.day, Decimal(sign))
    ]


MEANING: dict[str, Callable[[Event], list[Fact]]] = {
    "BudgetAdopted": _adopted,
    "BudgetAmended": _amended,
    "BudgetCommitted": _summed("procurement.budget_committed", "amount_cny"),
    "BudgetReleased": _summed("procurement.budget_committed", "amount_cny", -1),
    "BudgetSpent": _spent,
    "RequisitionSubmitted": _counted("procurement.requisitions_submitted"),
    "PurchaseApproved": _summed("procurement.purchases_approved_amount", "amount_cny"),
    "CardRegistered": _summed("assets.gross_value", "gross_cny"),
    "CardMoved": _moved,
    "AssetDamaged": _damaged,
    "TransferSent": _travels(1),
    "TransferReceived": _travels(-1),
    "TransferCancelled": _travels(-1),
    "RepairReported": _counted("assets.repairs_reported"),
    "HazardFound": _counted("safety.hazards_found"),
    "HazardDismissed": _dismissed,
    "HazardOverdue": _counted("safety.hazards_overdue"),
    "SafetyCheckDone": _counted("safety.checks"),
    "StaffAppointed": _counted("organisation.appointments"),
}
"""What an event adds to which measure."""

MEASURES = (
    "procurement.budget_adopted", "procurement.budget_committed", "procurement.budget_spent",
    "procurement.requisitions_submitted", "procurement.purchases_approved_amount",
    "assets.gross_value", "assets.damage_cases", "assets.transfers_under_way",
    "assets.repairs_reported", "safety.hazards_found", "safety.hazards_overdue", "safety.checks",
    "organisation.appointments",
)  # fmt: skip


def folded(logs: Iterable[Sequence[Event]], less: frozenset[UUID]) -> Sums:
    """What the logs come to, without the events in `less`."""
    sums: Sums = {measure: defaultdict(Decimal) for measure in MEASURES}
    for log in logs:
        for event in log:
            if event.type in MEANING and event.id not in less:
                for measure, unit, day, amount in MEANING[event.type](event):
                    sums[measure][unit, day] += amount
    return sums


def as_shown(
    verdict: Verdict,
    sums: Sums,
    answer: Mapping[str, Any],
    unit: str,
    below: Callable[[str], bool],
    first: date,
) -> None:
    """I4: a unit's figures since `first` are the sum of what counts for it and all below it."""
    for figure in answer["figures"]:
        measure = figure["measure"]["measure"]
        by_day: dict[date, Decimal] = defaultdict(Decimal)
        for (place, day), amount in sums[measure].items():
            if below(place) and (day >= first or measure in BALANCES):
                by_day[day] += amount
        wanted, shown = sum(by_day.values(), Decimal(0)), Decimal(figure["value"] or 0)
        if wanted != shown:
            verdict.wrong.append(f"{measure} of {unit}: {shown}, by the logs {wanted}")
        if measure in BALANCES:
            continue
        for one in figure["series"]:
            day = date.fromisoformat(one["day"])
            if Decimal(one["value"] or 0) != by_day[day]:
                verdict.wrong.append(
                    f"{measure} of {unit} on {day}: {one['value']}, by the logs {by_day[day]}"
                )


type Line = dict[str, Decimal]


def money_balances(verdict: Verdict, log: Sequence[Event]) -> dict[tuple[UUID, str], Line]:
    """I8: no line of a budget is ever over-committed, and every commitment ends once. The lines
    as they are in the end.
    """
    lines: dict[tuple[UUID, str], Line] = {}
    held: dict[str, Decimal] = {}
    for event in log:
        if event.type == "BudgetAdopted":
            for line in event.body["lines"]:
                lines[event.stream, line["code"]] = {
                    "amount": _money(line["amount_cny"]), "committed": Decimal(0),
                    "spent": Decimal(0),
                }  # fmt: skip
        elif event.type.startswith("Budget"):
            line = lines[event.stream, event.body["line"]]
            _booked(verdict, event, line, held)
            if line["committed"] < 0 or line["committed"] + line["spent"] > line["amount"]:
                verdict.wrong.append(f"budget {event.stream} is over-committed by {event.id}")
    committed = Counter(e.body["purpose"] for e in log if e.type == "BudgetCommitted")
    approved = Counter(str(e.stream) for e in log if e.type == "PurchaseApproved")
    odd = {*(committed - approved), *(approved - committed)}
    odd |= {purpose for purpose, times in committed.items() if times > 1}
    if odd:
        verdict.wrong.append(f"not approved once and committed once: {sorted(odd)}")
    return lines


def _booked(verdict: Verdict, event: Event, line: Line, held: dict[str, Decimal]) -> None:
    """A line of a budget after one more event. `held`: open commitments by purpose."""
    body = event.body
    if event.type == "BudgetAmended":
        line["amount"] = _money(body["amount_cny"])
    elif event.type == "BudgetCommitted":
        held[body["purpose"]] = _money(body["amount_cny"])
        line["committed"] += held[body["purpose"]]
    elif body["purpose"] not in held:
        verdict.doubled.append(f"{event.type} of {body['purpose']}: nothing is committed")
    else:
        line["committed"] -= held.pop(body["purpose"])
        line["spent"] += _money(body["amount_cny"]) if event.type == "BudgetSpent" else 0


def nothing_vanishes(verdict: Verdict, log: Sequence[Event], schools: Iterable[str]) -> Sums:
    """I8: no school holds less than nothing, and what is sent arrives: all holdings together are
    what was registered.
    """
    sums = folded([log], frozenset())
    held: dict[str, Decimal] = defaultdict(Decimal)
    for (unit, _), gross in sums["assets.gross_value"].items():
        held[unit] += gross
    entered = sum(
        (_money(event.body["gross_cny"]) for event in log if event.type == "CardRegistered"),
        Decimal(0),
    )
    if sum(held.values(), Decimal(0)) != entered:
        verdict.wrong.append(f"assets worth {entered} were registered, {held} is held")
    for school in schools:
        if held[school] < 0:
            verdict.wrong.append(f"{school} holds assets worth {held[school]}")
    return sums


LIMIT_CNY = Decimal(500)
"""From this replacement cost on wilful damage alerts (services/reporting/rules.toml)."""


def alerts_due(
    logs: Mapping[str, Sequence[Event]], less: frozenset[UUID]
) -> set[tuple[str, str, str]]:
    """What the logs call for: rule, subject and period of each cause."""
    due: set[tuple[str, str, str]] = set()
    for log in logs.values():
        for event in log:
            if event.id in less:
                continue
            if event.type == "AssetDamaged":
                costly = _money(event.body["replacement_cost_cny"]) >= LIMIT_CNY
                if event.body["wilful"] and costly:
                    day = str(event.body["happened_on"])
                    due.add(("assets.wilful_damage", str(event.stream), day))
            elif event.type == "HazardOverdue":
                due.add(("safety.hazard_overdue", str(event.stream), ""))
            elif event.type == "SplitSuspected":
                last = str(event.body["requisitions"][-1])
                due.add(("procurement.split_purchase", last, str(event.day)))
    return due


def alerted_once(verdict: Verdict, log: Sequence[Event], due: set[tuple[str, str, str]]) -> None:
    """I10: each cause has raised one alert, and nothing else has."""
    raised = Counter(
        (event.body["rule"], event.body["subject"], event.body["period"])
        for event in log
        if event.type == "AlertRaised"
    )
    for cause in due - raised.keys():
        verdict.lost.append(f"no alert for {cause}")
    for cause, times in raised.items():
        if times > 1:
            verdict.doubled.append(f"{times} alerts for {cause}")
        if cause not in due:
            verdict.wrong.append(f"an alert without cause: {cause}")


def deadlines_kept(
    verdict: Verdict, log: Sequence[Event], awaited: Collection[UUID], now: datetime
) -> None:
    """What is late was said so once for each level that it has climbed to, never too early, and
    never left out. `awaited`: what the timers still have before them.
    """
    open_until: dict[UUID, datetime] = {}
    said: Counter[tuple[UUID, str, int]] = Counter()
    for event in log:
        if event.type == "HazardDismissed":
            del open_until[event.stream]
        elif event.type in {"HazardFound", "HazardGraded"}:
            open_until[event.stream] = datetime.fromisoformat(event.body["due_at"])
        elif event.type == "HazardOverdue":
            said[event.stream, event.body["due_at"], event.body["level"]] += 1
            if event.recorded_at < datetime.fromisoformat(event.body["due_at"]):
                verdict.wrong.append(f"{event.stream} was overdue before its deadline")
    verdict.doubled += [
        f"{one} was said to be overdue {n} times" for one, n in said.items() if n > 1
    ]
    spoken = {stream for stream, _, _ in said}
    verdict.lost += [
        f"the deadline of {stream} ({at}) has passed in silence"
        for stream, at in open_until.items()
        if at < now and stream not in spoken and stream not in awaited
    ]


def lists_agree(
    verdict: Verdict,
    lines: Mapping[tuple[UUID, str], Line],
    budgets: Sequence[Mapping[str, Any]],
    log: Sequence[Event],
    ledger: Sequence[Mapping[str, Any]],
) -> None:
    """I4: the list of budget lines and the asset ledger are what their logs come to."""
    shown = {
        (row["stream"], row["code"]): {
            "amount": row["amount_cny"], "committed": row["committed_cny"],
            "spent": row["spent_cny"],
        }
        for row in budgets
    }  # fmt: skip
    if shown != dict(lines):
        verdict.wrong.append("the list of budget lines is not what the log comes to")
    cards: dict[UUID, tuple[str, Decimal, str]] = {}
    for event in log:
        if event.type == "CardRegistered":
            gross, place = _money(event.body["gross_cny"]), str(event.body["place"])
            cards[event.stream] = (str(event.body["holder"]), gross, place)
        elif event.type == "CardPlaced":
            holder, gross, _ = cards[event.stream]
            cards[event.stream] = (holder, gross, event.body["place"])
        elif event.type == "CardMoved":
            _, gross, _ = cards[event.stream]
            cards[event.stream] = (event.body["to_unit"], gross, event.body.get("place", ""))
    listed = {
        row["stream"]: (str(row["organisation"]), row["gross_cny"], row["place"]) for row in ledger
    }
    for card in cards.keys() | listed.keys():
        if cards.get(card) != listed.get(card):
            verdict.wrong.append(f"card {card}: {listed.get(card)}, by the log {cards.get(card)}")
