"""Reading JSON Schemas of arguments: which types one takes, and how to say so to people."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

EVERYTHING = frozenset({"string", "integer", "number", "boolean", "null", "array", "object"})
MAX_DEPTH = 8
"""Of references and combinations; a schema may refer to itself."""
_TYPE_NAMES: tuple[tuple[type, str], ...] = (
    (bool, "boolean"),
    (int, "integer"),
    (float, "number"),
    (str, "string"),
    (dict, "object"),
    (list, "array"),
)


class Shape(NamedTuple):
    """What a schema takes: JSON types, or one of a few values."""

    types: frozenset[str]
    literals: tuple[Any, ...] | None = None


def resolve_ref(schema: Any, root: Mapping[str, Any]) -> Any:
    """The schema that ``$ref`` stands for; one that is found nowhere takes anything."""
    for _ in range(MAX_DEPTH):
        if not isinstance(schema, Mapping) or "$ref" not in schema:
            return schema
        found: Any = root
        for step in str(schema["$ref"]).removeprefix("#").strip("/").split("/"):
            name = step.replace("~1", "/").replace("~0", "~")
            found = found.get(name, True) if name and isinstance(found, Mapping) else found
        schema = found
    return True


def shape_of(schema: Any, root: Mapping[str, Any], depth: int = 0) -> Shape:
    """What `schema` takes, as far as types and lists of values tell."""
    schema = resolve_ref(schema, root)
    if not isinstance(schema, Mapping) or depth > MAX_DEPTH:
        return Shape(EVERYTHING)
    if "const" in schema:
        return _of_literals([schema["const"]])
    if "enum" in schema:
        return _of_literals(schema["enum"])
    shape = Shape(stated_types(schema))
    for word in ("anyOf", "oneOf"):
        parts = [shape_of(part, root, depth + 1) for part in schema.get(word, ())]
        if parts:
            shape = _both(shape, _either(parts))
    for part in schema.get("allOf", ()):
        shape = _both(shape, shape_of(part, root, depth + 1))
    return shape


def stated_types(schema: Mapping[str, Any]) -> frozenset[str]:
    """The types that `schema` itself allows, whatever is combined with it."""
    stated = schema.get("type")
    if isinstance(stated, str):
        return frozenset({stated})
    if isinstance(stated, Sequence):
        return frozenset(map(str, stated))
    if "properties" in schema:
        return frozenset({"object"})
    return frozenset({"array"}) if "items" in schema else EVERYTHING


def _of_literals(values: Sequence[Any]) -> Shape:
    return Shape(frozenset(_type_name(value) for value in values), tuple(values))


def _either(parts: list[Shape]) -> Shape:
    types = frozenset().union(*(part.types for part in parts))
    closed = [part for part in parts if part.literals is not None]
    rest = [part for part in parts if part.literals is None]
    if all(part.types <= {"null"} for part in rest):  # ``Literal[...] | None`` is still a list of values
        values = [value for part in closed for value in part.literals or ()]
        return Shape(types, tuple([*values, None] if rest else values) if closed else None)
    return Shape(types)


def _both(one: Shape, other: Shape) -> Shape:
    return Shape(one.types & other.types, one.literals if other.literals is None else other.literals)


def _type_name(value: Any) -> str:
    for kind, name in _TYPE_NAMES:  # bool is an int
        if isinstance(value, kind):
            return name
    return "null"


def type_text(schema: Any, root: Mapping[str, Any], depth: int = 0) -> str:
    """A schema in a few words, for people: ``integer >= 1``, ``list of string``, ``a | b``."""
    schema = resolve_ref(schema, root)
    if not isinstance(schema, Mapping) or depth > MAX_DEPTH:
        return "anything"
    if "const" in schema or "enum" in schema:
        values = schema.get("enum", [schema.get("const")])
        return " | ".join(value if isinstance(value, str) else json.dumps(value) for value in values)
    parts = schema.get("anyOf") or schema.get("oneOf")
    if parts:
        return " | ".join(dict.fromkeys(type_text(part, root, depth + 1) for part in parts))
    if "items" in schema and "array" in stated_types(schema):
        return f"list of {type_text(schema['items'], root, depth + 1)}"
    types = stated_types(schema)
    name = "anything" if types >= EVERYTHING else " | ".join(sorted(types)).replace("array", "list")
    return " ".join([str(schema.get("title", name)) if types == {"object"} else name, *_limits(schema)])


_LIMITS = {
    "minimum": ">= {}", "exclusiveMinimum": "> {}", "maximum": "<= {}", "exclusiveMaximum": "< {}",
    "minLength": "of {} or more characters", "maxLength": "of at most {} characters",
    "pattern": "like {}", "format": "({})", "contentEncoding": "({})",
}  # fmt: skip


def _limits(schema: Mapping[str, Any]) -> list[str]:
    return [text.format(schema[word]) for word, text in _LIMITS.items() if word in schema]
