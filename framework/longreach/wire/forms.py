"""Forms: from a Python type to the flat schema that MCP's elicitation allows, and from an answer back to it.

A form has text, numbers, yes or no, and choices; nothing in it is nested. What a type demands beyond what
such a schema can say (a pattern, say) is checked when the answer comes. Source: MCP 2026-07-28
client/elicitation, requested schema.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec

from longreach.errors import ConfigError
from longreach.wire.schema.definitions import json_schema
from longreach.wire.schema.records import is_record
from longreach.wire.schema.types import describe, normalise
from longreach.wire.values import decode_hook, is_pydantic

VALUE = "value"
"""The one field of a form that asks for a single value."""

_TEXTS = frozenset({"title", "description", "default"})
_KEYWORDS = {
    "string": {"minLength", "maxLength", "format"},
    "number": {"minimum", "maximum"},
    "integer": {"minimum", "maximum"},
    "boolean": set[str](),
}
_FORMATS = frozenset({"email", "uri", "date", "date-time"})
_PYTHON: dict[str, tuple[type, ...]] = {
    "string": (str,), "number": (int, float), "integer": (int,), "boolean": (bool,), "array": (list,),
}  # fmt: skip
_HINT = "a form asks for text, numbers, yes or no, and choices (Literal, Enum, or a list of one), not nested"


class InvalidContent(ValueError):
    """What the user filled in does not fit the form; the text says where."""


class Form(NamedTuple):
    """What is asked, and how the answer is read.

    Attributes:
        schema: what the client is sent.
        read: from the content of an accepted answer to what the handler gets; raises `InvalidContent`.
    """

    schema: dict[str, Any]
    read: Callable[[Mapping[str, Any]], Any]


def form_of(kind: Any) -> Form:
    """The form that asks for a `kind`.

    Args:
        kind: a dataclass, TypedDict, msgspec.Struct or pydantic model of plain values; one plain type or
            choice, such as ``bool`` or ``Literal["a", "b"]``; a JSON Schema as a dict; or None, to ask for
            nothing but consent.

    Raises:
        ConfigError: no form can ask for that.
    """
    if kind is None:
        return Form({"type": "object", "properties": {}}, dict)
    if isinstance(kind, Mapping):
        return _declared(kind)
    try:
        return _cached(kind)
    except TypeError:  # it has no hash
        return _typed(kind)


def _declared(schema: Mapping[str, Any]) -> Form:
    if schema.get("type") != "object" or not isinstance(schema.get("properties"), Mapping):
        raise ConfigError('the schema of a form is {"type": "object", "properties": {...}}')
    for name, field in schema["properties"].items():
        if not isinstance(field, Mapping) or field.get("type") not in _PYTHON:
            raise ConfigError(f"field {name!r}: {_HINT}")

    def read(content: Mapping[str, Any]) -> dict[str, Any]:
        for name in schema.get("required", ()):
            if name not in content:
                raise InvalidContent(f"{name} is missing")
        for name, value in content.items():
            problem = _problem(value, schema["properties"].get(name, {}))
            if problem is not None:
                raise InvalidContent(f"{name} {problem}")
        return dict(content)

    return Form(dict(schema), read)


def _problem(value: Any, field: Mapping[str, Any]) -> str | None:
    """What is wrong with a value of a declared field; None if nothing is."""
    kind = field.get("type")
    if kind is None:  # a field that nobody asked for
        return None
    fits = isinstance(value, _PYTHON[kind]) or (
        kind == "integer" and isinstance(value, float) and value.is_integer()
    )
    if not fits or (isinstance(value, bool) and kind != "boolean"):
        return f"must be of type {kind}"
    if isinstance(value, list):
        choices = _choices(field.get("items", {}))
        if choices is not None and not all(one in choices for one in value):
            return f"must hold nothing but {', '.join(map(str, choices))}"
        return _out_of_bounds(len(value), field, "minItems", "maxItems", " items")
    choices = _choices(field)
    if choices is not None and value not in choices:
        return f"must be one of {', '.join(map(str, choices))}"
    if isinstance(value, str):
        return _out_of_bounds(len(value), field, "minLength", "maxLength", " characters")
    return _out_of_bounds(value, field, "minimum", "maximum", "")


def _choices(field: Mapping[str, Any]) -> list[Any] | None:
    if "enum" in field:
        return list(field["enum"])
    titled = field.get("oneOf") or field.get("anyOf")
    return None if not titled else [one.get("const") for one in titled]


def _out_of_bounds(size: Any, field: Mapping[str, Any], least: str, most: str, unit: str) -> str | None:
    if least in field and size < field[least]:
        return f"must be at least {field[least]}{unit}"
    if most in field and size > field[most]:
        return f"must be at most {field[most]}{unit}"
    return None


def _typed(kind: Any) -> Form:
    if (is_record(kind) and not issubclass(kind, tuple)) or is_pydantic(kind):
        wanted, unwrap = kind, False
    else:
        wanted, unwrap = msgspec.defstruct("_Value", [(VALUE, kind)]), True
    try:
        wanted = normalise(wanted)
        decoder = msgspec.json.Decoder(wanted, dec_hook=decode_hook)
        full = json_schema(wanted)
    except Exception as error:  # noqa: BLE001 - annotations are expressions, which raise what they like
        raise ConfigError(f"no form can ask for {describe(kind)}: {error}") from None

    def read(content: Mapping[str, Any]) -> Any:
        filled = {name: value for name, value in content.items() if value is not None}
        try:
            found = decoder.decode(msgspec.json.encode(filled))
        except msgspec.ValidationError as error:
            raise InvalidContent(str(error)[:1].lower() + str(error)[1:]) from None
        except MemoryError:
            raise
        except Exception as error:
            raise InvalidContent("it was refused") from error
        return getattr(found, VALUE) if unwrap else found

    return Form(_flat(full, describe(kind)), read)


_cached = lru_cache(maxsize=512)(_typed)


def _flat(schema: Mapping[str, Any], kind: str) -> dict[str, Any]:
    root = schema.get("$defs", {})
    properties = {}
    for name, field in schema.get("properties", {}).items():
        flat = _field(field, root)
        if flat is None:
            raise ConfigError(f"field {name!r} of {kind}: {_HINT}")
        properties[name] = flat
    flat = {"type": "object", "properties": properties}
    if schema.get("required"):
        flat["required"] = list(schema["required"])
    return flat


def _field(schema: Mapping[str, Any], root: Mapping[str, Any]) -> dict[str, Any] | None:
    """The schema of one field, in the words that a form may use; None if it has none."""
    schema = _plain(schema, root)
    said = {key: value for key, value in schema.items() if key in _TEXTS and value is not None}
    choices = schema.get("enum", [schema["const"]] if "const" in schema else None)
    if choices is not None:
        texts_only = all(isinstance(choice, str) for choice in choices)
        return {"type": "string", "enum": list(choices), **said} if texts_only else None
    kind = schema.get("type")
    if kind == "array":
        inner = _field(schema.get("items") or {}, root)
        if inner is None or "enum" not in inner:
            return None
        sizes = {key: value for key, value in schema.items() if key in ("minItems", "maxItems")}
        return {"type": "array", "items": {"type": "string", "enum": inner["enum"]}, **sizes, **said}
    if kind not in _KEYWORDS or "contentEncoding" in schema:
        return None
    bounds = {key: value for key, value in schema.items() if key in _KEYWORDS[kind]}
    if bounds.get("format") not in _FORMATS:
        bounds.pop("format", None)
    return {"type": kind, **bounds, **said}


def _plain(schema: Mapping[str, Any], root: Mapping[str, Any]) -> dict[str, Any]:
    """`schema` without references, and without the null of an optional field; its own texts win."""
    said = {key: value for key, value in schema.items() if key in _TEXTS}
    options = [one for one in schema.get("anyOf", ()) if one.get("type") != "null"]
    if len(options) == 1:
        return {**_plain(options[0], root), **said}
    name = str(schema.get("$ref", "")).rpartition("/")[2]
    if name in root:
        target = root[name]
        own = {"title", "description"} if "enum" in target else ()  # of the Enum, not of what is asked
        return {**{key: value for key, value in target.items() if key not in own}, **said}
    return dict(schema)
