"""Alerts: one per cause, answered, or climbing until somebody does."""

from datetime import timedelta
from uuid import UUID

from services.reporting.alert import (
    Alert,
    AlertAcknowledged,
    AlertClimbed,
    AlertExplained,
    AlertRaised,
    AlertResolved,
    AlertStatus,
    Severity,
    alerts,
)  # fmt: skip
from services.reporting.alert.answer import (
    AcknowledgeAlert,
    ExplainAlert,
    ResolveAlert,
    SettleAlert,
)  # fmt: skip
from services.reporting.alert.climbing import AlertPolicy, ClimbAlert, RaiseAlert
from services.reporting.alert.views import alert_list
from shared.kernel import Recorded
from shared.organisation import Level, Unit
from shared.testing import COUNTY, SCHOOL, STREAM, by, given

AT = by().now
CAUSE = UUID(int=77)
POLICY = AlertPolicy(
    hours={Severity.NORMAL: 48, Severity.HIGH: 12, Severity.CRITICAL: 2}, top=Level.PROVINCE
)
PROVINCE = UUID(int=1)
county = Unit(id=COUNTY, code="431081", name="测试县", level=Level.COUNTY, path=(PROVINCE, COUNTY))
province = Unit(id=PROVINCE, code="43", name="测试省", level=Level.PROVINCE, path=(PROVINCE,))


def raise_command(severity: Severity = Severity.HIGH) -> RaiseAlert:
    return RaiseAlert(
        organisation=SCHOOL, rule="safety.hazard_overdue", subject=CAUSE, period="",
        severity=severity, why_zh="隐患逾期", why_en="late", values={"hours": "3"},
        source="safety", cause=CAUSE, cause_type="HazardOverdue",
    )  # fmt: skip


def raised(severity: Severity = Severity.HIGH, hours: int = 12) -> AlertRaised:
    return AlertRaised(
        rule="safety.hazard_overdue", subject=CAUSE, period="", severity=severity,
        why_zh="隐患逾期", why_en="late", values={"hours": "3"}, source="safety", cause=CAUSE,
        cause_type="HazardOverdue", happened_on=by().day, raised_at=AT, reached=SCHOOL,
        level=Level.SCHOOL, above=COUNTY, climbs_at=AT + timedelta(hours=hours),
    )  # fmt: skip


def acknowledged() -> AlertAcknowledged:
    return AlertAcknowledged(
        rule="safety.hazard_overdue", severity=Severity.HIGH, level=Level.SCHOOL,
        acknowledged_by="li", waited_minutes=0, note="",
    )  # fmt: skip


def explained(text: str = "配件未到") -> AlertExplained:
    return AlertExplained(
        rule="safety.hazard_overdue", severity=Severity.HIGH, explained_by="li", explanation=text
    )


def resolved(*, by_itself: bool = False, person: str = "li") -> AlertResolved:
    return AlertResolved(
        rule="safety.hazard_overdue", severity=Severity.HIGH, level=Level.SCHOOL,
        resolved_by=person, resolution="已加固", by_itself=by_itself, open_minutes=0,
    )  # fmt: skip


def test_is_raised_once_per_cause() -> None:
    after = given(alerts).when(raise_command()).then(raised())
    given(alerts, raised()).when(raise_command()).then()
    given(alerts, raised(), acknowledged(), explained(), resolved()).when(raise_command()).then()
    assert isinstance(after.state, Alert)
    assert after.state.status is AlertStatus.OPEN


def test_climbs_sooner_the_graver_it_is() -> None:
    given(alerts).when(raise_command(Severity.CRITICAL)).then(raised(Severity.CRITICAL, 2))


def test_the_time_to_answer_runs_from_when_it_became_known() -> None:
    late = by(at="2011-10-08T08:00:00+08:00", now="2026-09-07T08:00:00+08:00")
    result = given(alerts).when(raise_command(), by=late)
    (event,) = result.outcome()
    assert isinstance(event, AlertRaised)
    assert event.climbs_at == AT + timedelta(hours=12)
    assert str(event.happened_on) == "2011-10-08"


def test_climbs_level_by_level_up_to_the_top() -> None:
    due = by("system", now="2026-09-07T20:00:00+08:00")
    at_county = AlertClimbed(
        rule="safety.hazard_overdue", severity=Severity.HIGH, reached=COUNTY, level=Level.COUNTY,
        previous=SCHOOL, above=PROVINCE, climbs_at=due.now + timedelta(hours=12),
    )  # fmt: skip
    first = given(alerts, raised()).when(ClimbAlert(), by=due, above=county).then(at_county)
    assert (first.state.reached, first.state.level) == (COUNTY, Level.COUNTY)
    later = by("system", now="2026-09-08T08:00:00+08:00")
    at_province = AlertClimbed(
        rule="safety.hazard_overdue", severity=Severity.HIGH, reached=PROVINCE,
        level=Level.PROVINCE, previous=COUNTY, above=None, climbs_at=None,
    )  # fmt: skip
    top = given(alerts, raised(), at_county).when(ClimbAlert(), by=later, above=province)
    last = top.then(at_province)
    assert last.state.climbs_at is None


def test_a_policy_may_end_the_climb_earlier() -> None:
    policy = AlertPolicy(hours=POLICY.hours, top=Level.SCHOOL)
    (event,) = given(alerts).when(raise_command(), policy=policy).outcome()
    assert isinstance(event, AlertRaised)
    assert (event.above, event.climbs_at) == (None, None)


def test_does_not_climb_early_nor_once_acknowledged_nor_into_nowhere() -> None:
    early = by("system", now="2026-09-07T19:59:00+08:00")
    given(alerts, raised()).when(ClimbAlert(), by=early, above=county).then()
    due = by("system", now="2026-09-08T20:00:00+08:00")
    given(alerts, raised(), acknowledged()).when(ClimbAlert(), by=due, above=county).then()
    given(alerts, raised()).when(ClimbAlert(), by=due, above=None).then()


def test_is_due_when_it_climbs() -> None:
    timer = alerts.timer
    assert timer is not None
    assert timer.timer is not None
    waiting = given(alerts, raised()).state
    assert timer.timer(waiting) == AT + timedelta(hours=12)
    assert timer.timer(given(alerts, raised(), acknowledged()).state) is None


def test_is_acknowledged_once() -> None:
    later = by(now="2026-09-07T09:30:00+08:00")
    (event,) = given(alerts, raised()).when(AcknowledgeAlert(), by=later).outcome()
    assert isinstance(event, AlertAcknowledged)
    assert event.waited_minutes == 90
    given(alerts, raised(), acknowledged()).when(AcknowledgeAlert(), by=by("wang")).then()


def test_is_explained_and_explained_anew() -> None:
    command = ExplainAlert(explanation="配件未到")
    after = given(alerts, raised()).when(command).then(explained())
    assert after.state.status is AlertStatus.EXPLAINED
    assert after.state.climbs_at is None
    given(alerts, raised(), explained()).when(command).then()
    other = ExplainAlert(explanation="下周到货")
    given(alerts, raised(), explained()).when(other).then(explained("下周到货"))


def test_a_grave_one_is_explained_before_it_is_resolved() -> None:
    command = ResolveAlert(resolution="已加固")
    given(alerts, raised()).when(command).refused("alert_unexplained")
    given(alerts, raised(), acknowledged()).when(command).refused("alert_unexplained")
    after = given(alerts, raised(), explained()).when(command).then(resolved())
    assert after.state.status is AlertStatus.RESOLVED
    ordinary = given(alerts, raised(Severity.NORMAL)).when(command).outcome()
    assert isinstance(ordinary[0], AlertResolved)


def test_what_is_resolved_stays_so() -> None:
    done = given(alerts, raised(), explained(), resolved())
    done.when(AcknowledgeAlert()).refused("alert_resolved")
    done.when(ExplainAlert(explanation="后来想到")).refused("alert_resolved")
    done.when(ResolveAlert(resolution="又一次")).refused("alert_resolved")
    done.when(ResolveAlert(resolution="已加固")).then()


def test_settles_by_itself_when_its_cause_is_gone() -> None:
    command = SettleAlert(organisation=SCHOOL, resolution="已加固")
    system = by("system")
    gone = resolved(by_itself=True, person="system")
    given(alerts, raised()).when(command, by=system).then(gone)
    given(alerts).when(command, by=system).then()
    given(alerts, raised(), gone).when(command, by=system).then()


def test_is_resolved_by_those_whom_it_has_reached() -> None:
    assert alerts.decisions[ResolveAlert].at == "reached"
    assert alerts.decisions[AcknowledgeAlert].at is None


def test_is_shown_with_why_and_whereto() -> None:
    recorded = Recorded(
        id=CAUSE, stream=STREAM, version=1, organisation=SCHOOL, actor="system", occurred_at=AT,
        recorded_at=AT,
    )  # fmt: skip
    row = alert_list(given(alerts, raised(), explained()).state, recorded)
    assert (row.status, row.why_zh, row.cause, row.reached) == (
        AlertStatus.EXPLAINED, "隐患逾期", CAUSE, SCHOOL,
    )  # fmt: skip
    assert row.explanation == "配件未到"
