"""A region's own map: polygons only, of units that there are, with its approval number."""

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from services.organisation.unit import units
from services.organisation.unit_map import (
    AdoptMap,
    MapAdopted,
    MapWithdrawn,
    Outline,
    WithdrawMap,
    unit_maps,
    unit_outlines,
    units_drawn,
)  # fmt: skip
from shared.kernel import Event, Recorded
from shared.organisation import Level, Role, Unit
from shared.testing import SCHOOL, STREAM, Result, by, given

ADMINISTRATOR = by("li", Role.ADMINISTRATOR)
NUMBER, MAKER = "GS(2026)0001号", "县自然资源局"
SQUARE = [[[113.0, 26.0], [113.123456789, 26.0], [113.0, 26.1], [113.0, 26.0]]]
TOWN, OTHER = "431081100", "431022100"


def place(code: str, above: UUID = SCHOOL) -> Unit:
    id_ = units.id_of(code)
    return Unit(id=id_, code=code, name=f"乡{code}", level=Level.TOWNSHIP, path=(above, id_))


PLACES = {one.id: one for one in (place(TOWN), place(OTHER, UUID(int=1)))}
OUTLINE = Outline(
    unit=units.id_of(TOWN), code=TOWN,
    outline="[[[[113.0,26.0],[113.12346,26.0],[113.0,26.1],[113.0,26.0]]]]",
)  # fmt: skip
ADOPTED = MapAdopted(approval_number=NUMBER, source=MAKER, outlines=(OUTLINE,))

MOMENT = datetime(2026, 9, 7, tzinfo=UTC)
RECORDED = Recorded(
    id=UUID(int=1), stream=STREAM, version=1, organisation=SCHOOL, actor="li", occurred_at=MOMENT,
    recorded_at=MOMENT,
)  # fmt: skip


def feature(code: str = TOWN, kind: str = "Polygon", coordinates: Any = SQUARE) -> dict[str, Any]:
    geometry = {"type": kind, "coordinates": coordinates}
    return {"type": "Feature", "properties": {"code": code, "n": 1}, "geometry": geometry}


def command(*features: Any, **more: Any) -> AdoptMap:
    text = json.dumps({"type": "FeatureCollection", "features": features} | more)
    return AdoptMap(organisation=SCHOOL, approval_number=NUMBER, source=MAKER, geojson=text)


def adopt(*features: Any, before: tuple[Event, ...] = ()) -> Result:
    return given(unit_maps, *before).when(command(*features), by=ADMINISTRATOR, places=PLACES)


def test_outlines_are_kept_rounded_and_by_unit() -> None:
    adopt(feature()).then(ADOPTED)
    adopt(feature(kind="MultiPolygon", coordinates=[SQUARE])).then(ADOPTED)
    adopt(feature(), before=(ADOPTED,)).then()
    assert units_drawn(command(feature(), feature(OTHER)), None, ADMINISTRATOR) == (
        units.id_of(TOWN), units.id_of(OTHER),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("features", "slug"),
    [
        ([feature(kind="LineString", coordinates=SQUARE[0])], "map_unreadable"),
        ([feature(kind="Point", coordinates=[113, 26])], "map_unreadable"),
        ([], "map_unreadable"),
        ([{"type": "Feature", "properties": {}, "geometry": None}], "map_unreadable"),
        ([feature("431081999")], "map_unit_unknown"),
        ([feature(OTHER)], "map_unit_elsewhere"),
        ([feature(), feature()], "map_unit_twice"),
        ([feature(coordinates=[SQUARE[0][:3]])], "map_outline_broken"),
        ([feature(coordinates=[[[0, 0], [1, 1], [2, 2], [3, 3]]])], "map_outline_broken"),
        ([feature(coordinates=[[[900, 0], [1, 1], [2, 2], [900, 0]]])], "map_outline_broken"),
        ([feature(coordinates=[[[1], [1, 1], [2, 2], [1]]])], "map_outline_broken"),
        ([feature(coordinates=[])], "map_outline_broken"),
    ],
)
def test_whatever_is_no_map_of_ours_is_refused(features: list[Any], slug: str) -> None:
    adopt(*features).refused(slug, field="geojson")


def test_what_is_no_json_is_refused() -> None:
    made = AdoptMap(organisation=SCHOOL, approval_number=NUMBER, source=MAKER, geojson="{]")
    assert units_drawn(made, None, ADMINISTRATOR) == ()
    given(unit_maps).when(made, by=ADMINISTRATOR, places={}).refused("map_unreadable")


def test_a_map_that_is_withdrawn_shows_nothing_until_another_is_adopted() -> None:
    command = WithdrawMap(reason="换用新版地图")
    withdrawn = MapWithdrawn(approval_number=NUMBER, reason="换用新版地图")
    after = given(unit_maps, ADOPTED).when(command, by=ADMINISTRATOR).then(withdrawn)
    assert unit_outlines(after.state, RECORDED) == {}
    given(unit_maps, ADOPTED, withdrawn).when(command, by=ADMINISTRATOR).then()
    adopt(feature(), before=(ADOPTED, withdrawn)).then(ADOPTED)


def test_each_unit_that_is_drawn_has_a_row() -> None:
    (row,) = unit_outlines(given(unit_maps, ADOPTED).state, RECORDED).values()
    assert (row.organisation, row.of_unit, row.approval_number) == (SCHOOL, OUTLINE.unit, NUMBER)
    assert json.loads(row.outline)[0][0][0] == [113.0, 26.0]
