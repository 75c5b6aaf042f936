"""The alert rules: which event is wrong enough that somebody must answer, and why, in words.

Each is declared once: a reaction that names its rule, what it is about (subject), the period within
which it is one cause, and how grave it is. Its words are in [alerts] of words.toml.
"""

from __future__ import annotations

from decimal import Decimal
from typing import ClassVar
from uuid import UUID

from services.reporting.alert import Severity, alerts
from services.reporting.alert.answer import SettleAlert
from services.reporting.alert.climbing import RaiseAlert
from services.reporting.upstream.assets import AssetDamaged
from services.reporting.upstream.organisation import ComplaintAnswered, ComplaintOverdue
from services.reporting.upstream.procurement import SplitSuspected
from services.reporting.upstream.safety import HazardClosed, HazardOverdue, InspectionFailed
from shared.fields import SHANGHAI
from shared.kernel import Foreign, Policy, Recorded, Send
from shared.words import Word, words_of

INSPECTION_VETO = "safety.inspection_veto"
HAZARD_OVERDUE = "safety.hazard_overdue"
WILFUL_DAMAGE = "assets.wilful_damage"
SPLIT_PURCHASE = "procurement.split_purchase"
COMPLAINT_OVERDUE = "organisation.complaint_overdue"

RULES = (INSPECTION_VETO, HAZARD_OVERDUE, WILFUL_DAMAGE, SPLIT_PURCHASE, COMPLAINT_OVERDUE)

ITEMS_SHOWN = 3


class DamagePolicy(Policy):
    """From which replacement cost on wilful damage (故意损坏) is reported at once."""

    slug: ClassVar[str] = "alerts.damage"

    limit_cny: Decimal


def raised(
    rule: str,
    severity: Severity,
    event: Foreign,
    recorded: Recorded,
    *,
    subject: UUID,
    period: str,
    values: dict[str, str | Word],
) -> Send:
    """The command that raises an alert of a rule for one cause."""
    zh, en = words_of("reporting").word("alerts", rule)
    command = RaiseAlert(
        organisation=recorded.organisation,
        rule=rule,
        subject=subject,
        period=period,
        severity=severity,
        why_zh=zh.format_map(_texts(values, 0)),
        why_en=en.format_map(_texts(values, 1)),
        values=_texts(values, 0),
        source=event.source,
        cause=recorded.id,
        cause_type=type(event).__name__,
    )
    return Send(alerts, alerts.id_of(rule, subject, period), command)


def _texts(values: dict[str, str | Word], language: int) -> dict[str, str]:
    return {
        name: value[language] if isinstance(value, Word) else value
        for name, value in values.items()
    }


def label(service: str, kind: str, value: str) -> Word:
    """An enumeration's value as the service that it comes from calls it."""
    return words_of(service).find("values", f"{kind}.{value}") or Word(value, value)


@alerts.on(InspectionFailed)
def raise_inspection_veto(event: InspectionFailed, recorded: Recorded) -> Send | None:
    """An item failed that fails the whole, whatever the score."""
    if not event.veto:
        return None
    items = [item.text for item in event.failed_items if item.veto]
    values: dict[str, str | Word] = {
        "programme": event.programme,
        "items": "；".join(items[:ITEMS_SHOWN]),
        "count": str(len(items)),
        "score": f"{event.score:f}",
        "full": f"{event.full:f}",
        "kind": label("safety", "ProgrammeKind", event.kind),
    }
    return raised(
        INSPECTION_VETO, Severity.CRITICAL, event, recorded,
        subject=recorded.stream, period=str(recorded.day), values=values,
    )  # fmt: skip


@alerts.on(HazardOverdue)
def raise_hazard_overdue(event: HazardOverdue, recorded: Recorded) -> Send:
    """A hazard is late; however often that is said again higher up, it is one alert."""
    due = event.due_at.astimezone(SHANGHAI)
    values: dict[str, str | Word] = {
        "what": event.what,
        "place": event.place or "-",
        "category": label("safety", "HazardCategory", event.category),
        "grade": label("safety", "HazardGrade", event.grade or ""),
        "due": f"{due:%Y-%m-%d %H:%M}",
        "hours": str(event.hours_overdue),
    }
    grave = event.grade in {"major", "critical"}
    return raised(
        HAZARD_OVERDUE, Severity.CRITICAL if grave else Severity.HIGH, event, recorded,
        subject=recorded.stream, period="", values=values,
    )  # fmt: skip


@alerts.on(HazardClosed)
def settle_hazard_overdue(event: HazardClosed, recorded: Recorded) -> Send:
    """What was late is done: its alert needs no further answer."""
    command = SettleAlert(organisation=recorded.organisation, resolution="隐患已整改销号 closed")
    return Send(alerts, alerts.id_of(HAZARD_OVERDUE, recorded.stream, ""), command)


@alerts.on(AssetDamaged)
def raise_wilful_damage(
    event: AssetDamaged, recorded: Recorded, policy: DamagePolicy
) -> Send | None:
    """Something was broken on purpose, and it costs too much to be left to the class."""
    if not event.wilful or event.replacement_cost_cny < policy.limit_cny:
        return None
    values: dict[str, str | Word] = {
        "item": event.item,
        "quantity": str(event.quantity),
        "place": event.place or "-",
        "day": str(event.happened_on),
        "cost": f"{event.replacement_cost_cny:.2f}",
        "limit": f"{policy.limit_cny:.2f}",
    }
    return raised(
        WILFUL_DAMAGE, Severity.HIGH, event, recorded,
        subject=recorded.stream, period=str(event.happened_on), values=values,
    )  # fmt: skip


@alerts.on(SplitSuspected)
def raise_split_purchase(event: SplitSuspected, recorded: Recorded) -> Send:
    """One need seems to have been cut up so that each piece stays below a threshold."""
    values: dict[str, str | Word] = {
        "numbers": "、".join(event.numbers),
        "count": str(len(event.numbers)),
        "total": f"{event.total_cny:.2f}",
        "threshold": f"{event.threshold_cny:.2f}",
        "days": str(event.days),
        "category": label("procurement", "Category", event.category),
    }
    return raised(
        SPLIT_PURCHASE, Severity.HIGH, event, recorded,
        subject=event.requisitions[-1], period=str(recorded.day), values=values,
    )  # fmt: skip


@alerts.on(ComplaintOverdue)
def raise_complaint_overdue(event: ComplaintOverdue, recorded: Recorded) -> Send:
    """Somebody complained and got no answer within the term; nobody's words are repeated here."""
    values: dict[str, str | Word] = {
        "topic": label("organisation", "ComplaintTopic", event.topic),
        "due": str(event.due_on),
    }
    return raised(
        COMPLAINT_OVERDUE, Severity.HIGH, event, recorded,
        subject=recorded.stream, period="", values=values,
    )  # fmt: skip


@alerts.on(ComplaintAnswered)
def settle_complaint_overdue(event: ComplaintAnswered, recorded: Recorded) -> Send:
    """It was answered after all: its alert needs no further answer."""
    command = SettleAlert(organisation=recorded.organisation, resolution="投诉已答复 answered")
    return Send(alerts, alerts.id_of(COMPLAINT_OVERDUE, recorded.stream, ""), command)
