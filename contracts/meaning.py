"""What a field means beyond its JSON type, for forms, lists and pickers: its unit and what its id
points at. Said by the declaration itself, by a fact that the decision loads, or by its name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from shared.fields import FILE_KINDS
from shared.kernel import Decision, Service
from shared.words import SHARED, read

PERSON = "person"
"""What a sign-in name points at."""

SERVICES = Path(__file__).parent.parent / "services"


def references_of(service: Service) -> dict[str, str]:
    """Field name -> what an id under that name points at: an aggregate of the service, a unit, a
    list whose rows' `key` it is, or a stored file. A name means one thing within a service.
    """
    own = read(SERVICES / service.name / "words.toml").get("references", {})
    names = {aggregate.name: aggregate.name for aggregate in service.aggregates}
    facts = {
        field: target
        for decision in service.decisions().values()
        for field, target in facts_of(decision, service).items()
    }
    return names | facts | read(SHARED)["references"] | own


def facts_of(decision: Decision, service: Service) -> dict[str, str]:
    """Command field -> the aggregate whose state the decision loads by it."""
    by_state = {aggregate.state: aggregate.name for aggregate in service.aggregates}
    return {
        fact.source.source: by_state[fact.type]
        for fact in decision.facts
        if fact.kind == "state" and fact.source and isinstance(fact.source.source, str)
    }


def tell(schemas: Mapping[str, Any], references: Mapping[str, str]) -> None:
    """Marks every field of the schemas with `x-ref` and `x-unit` where they follow."""
    units = read(SHARED)["units"]
    for schema in schemas.values():
        for name, field in schema.get("properties", {}).items():
            # What declares its own meaning, itself or by its type, is left as it is.
            told = _told(field, schemas)
            ending = name[name.rfind("_") :]
            names = (name, name.removesuffix("s"), ending)
            target = next((references[one] for one in names if one in references), None)
            if target is not None and "x-ref" not in told and _fits(target, field, schemas):
                field["x-ref"] = target
            unit = units.get(name.rpartition("_")[2]) if "_" in name else None
            if unit is not None and "x-unit" not in told and _is_number(field, schemas):
                field["x-unit"] = unit


def _kinds(field: Mapping[str, Any], schemas: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The schema, what it refers to, its alternatives and its items."""
    yield field
    if "$ref" in field:
        yield from _kinds(schemas.get(field["$ref"].rpartition("/")[2], {}), schemas)
    for kind in (*field.get("anyOf", ()), field.get("items", {})):
        if kind:
            yield from _kinds(kind, schemas)


def _told(field: Mapping[str, Any], schemas: Mapping[str, Any]) -> set[str]:
    return {name for kind in _kinds(field, schemas) for name in kind if name.startswith("x-")}


def _fits(target: str, field: Mapping[str, Any], schemas: Mapping[str, Any]) -> bool:
    """Whether a field of that name can hold what the name promises."""
    if target in FILE_KINDS:
        return True
    return (_is_text if target == PERSON else _is_id)(field, schemas)


def _is_id(field: Mapping[str, Any], schemas: Mapping[str, Any]) -> bool:
    return any(kind.get("format") == "uuid" for kind in _kinds(field, schemas))


def _is_text(field: Mapping[str, Any], schemas: Mapping[str, Any]) -> bool:
    kinds = [kind for kind in _kinds(field, schemas) if "type" in kind or "enum" in kind]
    texts = {"string", "null", "array"}
    plain = all(not {"enum", "format"} & kind.keys() and kind["type"] in texts for kind in kinds)
    return plain and any(kind["type"] == "string" for kind in kinds)


def _is_number(field: Mapping[str, Any], schemas: Mapping[str, Any]) -> bool:
    return any(
        kind.get("format") == "decimal" or kind.get("type") in {"integer", "number"}
        for kind in _kinds(field, schemas)
    )
