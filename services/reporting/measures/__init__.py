"""Every measure, by the service whose events feed it."""

from services.reporting.measures import assets, nutrition, organisation, procurement, safety
from services.reporting.measuring import measures

__all__ = ["assets", "measures", "nutrition", "organisation", "procurement", "safety"]
