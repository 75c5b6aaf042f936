"""Safety: what is checked in schools, what is found dangerous, and how it is put right."""

from services.safety.check import safety_checks
from services.safety.checklist import checklists
from services.safety.cycle import SafetyCyclePolicy, safety_cycles
from services.safety.draw import inspection_draws
from services.safety.hazard import HazardPolicy, hazards
from services.safety.inspection import inspections
from services.safety.programme import InspectionPolicy
from services.safety.route import inspection_routes
from shared.kernel import Service

safety = Service(
    "safety",
    [
        hazards,
        checklists,
        inspections,
        inspection_draws,
        inspection_routes,
        safety_checks,
        safety_cycles,
    ],
    policies=[HazardPolicy, InspectionPolicy, SafetyCyclePolicy],
)
