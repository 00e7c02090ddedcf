"""Write what a user's code brings as JSON, or say which value has no JSON form, and where it is.

JSON has no NaN and no infinity, and msgspec writes them as ``null``: a number that was lost would look like
one that was never there. Every value of a user that crosses a border is therefore written by `encode`. A walk
over the value costs about ten times as much as writing it, so it is done only where the text holds ``null``.

Types that msgspec leaves to others are written too: pydantic's models, subclasses of builtins, scalars and
arrays of numpy, times of pandas. None of these libraries is ever imported from here: a value's class brings
all that is needed. Models keep pydantic's own rules, its conversions included, for what is inside them.
"""

from __future__ import annotations

import ipaddress
import json
import math
import pathlib
import re
import zoneinfo
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any, Literal, NamedTuple, get_origin
from weakref import WeakKeyDictionary

import msgspec

_LEAVES = (str, int, bool, bytes, type(None), msgspec.Raw, msgspec.UnsetType)
_MAX_TEXT = 40


class NotFinite(ValueError):
    """A number that JSON does not have; the text says which, and where it is."""


def encode(value: Any, order: Literal["deterministic"] | None = None) -> bytes:
    """Write `value` as JSON.

    Args:
        value: what msgspec can write, or one of the other types that this module knows.
        order: "deterministic" sorts the members of objects, for what is hashed.

    Raises:
        TypeError: something in it has no JSON form.
        NotFinite: a number in it is not finite.
        ValueError: a text in it has no UTF-8 form.
    """
    data = (_encoder if order is None else _ordered).encode(value)
    if b"null" in data:
        check_finite(value)
    return data


def parse_json(text: str, members: Callable[[list[tuple[str, Any]]], Any] | None = None) -> Any:
    """Parse JSON as JSON is: without the NaN and the infinities that Python's parser lets in.

    Args:
        text: one whole JSON value.
        members: makes an object of its members, in order. Defaults to a dict; the last of a name counts.

    Raises:
        ValueError: it is not JSON, a number in it is too large for a float, or `members` refuses.
    """
    return json.loads(text, object_pairs_hook=members, parse_constant=_no_constant, parse_float=_finite)


def check_finite(value: Any) -> None:
    """Raise NotFinite if a number in `value` is not finite; the text says where it is."""
    for place, number in _not_finite(value, ""):
        where = f" at {place.removeprefix('.')}" if place else ""
        raise NotFinite(f"JSON has no {number}{where}; use None, a text, or leave it out")


def _not_finite(value: Any, place: str) -> Iterator[tuple[str, str]]:
    """Yield (place, "NaN" or "Infinity" or "-Infinity") of each number in `value` that is not finite."""
    if isinstance(value, float):
        if not math.isfinite(value):
            name = "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
            yield place, name
        return
    if isinstance(value, _LEAVES):
        return
    members = _members(value)
    if members is None:
        try:
            plain = encode_hook(value)
        except TypeError:  # msgspec writes it by itself, such as a date, and it holds no number
            return
        if type(plain) is not type(value):  # else it is a date or its like, and holds no number
            yield from _not_finite(plain, place)
        return
    for key, inner in members:
        step = f"[{key}]" if isinstance(key, int) else f".{str(key)[:_MAX_TEXT]}"
        yield from _not_finite(inner, place + step)


def _members(value: Any) -> Iterable[tuple[Any, Any]] | None:
    """Return (name or position, value) of all that is written of a container; None if `value` is none."""
    if isinstance(value, Mapping):
        return [(str(key), inner) for key, inner in value.items()]
    if isinstance(value, list | tuple | set | frozenset):
        return enumerate(value)
    if isinstance(value, msgspec.Struct):
        return [(one.encode_name, getattr(value, one.name)) for one in msgspec.structs.fields(value)]
    if is_dataclass(value) and not isinstance(value, type):
        return [(one.name, getattr(value, one.name, None)) for one in fields(value)]
    return None


class Adapter(ABC):
    """Reads the values of a type that msgspec cannot hold, and knows its JSON Schema."""

    @abstractmethod
    def decode(self, value: Any) -> Any:
        """Return the value for plain Python values.

        Raises:
            ValueError: they do not fit.
        """

    @abstractmethod
    def write(self, value: Any) -> bytes:
        """Return the JSON of a value: what its type says, and nothing more.

        Raises:
            ValueError: it does not fit.
        """

    @abstractmethod
    def schema(self, *, serialised: bool) -> dict[str, Any]:
        """Return the JSON Schema of what is read or, where `serialised`, of what is written."""


class ValueType(NamedTuple):
    """A value type of the standard library that JSON has as a text.

    Attributes:
        format: of the text, in JSON Schema; the names are pydantic's.
        read: from the text to the value; ValueError where it does not fit.
        write: from the value to the text.
    """

    format: str
    read: Callable[[type, str], Any]
    write: Callable[[Any], str] = str


def _read_plainly(kind: type, text: str) -> Any:
    return kind(text)


def _pattern(_: type, text: str) -> Any:
    try:
        return re.compile(text)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"no regular expression: {error}") from None


def _fraction(_: type, text: str) -> Fraction:
    # An exponent is a number of a few bytes that takes gigabytes: Fraction("1e999999999").
    if "e" in text.lower():
        raise ValueError("a fraction is written 1/3 or 0.25, without an exponent")
    try:
        return Fraction(text)
    except ZeroDivisionError:
        raise ValueError("a fraction needs a denominator other than 0") from None


def _zone(_: type, text: str) -> Any:
    try:
        return zoneinfo.ZoneInfo(text)
    except (zoneinfo.ZoneInfoNotFoundError, OSError, ValueError):
        raise ValueError("there is no such time zone") from None


def _path(kind: type, text: str) -> Any:
    if "\0" in text:
        raise ValueError("a path holds no NUL")
    return kind(text)


_VALUE_TYPES: dict[type, ValueType] = {
    pathlib.PurePath: ValueType("path", _path),
    ipaddress.IPv4Address: ValueType("ipv4", _read_plainly),
    ipaddress.IPv6Address: ValueType("ipv6", _read_plainly),
    ipaddress.IPv4Network: ValueType("ipv4network", _read_plainly),
    ipaddress.IPv6Network: ValueType("ipv6network", _read_plainly),
    ipaddress.IPv4Interface: ValueType("ipv4interface", _read_plainly),
    ipaddress.IPv6Interface: ValueType("ipv6interface", _read_plainly),
    Fraction: ValueType("fraction", _fraction),
    re.Pattern: ValueType("regex", _pattern, lambda pattern: str(pattern.pattern)),
    zoneinfo.ZoneInfo: ValueType("zoneinfo", _zone),
}

_value_types: WeakKeyDictionary[type, ValueType | None] = WeakKeyDictionary()


def value_type(kind: type) -> ValueType | None:
    """Return how values of `kind` are read and written as texts; None if it is none of these types."""
    if kind not in _value_types:
        known = (_VALUE_TYPES.get(base) for base in getattr(kind, "__mro__", ()))
        _value_types[kind] = next((found for found in known if found is not None), None)
    return _value_types[kind]


def is_pydantic(kind: Any) -> bool:
    """Return whether `kind` is a pydantic model."""
    return isinstance(kind, type) and hasattr(kind, "model_validate") and hasattr(kind, "model_json_schema")


def by_alias(model: Any) -> bool:
    """Return whether a model is written by its aliases: yes, unless its `serialize_by_alias` says no."""
    return getattr(model, "model_config", {}).get("serialize_by_alias") is not False


def decode_hook(kind: type, value: Any) -> Any:
    """Return a value of `kind`, from plain Python values.

    Raises:
        ValueError: it does not fit.
    """
    if is_pydantic(kind):
        try:
            # As JSON again: a strict model takes a date from JSON text, but no str for a date in Python.
            return _validated(kind, msgspec.json.encode(value))
        except ValueError as error:
            raise ValueError(_short(error)) from None
    adapter: Adapter | None = getattr(kind, "__longreach_adapter__", None)
    if adapter is not None:
        try:
            return adapter.decode(value)
        except ValueError as error:
            raise ValueError(_short(error)) from None
    textual = value_type(get_origin(kind) or kind)  # re.Pattern[str]
    if textual is not None:
        if not isinstance(value, str):
            raise ValueError(f"Expected `str`, got `{_name_in_json(value)}`")
        return textual.read(kind, value)
    raise TypeError(f"{kind.__name__} has no JSON form")


def _validated(model: Any, data: bytes) -> Any:
    if by_alias(model):
        return model.model_validate_json(data)
    return model.model_validate_json(data, by_alias=True, by_name=True)  # what is written comes back by name


def _name_in_json(value: Any) -> str:
    names = {bool: "bool", int: "int", float: "float", list: "array", dict: "object"}
    return names.get(type(value), "null")


def _short(error: ValueError) -> str:
    listed = getattr(error, "errors", None)
    if listed is None:
        return str(error)
    problems = listed(include_url=False, include_context=False, include_input=False)
    return ", ".join(": ".join(filter(None, [".".join(map(str, p["loc"])), p["msg"]])) for p in problems)


def encode_hook(value: Any) -> Any:
    """Return plain Python values for `value`.

    Raises:
        TypeError: it has no JSON form.
        NotFinite: it is the "not a time" of pandas.
    """
    kind = type(value)
    if is_pydantic(kind):
        return _dumped(value)
    family = kind.__module__.partition(".")[0]
    if family in ("numpy", "pandas"):
        return _of_numpy_or_pandas(value, kind)
    plain = _as_builtin(value)
    if plain is not value:
        return plain
    textual = value_type(kind)
    if textual is not None:
        return textual.write(value)
    if hasattr(kind, "__get_pydantic_core_schema__"):
        from pydantic_core import to_jsonable_python

        return to_jsonable_python(value)
    raise TypeError(f"a {kind.__name__} has no JSON form")


def _dumped(model: Any) -> Any:
    """Return what a pydantic model is in JSON.

    Its own rule for numbers that JSON does not have (`ser_json_inf_nan`) counts if the model takes back,
    strictly, what that rule makes. So nothing is sent that contradicts the model's schema.
    """
    if "ser_json_inf_nan" in getattr(model, "model_config", ()):
        data = model.model_dump_json(by_alias=by_alias(model))
        try:
            type(model).model_validate_json(data, strict=True)
        except ValueError:
            pass
        else:
            return msgspec.Raw(data.encode())
    return model.model_dump(mode="json", by_alias=by_alias(model))


def _of_numpy_or_pandas(value: Any, kind: type) -> Any:
    """Return the builtin that a scalar or an array stands for."""
    if hasattr(value, "to_pydatetime"):
        if str(value) == "NaT":
            raise NotFinite("JSON has no NaT; use None, a text, or leave it out")
        return value.to_pydatetime(warn=False)
    if hasattr(value, "to_pytimedelta"):
        return value.to_pytimedelta()
    if kind.__module__.startswith("numpy") and hasattr(value, "tolist"):
        plain = value.tolist()
        if type(plain) is not kind and plain is not None:
            return plain
    raise TypeError(
        f"a {kind.__module__}.{kind.__name__} has no JSON form; convert it, for example to a dict or list"
    )


def _as_builtin(value: Any) -> Any:
    """Return `value` as the builtin that its class derives from; `value` itself if it derives from none.

    The base class's own conversion is called, since a subclass may have changed it.
    """
    match value:
        case str():
            return str.__str__(value)
        case int():
            return int.__int__(value)
        case float():
            return float.__float__(value)
        case bytes() | bytearray():
            return bytes(memoryview(value))
        case Decimal():
            return Decimal(value) if type(value) is not Decimal else value
        case datetime():
            return datetime.combine(date(value.year, value.month, value.day), _time_of(value))
        case date():
            return date(value.year, value.month, value.day)
        case time():
            return _time_of(value)
        case timedelta():
            return timedelta(value.days, value.seconds, value.microseconds)
        case _:
            return value


def _time_of(value: Any) -> time:
    return time(value.hour, value.minute, value.second, value.microsecond, value.tzinfo, fold=value.fold)


_encoder = msgspec.json.Encoder(enc_hook=encode_hook)
_ordered = msgspec.json.Encoder(enc_hook=encode_hook, order="deterministic")


def _no_constant(name: str) -> Any:
    raise ValueError(f"JSON has no {name}")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is too large for a number")
    return number
