"""From a function's signature to its `HandlerSchema`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import NoneType
from typing import Any, Union, get_type_hints

import msgspec
from msgspec import UNSET, UnsetType

from longreach.errors import DeclarationError
from longreach.wire.schema.docstring import parse_docstring
from longreach.wire.schema.handler import HandlerSchema, Parameter, Returns
from longreach.wire.schema.hooks import decode_hook, encode_hook
from longreach.wire.schema.types import describe, is_content, json_schema, normalise, without_none

_KINDS: dict[Any, str] = {
    inspect.Parameter.VAR_POSITIONAL: "*{} cannot be an argument by name; name each parameter",
    inspect.Parameter.VAR_KEYWORD: "**{} has no schema; name each parameter, or take one dict",
    inspect.Parameter.POSITIONAL_ONLY: "parameter {!r} is positional-only, but callers pass names; drop '/'",
}


def inspect_handler(
    function: Callable[..., Any],
    *,
    context_type: type | None = None,
    content_types: tuple[type, ...] = (),
    skip_self: bool = False,
) -> HandlerSchema:
    """What `function` takes and gives back.

    Args:
        function: the handler.
        context_type: a parameter annotated with it is passed by the framework, and not in the schema.
        content_types: return types that are content, beside MCP's own.
        skip_self: it is a method; its first parameter is the instance.

    Raises:
        DeclarationError: it cannot be a handler; the message names the parameter and says what to do.
    """
    name = getattr(function, "__qualname__", repr(function))
    signature, hints = _read(function, name)
    doc = parse_docstring(function.__doc__)
    declared = list(signature.parameters.values())[1 if skip_self else 0 :]
    context_parameter = None
    parameters: list[Parameter] = []
    for parameter in declared:
        annotation = hints.get(parameter.name, Any)
        if context_type is not None and without_none(annotation) is context_type:
            context_parameter = parameter.name
            continue
        parameters.append(_parameter(name, parameter, annotation, doc.parameters.get(parameter.name)))
    arguments_type = _arguments_type(name, parameters)
    defaults = {p.name: p.default for p in declared if p.default is not p.empty}
    returns, result_type, output_schema, wraps = _result(name, hints.get("return", Any), content_types)
    return HandlerSchema(
        input_schema=_input_schema(arguments_type, parameters, defaults),
        output_schema=output_schema,
        wraps_result=wraps,
        returns=returns,
        description=doc.description,
        parameters=tuple(parameters),
        context_parameter=context_parameter,
        arguments_type=arguments_type,
        result_type=result_type,
        signature=signature.replace(parameters=[p for p in declared if p.name != context_parameter]),
    )


def _read(function: Callable[..., Any], name: str) -> tuple[inspect.Signature, dict[str, Any]]:
    try:
        return inspect.signature(function), get_type_hints(function, include_extras=True)
    except (NameError, AttributeError) as error:
        raise DeclarationError(
            f"{name}: an annotation cannot be resolved: {error}; import what it names at module level, "
            "not under TYPE_CHECKING"
        ) from None
    except (TypeError, ValueError) as error:
        raise DeclarationError(f"{name} has no signature that can be read: {error}") from None


def _parameter(
    function: str, parameter: inspect.Parameter, annotation: Any, description: str | None
) -> Parameter:
    complaint = _KINDS.get(parameter.kind)
    if complaint is not None:
        raise DeclarationError(f"{function}: {complaint.format(parameter.name)}")
    try:
        kind = normalise(annotation)
        msgspec.json.Decoder(kind, dec_hook=decode_hook)
        json_schema(kind)
    except (TypeError, ValueError) as error:
        raise DeclarationError(
            f"{function}: parameter {parameter.name!r} of type {describe(annotation)} has no JSON form: "
            f"{_first_line(error)}. "
            "Use standard types, a dataclass, TypedDict, msgspec.Struct or pydantic model"
        ) from None
    required = parameter.default is parameter.empty
    if not required:
        _check_default(function, parameter, kind)
    return Parameter(parameter.name, kind, required, description)


def _check_default(function: str, parameter: inspect.Parameter, kind: Any) -> None:
    try:
        data = msgspec.json.encode(parameter.default, enc_hook=encode_hook)
        msgspec.json.Decoder(kind, dec_hook=decode_hook).decode(data)
    except (msgspec.ValidationError, TypeError, ValueError, NotImplementedError) as error:
        hint = " (write `... | None`)" if parameter.default is None else ""
        raise DeclarationError(
            f"{function}: the default of parameter {parameter.name!r} does not fit its annotation "
            f"{describe(kind)}{hint}: {error}"
        ) from None


def _arguments_type(function: str, parameters: list[Parameter]) -> type[msgspec.Struct]:
    fields: list[Any] = [
        (p.name, p.annotation) if p.required else (p.name, Union[p.annotation, UnsetType], UNSET)  # noqa: UP007
        for p in parameters
    ]
    try:
        return msgspec.defstruct("Arguments", fields, kw_only=True, forbid_unknown_fields=True)
    except (TypeError, ValueError) as error:
        raise DeclarationError(
            f"{function}: these parameters cannot be arguments together: {error}"
        ) from None


def _input_schema(
    arguments_type: type[msgspec.Struct], parameters: list[Parameter], defaults: dict[str, Any]
) -> dict[str, Any]:
    schema = json_schema(arguments_type)
    schema.pop("title", None)
    schema.setdefault("properties", {})
    if not schema.get("required"):
        schema.pop("required", None)
    schema["additionalProperties"] = False
    for parameter in parameters:
        shown = dict(schema["properties"][parameter.name])
        if parameter.description and "description" not in shown:
            shown["description"] = parameter.description
        if parameter.name in defaults:
            shown["default"] = msgspec.to_builtins(
                defaults[parameter.name], enc_hook=encode_hook, str_keys=True
            )
        schema["properties"][parameter.name] = shown
    return schema


def _result(
    function: str, annotation: Any, content_types: tuple[type, ...]
) -> tuple[Returns, Any, dict[str, Any] | None, bool]:
    """(what it returns, its type, the output schema, whether the value is wrapped)."""
    if annotation is Any:
        return "any", Any, None, False
    if annotation in (None, NoneType):
        return "none", None, None, False
    if annotation is str:
        return "text", str, None, False
    if is_content(annotation, content_types):
        return "content", Any, None, False
    try:
        kind = normalise(annotation)
        msgspec.json.Decoder(kind, dec_hook=decode_hook)
        schema = json_schema(kind)
    except (TypeError, ValueError) as error:
        raise DeclarationError(
            f"{function}: the return type {describe(annotation)} has no JSON form: {_first_line(error)}. "
            "Leave the annotation out to return text, or use a type that has one"
        ) from None
    if schema.get("type") == "object":
        return "data", kind, schema, False
    definitions = schema.pop("$defs", None)
    wrapped: dict[str, Any] = {"type": "object", "properties": {"result": schema}, "required": ["result"]}
    if definitions:
        wrapped["$defs"] = definitions
    return "data", kind, wrapped, True


def _first_line(error: Exception) -> str:
    """What msgspec complains about, without its advice to people who write hooks."""
    line = str(error).splitlines()[0]
    return "no type of this kind is known" if "custom types" in line else line
