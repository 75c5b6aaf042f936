"""The checks have teeth: whatever goes wrong in the evidence, they say so."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from tests.faults import checks, figures
from tests.faults.checks import Stored, Verdict
from tests.faults.evidence import Event, Message, Topic
from tests.faults.load import Asked

NOON = datetime(2026, 3, 1, 4, tzinfo=UTC)
SCHOOL, OTHER = str(UUID(int=1)), str(UUID(int=2))


def event(number: int, type_: str, version: int = 1, stream: int = 7, **body: Any) -> Event:
    return Event(
        "procurement", (100 + number, number), UUID(int=number), UUID(int=stream), version, type_,
        json.dumps(body).encode(), SCHOOL, "head", NOON, NOON.replace(second=number),
    )  # fmt: skip


def amended(number: int, version: int, key: str) -> Event:
    return event(number, "BudgetAmended", version, reason=key, amount_cny="5", previous_cny="3")


def asked(key: str, *events: int, version: int = 1, status: int = 200) -> Asked:
    made = Asked(
        "head", "procurement", "AmendBudget", "/", b"", {"Idempotency-Key": key}, frozenset()
    )
    made.status, made.version = status, version
    made.events = tuple(str(UUID(int=one)) for one in events)
    return made


LOG = [amended(1, 1, "a"), amended(2, 2, "b")]
ASKED = [asked("a", 1), asked("b", 2, version=2)]


def held(log: list[Event], requests: list[Asked]) -> Verdict:
    verdict = Verdict()
    checks.acknowledged_once(verdict, requests, log, frozenset())
    checks.marked_once(verdict, requests, log)
    return verdict


def test_what_was_taken_is_there_once() -> None:
    assert held(LOG, ASKED).every == []


def test_an_acknowledged_event_that_is_gone_is_lost() -> None:
    assert len(held(LOG[:1], ASKED).lost) == 1


def test_an_event_that_nobody_was_told_of_is_doubled() -> None:
    assert held([*LOG, amended(3, 3, "b")], ASKED).doubled
    assert held([*LOG, amended(3, 3, "unheard")], ASKED).doubled


def test_a_refused_command_leaves_nothing() -> None:
    assert held([*LOG, amended(3, 3, "c")], [*ASKED, asked("c", status=422)]).wrong


def test_an_answer_names_the_version_that_it_has_in_the_log() -> None:
    assert held(LOG, [ASKED[0], asked("b", 2, version=3)]).wrong


@pytest.mark.parametrize("kept", [{"a": 1}, {"a": 1, "b": 2}, {"a": 1, "b": 1, "c": 1}])
def test_each_key_keeps_one_answer(kept: dict[str, int]) -> None:
    verdict, requests = Verdict(), [*ASKED, asked("c", status=422)]
    checks.answers_kept(verdict, requests, kept)
    assert len(verdict.wrong) == 1
    fine = Verdict()
    checks.answers_kept(fine, requests, {"a": 1, "b": 1})
    assert fine.every == []


@pytest.mark.parametrize(
    "log", [[LOG[0], amended(3, 3, "c")], [LOG[1], LOG[0]], [*LOG, amended(3, 2, "c")]]
)
def test_gaps_forks_and_disorder_of_versions(log: list[Event]) -> None:
    verdict = Verdict()
    checks.unbroken(verdict, log, {UUID(int=7): max(one.version for one in log)})
    assert verdict.wrong


def test_a_head_is_where_its_log_is() -> None:
    verdict = Verdict()
    checks.unbroken(verdict, LOG, {UUID(int=7): 2})
    assert verdict.every == []
    checks.unbroken(verdict, LOG, {UUID(int=7): 3})
    checks.unbroken(verdict, LOG, {UUID(int=7): 2, UUID(int=8): 1})
    assert len(verdict.wrong) == 2


def topic(*events: Event) -> Topic:
    messages = [
        Message(0, offset, one.organisation, one.id, one.position, one.data)
        for offset, one in enumerate(events)
    ]
    return Topic("houqin.procurement", messages, {0: len(events)})


def test_kafka_holds_the_log() -> None:
    fine = Verdict()
    checks.in_kafka(fine, LOG, topic(*LOG))
    checks.in_kafka(fine, LOG, topic(*LOG, *LOG))
    checks.in_kafka(fine, LOG, topic(LOG[0], LOG[0], LOG[1]))
    assert fine.every == []
    for bad in (topic(LOG[0]), topic(LOG[1], LOG[0]), topic(*LOG, amended(9, 3, "c"))):
        verdict = Verdict()
        checks.in_kafka(verdict, LOG, bad)
        assert verdict.every
    altered = amended(2, 2, "altered")
    verdict = Verdict()
    checks.in_kafka(verdict, LOG, topic(LOG[0], altered))
    assert verdict.wrong


@pytest.mark.parametrize("stored", [(1, (102, 2)), (2, (101, 1))])
def test_offsets_say_what_was_applied(stored: tuple[int, tuple[int, int]]) -> None:
    topics, verdict = {"t": topic(*LOG)}, Verdict()
    checks.offsets_true(verdict, [Stored("s", "c", "t", 0, 2, (102, 2))], topics)
    assert verdict.every == []
    checks.offsets_true(verdict, [Stored("s", "c", "t", 0, *stored)], topics)
    assert len(verdict.wrong) == 1


def test_reporting_has_each_event_once() -> None:
    ids = [one.id for one in LOG]
    for kept in (Counter(ids[:1]), Counter([*ids, ids[0]])):
        verdict = Verdict()
        checks.archived_once(verdict, {"procurement": kept}, {"procurement": LOG})
        assert verdict.every


def figure(value: str, day: str) -> dict[str, Any]:
    series = [{"day": day, "value": value}]
    named = {"measure": "procurement.budget_adopted"}
    return {"figures": [{"measure": named, "value": value, "series": series}]}


def test_a_figure_is_the_sum_of_the_logs() -> None:
    sums = figures.folded([LOG], frozenset())
    first = date(2026, 2, 1)
    for value, day, good in (("4", "2026-03-01", True), ("5", "2026-03-01", False)):
        verdict = Verdict()
        figures.as_shown(verdict, sums, figure(value, day), SCHOOL, SCHOOL.__eq__, first)
        assert (verdict.every == []) is good
    verdict = Verdict()
    figures.as_shown(verdict, sums, figure("4", "2026-03-02"), SCHOOL, SCHOOL.__eq__, first)
    assert verdict.wrong, "the right sum on the wrong day"
    figures.as_shown(verdict, sums, figure("0", "2026-03-01"), OTHER, OTHER.__eq__, first)
    assert len(verdict.wrong) == 1


def booked(*events: Event) -> Verdict:
    verdict = Verdict()
    line = {"code": "food", "amount_cny": "100"}
    figures.money_balances(verdict, [event(1, "BudgetAdopted", lines=[line]), *events])
    return verdict


def committed(number: int, cny: str, purpose: int = 5) -> Event:
    of = str(UUID(int=purpose))
    return event(number, "BudgetCommitted", number, line="food", purpose=of, amount_cny=cny)


def approved(number: int, purpose: int = 5) -> Event:
    return event(number, "PurchaseApproved", stream=purpose)


def test_money_is_committed_once_and_never_beyond_the_line() -> None:
    assert booked(approved(2), committed(3, "60")).every == []
    assert booked(approved(2), committed(3, "101")).wrong
    assert booked(committed(3, "60")).wrong
    assert booked(approved(2), committed(3, "10"), committed(4, "10")).wrong
    spent = event(
        4, "BudgetSpent", 4, line="food", purpose=str(UUID(int=5)), amount_cny="10",
        committed_cny="60",
    )  # fmt: skip
    assert booked(approved(2), committed(3, "60"), spent).every == []
    assert booked(approved(2), committed(3, "60"), spent, spent).doubled


def test_what_is_sent_arrives() -> None:
    card = event(1, "CardRegistered", gross_cny="100", holder=SCHOOL)
    away = event(2, "CardMoved", 2, from_unit=SCHOOL, to_unit=OTHER, gross_cny="100", place="")
    verdict = Verdict()
    held_then = figures.nothing_vanishes(verdict, [card, away], [SCHOOL, OTHER])
    assert verdict.every == []
    assert held_then["assets.gross_value"][OTHER, date(2026, 3, 1)] == Decimal(100)
    figures.nothing_vanishes(verdict, [card, away, away], [SCHOOL, OTHER])
    assert len(verdict.wrong) == 1


def test_one_alert_for_each_cause() -> None:
    damaged = event(
        1, "AssetDamaged", wilful=True, replacement_cost_cny="500.00", happened_on="2026-03-01"
    )
    cheap = event(
        2, "AssetDamaged", stream=8, wilful=True, replacement_cost_cny="499",
        happened_on="2026-03-01",
    )  # fmt: skip
    due = figures.alerts_due({"assets": [damaged, cheap]}, frozenset())
    assert due == {("assets.wilful_damage", str(UUID(int=7)), "2026-03-01")}
    rule, subject, period = next(iter(due))
    raised = event(3, "AlertRaised", stream=9, rule=rule, subject=subject, period=period)
    for log, good in (([raised], True), ([], False), ([raised, raised], False)):
        verdict = Verdict()
        figures.alerted_once(verdict, log, due)
        assert (verdict.every == []) is good
    verdict = Verdict()
    figures.alerted_once(verdict, [raised], set())
    assert verdict.wrong


def test_a_deadline_is_told_once_and_in_time() -> None:
    due, stream = (NOON.replace(second=2)).isoformat(), UUID(int=7)
    found = event(1, "HazardFound", due_at=due)
    late = event(3, "HazardOverdue", 2, due_at=due, level=5)
    early = replace(late, recorded_at=NOON)
    dismissed = event(4, "HazardDismissed", 2)
    after = NOON.replace(minute=1)

    def kept(*log: Event, awaited: tuple[UUID, ...] = (), now: datetime = after) -> Verdict:
        verdict = Verdict()
        figures.deadlines_kept(verdict, log, awaited, now)
        return verdict

    assert kept(found, late).every == kept(found, now=NOON).every == []
    assert kept(found, dismissed).every == kept(found, awaited=(stream,)).every == []
    assert kept(found).lost
    assert kept(found, late, late).doubled
    assert kept(found, early).wrong
