"""A small tree, as units' states and as the local copy knows it."""

from copy import replace
from datetime import date
from uuid import UUID

from services.organisation.kinds import UnitKind
from services.organisation.unit import Place, TreeUnit, UnitRegistered, units
from shared.kernel import By
from shared.organisation import Level, Role, Unit
from shared.testing import by

SINCE = date(2009, 8, 1)


def tree_unit(code: str, level: Level, parent: UUID | None, name: str = "") -> TreeUnit:
    return TreeUnit(
        code=code, name=name or code, level=level, kind=UnitKind.PRIMARY, stage="primary",  # type: ignore[arg-type]
        boarding=False, division_code="420528", places=(Place(parent=parent, since=SINCE),),
    )  # fmt: skip


PROVINCE = tree_unit("42", Level.PROVINCE, None)
CITY = tree_unit("420500", Level.CITY, PROVINCE.unit)
COUNTY = tree_unit("420528", Level.COUNTY, CITY.unit, "长阳县")
OTHER_COUNTY = tree_unit("420506", Level.COUNTY, CITY.unit, "夷陵区")
TOWN = tree_unit("420528100", Level.TOWNSHIP, COUNTY.unit)
SCHOOL = tree_unit("2142000001", Level.SCHOOL, TOWN.unit, "高家岭小学")
SISTER = tree_unit("2142000002", Level.SCHOOL, TOWN.unit)
CAMPUS = tree_unit("2142000001-01", Level.CAMPUS, SCHOOL.unit)
ABOVE = {
    state.unit: state
    for state in (PROVINCE, CITY, COUNTY, OTHER_COUNTY, TOWN, SCHOOL, SISTER, CAMPUS)
}


def copy_of(state: TreeUnit) -> Unit:
    path = [state.unit]
    while (above := ABOVE[path[0]].above) is not None:
        path.insert(0, above)
    return Unit(
        id=state.unit, code=state.code, name=state.name, level=state.level, path=tuple(path)
    )


def registered(state: TreeUnit) -> UnitRegistered:
    return UnitRegistered(
        code=state.code, name=state.name, level=state.level, parent=state.above, kind=state.kind,
        division_code=state.division_code, since=state.since, boarding=state.boarding,
        stage=state.stage,
    )  # fmt: skip


def closed(state: TreeUnit, day: date) -> TreeUnit:
    return replace(state, closed_on=day)


def caller(
    state: TreeUnit, *roles: Role, at: TreeUnit = COUNTY, person: str = "officer",
    day: str = "2026-09-07",
) -> By:  # fmt: skip
    """Somebody with `roles` at the unit `at` who calls a command on the stream of `state`."""
    return by(
        person, *roles, at=f"{day}T08:00:00+08:00", unit=at.unit, level=at.level,
        stream=units.id_of(state.code),
    )  # fmt: skip
