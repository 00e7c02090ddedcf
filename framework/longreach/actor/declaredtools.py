"""Tools whose schemas were written by hand: JSON Schema in full, held against what comes and what goes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import UNSET

from longreach.actor.call import Completed
from longreach.actor.options import ToolOptions, definition_of
from longreach.actor.spec import Kind, Named, ToolSpec
from longreach.errors import DeclarationError, InvalidResult
from longreach.wire.mcp import CallToolResult, TextContent, Tool
from longreach.wire.schema import HandlerSchema
from longreach.wire.schema.declared import DeclaredSchema
from longreach.wire.schema.headers import check_headers
from longreach.wire.values import encode

if TYPE_CHECKING:
    from longreach.actor.call import Call, Ending


class DeclaredToolSpec(ToolSpec):
    """A tool with a declared schema of its arguments, or of its result, or of both."""

    def __init__(
        self,
        owner: Named,
        definition: Tool,
        schema: HandlerSchema,
        function: Callable[..., Any],
        kind: Kind,
        *,
        arguments: DeclaredSchema | None,
        result: DeclaredSchema | None,
        **run: Any,
    ) -> None:
        super().__init__(owner, definition.name, definition, schema, function, kind, **run)
        self._arguments = arguments
        self._result = result

    def read(self, call: Call) -> dict[str, Any]:
        """The arguments in one dict; as in the signature where only the result's schema is declared."""
        if self._arguments is None:
            return super().read(call)
        given = self._arguments.arguments(call.params.arguments)
        return {parameter.name: given for parameter in self.schema.parameters}

    def completed(self, value: Any, call: Call) -> Ending:
        """The result for `value`, if it is as promised."""
        if self._result is None:
            return super().completed(value, call)
        return Completed(_result(value, self._result))


def declared_tool(
    owner: Named,
    name: str,
    function: Callable[..., Any],
    stated: ToolOptions,
    schema: HandlerSchema,
    kind: Kind,
) -> DeclaredToolSpec:
    """The spec of a function as a tool with declared schemas.

    Raises:
        DeclarationError: a schema is none, or the function does not go with it.
        ConfigError: python-jsonschema is not installed.
    """
    arguments = result = None
    input_schema, output_schema = schema.input_schema, schema.output_schema
    if stated.input_schema is not None:
        what, json_texts = f"input_schema of {name}", not owner.strict_arguments
        arguments = DeclaredSchema(stated.input_schema, what, json_texts=json_texts)
        input_schema = arguments.schema
        if input_schema.get("type") != "object":
            raise DeclarationError(f"the input_schema of {name} must say {{'type': 'object'}}")
        if len(schema.parameters) > 1:
            listed = ", ".join(parameter.name for parameter in schema.parameters)
            raise DeclarationError(
                f"{name}: with input_schema, the arguments come as one dict, not as {listed}"
            )
        check_headers(input_schema, name)
    if stated.output_schema is not None:
        result = DeclaredSchema(stated.output_schema, f"output_schema of {name}")
        output_schema = result.schema
    definition = definition_of(name, stated, input_schema, output_schema, schema.description)
    return DeclaredToolSpec(
        owner, definition, schema, function, kind, arguments=arguments, result=result, **stated.running()
    )


def _result(value: Any, promised: DeclaredSchema) -> CallToolResult:
    if isinstance(value, CallToolResult):
        if value.is_error:
            return value
        if value.structured_content is UNSET:
            raise InvalidResult("the result has no structured content, which output_schema promises")
        _check(bytes(value.structured_content), promised)
        return value
    try:
        data = encode(value)
    except (TypeError, ValueError, NotImplementedError, RecursionError) as error:
        raise InvalidResult(f"the result has no JSON form: {error}") from error
    _check(data, promised)
    return CallToolResult([TextContent(data.decode())], structured_content=msgspec.Raw(data))


def _check(data: bytes, promised: DeclaredSchema) -> None:
    complaint = promised.complaint(msgspec.json.decode(data))
    if complaint is not None:
        raise InvalidResult(f"the result does not fit output_schema: {complaint}")
