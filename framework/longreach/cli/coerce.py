"""From ``key=value`` on a command line to a tool's arguments, read by its input schema.

Strings stay strings: where the schema takes a text, the value is taken as it stands, so that `zip=02139`
and `url=https://x?a=b` mean what they say. Elsewhere it is a number, true or false, null, or JSON.
``key:=value`` is JSON whatever the schema says. Several values of one key make a list.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from longreach.cli.schemas import EVERYTHING, Shape, resolve_ref, shape_of
from longreach.errors import ConfigError
from longreach.wire.values import parse_json

_INTEGER = re.compile(r"[+-]?[0-9]{1,400}")  # Python refuses to read very long ones
_YES = frozenset({"true", "yes", "on"})
_NO = frozenset({"false", "no", "off"})
_NOTHING = object()


def read_arguments(words: Sequence[str], schema: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments that `words` stand for.

    Args:
        words: each ``key=value`` or ``key:=json``.
        schema: the tool's input schema; an empty one takes anything.

    Raises:
        ConfigError: a word is neither, or its value does not fit its type.
    """
    properties = schema.get("properties", {})
    given: dict[str, list[tuple[str, bool]]] = {}
    for word in words:
        key, raw, is_json = _split(word, properties)
        given.setdefault(key, []).append((raw, is_json))
    return {key: _argument(key, texts, properties.get(key, True), schema) for key, texts in given.items()}


def unknown_keys(arguments: Mapping[str, Any], schema: Mapping[str, Any]) -> list[str]:
    """The keys that the schema forbids."""
    if schema.get("additionalProperties") is not False:
        return []
    return [key for key in arguments if key not in schema.get("properties", {})]


def _split(word: str, properties: Mapping[str, Any]) -> tuple[str, str, bool]:
    key, equals, raw = word.partition("=")
    if not (key and equals):
        raise ConfigError(f"{word!r} is no argument: write key=value, key:=json, @file.json, or - for stdin")
    if key.endswith(":") and len(key) > 1 and key not in properties:
        return key[:-1], raw, True
    return key, raw, False


def _argument(key: str, texts: list[tuple[str, bool]], schema: Any, root: Mapping[str, Any]) -> Any:
    if len(texts) == 1:
        raw, is_json = texts[0]
        return _json(key, raw) if is_json else coerce(key, raw, schema, root)
    shape = shape_of(schema, root)
    if "array" not in shape.types:
        raise ConfigError(f"{key} is given {len(texts)} times, and is no list")
    return [
        _json(key, raw) if is_json else coerce(key, raw, _items(schema, root), root) for raw, is_json in texts
    ]


def coerce(key: str, raw: str, schema: Any, root: Mapping[str, Any]) -> Any:
    """The value that the text `raw` is, for a property of the schema `schema`.

    Args:
        key: for messages.
        raw: the text.
        schema: the property's schema; True takes anything.
        root: the whole input schema, which ``$ref`` refers to.

    Raises:
        ConfigError: it is none.
    """
    shape = shape_of(schema, root)
    if shape.literals is not None:
        return _literal(key, raw, shape.literals)
    if shape.types >= EVERYTHING:
        return _anything(raw)
    if "string" in shape.types:
        return raw
    for value in _readings(raw, shape):
        return value
    if "array" in shape.types and not raw.lstrip().startswith("["):
        return [coerce(key, raw, _items(schema, root), root)]
    raise ConfigError(f"{key} takes {_takes(shape)}; {raw!r} is none")


def _takes(shape: Shape) -> str:
    hints = {"array": "a JSON list, such as '[1, 2]'", "object": """a JSON object, such as '{"a": 1}'"""}
    return " or ".join(hints.get(kind, kind) for kind in sorted(shape.types)) or "no value at all"


def _readings(raw: str, shape: Shape) -> Iterator[Any]:
    """What `raw` can be, of the types that are no string, the narrowest first."""
    types = shape.types
    if "null" in types and raw == "null":
        yield None
    if types & {"integer", "number"} and _INTEGER.fullmatch(raw):
        yield int(raw)
    if "number" in types and (number := _number(raw)) is not None:
        yield number
    if "integer" in types and (number := _number(raw)) is not None and number.is_integer():
        yield int(number)
    if "boolean" in types and raw.lower() in _YES | _NO:
        yield raw.lower() in _YES
    if "boolean" in types and raw in ("0", "1"):
        yield raw == "1"
    if types & {"array", "object"}:
        value = _parse(raw)
        if (isinstance(value, list) and "array" in types) or (isinstance(value, dict) and "object" in types):
            yield value


def _number(raw: str) -> float | None:
    if "_" in raw:
        return None  # Python's grouping is nobody else's
    try:
        value = float(raw)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _literal(key: str, raw: str, literals: Sequence[Any]) -> Any:
    """The one of `literals` that `raw` is: by its text, or by its JSON."""
    if raw in literals:
        return raw
    value = _parse(raw)
    for literal in literals:
        if literal == value and type(literal) is type(value):
            return literal
    shown = ", ".join(
        str(literal) if isinstance(literal, str) else json.dumps(literal) for literal in literals
    )
    raise ConfigError(f"{key} takes one of {shown}; {raw!r} is none")


def _anything(raw: str) -> Any:
    """JSON if it is JSON, else the text."""
    value = _parse(raw)
    return raw if value is _NOTHING else value


def _parse(raw: str) -> Any:
    try:
        return parse_json(raw)
    except (ValueError, RecursionError):
        return _NOTHING


def _json(key: str, raw: str) -> Any:
    value = _parse(raw)
    if value is _NOTHING:
        raise ConfigError(f"{key}:= takes JSON, and {raw!r} is none; a text is written {key}={raw}")
    return value


def _items(schema: Any, root: Mapping[str, Any]) -> Any:
    """The schema of the items of a list."""
    schema = resolve_ref(schema, root)
    if not isinstance(schema, Mapping):
        return True
    if "items" in schema:
        return schema["items"]
    for word in ("anyOf", "oneOf", "allOf"):
        for part in schema.get(word, ()):
            if "array" in shape_of(part, root).types:
                return _items(part, root)
    return True
