"""Random draws: the same seed gives the same draw to anybody, and nobody inspects his own."""

from collections import Counter
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

from services.safety.checklist import ChecklistWithdrawn, checklists
from services.safety.draw import (
    METHOD,
    DrawInspections,
    DrawnInspection,
    DrawnInspector,
    InspectionsDrawn,
    InspectorCandidate,
    draw,
    inspection_draw_register,
    inspection_draws,
)
from services.safety.inspection import InspectionBasis, inspections
from services.safety.inspection.schedule import SetInspection
from services.safety.programme import ProgrammeKind
from shared.kernel import By, Recorded, Send
from shared.organisation import Level, Role, Unit
from shared.testing import COUNTY, STREAM, by, given
from tests.safety.test_inspection import BUREAU, LIST

DAY = date(2026, 9, 21)
OFFICE = UUID(int=900)
SCHOOLS = tuple(UUID(int=100 + number) for number in range(6))
PEOPLE = tuple(f"inspector{number}" for number in range(5))


def unit(id_: UUID, *above: UUID, level: Level = Level.SCHOOL, closed: date | None = None) -> Unit:
    return Unit(id=id_, code="", name="某校", level=level, path=(*above, id_), closed_on=closed)


COUNTY_UNIT = unit(COUNTY, level=Level.COUNTY)
UNITS = {id_: unit(id_, COUNTY) for id_ in SCHOOLS}
CLASS = unit(UUID(int=901), COUNTY, SCHOOLS[0], level=Level.CLASS)
HOMES = {OFFICE: unit(OFFICE, COUNTY), CLASS.id: CLASS}
CALLER = by("zhao", Role.SUPERVISOR, unit=COUNTY, level=Level.COUNTY)
INSPECTORS = tuple(InspectorCandidate(person=person, unit=OFFICE) for person in PEOPLE)
CANDIDATES = tuple(DrawnInspector(person=p, unit=OFFICE, own_school=None) for p in PEOPLE)


def command(**more: Any) -> DrawInspections:
    content: dict[str, Any] = {
        "organisation": COUNTY, "checklist": LIST, "planned_on": DAY, "schools": SCHOOLS,
        "inspectors": INSPECTORS, "schools_count": 3, "inspectors_each": 2, "seed": "04 11 19",
        "seed_source": "福利彩票第2026100期", "bodies": ("市场监管局",),
    }  # fmt: skip
    return DrawInspections(**content | more)


@dataclass
class Drawing:
    """A draw with its usual facts."""

    asked: DrawInspections
    past: tuple[InspectionsDrawn, ...] = ()
    by: By = CALLER

    def result(self, **facts: Any) -> Any:
        usual = {"unit": COUNTY_UNIT, "schools": UNITS, "homes": HOMES, "checklist": BUREAU}
        return given(inspection_draws, *self.past).when(self.asked, by=self.by, **usual | facts)


def result(seed: str, schools: tuple[UUID, ...] = SCHOOLS, people: Any = CANDIDATES) -> Any:
    return draw(seed=seed, schools=schools, inspectors=people, schools_count=3, inspectors_each=2)


def test_the_draw_is_the_same_for_everybody_in_whatever_order() -> None:
    assert result("04 11 19") == result("04 11 19")
    assert result("04 11 19") == result("04 11 19", SCHOOLS[::-1], CANDIDATES[::-1])
    others = {tuple(school for school, _ in result(f"seed {number}")) for number in range(20)}
    assert len(others) > 10


def test_the_method_never_changes_under_its_name() -> None:
    assert METHOD == "sha256-rank-1"
    assert [(school.int, team) for school, team in result("04 11 19")] == [
        (104, ("inspector1", "inspector3")),
        (105, ("inspector4", "inspector0")),
        (102, ("inspector2", "inspector0")),
    ]


def test_the_work_is_spread_evenly() -> None:
    work = Counter(
        person
        for _, team in draw(
            seed="04 11 19", schools=SCHOOLS, inspectors=CANDIDATES, schools_count=5,
            inspectors_each=2,
        )
        for person in team
    )  # fmt: skip
    assert set(work.values()) == {2}


def test_nobody_is_sent_to_his_own_school() -> None:
    own = tuple(
        DrawnInspector(person=p, unit=OFFICE, own_school=SCHOOLS[0] if p == PEOPLE[0] else None)
        for p in PEOPLE
    )
    for number in range(30):
        for school, team in result(f"seed {number}", people=own):
            assert school != SCHOOLS[0] or PEOPLE[0] not in team


def test_draws_once_and_sets_every_inspection_in_the_same_transaction() -> None:
    drawn = tuple(
        DrawnInspection(
            school=school, inspectors=team, inspection=inspections.id_of("draw", STREAM, school)
        )
        for school, team in result("04 11 19")
    )
    made = InspectionsDrawn(
        checklist=LIST, programme="检查表", kind=ProgrammeKind.RANDOM, planned_on=DAY,
        schools=SCHOOLS, inspectors=CANDIDATES, schools_count=3, inspectors_each=2,
        seed="04 11 19", seed_source="福利彩票第2026100期", method=METHOD, drawn=drawn,
        drawn_by="zhao",
    )  # fmt: skip
    sends = [
        Send(
            inspections, one.inspection,
            SetInspection(
                organisation=one.school, checklist=LIST, planned_on=DAY,
                inspectors=one.inspectors, bodies=("市场监管局",), basis=InspectionBasis.DRAW,
                origin=STREAM, stop=stop,
            ),
        )
        for stop, one in enumerate(drawn, 1)
    ]  # fmt: skip
    Drawing(command()).result().then(made, *sends)
    Drawing(command(), past=(made,)).result().then()
    Drawing(command(seed="another seed"), past=(made,)).result().refused(
        "drawn_already", field="planned_on"
    )
    key = inspection_draws.key
    assert key is not None
    assert key(command(seed="another seed")) == key(command())
    recorded = Recorded(
        id=STREAM, stream=STREAM, version=1, organisation=COUNTY, actor="zhao",
        occurred_at=CALLER.at, recorded_at=CALLER.now,
    )  # fmt: skip
    row = inspection_draw_register(given(inspection_draws, made).state, recorded)
    again = draw(
        seed=row.seed, schools=row.schools, inspectors=row.inspectors,
        schools_count=row.schools_count, inspectors_each=row.inspectors_each,
    )  # fmt: skip
    assert again == [(one.school, one.inspectors) for one in row.drawn]


def test_a_candidate_s_own_school_is_seen_through_his_class() -> None:
    people = (InspectorCandidate(person="teacher", unit=CLASS.id), *INSPECTORS)
    made = Drawing(command(inspectors=people, schools_count=6)).result().outcome()[0]
    assert isinstance(made, InspectionsDrawn)
    assert made.inspectors[0].own_school == SCHOOLS[0]
    assert all("teacher" not in one.inspectors for one in made.drawn if one.school == SCHOOLS[0])


def test_refuses_candidates_that_cannot_be() -> None:
    Drawing(command(schools_count=7)).result().refused("too_few_schools", field="schools")
    Drawing(command(inspectors_each=6)).result().refused("too_few_inspectors")
    twice = (*INSPECTORS, INSPECTORS[0])
    Drawing(command(inspectors=twice)).result().refused("inspector_twice")
    Drawing(command()).result(homes={}).refused("inspector_unit_unknown", field="inspectors")
    Drawing(command(schools=(*SCHOOLS, SCHOOLS[0]))).result().refused("school_twice")


def test_refuses_schools_of_others_closed_ones_and_the_bureau_itself() -> None:
    elsewhere = {**UNITS, SCHOOLS[0]: unit(SCHOOLS[0], UUID(int=4))}
    Drawing(command()).result(schools=elsewhere).refused("school_not_below", field="schools")
    Drawing(command()).result(schools={}).refused("school_not_below")
    itself = Drawing(command(schools=(COUNTY, *SCHOOLS)))
    itself.result(schools={**UNITS, COUNTY: COUNTY_UNIT}).refused("school_not_below")
    closed = {**UNITS, SCHOOLS[0]: unit(SCHOOLS[0], COUNTY, closed=DAY)}
    Drawing(command()).result(schools=closed).refused("school_closed")


def test_refuses_a_past_day_and_a_checklist_that_does_not_serve() -> None:
    past = command(planned_on=date(2026, 9, 6))
    Drawing(past).result().refused("planned_in_the_past")
    Drawing(command()).result(checklist=None).refused("checklist_unknown")
    gone = checklists.evolve(BUREAU, ChecklistWithdrawn(checklist_version=2, reason="过时"))
    Drawing(command()).result(checklist=gone).refused("checklist_withdrawn")
