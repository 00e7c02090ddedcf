"""Arguments that a client repeats in `Mcp-Param-*` headers, because the tool's schema says so: pure.

Source: MCP 2026-07-28 basic/transports/streamable-http, Custom Headers from Tool Parameters.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from longreach_gateway.mirrors import Unreadable, decode_value

ANNOTATION = "x-mcp-header"
_PREFIX = "mcp-param-"
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_TYPES = frozenset({"string", "integer", "boolean"})
_DECIMAL = re.compile(r"(-?[0-9]{1,400})(?:\.0+)?")
_ONE_SCHEMA = frozenset({
    "items", "contains", "unevaluatedItems", "additionalProperties", "propertyNames", "unevaluatedProperties",
    "not", "if", "then", "else", "contentSchema",
})  # fmt: skip
_SCHEMAS = frozenset({"allOf", "anyOf", "oneOf", "prefixItems"})
_NAMED_SCHEMAS = frozenset({"patternProperties", "dependentSchemas", "$defs", "definitions"})
_MAX_POSITIONS = 20_000
_MAX_DEPTH = 64

Path = tuple[str, ...]


class Mirror(NamedTuple):
    """One argument that has a header.

    Attributes:
        header: its name, in lower case.
        path: where the argument is, from the arguments down.
        is_integer: whether numbers are compared as numbers.
    """

    header: bytes
    path: Path
    is_integer: bool


def mirrors_of(schema: Mapping[str, Any]) -> tuple[Mirror, ...]:
    """The headers that an input schema asks for.

    Where one annotation breaks the rules, the definition is invalid and clients leave the tool out: then
    there is no header to hold anybody to.
    """
    found: dict[bytes, Mirror] = {}
    for path, position in _positions(schema):
        if ANNOTATION not in position:
            continue
        name, kind = position[ANNOTATION], position.get("type")
        if not path or not isinstance(name, str) or not _TOKEN.fullmatch(name):
            return ()
        header = (_PREFIX + name.lower()).encode()
        if not isinstance(kind, str) or kind not in _TYPES or header in found:
            return ()
        found[header] = Mirror(header, path, kind == "integer")
    return tuple(found.values())


def _positions(root: Mapping[str, Any]) -> Iterator[tuple[Path | None, Mapping[str, Any]]]:
    """Each place of a schema that is a schema, with its path where that is nothing but `properties`.

    What is data in a schema is no place (`default`, `enum`), and references are not followed.
    """
    waiting: list[tuple[Path | None, Any]] = [((), root)]
    for _ in range(_MAX_POSITIONS):
        if not waiting:
            return
        path, place = waiting.pop()
        if not isinstance(place, Mapping):
            continue
        yield path, place
        for keyword, value in place.items():
            if keyword == "properties" and isinstance(value, Mapping):
                here = path if path is not None and len(path) < _MAX_DEPTH else None
                waiting += ((None if here is None else (*here, key), sub) for key, sub in value.items())
            elif keyword in _ONE_SCHEMA:
                waiting.append((None, value))
            elif keyword in _SCHEMAS and isinstance(value, list):
                waiting += ((None, sub) for sub in value)
            elif keyword in _NAMED_SCHEMAS and isinstance(value, Mapping):
                waiting += ((None, sub) for sub in value.values())


def find_mismatch(
    mirrors: tuple[Mirror, ...], arguments: object, headers: Mapping[bytes, bytes]
) -> str | None:
    """The first header that is missing, unreadable or not what the arguments say; None if all is well."""
    for mirror in mirrors:
        problem = _problem(mirror, _value_at(arguments, mirror.path), headers.get(mirror.header))
        if problem is not None:
            return f"the header {mirror.header.decode()} {problem} ({'.'.join(mirror.path)})"
    return None


def _value_at(arguments: object, path: Path) -> Any:
    place: Any = arguments
    for key in path:
        place = place.get(key) if isinstance(place, Mapping) else None
    return place


def _problem(mirror: Mirror, value: Any, raw: bytes | None) -> str | None:
    if raw is None:
        return None if _text(value) is None else "is missing, though the body has the argument"
    try:
        said = decode_value(raw)
    except Unreadable as error:
        return str(error)
    text = _text(value)
    if text is None:
        return "is there, but the body has no such argument"
    if said == text or (mirror.is_integer and _same_number(said, value)):
        return None
    return "differs from the body's argument"


def _text(value: Any) -> str | None:
    """How a client writes the value; None where it writes none."""
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return value
        case int() if abs(value) < 10**400:
            return str(value)
        case float():
            return repr(value)
        case _:
            return None


def _same_number(said: str, value: Any) -> bool:
    written = _DECIMAL.fullmatch(said)
    if written is None or isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return int(written[1]) == value
