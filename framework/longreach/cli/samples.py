"""A value that fits a JSON Schema, for the examples that are shown to people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from longreach.cli.schemas import MAX_DEPTH, resolve_ref, stated_types


def sample(schema: Any, root: Mapping[str, Any], name: str = "", depth: int = 0) -> Any:
    """A value that fits `schema`, as well as can be told; for examples."""
    schema = resolve_ref(schema, root)
    if not isinstance(schema, Mapping) or depth > MAX_DEPTH:
        return "x"
    for word in ("default", "const"):
        if schema.get(word) is not None:
            return schema[word]
    for word in ("examples", "enum"):
        if schema.get(word):
            return schema[word][0]
    for word in ("anyOf", "oneOf", "allOf"):
        if schema.get(word):
            return sample(schema[word][0], root, name, depth + 1)
    types = stated_types(schema)
    return _sample_of(min(types, key=_ORDER.index), schema, root, name, depth)


_ORDER = ("string", "integer", "number", "boolean", "array", "object", "null")
_FORMATS = {
    "date": "2026-07-28", "date-time": "2026-07-28T12:00:00Z", "time": "12:00:00", "duration": "PT1H",
    "uuid": "00000000-0000-4000-8000-000000000000", "uri": "https://example.com", "decimal": "1.5",
    "email": "someone@example.com",
}  # fmt: skip


def _sample_of(kind: str, schema: Mapping[str, Any], root: Mapping[str, Any], name: str, depth: int) -> Any:
    match kind:
        case "string":
            return _text(schema, name)
        case "integer" | "number":
            return _sample_number(kind, schema)
        case "boolean":
            return True
        case "array":
            item = sample(schema.get("items", True), root, name, depth + 1)
            return [item] * max(1, schema.get("minItems", 1))
        case "object":
            properties = schema.get("properties", {})
            wanted = schema.get("required", ())
            return {key: sample(properties.get(key, True), root, key, depth + 1) for key in wanted}
        case _:
            return None


def _text(schema: Mapping[str, Any], name: str) -> str:
    if schema.get("format") in _FORMATS:
        return _FORMATS[schema["format"]]
    if schema.get("contentEncoding") == "base64":
        return "aGVsbG8="
    text = "https://example.com" if name in ("url", "uri", "link") else "hello"
    low, high = schema.get("minLength", 0), schema.get("maxLength", len(text))
    return (
        (text * (low // len(text) + 1))[: max(low, min(len(text), high))] if low > len(text) else text[:high]
    )


def _sample_number(kind: str, schema: Mapping[str, Any]) -> float:
    low = schema.get("minimum", schema.get("exclusiveMinimum"))
    high = schema.get("maximum", schema.get("exclusiveMaximum"))
    if low is None and high is None:
        return 1
    if low is not None and high is not None:
        found = (low + high) / 2
    else:
        found = low + 1 if low is not None else high - 1
    return int(found) if kind == "integer" else float(found)
