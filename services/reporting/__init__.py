"""Reporting: what happened everywhere, counted; who must answer for what is wrong."""

from services.reporting import alert_rules, alert_stream, figure_routes
from services.reporting.alert import alerts
from services.reporting.alert.climbing import AlertPolicy
from services.reporting.alert_count import alert_count
from services.reporting.alert_rules import DamagePolicy
from services.reporting.counting import SOURCES, Counting
from services.reporting.period import SchoolYearPolicy
from services.reporting.reader import Reader
from shared.kernel import Service

reporting = Service(
    "reporting",
    [alerts],
    policies=[AlertPolicy, DamagePolicy, SchoolYearPolicy],
    reads=SOURCES,
    consumers=[Counting],
    chores=[alert_count],
    routers=[
        lambda rt: figure_routes.router(rt, Reader(rt)),
        lambda rt: alert_stream.router(rt, Reader(rt)),
    ],
)

__all__ = ["alert_rules", "reporting"]
