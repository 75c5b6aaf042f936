"""Who there is and by which rules: the tree of units, people and posts, calendars, rule packs."""

from services.organisation import complaint_box, me, people
from services.organisation.area import VisitsPolicy, areas
from services.organisation.calendar import calendars
from services.organisation.calendar.setting import HolidaysPolicy, SchoolYearPolicy
from services.organisation.complaint import ComplaintsPolicy, complaints
from services.organisation.erasing import erasing
from services.organisation.erasure import ErasurePolicy, erasures
from services.organisation.establishment import establishments
from services.organisation.establishment.keep import EstablishmentPolicy
from services.organisation.kinds import CodesPolicy
from services.organisation.posts import DelegationPolicy, PostsPolicy, SegregationPolicy
from services.organisation.rule_pack import rule_packs
from services.organisation.staff import staff
from services.organisation.unit import units
from services.organisation.unit_map import unit_maps
from services.organisation.vacancy import vacancies
from shared.kernel import Service

organisation = Service(
    "organisation",
    [
        units,
        staff,
        establishments,
        vacancies,
        areas,
        calendars,
        rule_packs,
        erasures,
        complaints,
        unit_maps,
    ],
    policies=[
        CodesPolicy,
        PostsPolicy,
        SegregationPolicy,
        DelegationPolicy,
        EstablishmentPolicy,
        VisitsPolicy,
        SchoolYearPolicy,
        HolidaysPolicy,
        ErasurePolicy,
        ComplaintsPolicy,
    ],
    chores=[erasing],
    routers=[me.router, people.router, complaint_box.router],
)
