"""What a school owns and keeps working: cards, transfers and loans, damage, repairs."""

from services.assets.card import cards
from services.assets.card.register import DepreciationPolicy
from services.assets.card.wear import ReplacementPolicy
from services.assets.damage import damages
from services.assets.loan import LoanPolicy, loans
from services.assets.repair import RepairPolicy, repairs
from services.assets.repair_round import RoundPolicy, rounds
from services.assets.transfer import TransferPolicy, transfers
from shared.kernel import Service

assets = Service(
    "assets",
    [cards, transfers, loans, damages, repairs, rounds],
    policies=[
        DepreciationPolicy,
        ReplacementPolicy,
        TransferPolicy,
        LoanPolicy,
        RepairPolicy,
        RoundPolicy,
    ],
)
