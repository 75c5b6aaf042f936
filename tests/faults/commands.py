"""What people do, drawn by lot: the real commands of every service, by those whose work it is.

The n-th command of a person in a round follows from the seed alone: which, on what, with what in
it. It may refer to what was asked for in earlier rounds, whether or not that was taken. Each
command carries its key in one of its texts, so that the log shows of itself what came of it.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from tests.faults.ground import Ground, School, day_begun

TAKEN = frozenset({200, 201})
PERHAPS = frozenset({200, 201, 404, 422})
NEVER = frozenset({422})

MARKS = {
    "BudgetAmended": "reason", "BudgetReleased": "reason", "StaffAppointed": "person",
    "RequisitionStepApproved": "note", "CardPlaced": "place",
    "CardRegistered": "document", "HazardGraded": "reason", "HazardDismissed": "reason",
    "TransferSent": "reason", "TransferReceived": "note", "RequisitionRaised": "purpose",
    "RepairReported": "description", "DamageReported": "place",
    "DishDefined": "preparation", "DishRevised": "reason", "DishRetired": "reason",
    "HazardFound": "what", "SafetyCheckDone": "note", "AlertExplained": "explanation",
    "AlertAcknowledged": "note",
}  # fmt: skip
"""In which field of an event the key of its command stands, where that is one kept in the clear."""

PATHS = {
    "AmendBudget": "/procurement/budgets/{}/amend", "AdoptBudget": "/procurement/budgets",
    "SpendBudget": "/procurement/budgets/{}/spend",
    "ReleaseBudget": "/procurement/budgets/{}/release",
    "RaiseRequisition": "/procurement/requisitions",
    "SubmitRequisition": "/procurement/requisitions/{}/submit",
    "ApproveRequisition": "/procurement/requisitions/{}/approve",
    "AppointStaff": "/organisation/staff", "CountUnit": "/organisation/units/{}/count",
    "AssessDamage": "/assets/damages/{}/assess", "ReportDamage": "/assets/damages",
    "PlaceCard": "/assets/cards/{}/place", "RegisterCard": "/assets/cards",
    "SendTransfer": "/assets/transfers", "ReceiveTransfer": "/assets/transfers/{}/receive",
    "ReportRepair": "/assets/repairs", "ReportHazard": "/safety/hazards",
    "GradeHazard": "/safety/hazards/{}/grade", "DismissHazard": "/safety/hazards/{}/dismiss",
    "RecordCheck": "/safety/checks", "DefineDish": "/nutrition/dishes",
    "ReviseDish": "/nutrition/dishes/{}/revise", "RetireDish": "/nutrition/dishes/{}/retire",
    "ExplainAlert": "/reporting/alerts/{}/explain",
    "AcknowledgeAlert": "/reporting/alerts/{}/acknowledge",
}  # fmt: skip


@dataclass
class Act:
    """A command as somebody means it. `allowed`: the answers that would be right."""

    command: str
    body: dict[str, Any]
    id: str = ""
    allowed: frozenset[int] = TAKEN
    hot: bool = False
    """On a thing that always exists, and that others touch as well."""
    kept: tuple[str, str, str] | None = None
    """School, kind and id of what it would begin, for later rounds."""

    @property
    def service(self) -> str:
        return PATHS[self.command].split("/")[1]

    @property
    def path(self) -> str:
        return PATHS[self.command].format(self.id)


type Shelf = Mapping[tuple[str, str], list[str]]


@dataclass
class Pen:
    """What a person has at hand when writing one command."""

    chance: random.Random
    school: School
    ground: Ground
    shelf: Shelf
    key: str
    began: datetime

    def fresh(self) -> str:
        return str(UUID(int=self.chance.getrandbits(128), version=4))

    def earlier(self, kind: str) -> str:
        """Something of that kind asked for before, or what was never heard of."""
        known = self.shelf.get((self.school.code, kind))
        return self.chance.choice(known) if known else self.fresh()

    def money(self, low: int, high: int) -> str:
        return f"{self.chance.randrange(low * 100, high * 100) / 100:.2f}"

    def begin(self, command: str, kind: str, body: dict[str, Any], at: str = "") -> Act:
        """A command that begins something under an id of our own."""
        id_ = self.fresh()
        owner = {"id": id_, "organisation": self.school.id}
        return Act(command, owner | body, kept=(at or self.school.code, kind, id_))

    def late(self, body: dict[str, Any]) -> dict[str, Any]:
        """Entered now, though it happened up to nine days ago; or not."""
        hours = self.chance.randrange(1, 9 * 24)
        if self.chance.random() < 0.6:
            return body
        return body | {"occurred_at": (self.began - timedelta(hours=hours)).isoformat()}


def amend(pen: Pen) -> Act:
    body = {"line": "food", "amount_cny": pen.money(100_000_000, 900_000_000), "reason": pen.key}
    return Act("AmendBudget", body, pen.school.budget, hot=True)


def amend_nowhere(pen: Pen) -> Act:
    body = {"line": "nowhere", "amount_cny": pen.money(1, 9), "reason": pen.key}
    return Act("AmendBudget", body, pen.school.budget, NEVER)


def adopt_again(pen: Pen) -> Act:
    line = {"code": "x", "name": pen.key, "fund": "public", "amount_cny": pen.money(1, 9)}
    body = {"organisation": pen.school.id, "year": 2041, "lines": [line]}
    return Act("AdoptBudget", body, allowed=NEVER)


def appoint(pen: Pen) -> Act:
    body = {"organisation": pen.school.id, "person": pen.key, "role": "teacher"}
    return Act("AppointStaff", body)


def count(pen: Pen) -> Act:
    numbers = {"pupils": pen.chance.randrange(2_000), "staff": pen.chance.randrange(200)}
    return Act("CountUnit", {"term": "2025-1", **numbers}, pen.school.id, hot=True)


def assess(pen: Pen) -> Act:
    body = {"cause": "wilful", "replacement_cost_cny": pen.money(100, 1_500), "note": pen.key}
    return Act("AssessDamage", body, pen.earlier("damage"), PERHAPS)


def approve(pen: Pen) -> Act:
    return Act("ApproveRequisition", {"note": pen.key}, pen.earlier("requisition"), PERHAPS)


def place(pen: Pen) -> Act:
    card = pen.chance.choice(pen.school.cards[:2])
    return Act("PlaceCard", {"place": pen.key}, card, hot=True)


def register_card(pen: Pen) -> Act:
    body = {
        "organisation": pen.school.id, "tag": pen.fresh(), "name": "课桌椅",
        "category": "A05010201", "measure_unit": "套", "quantity": pen.chance.randint(1, 40),
        "value_cny": pen.money(100, 90_000), "acquired_on": str(day_begun()),
        "source": "purchase", "document": pen.key,
    }  # fmt: skip
    return Act("RegisterCard", body)


def grade(pen: Pen) -> Act:
    body = {"grade": pen.chance.choice(["general", "major"]), "reason": pen.key}
    return Act("GradeHazard", body, pen.earlier("hazard"), PERHAPS)


def dismiss(pen: Pen) -> Act:
    return Act("DismissHazard", {"reason": pen.key}, pen.earlier("hazard"), PERHAPS)


def send(pen: Pen) -> Act:
    """Whoever holds the card now may send it on; for the others it is elsewhere."""
    others = [one for one in pen.ground.schools if one is not pen.school]
    to, card = pen.chance.choice(others), pen.chance.choice(pen.ground.schools).cards[-1]
    body = {"to_unit": to.id, "cards": [card], "reason": pen.key}
    act = pen.begin("SendTransfer", "transfer", body, to.code)
    act.allowed = PERHAPS
    return act


def receive(pen: Pen) -> Act:
    return Act("ReceiveTransfer", {"note": pen.key}, pen.earlier("transfer"), PERHAPS)


def raise_requisition(pen: Pen) -> Act:
    line = {
        "item": "餐具", "quantity": str(pen.chance.randint(1, 9)), "measure_unit": "套",
        "estimated_price_cny": pen.money(1, 100),
    }  # fmt: skip
    body = {
        "category": pen.chance.choice(["canteen", "consumables", "equipment", "books", "other"]),
        "fund": "canteen", "budget": pen.school.budget, "budget_line": "food",
        "needed_by": str(day_begun() + timedelta(days=60)), "purpose": pen.key,
        "lines": [line],
    }  # fmt: skip
    return pen.begin("RaiseRequisition", "requisition", body)


def submit(pen: Pen) -> Act:
    return Act("SubmitRequisition", {}, pen.earlier("requisition"), PERHAPS)


def report_repair(pen: Pen) -> Act:
    kind = pen.chance.choice(["lamp", "valve", "door", "drain"])
    body = {"kind": kind, "place": "三楼", "description": pen.key}
    return pen.begin("ReportRepair", "repair", pen.late(body))


def report_damage(pen: Pen) -> Act:
    day = day_begun() - timedelta(days=pen.chance.randrange(5))
    body = {"cause": "wilful", "item": "玻璃", "happened_on": str(day), "place": pen.key}
    return pen.begin("ReportDamage", "damage", body)


def dish(pen: Pen) -> dict[str, Any]:
    part = {"name": "白菜", "group": "vegetable", "weight_g": str(pen.chance.randint(50, 900))}
    recipe = {"age_group": "age_6_8", "ingredients": [part], "yield_g": "90"}
    return {"name": "清炒白菜", "kind": "vegetable", "method": "stir_fry", "recipes": [recipe]}


def define(pen: Pen) -> Act:
    return pen.begin("DefineDish", "dish", dish(pen) | {"preparation": pen.key})


def define_twice(pen: Pen) -> Act:
    body = dish(pen) | {"preparation": pen.key}
    act = pen.begin("DefineDish", "refused", body | {"recipes": body["recipes"] * 2})
    act.allowed = NEVER
    return act


def revise(pen: Pen) -> Act:
    return Act("ReviseDish", dish(pen) | {"reason": pen.key}, pen.earlier("dish"), PERHAPS)


def retire(pen: Pen) -> Act:
    return Act("RetireDish", {"reason": pen.key}, pen.earlier("dish"), PERHAPS)


def report_hazard(pen: Pen) -> Act:
    category = pen.chance.choice(["fire", "electricity", "food", "building"])
    body = {"place": "操场", "what": pen.key, "category": category}
    return pen.begin("ReportHazard", "hazard", pen.late(body))


def check(pen: Pen) -> Act:
    finding = {"place": "厨房", "what": pen.key, "category": "gas"}
    body: dict[str, Any] = {"kind": "daily", "checked": ["厨房"], "note": pen.key}
    if pen.chance.random() < 0.5:
        body["findings"] = [finding]
    return pen.begin("RecordCheck", "check", pen.late(body))


def explain(pen: Pen) -> Act:
    return Act("ExplainAlert", {"explanation": pen.key}, pen.school.alert, hot=True)


def acknowledge(pen: Pen) -> Act:
    return Act("AcknowledgeAlert", {"note": pen.key}, pen.school.alert, hot=True)


def spend(pen: Pen) -> Act:
    body = {"purpose": pen.earlier("requisition"), "amount_cny": pen.money(1, 5)}
    return Act("SpendBudget", body, pen.school.budget, PERHAPS)


def release(pen: Pen) -> Act:
    body = {"purpose": pen.earlier("requisition"), "reason": pen.key}
    return Act("ReleaseBudget", body, pen.school.budget, PERHAPS)


WORK: dict[str, dict[Callable[[Pen], Act], int]] = {
    "principal": {amend: 4, amend_nowhere: 1, adopt_again: 1, appoint: 1, count: 3, assess: 3},
    "logistics_director": {
        approve: 4, place: 3, register_card: 1, grade: 1, dismiss: 1, send: 1, receive: 2,
    },
    "buyer": {raise_requisition: 3, submit: 4, report_repair: 2, report_damage: 2},
    "canteen_manager": {define: 3, define_twice: 1, revise: 2, retire: 1},
    "safety_officer": {report_hazard: 3, check: 2, explain: 2, acknowledge: 1},
    "accountant": {spend: 2, release: 1, report_repair: 1, report_hazard: 1},
}  # fmt: skip
"""By role: what, how often."""

WORK["deputy"] = WORK["principal"]

PLAIN: dict[str, tuple[str, Callable[[Pen], Act]]] = {
    "organisation": ("principal", count), "procurement": ("principal", amend),
    "assets": ("logistics_director", place), "safety": ("safety_officer", report_hazard),
    "nutrition": ("canteen_manager", define), "reporting": ("safety_officer", explain),
}  # fmt: skip
"""By service: who can always make it write an event, and how."""


@dataclass
class Desk:
    """Where commands are written: one seed, one stack of paper."""

    ground: Ground
    seed: int
    began: datetime
    shelf: dict[tuple[str, str], list[str]] = field(default_factory=lambda: defaultdict(list))
    _fresh: dict[str, list[tuple[str, str, str]]] = field(default_factory=lambda: defaultdict(list))

    def pen(self, name: str, school: School) -> Pen:
        """For the command of that name; the name is its key as well."""
        key = f"k{self.seed}.{name}"
        chance = random.Random(key)
        return Pen(chance, school, self.ground, self.shelf, key, self.began)

    def write(self, pen: Pen, role: str) -> Act:
        """What somebody of that role does next."""
        acts, weights = zip(*WORK[role].items(), strict=True)
        (chosen,) = pen.chance.choices(acts, weights)
        return self.noted(pen, chosen(pen))

    def noted(self, pen: Pen, act: Act) -> Act:
        """The act; what it begins can be referred to from the next round on."""
        if act.kept is not None:
            self._fresh[pen.key].append(act.kept)
        return act

    def turn(self) -> None:
        """A round is over: what was begun in it goes on the shelf, in an order of its own."""
        for _, kept in sorted(self._fresh.items()):
            for code, kind, id_ in kept:
                self.shelf[code, kind].append(id_)
        self._fresh.clear()
