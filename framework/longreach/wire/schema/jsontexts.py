"""Arguments that come as JSON text: ``"[1,2]"`` for a list, ``"true"`` for a bool, ``"3"`` for an integer.

Some hosts always send them so. A text is read as JSON only where the declared type refused it and takes no
text at all, so that no text is ever mistaken for something else, and only at the top: what is inside an
argument stays as it came. The text must be one whole JSON value without NaN or Infinity, without duplicate
members, and not too deep; it is then read as the declared type like any other value.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from longreach.wire.values import parse_json

MAX_DEPTH = 64
"""So deep may arrays and objects be in a text; hosts write arguments that models made, which are flat."""
_MAX_STEPS = 8


def unquoted(value: bytes | msgspec.Raw) -> bytes | None:
    """Return the JSON that is in a JSON string; None if `value` is no string, or holds no such JSON."""
    if bytes(value).lstrip()[:1] != b'"':
        return None
    try:
        text = msgspec.json.decode(value, type=str)
        inner = parse_json(text, members=_members)
        data = text.encode()
    except (ValueError, RecursionError):
        return None
    return data if _is_shallow(inner) else None


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise ValueError("a member is there twice")
    return members


def _is_shallow(value: Any) -> bool:
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        below: list[Any] = []
        for one in level:
            below += one.values() if isinstance(one, dict) else one if isinstance(one, list) else ()
        if not below:
            return True
        level = below
    return False


def takes_text(schema: Any, root: Mapping[str, Any], steps: int = 0) -> bool:
    """Return whether a text may fit `schema`, a part of `root`. Where it cannot be told, it may."""
    if not isinstance(schema, Mapping):
        return schema is not False
    if steps > _MAX_STEPS:
        return True
    for choices in ("anyOf", "oneOf"):
        if choices in schema:
            return any(takes_text(one, root, steps + 1) for one in schema[choices])
    if isinstance(schema.get("$ref"), str):
        name = schema["$ref"].removeprefix("#/$defs/")
        found = root.get("$defs", {}).get(name) if name != schema["$ref"] else None
        return found is None or takes_text(found, root, steps + 1)
    if "enum" in schema or "const" in schema:
        return any(isinstance(one, str) for one in schema.get("enum", [schema.get("const")]))
    types = schema.get("type")
    if isinstance(types, str):
        return types == "string"
    return "string" in types if isinstance(types, list) else True
