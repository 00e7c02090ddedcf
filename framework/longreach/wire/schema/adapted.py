"""Annotations that msgspec cannot hold and pydantic can, such as a union of models, or a validator.

Where pydantic is installed, such an annotation becomes a type of its own (`adapt`): msgspec hands the value
to `values.decode_hook`, which asks pydantic's `TypeAdapter`. JSON types are not coerced, as everywhere
else: pydantic is asked strictly first. Only models follow pydantic's rules inside, so an object or
array for an annotation with models is tried again as pydantic does it by itself.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterator
from contextlib import suppress
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import msgspec

from longreach.wire.schema.records import is_record
from longreach.wire.values import Adapter, NotFinite, by_alias, encode, is_pydantic

_PREFIX = "#/$defs/"
_BOUNDS = ("gt", "ge", "lt", "le", "multiple_of", "pattern", "min_length", "max_length")
_REFUSED = (complex, Iterator, AsyncIterable)
"""Pydantic takes these, but they are no data: JSON has no complex numbers, and a call no streams."""
_PLAIN = (int, float, str, bool, bytes, list, dict, tuple, set, frozenset, type(None))


class _Anything(type):
    """The type of adapted types: pydantic says what is an instance of one."""

    def __instancecheck__(cls, instance: Any) -> bool:
        return True


class PydanticAdapter(Adapter):
    """Reads and writes the values of one annotation by pydantic's `TypeAdapter`.

    Raises:
        Exception: pydantic cannot hold the annotation either, or is not installed.
    """

    def __init__(self, annotation: Any) -> None:
        from pydantic import TypeAdapter

        self._adapter = TypeAdapter[Any](translated(annotation))
        self._adapter.json_schema()  # fails where there is none
        models = [kind for kind in classes_in(annotation) if is_pydantic(kind)]
        self._has_models = bool(models)
        self._by_alias = all(map(by_alias, models))
        configs: list[Any] = [getattr(kind, "model_config", {}) for kind in models]
        self._writes_infinity = any("ser_json_inf_nan" in config for config in configs)

    def decode(self, value: Any) -> Any:
        """Return the value for plain Python values."""
        data = msgspec.json.encode(value)
        try:
            return self._adapter.validate_json(data, strict=True)
        except ValueError:
            if not self._has_models or data[:1] not in (b"{", b"["):
                raise
        return self._adapter.validate_json(data)

    def write(self, value: Any) -> bytes:
        """Return the JSON of a value; of a subclass of what is promised, only what was promised."""
        try:
            checked = self._adapter.validate_python(value, strict=True)
        except ValueError:
            checked = self.decode(msgspec.json.decode(encode(value)))
        plain = self._adapter.dump_python(checked, mode="json", by_alias=self._by_alias, warnings="error")
        try:
            return encode(plain)
        except NotFinite:
            if not self._writes_infinity:
                raise
        data = self._adapter.dump_json(checked, by_alias=self._by_alias)
        self._adapter.validate_json(data, strict=True)
        return data

    def schema(self, *, serialised: bool) -> dict[str, Any]:
        """Return the JSON Schema; what it refers to is in its ``$defs``."""
        mode: Any = "serialization" if serialised else "validation"
        names = not serialised or self._by_alias
        return self._adapter.json_schema(mode=mode, by_alias=names, ref_template=_PREFIX + "{model}")


def adapt(annotation: Any) -> Any:
    """Return a type that msgspec takes, and whose values pydantic reads as `annotation`.

    Raises:
        ImportError: pydantic is not installed.
        Exception: pydantic cannot hold it; it raises what it likes.
    """
    for kind in classes_in(annotation):
        if any(kind is refused or issubclass(kind, refused) for refused in _REFUSED):
            raise TypeError(f"{kind.__name__} is no data")
    name = getattr(annotation, "__name__", None) or str(annotation)
    return _Anything(name, (), {"__longreach_adapter__": PydanticAdapter(annotation)})


def translated(annotation: Any) -> Any:
    """Return `annotation` with msgspec's `Meta` and plain texts as pydantic's `Field`."""
    arguments = get_args(annotation)
    origin = get_origin(annotation)
    if origin is None or not arguments:
        return annotation
    if origin is Annotated:
        base, *metadata = arguments
        for item in metadata:
            base = Annotated[base, _field(item)]
        return Annotated[(translated(get_args(base)[0]), *get_args(base)[1:])]
    if not any(isinstance(one, type) or get_args(one) for one in arguments):
        return annotation  # such as Literal
    changed = tuple(translated(one) for one in arguments)
    if changed == arguments:
        return annotation
    return Union[changed] if origin in (Union, UnionType) else origin[changed]  # noqa: UP007 - of a tuple


def _field(item: Any) -> Any:
    from pydantic import Field

    documented = item if isinstance(item, str) else getattr(item, "documentation", None)
    if isinstance(documented, str):
        return Field(description=documented)
    if not isinstance(item, msgspec.Meta):
        return item
    said: dict[str, Any] = {name: getattr(item, name) for name in (*_BOUNDS, "title", "description")}
    said = {name: value for name, value in said.items() if value is not None}
    if item.examples is not None:
        said["examples"] = list(item.examples)
    if item.extra_json_schema:
        said["json_schema_extra"] = dict(item.extra_json_schema)
    return Field(**said)


def classes_in(annotation: Any) -> Iterator[type]:
    """Yield every class in `annotation`, and in the fields of its records, each once; not those of models."""
    seen: set[int] = set()
    left = [annotation]
    while left:
        item = left.pop()
        if id(item) in seen:
            continue
        seen.add(id(item))
        left.extend(get_args(item))
        kind = get_origin(item) or item
        if not isinstance(kind, type) or kind in (Annotated, Union, UnionType):
            continue
        yield kind
        if is_record(kind) and not issubclass(kind, msgspec.Struct):
            with suppress(Exception):  # whoever builds a decoder says what is wrong with its annotations
                left.extend(get_type_hints(kind, include_extras=True).values())


def is_for_pydantic(annotation: Any) -> bool:
    """Return whether a class in `annotation` is read by pydantic alone, such as ``EmailStr``."""
    return any(_is_hooked(kind) for kind in classes_in(annotation))


def _is_hooked(kind: type) -> bool:
    hooked = hasattr(kind, "__get_pydantic_core_schema__") or hasattr(kind, "__get_validators__")
    return hooked and not is_pydantic(kind) and not hasattr(kind, "__pydantic_validator__")


def writer_of(annotation: Any) -> PydanticAdapter | None:
    """Return what writes results of an annotation with models; None if msgspec does, or pydantic cannot."""
    if not any(is_pydantic(kind) or _is_hooked(kind) for kind in classes_in(annotation)):
        return None
    with suppress(Exception):  # such as a Struct beside a model
        return PydanticAdapter(annotation)
    return None


def is_adaptable(annotation: Any) -> bool:
    """Return whether pydantic is asked about an annotation that msgspec refuses.

    A bound that means nothing for a builtin type, as ``ge`` of a text, stays refused: pydantic would
    find out about it at the first call.
    """
    return (
        " | " in str(annotation)
        or "Union[" in str(annotation)
        or not set(classes_in(annotation)) <= set(_PLAIN)
    )
