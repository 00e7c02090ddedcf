"""What a JSON Schema, or msgspec, expects, in words that a caller without Python understands."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

_MSGSPEC = {
    "str": "a string", "int": "an integer", "float": "a number", "bool": "a boolean", "null": "null",
    "array": "an array", "object": "an object", "bytes": "base64 text", "datetime": "a date-time",
    "date": "a date", "time": "a time", "duration": "a duration", "uuid": "a UUID", "decimal": "a decimal",
}  # fmt: skip
_TYPES = {
    "string": "a string", "integer": "an integer", "number": "a number", "boolean": "a boolean",
    "null": "null", "array": "an array", "object": "an object",
}  # fmt: skip
_FORMATS = {
    "date-time": "a date-time", "date": "a date", "time": "a time", "duration": "an ISO 8601 duration",
    "uuid": "a UUID", "decimal": "a decimal in a string",
}  # fmt: skip
_MAX_CHOICES = 24
_MAX_DEPTH = 8

_STEP = re.compile(r"\.([^.\[]+)|\[(\d+|\.\.\.)\]")
_TICKED = re.compile(r"`([^`]*)`")


def in_words(text: str) -> str:
    """`text` as msgspec has it, with each ``int | null`` in ticks as "an integer or null"."""
    return _TICKED.sub(lambda match: _either([_MSGSPEC.get(x, x) for x in match[1].split(" | ")]), text)


def words(schema: Any, root: Mapping[str, Any], depth: int = 0) -> str:
    """What `schema`, a part of `root`, expects."""
    schema = _resolved(schema, root)
    if not schema or depth > _MAX_DEPTH:
        return "a value"
    if "enum" in schema or "const" in schema:
        return _choices(schema.get("enum", [schema.get("const")]))
    if "anyOf" in schema:
        return _either(list(dict.fromkeys(words(one, root, depth + 1) for one in schema["anyOf"])))
    if "contentEncoding" in schema:
        return "base64 text"
    kind = schema.get("format") if schema.get("type") == "string" else None
    plain = schema.get("type")
    if isinstance(plain, list):
        return _either([_TYPES.get(str(one), "a value") for one in plain]) if plain else "a value"
    return _FORMATS.get(str(kind)) or _TYPES.get(str(plain), "a value")


def subschema(root: Mapping[str, Any], path: str) -> Any:
    """The part of `root` for the value at `path` (``.a.b[0]``); empty where nothing is known."""
    at: Any = root
    for step in _STEP.finditer(path):
        at = next((found for found in _below(at, root, step) if found is not None), None)
        if at is None:
            return {}
    return at


def _below(schema: Any, root: Mapping[str, Any], step: re.Match[str], depth: int = 0) -> Iterator[Any]:
    schema = _resolved(schema, root)
    name, index = step[1], step[2]
    if name is not None:
        yield schema.get("properties", {}).get(name)
    elif index != "..." and int(index) < len(schema.get("prefixItems", ())):
        yield schema["prefixItems"][int(index)]
    for key in ("items", "additionalProperties"):
        if name is None and isinstance(schema.get(key), dict):
            yield schema[key]
    if depth < _MAX_DEPTH:
        for one in schema.get("anyOf", ()):
            yield from _below(one, root, step, depth + 1)


def _resolved(schema: Any, root: Mapping[str, Any]) -> Mapping[str, Any]:
    for _ in range(_MAX_DEPTH):
        if not isinstance(schema, Mapping):
            return {}
        reference = schema.get("$ref")
        if reference is None:
            return schema
        schema = root.get("$defs", {}).get(str(reference).removeprefix("#/$defs/"))
    return {}


def _choices(values: list[Any]) -> str:
    shown = [msgspec.json.encode(value).decode() for value in values[:_MAX_CHOICES]]
    more = ", …" if len(values) > _MAX_CHOICES else ""
    return shown[0] if len(values) == 1 else f"one of {', '.join(shown)}{more}"


def _either(choices: list[str]) -> str:
    return " or ".join(filter(None, [", ".join(choices[:-1]), choices[-1]]))
