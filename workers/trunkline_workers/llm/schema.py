"""The JSON schema that a model's answer must keep to, in the form in which a provider can enforce it.

OpenAI's *strict* mode asks for closed objects with every property required, and knows only some keywords. A schema that
can be brought into that form is; for any other the provider is asked without strictness. Either way the answer is
validated by whoever asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# https://platform.openai.com/docs/guides/structured-outputs#supported-schemas
_PLAIN = {
    "type", "description", "enum", "const", "$ref", "pattern", "format", "multipleOf", "maximum", "exclusiveMaximum",
    "minimum", "exclusiveMinimum", "minItems", "maxItems",
}  # fmt: skip
_DROPPED = {"title", "default", "examples"}


class _Beyond(Exception):
    """Strict mode cannot express the schema."""


def response_format(name: str, schema: Mapping[str, Any]) -> dict[str, Any] | None:
    """The ``response_format`` of a call, strict where that is possible; ``None`` if ``schema`` is not an object's."""
    root = _root(schema)
    if root.get("type") != "object":
        return None
    try:
        shape, strict = _strict(root), True
    except _Beyond:
        shape, strict = dict(root), False
    return {"type": "json_schema", "json_schema": {"name": name, "schema": shape, "strict": strict}}


def _root(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """``schema``, itself an object's where it only refers to one (as a recursive model does)."""
    reference = str(schema.get("$ref", ""))
    definitions = schema.get("$defs") or {}
    target = definitions.get(reference.removeprefix("#/$defs/"))
    return {**target, "$defs": definitions} if reference and target else schema


def _strict(schema: Any) -> dict[str, Any]:
    if not isinstance(schema, Mapping) or not schema:
        raise _Beyond
    if "$ref" in schema:  # stands alone
        return {"$ref": schema["$ref"]}
    result: dict[str, Any] = {}
    for keyword, value in schema.items():
        if keyword in _PLAIN:
            result[keyword] = value
        elif keyword in ("properties", "$defs"):
            result[keyword] = {name: _strict(each) for name, each in value.items()}
        elif keyword == "items":
            result[keyword] = _strict(value)
        elif keyword == "anyOf":
            result[keyword] = [_strict(each) for each in value]
        elif keyword not in (_DROPPED | {"required", "additionalProperties"}):
            raise _Beyond
    return _closed(schema, result)


def _closed(schema: Mapping[str, Any], result: dict[str, Any]) -> dict[str, Any]:
    """An object is closed, and gives all its properties."""
    if schema.get("type") == "object":
        if schema.get("additionalProperties", False) is not False or "properties" not in schema:
            raise _Beyond
        result["additionalProperties"] = False
        result["required"] = list(schema["properties"])
    return result
