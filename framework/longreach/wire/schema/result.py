"""What a handler gives back: text, content, data, or what it likes; and the schema of data."""

from __future__ import annotations

from types import NoneType
from typing import Any, Literal, NamedTuple

from longreach.wire.schema.types import is_content
from longreach.wire.values import Adapter

Returns = Literal["none", "text", "content", "data", "any"]
"""What a handler gives back: nothing, text, content blocks, typed data, or what it likes."""


class ResultShape(NamedTuple):
    """What a return annotation means.

    Attributes:
        returns: what kind of thing it is.
        kind: the type of the structured result; Any where there is none.
        schema: the output schema; None where there is none.
        wraps: whether the structured result is ``{"result": value}``.
        writer: what writes a value; None where msgspec does.
        rewrites: what is sent is what the check has read, because a value may hold more than the type says.
    """

    returns: Returns
    kind: Any = Any
    schema: dict[str, Any] | None = None
    wraps: bool = False
    writer: Adapter | None = None
    rewrites: bool = False


def untyped_result(annotation: Any, content_types: tuple[type, ...]) -> ResultShape | None:
    """The shape of a result without a schema; None if `annotation` is of data, which has one."""
    if annotation is Any:
        return ResultShape("any")
    if annotation in (None, NoneType):
        return ResultShape("none", None)
    if annotation is str:
        return ResultShape("text", str)
    if is_content(annotation, content_types):
        return ResultShape("content")
    return None


def typed_result(kind: Any, schema: dict[str, Any]) -> ResultShape:
    """The shape of data of type `kind`, which is wrapped where `schema` is not that of an object."""
    if schema.get("type") == "object":
        return ResultShape("data", kind, schema)
    inner = {key: value for key, value in schema.items() if key != "$defs"}
    wrapped: dict[str, Any] = {"type": "object", "properties": {"result": inner}, "required": ["result"]}
    if "$defs" in schema:
        wrapped["$defs"] = schema["$defs"]
    return ResultShape("data", kind, wrapped, wraps=True)
