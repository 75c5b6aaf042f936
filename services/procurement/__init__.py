"""Purchasing: what a school may spend, what it asks for, and who agreed to it."""

from services.procurement.budget import budgets
from services.procurement.requisition import requisitions
from services.procurement.requisition.chain import ApprovalPolicy
from services.procurement.spending_watch import SplitPolicy, spending_watches
from shared.kernel import Service

procurement = Service(
    "procurement",
    [budgets, requisitions, spending_watches],
    policies=[ApprovalPolicy, SplitPolicy],
)
