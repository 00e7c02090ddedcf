"""`x-mcp-header`: the arguments of a tool that HTTP clients mirror into headers.

Source: MCP 2026-07-28 server/tools (x-mcp-header), basic/transports/streamable-http.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from longreach.errors import DeclarationError

KEYWORD = "x-mcp-header"
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_PRIMITIVE = ("string", "integer", "boolean")


def check_headers(schema: Mapping[str, Any], tool: str) -> None:
    """See to it that no client has to leave the tool out of its list because of an annotation.

    Raises:
        DeclarationError: an annotation is not as MCP wants it; the message says how.
    """
    marked = list(_reachable(schema))
    names: set[str] = set()
    for where, part in marked:
        name = part[KEYWORD]
        if not isinstance(name, str) or not _TOKEN.fullmatch(name):
            raise DeclarationError(
                f"{tool}: {KEYWORD} of {where!r} cannot be part of a header's name: {name!r}"
            )
        if part.get("type") not in _PRIMITIVE:
            raise DeclarationError(
                f"{tool}: {where!r} has an {KEYWORD}, so it must be a string, an integer or a boolean"
            )
        if name.lower() in names:
            raise DeclarationError(f"{tool}: two arguments have the {KEYWORD} {name!r}")
        names.add(name.lower())
    if sum(1 for _ in _anywhere(schema)) > len(marked):
        raise DeclarationError(
            f"{tool}: an {KEYWORD} is where no client finds it; it belongs to an argument, or to a "
            "property of an argument that is an object"
        )


def _reachable(schema: Any, path: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Each annotated property to which only `properties` lead, and where it is."""
    properties = schema.get("properties") if isinstance(schema, Mapping) else None
    for name, part in properties.items() if isinstance(properties, Mapping) else ():
        where = f"{path}.{name}" if path else name
        if isinstance(part, Mapping) and KEYWORD in part:
            yield where, part
        yield from _reachable(part, where)


_VALUES = frozenset({"default", "const", "enum", "examples"})
"""Keywords whose values are no schemas."""


def _anywhere(schema: Any, *, names: bool = False) -> Iterator[None]:
    """Once for each annotation in the schema; `names`: its members are names of properties."""
    if isinstance(schema, list):
        for item in schema:
            yield from _anywhere(item)
    elif isinstance(schema, Mapping):
        if not names and KEYWORD in schema:
            yield
        for key, value in schema.items():
            if names or key not in _VALUES:
                yield from _anywhere(
                    value, names=not names and key in ("properties", "$defs", "patternProperties")
                )
