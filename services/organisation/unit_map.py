"""A region's own map for its dashboards: the outlines of the units below it, one version at a time.

The platform ships no map: whoever shows one to others needs its approval number (审图号), which
stands beside it wherever it is drawn. Rule: regulations on map management (《地图管理条例》).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from copy import replace
from datetime import date
from typing import Annotated
from uuid import UUID

import msgspec
from pydantic import StringConstraints

from services.organisation.unit import units
from shared.fields import Name, Reason
from shared.kernel import (
    Aggregate,
    By,
    Command,
    Creation,
    Event,
    From,
    Recorded,
    Refused,
    State,
    View,
)  # fmt: skip
from shared.organisation import READERS, Role, Unit

DECIMALS = 5
"""Of a degree: about a metre, more than a screen can show."""

RING_MIN = 4
"""A ring of three corners ends where it began."""

LONGITUDE_MAX, LATITUDE_MAX = 180, 90


class Outline(msgspec.Struct, frozen=True, kw_only=True):
    """`outline`: the coordinates of a GeoJSON MultiPolygon, as JSON."""

    unit: UUID
    code: str
    outline: str


class MapAdopted(Event):
    """Takes the place of the map before it. `approval_number`: 审图号; `source`: who made it."""

    approval_number: str
    source: str
    outlines: tuple[Outline, ...]


class MapWithdrawn(Event):
    approval_number: str
    reason: str


type MapEvent = MapAdopted | MapWithdrawn


class UnitMap(State):
    """No outlines: it was withdrawn."""

    approval_number: str
    source: str
    outlines: tuple[Outline, ...]


def evolve(state: UnitMap | None, event: MapEvent) -> UnitMap:
    """The map after one more event."""
    match event:
        case MapAdopted():
            return UnitMap(
                approval_number=event.approval_number, source=event.source, outlines=event.outlines
            )
        case MapWithdrawn():
            assert state is not None, "a map is adopted first"
            return replace(state, outlines=())


unit_maps = Aggregate(
    "unit_map", events=MapEvent, state=UnitMap, evolve=evolve,
    key=lambda command: f"map:{command.organisation}",
)  # fmt: skip

type Ring = list[list[float]]


class Polygon(msgspec.Struct, tag_field="type", tag="Polygon"):
    coordinates: list[Ring]


class MultiPolygon(msgspec.Struct, tag_field="type", tag="MultiPolygon"):
    coordinates: list[list[Ring]]


class Properties(msgspec.Struct):
    """`code`: that of the unit whose outline it is."""

    code: str


class Feature(msgspec.Struct, tag_field="type", tag="Feature"):
    properties: Properties
    geometry: Polygon | MultiPolygon


class FeatureCollection(msgspec.Struct, tag_field="type", tag="FeatureCollection"):
    features: Annotated[list[Feature], msgspec.Meta(min_length=1, max_length=500)]


class AdoptMap(Creation):
    """`geojson`: a FeatureCollection of Polygons and MultiPolygons; each one's property `code` is
    the code of a unit at or below this one.
    """

    approval_number: Name
    source: Name
    geojson: Annotated[str, StringConstraints(min_length=2, max_length=200_000)]


def units_drawn(command: AdoptMap, state: UnitMap | None, by: By) -> tuple[UUID, ...]:
    """The units whose outlines are handed in; none where that cannot be read."""
    try:
        features = features_of(command.geojson)
    except Refused:
        return ()
    return tuple(dict.fromkeys(units.id_of(feature.properties.code) for feature in features))


@unit_maps.post("/unit-maps", allow=(Role.ADMINISTRATOR,))
def adopt(
    state: UnitMap | None,
    command: AdoptMap,
    by: By,
    places: Annotated[dict[UUID, Unit], From(units_drawn)],
) -> MapAdopted | None:
    outlines: dict[str, Outline] = {}
    for feature in features_of(command.geojson):
        code = feature.properties.code
        place = places.get(units.id_of(code))
        if place is None:
            raise Refused("map_unit_unknown", field="geojson", code=code)
        if not any(unit == by.unit for unit in place.path):
            raise Refused("map_unit_elsewhere", field="geojson", unit=place.name)
        if code in outlines:
            raise Refused("map_unit_twice", field="geojson", unit=place.name)
        outlines[code] = Outline(unit=place.id, code=code, outline=drawn(feature))
    adopted = MapAdopted(
        approval_number=command.approval_number,
        source=command.source,
        outlines=tuple(outlines.values()),
    )
    return None if state is not None and evolve(None, adopted) == state else adopted


class WithdrawMap(Command):
    reason: Reason


@unit_maps.post("/unit-maps/{id}/withdraw", allow=(Role.ADMINISTRATOR,))
def withdraw(state: UnitMap, command: WithdrawMap, by: By) -> MapWithdrawn | None:
    if not state.outlines:
        return None
    return MapWithdrawn(approval_number=state.approval_number, reason=command.reason)


def features_of(geojson: str) -> list[Feature]:
    """The features of a collection of polygons; refuses whatever else it is, saying where."""
    try:
        return msgspec.json.decode(geojson, type=FeatureCollection).features
    except msgspec.DecodeError as error:
        where = re.search(r"\$[\w.\[\]]*", str(error))
        raise Refused(
            "map_unreadable", field="geojson", where=where[0] if where else "$"
        ) from error


def drawn(feature: Feature) -> str:
    """The feature's outline, rounded, as text; refuses rings that are open or not on earth."""
    geometry = feature.geometry
    polygons = (
        [geometry.coordinates] if isinstance(geometry, Polygon) else geometry.coordinates
    )  # fmt: skip
    rings = [ring for polygon in polygons for ring in polygon]
    if not rings or not all(is_closed(ring) and all(map(is_on_earth, ring)) for ring in rings):
        raise Refused("map_outline_broken", field="geojson", code=feature.properties.code)
    rounded = [
        [[[round(x, DECIMALS), round(y, DECIMALS)] for x, y, *_ in ring] for ring in polygon]
        for polygon in polygons
    ]
    return msgspec.json.encode(rounded).decode()


def is_closed(ring: Ring) -> bool:
    """Whether it ends where it began."""
    return len(ring) >= RING_MIN and ring[0] == ring[-1]


def is_on_earth(position: Iterable[float]) -> bool:
    """Whether it is a longitude and a latitude, in this order."""
    match list(position):
        case [x, y, *_]:
            return abs(x) <= LONGITUDE_MAX and abs(y) <= LATITUDE_MAX
        case _:
            return False


class UnitOutlineRow(View):
    """One unit's outline on the map of `organisation`."""

    id: UUID
    organisation: UUID
    of_unit: UUID
    code: str
    approval_number: str
    source: str
    outline: str
    adopted_on: date


@unit_maps.view("/unit-maps", allow=READERS, filters=("code", "of_unit"), sorts=("code",))
def unit_outlines(state: UnitMap, recorded: Recorded) -> dict[str, UnitOutlineRow]:
    return {
        one.code: UnitOutlineRow(
            id=recorded.stream,
            organisation=recorded.organisation,
            of_unit=one.unit,
            code=one.code,
            approval_number=state.approval_number,
            source=state.source,
            outline=one.outline,
            adopted_on=recorded.day,
        )
        for one in state.outlines
    }
