"""JSON Schemas of commands and rows, with the labels that forms and templates show."""

from __future__ import annotations

from typing import Any

import msgspec
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from shared.kernel import Decision, View
from shared.words import Words

REF = "#/components/schemas/{name}"


class CommandSchema(GenerateJsonSchema):
    """Decimals as strings with their scale, and `X | None` as X marked nullable, so that a form
    or a template sees one type per field.
    """

    def decimal_schema(self, schema: core_schema.DecimalSchema) -> JsonSchemaValue:
        """A decimal as text."""
        made: JsonSchemaValue = {"type": "string", "format": "decimal"}
        for name in ("ge", "gt", "le", "lt"):
            if name in schema:
                made[f"x-{name}"] = str(schema[name])
        if "decimal_places" in schema:
            made["x-scale"] = schema["decimal_places"]
        return made

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        """The inner type, marked."""
        return {**self.generate_inner(schema["schema"]), "x-nullable": True}


def command_schemas(decision: Decision, words: Words) -> dict[str, Any]:
    """The JSON Schemas of a command and of its parts, by name, with labels in both languages."""
    schema = decision.command.model_json_schema(
        schema_generator=CommandSchema, ref_template=REF.replace("{name}", "{model}")
    )
    made = {**schema.pop("$defs", {}), decision.name: schema}
    for one in made.values():
        label(one, words)
    if decision.creates and (columns := _columns(schema, made)):
        schema["x-columns"] = columns
    return made


def _columns(schema: dict[str, Any], parts: dict[str, Any]) -> list[str]:
    """The fields as a row of a spreadsheet has them; none if one of them has no room in a cell."""
    fields = {name: made for name, made in schema["properties"].items() if name != "id"}
    if any(_types(made, parts) & {"array", "object"} for made in fields.values()):
        return []
    return sorted(fields, key="occurred_at".__eq__)


def _types(schema: dict[str, Any], parts: dict[str, Any]) -> set[str]:
    """The JSON types that a value may have, also where a part or a choice says them."""
    kinds = list(schema.get("anyOf", ()))
    if "$ref" in schema:
        kinds.append(parts[schema["$ref"].rpartition("/")[2]])
    found = {schema["type"]} if "type" in schema else set()
    return found.union(*(_types(kind, parts) for kind in kinds))


def row_schemas(row: type[View], words: Words) -> dict[str, Any]:
    """The JSON Schemas of a row class and of what it refers to, by name, with labels."""
    _, made = msgspec.json.schema_components((row,), ref_template=REF)
    for one in made.values():
        label(one, words)
    return made


def label(schema: dict[str, Any], words: Words) -> None:
    """Marks a schema, its fields and its choices with their labels in both languages."""
    name = schema.get("title", "")
    for value in schema.get("enum", ()):
        word = words.find("values", f"{name}.{value}")
        if word:
            schema.setdefault("x-labels", {})[str(value)] = word._asdict()
    title = words.find("commands", name)
    if title:
        schema["title"], schema["x-title"] = title.zh, title._asdict()
    for field, made in schema.get("properties", {}).items():
        word = words.find("fields", field)
        if word:
            made["title"], made["x-title"] = word.zh, word._asdict()
