"""From a function's signature to its `HandlerSchema`."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from contextlib import suppress
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import msgspec
from msgspec import UNSET, UnsetType

from longreach.errors import DeclarationError
from longreach.wire.schema.adapted import adapt, is_adaptable, is_for_pydantic, writer_of
from longreach.wire.schema.definitions import json_schema
from longreach.wire.schema.docstring import parse_docstring
from longreach.wire.schema.handler import HandlerSchema, Parameter
from longreach.wire.schema.records import records_in
from longreach.wire.schema.result import ResultShape, typed_result, untyped_result
from longreach.wire.schema.types import Unsupported, describe, normalise, without_none
from longreach.wire.values import decode_hook, encode_hook

_KINDS: dict[Any, str] = {
    inspect.Parameter.VAR_POSITIONAL: "*{} cannot be an argument by name; name each parameter",
    inspect.Parameter.VAR_KEYWORD: "**{} has no schema; name each parameter, or take one dict",
    inspect.Parameter.POSITIONAL_ONLY: "parameter {!r} is positional-only, but callers pass names; "
    "drop the '/'",
}


def inspect_handler(
    function: Callable[..., Any],
    *,
    context_type: type | None = None,
    content_types: tuple[type, ...] = (),
    ignored_types: tuple[type, ...] = (),
    skip_self: bool = False,
    has_result_schema: bool = True,
    json_texts: bool = False,
) -> HandlerSchema:
    """What `function` takes and gives back.

    A parameter without annotation takes any JSON value.

    Args:
        function: the handler.
        context_type: a parameter annotated with it is passed by the framework, and not in the schema.
        content_types: return types that are content, beside MCP's own.
        ignored_types: what may be returned instead of a result, as one of a union.
        skip_self: it is a method; its first parameter is the instance.
        has_result_schema: what it returns is data with a schema, unless it is content; else anything goes.
        json_texts: an argument may come as JSON text, where its type takes no text.

    Raises:
        DeclarationError: it cannot be a handler; the message names the parameter and says what to do.
    """
    name = getattr(function, "__qualname__", repr(function))
    if not skip_self:
        _refuse_unbound(function, name)
    signature, hints = _read(function, name)
    doc = parse_docstring(function.__doc__)
    declared = list(signature.parameters.values())[1 if skip_self else 0 :]
    context_parameter = _context_parameter(name, declared, hints, context_type)
    passed = [parameter for parameter in declared if parameter.name != context_parameter]
    parameters = tuple(
        _parameter(name, one, hints.get(one.name, Any), doc.parameters.get(one.name)) for one in passed
    )
    arguments_type = _arguments_type(name, parameters)
    return HandlerSchema(
        input_schema=_input_schema(arguments_type, parameters),
        result=_result(name, _without(hints.get("return", Any), ignored_types), content_types)
        if has_result_schema
        else ResultShape("any"),
        description=doc.description,
        parameters=parameters,
        context_parameter=context_parameter,
        arguments_type=arguments_type,
        signature=signature.replace(parameters=passed),
        json_texts=json_texts,
    )


def _refuse_unbound(function: Callable[..., Any], name: str) -> None:
    """Refuse a method that was decorated in the body of its class: there is no instance to call it on.

    Raises:
        DeclarationError: it is one.
    """
    owner = name.rpartition(".")[0]
    if not owner or owner.endswith("<locals>") or inspect.ismethod(function):
        return
    code = getattr(inspect.unwrap(function), "__code__", None)
    first = code.co_varnames[0] if code is not None and code.co_argcount else None
    if first in ("self", "cls"):
        raise DeclarationError(
            f"{name} is a method, and here there is no instance to call it on: write server.tool(instance."
            f"{name.rpartition('.')[2]}) once there is one, or make the class an Actor"
        )


def _read(function: Callable[..., Any], name: str) -> tuple[inspect.Signature, dict[str, Any]]:
    if not inspect.isroutine(function):
        raise DeclarationError(f"{name} is no function; a handler is a function or a method")
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise DeclarationError(f"{name} yields, but a call has one result; return it")
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError) as error:
        raise DeclarationError(f"{name} has no signature that can be read: {error}") from None
    try:
        return signature, get_type_hints(function, include_extras=True)
    except (NameError, AttributeError) as error:
        raise DeclarationError(
            f"{name}: an annotation cannot be resolved: {error}; import what it names at module level, "
            "not under TYPE_CHECKING"
        ) from None
    except Exception as error:  # noqa: BLE001 - annotations are expressions, which raise what they like
        raise DeclarationError(f"{name}: an annotation cannot be evaluated: {error}") from None


def _context_parameter(
    function: str, declared: list[inspect.Parameter], hints: dict[str, Any], context_type: type | None
) -> str | None:
    if context_type is None:
        return None
    names = [one.name for one in declared if without_none(hints.get(one.name)) is context_type]
    if len(names) > 1:
        listed = " and ".join(map(repr, names))
        raise DeclarationError(f"{function}: parameters {listed} are both the context; keep one of them")
    return names[0] if names else None


def _parameter(
    function: str, parameter: inspect.Parameter, annotation: Any, description: str | None
) -> Parameter:
    complaint = _KINDS.get(parameter.kind)
    if complaint is not None:
        raise DeclarationError(f"{function}: {complaint.format(parameter.name)}")
    where = f"{function}: parameter {parameter.name!r}"
    default, factory = parameter.default, None
    if type(default).__name__ == "FieldInfo":  # x: int = Field(ge=1), as FastMCP's users write it
        annotation, default = Annotated[annotation, default], parameter.empty
    stated = _stated_default(annotation)
    if default is parameter.empty and stated is not None:
        factory = stated
        try:
            default = factory()
        except Exception as error:  # noqa: BLE001 - the user's own code
            raise DeclarationError(f"{where}: its default cannot be made: {error}") from None
    kind, _ = _understood(where, annotation)
    if default is not parameter.empty:
        _check_default(function, parameter.name, default, kind)
    return Parameter(parameter.name, parameter.kind, kind, default, description, factory)


def _stated_default(annotation: Any) -> Callable[[], Any] | None:
    """What makes the default that pydantic's ``Field(default=...)`` states in `annotation`; None without.

    The function itself knows nothing of such a default, so whoever calls it passes it.
    """
    for item in get_args(annotation)[1:] if get_origin(annotation) is Annotated else ():
        is_required = getattr(item, "is_required", None)
        if type(item).__name__ == "FieldInfo" and is_required is not None and not is_required():
            field = item
            return lambda: field.get_default(call_default_factory=True, validated_data={})
    return None


def _understood(where: str, annotation: Any, *, serialised: bool = False) -> tuple[Any, dict[str, Any]]:
    """(the type to decode to, its JSON Schema)."""
    try:
        if is_for_pydantic(annotation):
            return _adapted(annotation, serialised)
        kind = normalise(annotation)
        msgspec.json.Decoder(kind, dec_hook=decode_hook)
        return kind, json_schema(kind, serialised=serialised)
    except Exception as error:  # noqa: BLE001 - a bad pattern, a name in a class that cannot be resolved, ...
        if error.by_pydantic if isinstance(error, Unsupported) else is_adaptable(annotation):
            with suppress(Exception):  # then what msgspec said is told
                return _adapted(annotation, serialised)
        if isinstance(error, Unsupported):
            raise DeclarationError(f"{where}: {error}") from None
        reason = str(error).partition("\n")[0]
        raise DeclarationError(
            f"{where} of type {describe(annotation)} has no JSON form: {reason}. "
            "Use standard types, a dataclass, TypedDict, msgspec.Struct or pydantic model"
        ) from None


def _adapted(annotation: Any, serialised: bool) -> tuple[Any, dict[str, Any]]:
    kind = adapt(annotation)
    return kind, json_schema(kind, serialised=serialised)


def _check_default(function: str, name: str, default: Any, kind: Any) -> None:
    where = f"{function}: the default of parameter {name!r}"
    if not _is_finite(default):
        default = 0.5  # JSON has no infinity: that it is a float is all there is to check
    try:
        data = msgspec.json.encode(default, enc_hook=encode_hook)
        msgspec.json.Decoder(kind, dec_hook=decode_hook).decode(data)
    except (TypeError, ValueError, RecursionError) as error:
        hint = " (write `... | None`)" if default is None else ""
        raise DeclarationError(
            f"{where} does not fit its annotation {describe(kind)}{hint}: {error}"
        ) from None


def _arguments_type(function: str, parameters: tuple[Parameter, ...]) -> type[msgspec.Struct]:
    fields: list[Any] = [
        (p.name, p.annotation) if p.required else (p.name, Union[p.annotation, UnsetType], UNSET)  # noqa: UP007
        for p in parameters
    ]
    try:
        made = msgspec.defstruct("_Arguments", fields, kw_only=True, forbid_unknown_fields=True)
        msgspec.json.Decoder(made, dec_hook=decode_hook)
    except (TypeError, ValueError) as error:
        raise DeclarationError(
            f"{function}: these parameters cannot be arguments together: {error}"
        ) from None
    return made


def _input_schema(arguments_type: type[msgspec.Struct], parameters: tuple[Parameter, ...]) -> dict[str, Any]:
    schema = json_schema(arguments_type)
    schema.pop("title", None)
    schema.setdefault("properties", {})
    if not schema.get("required"):
        schema.pop("required", None)
    schema["additionalProperties"] = False
    for parameter in parameters:
        shown = dict(schema["properties"][parameter.name])
        if parameter.description:
            shown.setdefault("description", parameter.description)
        if not parameter.required and _is_finite(parameter.default):
            shown["default"] = msgspec.json.decode(
                msgspec.json.encode(parameter.default, enc_hook=encode_hook)
            )
        schema["properties"][parameter.name] = shown
    return schema


def _is_finite(default: Any) -> bool:
    return not isinstance(default, float) or math.isfinite(default)


def _without(annotation: Any, ignored: tuple[type, ...]) -> Any:
    """A return annotation without what is no result."""
    if annotation in ignored:
        return Any
    if get_origin(annotation) not in (Union, UnionType):
        return annotation
    members = get_args(annotation)
    kept = tuple(member for member in members if member not in ignored)
    return annotation if len(kept) == len(members) else Union[kept]  # noqa: UP007 - of a tuple


def _result(function: str, annotation: Any, content_types: tuple[type, ...]) -> ResultShape:
    shape = untyped_result(annotation, content_types)
    if shape is not None:
        return shape
    kind, schema = _understood(f"{function}: the result", annotation, serialised=True)
    writer = writer_of(annotation)
    return typed_result(kind, schema)._replace(
        writer=writer, rewrites=writer is None and _may_hold_more(kind)
    )


def _may_hold_more(kind: Any) -> bool:
    """Whether a value that fits `kind` may hold more than its schema says, as a subclass of a record does.

    A `__post_init__` that is run by the check might change a value again; then the value is sent as it is.
    """
    records = list(records_in(kind))
    if any(hasattr(get_origin(record) or record, "__post_init__") for record in records):
        return False
    return bool(records) or "set[" in str(kind) or kind in (set, frozenset)
