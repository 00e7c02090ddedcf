"""One annotation: its metadata in msgspec's words, how it reads in a message, and whether it is content."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import msgspec

from longreach.wire import mcp

_CONSTRAINTS = ("gt", "ge", "lt", "le", "multiple_of", "pattern", "min_length", "max_length")
_TEXTS = ("description", "examples", "title")
_CHECKERS = ("annotated_types", "pydantic", "pydantic_core")
"""Packages whose metadata are checks that somebody counts on."""
_HARMLESS = frozenset({"FieldInfo", "Unit", "DocInfo", "Strict"})
_PYDANTIC_ONLY = ("discriminator", "strip_whitespace", "to_lower", "to_upper", "alias", "validation_alias")
"""What metadata of pydantic may say that only pydantic can hold."""

_BYTES = (bytes, bytearray, memoryview)
_CONTENT = (
    mcp.TextContent, mcp.ImageContent, mcp.AudioContent, mcp.ResourceLink, mcp.EmbeddedResource,
    mcp.CallToolResult, *_BYTES,
)  # fmt: skip


class Unsupported(TypeError):
    """An annotation that says more than can be held; the text says what to do.

    Args:
        message: the text.
        by_pydantic: pydantic can hold it, where it is installed.
    """

    def __init__(self, message: str, *, by_pydantic: bool = False) -> None:
        super().__init__(message)
        self.by_pydantic = by_pydantic


def normalise(annotation: Any) -> Any:
    """`annotation` with the metadata that others write (texts, annotated_types, pydantic) as msgspec's.

    Raises:
        Unsupported: it demands a check that cannot be made.
    """
    origin = get_origin(annotation)
    if origin is Annotated:
        return _annotated(annotation)
    arguments = get_args(annotation)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        _check_key(arguments[0])
    changed = tuple(normalise(argument) for argument in arguments)
    if all(new is old for new, old in zip(changed, arguments, strict=True)):
        return annotation
    if origin in (Union, UnionType):
        return Union[changed]  # noqa: UP007 - there is no other way to write it for a tuple
    return origin[changed]  # whatever took arguments takes them again


def _check_key(key: Any) -> None:
    """Refuse keys that JSON cannot have, and that msgspec finds out about at the first call."""
    kind = get_origin(key) or key
    if isinstance(kind, type) and issubclass(kind, Collection) and not issubclass(kind, str | bytes):
        raise Unsupported(f"keys of type {describe(key)} have no JSON form; use str")


def _annotated(annotation: Any) -> Any:
    base, *metadata = get_args(annotation)
    inner = normalise(base)
    said = foreign(metadata)
    kept: list[Any] = [item for item in metadata if isinstance(item, msgspec.Meta)]
    if said:
        kept.append(msgspec.Meta(**said))
    for item in kept:
        if get_origin(inner) in (Union, UnionType):
            inner, item = _pushed_down(inner, item)
        if item is not None:
            inner = Annotated[inner, item]
    return inner


def _pushed_down(union: Any, meta: msgspec.Meta) -> tuple[Any, msgspec.Meta | None]:
    """(the union, what describes all of it): a bound of ``int | None`` is a bound of the ``int``."""
    bounds = {name: getattr(meta, name) for name in _CONSTRAINTS if getattr(meta, name) is not None}
    members = get_args(union)
    others = [member for member in members if member is not NoneType]
    if not bounds or len(others) == len(members):
        return union, meta
    bounded = tuple(x if x is NoneType else Annotated[x, msgspec.Meta(**bounds)] for x in members)
    texts = {name: getattr(meta, name) for name in (*_TEXTS, "extra_json_schema", "extra")}
    texts = {name: value for name, value in texts.items() if value is not None}
    return Union[bounded], msgspec.Meta(**texts) if texts else None  # noqa: UP007 - of a tuple


def foreign(metadata: Collection[Any]) -> dict[str, Any]:
    """What the items that are not msgspec's say, as arguments of `msgspec.Meta`.

    Raises:
        Unsupported: one of them demands a check that cannot be made.
    """
    said: dict[str, Any] = {}
    for item in metadata:
        if isinstance(item, str):
            said["description"] = item
        elif not isinstance(item, msgspec.Meta):
            for part in (item, *(getattr(item, "metadata", None) or ())):
                said.update(_read(part))
    return said


def constrains(said: Mapping[str, Any]) -> list[str]:
    """The names of those of `said` that demand something, rather than describe."""
    return [name for name in said if name in _CONSTRAINTS]


def _read(item: Any) -> dict[str, Any]:
    """What one piece of foreign metadata says, in msgspec's words."""
    found: dict[str, Any] = {}
    for name in (*_CONSTRAINTS, *_TEXTS):
        value = getattr(item, name, None)
        if value is not None and not callable(value):
            found[name] = getattr(value, "pattern", value) if name == "pattern" else value
    extra = getattr(item, "json_schema_extra", None)
    if isinstance(extra, Mapping):
        found["extra_json_schema"] = dict(extra)
    if getattr(item, "deprecated", None):
        found["extra_json_schema"] = {**found.get("extra_json_schema", {}), "deprecated": True}
    documented = getattr(item, "documentation", None)
    if isinstance(documented, str):
        found["description"] = documented
    kind = type(item)
    package = kind.__module__.partition(".")[0]
    only = [name for name in _PYDANTIC_ONLY if getattr(item, name, None)]
    if package == "pydantic" and (only or callable(extra)):
        what = only[0] if only else "json_schema_extra as a function"
        raise Unsupported(f"{kind.__name__} says {what}, which only pydantic can hold", by_pydantic=True)
    if not found and package in _CHECKERS and kind.__name__ not in _HARMLESS:
        raise Unsupported(
            f"{item!r} is a check that cannot be made here; make it in the function",
            by_pydantic=package != "annotated_types",
        )
    return found


def is_content(annotation: Any, content_types: tuple[type, ...]) -> bool:
    """Whether a return annotation means content blocks rather than data."""
    if get_origin(annotation) is Annotated:
        return is_content(get_args(annotation)[0], content_types)
    if isinstance(annotation, type) and issubclass(annotation, (*_CONTENT, *content_types)):
        return True
    origin = get_origin(annotation)
    if origin in (Union, UnionType):
        return any(is_content(member, content_types) for member in get_args(annotation))
    if not isinstance(origin, type) or not issubclass(origin, Collection) or issubclass(origin, Mapping):
        return False
    # Bytes in a list are data, which JSON has as base64.
    return any(inner not in _BYTES and is_content(inner, content_types) for inner in get_args(annotation))


def without_none(annotation: Any) -> Any:
    """`X` for ``X | None``; anything else as it is."""
    if get_origin(annotation) in (Union, UnionType):
        members = [member for member in get_args(annotation) if member is not NoneType]
        if len(members) == 1:
            return members[0]
    return annotation


def describe(annotation: Any) -> str:
    """An annotation, for an error message."""
    if isinstance(annotation, type) and not get_args(annotation):
        return annotation.__name__
    return str(annotation).replace("typing.", "")
