"""Rule packs: a region's own rules, with their source, never changed in silence."""

from datetime import date
from typing import Any

from services.organisation.rule_pack import (
    Mark,
    PublishRule,
    RulePublished,
    RuleWithdrawn,
    WithdrawRule,
    published_rules,
    rule_packs,
)  # fmt: skip
from shared.kernel import By, Recorded
from shared.organisation import Role
from shared.testing import SCHOOL, STREAM, Result, by, given

OFFICER = by("li", Role.BUREAU_OFFICER)
SINCE = date(2026, 10, 1)


def published(**fields: Any) -> RulePublished:
    wanted: dict[str, Any] = {
        "slug": "organisation.delegation", "region": SCHOOL, "since": SINCE,
        "values": {"days_max": 30}, "source_zh": "县教育局通知", "source_en": "Notice of the county",
        "mark": Mark.CONFIRMED,
    } | fields  # fmt: skip
    return RulePublished(**wanted)


def publish(*before: Any, who: By = OFFICER, **fields: Any) -> Result:
    wanted: dict[str, Any] = {
        "organisation": SCHOOL, "slug": "organisation.delegation", "since": SINCE,
        "values": {"days_max": 30}, "source_zh": "县教育局通知", "source_en": "Notice of the county",
        "mark": Mark.CONFIRMED,
    } | fields  # fmt: skip
    return given(rule_packs, *before).when(PublishRule(**wanted), by=who)


def test_publishes_once_and_changes_what_is_not_yet_in_force() -> None:
    publish().then(published())
    publish(published()).then()
    publish(published(), values={"days_max": 60}).then(published(values={"days_max": 60}))


def test_what_is_in_force_is_changed_only_with_a_reason() -> None:
    past = date(2026, 9, 1)
    publish(since=past).refused("rule_in_force", field="reason")
    publish(since=past, reason=" ").refused("rule_in_force")
    publish(since=past, reason="文件追溯").then(published(since=past, reason="文件追溯"))
    today = OFFICER.day
    publish(since=today).then(published(since=today))
    changed = publish(published(since=today), since=today, values={"days_max": 60})
    changed.refused("rule_in_force")
    later = by("li", Role.BUREAU_OFFICER, at="2026-10-02T08:00:00+08:00")
    publish(published(), who=later, values={"days_max": 60}).refused("rule_in_force")


def test_publishing_again_keeps_quiet_whatever_the_reason_was() -> None:
    past = date(2026, 9, 1)
    publish(published(since=past, reason="文件追溯"), since=past, reason="文件追溯").then()


def test_withdraws_with_a_reason_once_in_force() -> None:
    command = WithdrawRule(slug="organisation.delegation", since=SINCE)
    gone = RuleWithdrawn(slug="organisation.delegation", region=SCHOOL, since=SINCE)
    after = given(rule_packs, published()).when(command, by=OFFICER).then(gone)
    after.when(command, by=OFFICER).refused("rule_not_published", field="since")
    later = by("li", Role.BUREAU_OFFICER, at="2026-10-01T08:00:00+08:00")
    given(rule_packs, published()).when(command, by=later).refused("rule_in_force")
    said = command.model_copy(update={"reason": "文件废止"})
    assert given(rule_packs, published()).when(said, by=later).outcome()


def test_refuses_rules_that_no_service_could_read() -> None:
    publish(slug="organisation.nonsense").refused("rule_unknown", field="slug")
    publish(slug="nowhere.delegation").refused("rule_unknown")
    publish(values={}).refused("rule_value_missing", field="values.days_max")
    publish(values={"days_max": 30, "days_min": 1}).refused("rule_value_unknown")
    publish(values={"days_max": "30"}).refused("rule_value_misshapen", field="values.days_max")
    publish(values={"days_max": True}).refused("rule_value_misshapen")
    tables = {"apart": [["cashier", "accountant"]]}
    assert publish(slug="organisation.segregation", values=tables).outcome()


def test_lists_every_version() -> None:
    at = by().at
    recorded = Recorded(
        id=STREAM, stream=STREAM, version=1, organisation=SCHOOL, actor="a", occurred_at=at,
        recorded_at=at,
    )  # fmt: skip
    state = given(rule_packs, published(), published(since=date(2027, 1, 1))).state
    rows = published_rules(state, recorded)
    assert [row.since for row in rows.values()] == [SINCE, date(2027, 1, 1)]
