"""From a function to a tool."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from longreach.actor.asks import InputRequired
from longreach.actor.context import Context
from longreach.actor.declaredtools import declared_tool
from longreach.actor.options import ToolOptions, definition_of, kind_of
from longreach.actor.results import Audio, Image
from longreach.actor.spec import TOOL_ATTRIBUTE, Named, ToolSpec
from longreach.errors import DeclarationError
from longreach.wire.names import check_tool_name
from longreach.wire.schema import inspect_handler
from longreach.wire.schema.headers import check_headers


def tool_spec(
    owner: Named, function: Callable[..., Any], stated: ToolOptions, *, is_method: bool
) -> ToolSpec:
    """The spec of a function as a tool.

    Raises:
        DeclarationError: it cannot be one.
    """
    name = check_tool_name(str(stated.name or getattr(function, "__name__", "")))
    kind = kind_of(function, process=stated.process, is_method=is_method)
    schema = inspect_handler(
        function,
        context_type=Context,
        content_types=(Image, Audio),
        ignored_types=(InputRequired,),
        skip_self=is_method,
        json_texts=not owner.strict_arguments,
    )
    if kind == "process" and schema.context_parameter is not None:
        raise DeclarationError(
            f"{name}: process=True runs in another process, where there is no Context; "
            f"leave parameter {schema.context_parameter!r} out"
        )
    check_headers(schema.input_schema, name)
    if stated.input_schema is not None or stated.output_schema is not None:
        return declared_tool(owner, name, function, stated, schema, kind)
    definition = definition_of(name, stated, schema.input_schema, schema.output_schema, schema.description)
    spec = ToolSpec(owner, name, definition, schema, function, kind, **stated.running())
    with suppress(AttributeError):  # a bound method takes none; it is called by its tool's name
        setattr(function, TOOL_ATTRIBUTE, spec)
    return spec
