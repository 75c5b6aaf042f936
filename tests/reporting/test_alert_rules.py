"""The alert rules: what raises one, how grave, one per cause, and why in words with figures."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import UUID

from services.reporting import alert_rules, reporting
from services.reporting.alert import Severity, alerts
from services.reporting.alert.answer import SettleAlert
from services.reporting.alert.climbing import RaiseAlert
from services.reporting.alert_rules import (
    DamagePolicy,
    raise_complaint_overdue,
    raise_hazard_overdue,
    raise_inspection_veto,
    raise_split_purchase,
    raise_wilful_damage,
    settle_complaint_overdue,
    settle_hazard_overdue,
)
from services.reporting.upstream.assets import AssetDamaged
from services.reporting.upstream.organisation import ComplaintAnswered, ComplaintOverdue
from services.reporting.upstream.procurement import SplitSuspected
from services.reporting.upstream.safety import (
    FailedItem,
    HazardClosed,
    HazardOverdue,
    InspectionFailed,
)
from shared.kernel import Recorded, Send
from shared.testing import SCHOOL
from shared.words import words_of

STREAM, EVENT = UUID(int=5), UUID(int=6)
RECORDED = Recorded(
    id=EVENT, stream=STREAM, version=3, organisation=SCHOOL, actor="li",
    occurred_at=datetime(2026, 9, 7, 2, tzinfo=UTC), recorded_at=datetime(2026, 9, 7, 3, tzinfo=UTC),
)  # fmt: skip
LIMIT = DamagePolicy(limit_cny=Decimal(500))


def inspection(*, veto: bool) -> InspectionFailed:
    items = (
        FailedItem(code="1", text="灭火器过期", veto=True),
        FailedItem(code="2", text="地面有水", veto=False),
    )
    return InspectionFailed(
        programme="消防安全检查", kind="fire", score=Decimal("81.5"), full=Decimal(100),
        pass_score=Decimal(80), failed_items=items, veto=veto,
    )  # fmt: skip


def overdue(level: int = 5, grade: str | None = "general") -> HazardOverdue:
    return HazardOverdue(
        category="fire", grade=grade, place="北校区", what="单杠开裂", level=level,
        awaiting="assigned", due_at=datetime(2026, 9, 6, 10, tzinfo=UTC), hours_overdue=16,
    )  # fmt: skip


def damage(cost: str, *, wilful: bool = True) -> AssetDamaged:
    return AssetDamaged(
        item="投影仪", quantity=1, cause="wilful", wilful=wilful,
        replacement_cost_cny=Decimal(cost), happened_on=date(2026, 9, 4), place="三楼",
    )  # fmt: skip


def command(send: Send | None) -> RaiseAlert:
    assert send is not None
    assert send.aggregate is alerts
    assert isinstance(send.command, RaiseAlert)
    key = alerts.key
    assert key is not None
    assert send.id == alerts.id_of(key(send.command))
    assert send.command.organisation == SCHOOL
    assert send.command.cause == EVENT
    return send.command


def test_a_veto_item_alerts_at_once_and_says_which() -> None:
    told = command(raise_inspection_veto(inspection(veto=True), RECORDED))
    assert told.severity is Severity.CRITICAL
    assert "灭火器过期" in told.why_zh
    assert "81.5/100" in told.why_zh
    assert "地面有水" not in told.why_zh
    assert "1 veto items" in told.why_en
    assert (told.source, told.cause_type) == ("safety", "InspectionFailed")
    assert raise_inspection_veto(inspection(veto=False), RECORDED) is None


def test_a_late_hazard_is_one_alert_however_often_it_is_said() -> None:
    first = raise_hazard_overdue(overdue(), RECORDED)
    again = raise_hazard_overdue(overdue(level=3), RECORDED)
    told = command(first)
    assert first.id == again.id
    assert told.severity is Severity.HIGH
    assert "单杠开裂" in told.why_zh
    assert "2026-09-06 18:00" in told.why_zh
    assert "消防" in told.why_zh
    assert "16 hours" in told.why_en
    assert (
        command(raise_hazard_overdue(overdue(grade="major"), RECORDED)).severity
        is Severity.CRITICAL
    )


def test_a_complaint_without_an_answer_is_an_alert_until_it_has_one() -> None:
    late = raise_complaint_overdue(
        ComplaintOverdue(topic="food", due_on=date(2026, 9, 6)), RECORDED
    )
    told = command(late)
    assert told.severity is Severity.HIGH
    assert "食堂与饮食" in told.why_zh and "2026-09-06" in told.why_en
    settled = settle_complaint_overdue(ComplaintAnswered(topic="food", in_time=False), RECORDED)
    assert isinstance(settled.command, SettleAlert)
    assert settled.id == late.id


def test_closing_the_hazard_settles_it() -> None:
    closed = HazardClosed(
        category="fire", found_at=RECORDED.occurred_at, rectified_in_minutes=5, on_time=False
    )
    send = settle_hazard_overdue(closed, RECORDED)
    assert isinstance(send.command, SettleAlert)
    assert send.id == raise_hazard_overdue(overdue(), RECORDED).id


def test_wilful_damage_alerts_from_the_limit_on() -> None:
    told = command(raise_wilful_damage(damage("500"), RECORDED, LIMIT))
    assert "500.00元" in told.why_zh
    assert raise_wilful_damage(damage("499.99"), RECORDED, LIMIT) is None
    assert raise_wilful_damage(damage("9000", wilful=False), RECORDED, LIMIT) is None


def test_a_split_purchase_names_its_pieces() -> None:
    event = SplitSuspected(
        requisitions=(UUID(int=1), UUID(int=2)), numbers=("QG-1", "QG-2"), category="food",
        total_cny=Decimal(60000), threshold_cny=Decimal(50000), days=30,
    )  # fmt: skip
    told = command(raise_split_purchase(event, RECORDED))
    assert "QG-1、QG-2" in told.why_zh
    assert told.subject == UUID(int=2)


def test_every_rule_has_words_that_name_the_same_values() -> None:
    words = words_of("reporting")
    for rule in alert_rules.RULES:
        zh, en = words.word("alerts", rule)
        fields = [set(re.findall(r"{(\w+)}", text)) for text in (zh, en)]
        assert fields[0] == fields[1], rule
        assert words.find("names", rule)
    assert set(words.sections["alerts"]) == set(alert_rules.RULES)


def test_every_rule_is_a_reaction_of_the_service() -> None:
    named = {reaction.function for reaction in reporting.reactions()}
    assert len(named) == len(alert_rules.RULES) + 2
