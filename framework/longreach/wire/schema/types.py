"""One annotation: the constraints in its metadata, its JSON Schema, and whether it is content."""

from __future__ import annotations

from collections.abc import Iterable
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import msgspec

from longreach.wire import mcp
from longreach.wire.schema.hooks import schema_hook

_CONSTRAINTS = (
    "gt", "ge", "lt", "le", "multiple_of", "pattern", "min_length", "max_length", "description", "examples",
    "title",
)  # fmt: skip
_CONTENT = (
    mcp.TextContent, mcp.ImageContent, mcp.AudioContent, mcp.ResourceLink, mcp.EmbeddedResource,
    mcp.CallToolResult, bytes, bytearray, memoryview,
)  # fmt: skip


def normalise(annotation: Any) -> Any:
    """`annotation` with the metadata that others write (texts, annotated_types, pydantic) as msgspec's."""
    if get_origin(annotation) is not Annotated:
        return annotation
    base, *metadata = get_args(annotation)
    said: dict[str, Any] = {}
    kept: list[Any] = []
    for item in metadata:
        if isinstance(item, str):
            said["description"] = item
        elif isinstance(item, msgspec.Meta):
            kept.append(item)
        else:
            for part in (item, *(getattr(item, "metadata", None) or ())):
                said.update(_constraints(part))
    if said:
        kept.append(msgspec.Meta(**said))
    inner = normalise(base)
    for item in kept:
        inner = Annotated[inner, item]
    return inner


def _constraints(item: Any) -> dict[str, Any]:
    """What one piece of foreign metadata demands, in msgspec's words."""
    found = {}
    for name in _CONSTRAINTS:
        value = getattr(item, name, None)
        if value is not None and not callable(value):
            found[name] = value
    documented = getattr(item, "documentation", None)
    if isinstance(documented, str):
        found["description"] = documented
    return found


def json_schema(kind: Any) -> dict[str, Any]:
    """The JSON Schema 2020-12 of a type, with what it refers to in ``$defs``.

    Raises:
        TypeError: it has none.
    """
    try:
        (schema,), components = msgspec.json.schema_components(
            [kind], schema_hook=schema_hook, ref_template="#/$defs/{name}"
        )
    except NotImplementedError as error:
        raise TypeError(f"{error} has no JSON Schema") from None
    definitions = dict(components)
    schema = _hoisted(schema, definitions)
    definitions = {
        name: _hoisted(definition, definitions) for name, definition in list(definitions.items())
    } | {name: definition for name, definition in definitions.items() if name not in components}
    name = schema.get("$ref", "").removeprefix("#/$defs/")
    if name in definitions and list(schema) == ["$ref"]:
        schema = definitions[name] if _refers_to(definitions, name) else definitions.pop(name)
    return {**schema, "$defs": definitions} if definitions else schema


def _hoisted(schema: Any, definitions: dict[str, Any]) -> Any:
    """`schema` without inner ``$defs``, which are put into `definitions`."""
    if isinstance(schema, list):
        return [_hoisted(item, definitions) for item in schema]
    if not isinstance(schema, dict):
        return schema
    inner = schema.get("$defs")
    if isinstance(inner, dict):
        for name, definition in inner.items():
            definitions.setdefault(name, _hoisted(definition, definitions))
    return {key: _hoisted(value, definitions) for key, value in schema.items() if key != "$defs"}


def _refers_to(schema: Any, name: str) -> bool:
    if isinstance(schema, dict):
        return schema.get("$ref") == f"#/$defs/{name}" or any(_refers_to(v, name) for v in schema.values())
    return isinstance(schema, list) and any(_refers_to(item, name) for item in schema)


def is_content(annotation: Any, content_types: tuple[type, ...]) -> bool:
    """Whether a return annotation means content blocks rather than data."""
    if get_origin(annotation) is Annotated:
        return is_content(get_args(annotation)[0], content_types)
    if isinstance(annotation, type) and issubclass(annotation, (*_CONTENT, *content_types)):
        return True
    origin = get_origin(annotation)
    if origin in (Union, UnionType):
        members = [member for member in get_args(annotation) if member is not NoneType]
        return any(is_content(member, content_types) for member in members)
    if origin in (list, tuple) or (isinstance(origin, type) and issubclass(origin, Iterable)):
        inner = [arg for arg in get_args(annotation) if arg is not Ellipsis]
        return bool(inner) and any(_is_block(member, content_types) for member in inner)
    return False


def _is_block(annotation: Any, content_types: tuple[type, ...]) -> bool:
    """Content inside a list; bytes in a list are data."""
    if annotation in (bytes, bytearray, memoryview):
        return False
    return is_content(annotation, content_types)


def without_none(annotation: Any) -> Any:
    """`X` for ``X | None``; anything else as it is."""
    if get_origin(annotation) in (Union, UnionType):
        members = [member for member in get_args(annotation) if member is not NoneType]
        if len(members) == 1:
            return members[0]
    return annotation


def describe(annotation: Any) -> str:
    """An annotation, for an error message."""
    return annotation.__name__ if isinstance(annotation, type) else str(annotation).replace("typing.", "")
