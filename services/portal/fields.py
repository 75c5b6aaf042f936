"""A JSON Schema of a contract as one form field or column: resolved, in one language.

A screen must not know JSON Schema: references are followed, `X or nothing` is X, enumerations are
choices with their words, and what an id points at says where to pick one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from shared.fields import FILE_KINDS
from shared.words import Words

type Schema = Mapping[str, Any]
type Made = dict[str, Any]
type Refer = Callable[[str], Made]
"""Where to pick what an id points at."""

FORMATS = {
    "uuid": "id", "date": "date", "date-time": "datetime", "time": "time", "decimal": "decimal",
}  # fmt: skip
KINDS = {"string": "text", "integer": "integer", "number": "decimal", "boolean": "boolean"}
LIMITS = {
    "minimum": "min", "maximum": "max", "exclusiveMinimum": "above", "exclusiveMaximum": "below",
    "x-ge": "min", "x-le": "max", "x-gt": "above", "x-lt": "below", "x-scale": "scale",
    "minLength": "min_length", "maxLength": "max_length", "pattern": "pattern",
    "minItems": "min_items", "maxItems": "max_items",
}  # fmt: skip
LONG = 500
"""A text that may be longer is written in more than one line."""

DEPTH_MAX = 8


class Fields:
    """The fields of one contract's schemas in one language."""

    def __init__(
        self, schemas: Mapping[str, Schema], lang: str, words: Words, refer: Refer
    ) -> None:
        self.schemas, self.lang, self.words, self.refer = schemas, lang, words, refer

    def of(self, name: str, *, leaving_out: Sequence[str] = ()) -> list[Made]:
        """The fields of a schema, in its order."""
        schema = self.schemas[name]
        return self._properties(schema, 0, leaving_out)

    def columns(self, name: str, wanted: Sequence[str]) -> list[Made]:
        """These fields of a schema, in this order."""
        known = {field["name"]: field for field in self.of(name)}
        return [self._worded(known[column]) for column in wanted if column in known]

    def _worded(self, field: Made) -> Made:
        """With words for its codes, where the service has some for this field: allergens."""
        prefix, texts = f"{field['name']}.", self.words.sections["values"]
        codes = [name.removeprefix(prefix) for name in texts if name.startswith(prefix)]
        options = [
            {"value": code, "label": self.words.word("values", prefix + code)._asdict()[self.lang]}
            for code in codes
        ]
        of = field.get("item", field)
        if not options or of["kind"] != "text":
            return field
        worded = of | {"options": options}
        return worded if of is field else field | {"item": worded}

    def _properties(
        self, schema: Schema, depth: int, leaving_out: Sequence[str] = ()
    ) -> list[Made]:
        due = schema.get("required", ())
        return [
            self._field(name, field, depth) | {"required": name in due and "default" not in field}
            for name, field in schema.get("properties", {}).items()
            if name not in leaving_out
        ]

    def _field(self, name: str, schema: Schema, depth: int) -> Made:
        label = schema.get("x-title", {}).get(self.lang, schema.get("title", name))
        whole, nullable = self._resolved(schema)
        made: Made = {
            "name": name,
            "label": label,
            "nullable": nullable,
            **self._kind(whole, depth),
        }
        if "default" in schema:
            made["default"] = schema["default"]
        if examples := whole.get("examples"):
            made["example"] = examples[0]
        return made

    def _resolved(self, schema: Schema) -> tuple[Schema, bool]:
        """The schema with what it refers to laid under it; and whether it may be null."""
        nullable = bool(schema.get("x-nullable"))
        whole = dict(schema)
        while "$ref" in whole or len(_kinds(whole)) == 1:
            if "$ref" in whole:
                below: Schema = self.schemas[whole.pop("$ref").rpartition("/")[2]]
            else:
                nullable |= len(_kinds(whole)) < len(whole["anyOf"])
                below = _kinds(whole)[0]
                del whole["anyOf"]
            whole = {**below, **whole}
        return whole, nullable or {"type": "null"} in whole.get("anyOf", ())

    def _kind(self, schema: Schema, depth: int) -> Made:
        made: Made = {to: schema[name] for name, to in LIMITS.items() if name in schema}
        if "x-unit" in schema:
            label = self.words.find("values", f"Unit.{schema['x-unit']}")
            shown = label._asdict()[self.lang] if label else schema["x-unit"]
            made["unit"] = {"code": schema["x-unit"], "label": shown}
        return made | self._shape(schema, depth)

    def _shape(self, schema: Schema, depth: int) -> Made:
        reference = schema.get("x-ref")
        if schema.get("type") == "array" and depth < DEPTH_MAX:
            # What the list's ids point at is said of the list.
            item = dict(schema["items"]) | ({"x-ref": reference} if reference else {})
            return {"kind": "list", "item": self._field("", item, depth + 1)}
        if reference in FILE_KINDS:
            return {"kind": "file", "file": reference}
        if reference:
            return {"kind": "ref", "ref": self.refer(reference)}
        if "enum" in schema:
            return {"kind": "choice", "options": self._options(schema)}
        if "anyOf" in schema and depth < DEPTH_MAX:
            kinds = [self._field("", kind, depth + 1) for kind in _kinds(schema)]
            return {"kind": "union", "kinds": kinds}
        if "properties" in schema and depth < DEPTH_MAX:
            return {"kind": "object", "fields": self._properties(schema, depth + 1)}
        kind = FORMATS.get(schema.get("format", "")) or KINDS.get(str(schema.get("type")), "any")
        long = kind == "text" and schema.get("maxLength", 0) > LONG
        return {"kind": "longtext" if long else kind}

    def _options(self, schema: Schema) -> list[Made]:
        labels = schema.get("x-labels", {})
        return [
            {"value": value, "label": labels.get(str(value), {}).get(self.lang, str(value))}
            for value in schema["enum"]
        ]


def _kinds(schema: Schema) -> list[Schema]:
    """The alternatives that are not null."""
    return [kind for kind in schema.get("anyOf", ()) if kind != {"type": "null"}]
