"""Purchasing: what a school may spend, what it asks for, and who agreed to it."""

from services.procurement.budget import budgets
from shared.kernel import Service

procurement = Service("procurement", [budgets])
