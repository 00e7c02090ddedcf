"""Wrong arguments, each one named, and arguments that are right in another JSON than ours.

The fast path (`HandlerSchema.decode_arguments`) stops at the first thing that is wrong. What it refuses comes
here and is read argument by argument: either it fits after all (``3.0`` is an integer in JSON Schema, and
in the JSON of many languages), or each argument that is wrong, missing or unknown is named.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec
from msgspec import UNSET

from longreach.wire.schema.jsontexts import takes_text, unquoted
from longreach.wire.schema.words import in_words, subschema, words

MAX_PROBLEMS = 16
"""As many are listed; a caller that sends a thousand wrong names learns enough from these."""
_MAX_TEXT = 300
_EXACT = 2**53  # beyond it a float stands for several integers

_AT = re.compile(r"^(.*?)(?: - at `(?:key in )?\$(.*)`)?$", re.DOTALL)
_EXPECTED = re.compile(r"^Expected (.*?)(?:, got (`.*`))?$", re.DOTALL)
_FIELD = re.compile(r"^Object (missing required|contains unknown) field `(.*)`$", re.DOTALL)
_ENUM = re.compile(r"^Invalid enum value (.*)$", re.DOTALL)


class Problem(NamedTuple):
    """One wrong argument.

    Attributes:
        path: which argument, and where in it: ``options.pages[0]``; empty for all of them together.
        what: what is wrong, for people and models to read.
        expected: what would have been right; None for an argument that there is not.
        got: what came instead; None where nothing came.
    """

    path: str
    what: str
    expected: str | None = None
    got: str | None = None

    def __str__(self) -> str:
        return f"{self.path}: {self.what}" if self.path else self.what


class InvalidArguments(ValueError):
    """Arguments that do not fit; the text names each wrong one, and what was expected.

    Args:
        problems: at least one.
        unlisted: how many more there are.
    """

    def __init__(self, problems: list[Problem], unlisted: int = 0) -> None:
        self.problems = problems
        more = f"; and {unlisted} more" if unlisted else ""
        super().__init__(f"wrong arguments: {'; '.join(map(str, problems))}{more}")


def read_each(
    raw: bytes | msgspec.Raw,
    decoders: Mapping[str, msgspec.json.Decoder[Any]],
    required: frozenset[str],
    schema: Mapping[str, Any],
    *,
    json_texts: bool = False,
) -> dict[str, Any]:
    """The arguments in `raw`, read one by one.

    Args:
        raw: a JSON object; nothing at all and ``null`` count as an empty one.
        decoders: one for each parameter.
        required: the parameters without a default.
        schema: the input schema, which says what is expected.
        json_texts: an argument may come as JSON text; see `jsontexts`.

    Raises:
        InvalidArguments: they do not fit.
    """
    given = object_in(raw)
    values: dict[str, Any] = {}
    problems = [_missing(name, schema) for name in decoders if name in required and name not in given]
    for name, value in given.items():
        if name not in decoders:
            problems.append(_unknown(name, decoders))
            continue
        try:
            values[name] = _read(decoders[name], value)
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001 - checks of the user's own types raise what they like
            read = _read_text(decoders[name], value, name, schema) if json_texts else UNSET
            if read is UNSET:
                problems.append(_wrong(name, error, schema))
            else:
                values[name] = read
    if problems:
        raise InvalidArguments(problems[:MAX_PROBLEMS], max(0, len(problems) - MAX_PROBLEMS))
    return values


def object_in(raw: bytes | msgspec.Raw) -> dict[str, msgspec.Raw]:
    """The members of a JSON object; nothing at all and ``null`` count as an empty one.

    Raises:
        InvalidArguments: it is none.
    """
    try:
        if bytes(raw).strip() in (b"", b"null"):
            return {}
        return msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
    except msgspec.ValidationError as error:
        got = in_words(str(error).rpartition(", got ")[2])
        what = f"expected an object with the arguments by name, got {got}"
        raise InvalidArguments([Problem("", what, "an object", got)]) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise InvalidArguments([Problem("", "the arguments are not JSON", "an object", "no JSON")]) from None


def _read(decoder: msgspec.json.Decoder[Any], value: msgspec.Raw) -> Any:
    try:
        return decoder.decode(value)
    except msgspec.ValidationError:
        respelled = _with_integers(bytes(value))
        if respelled is None:
            raise
        try:
            return decoder.decode(respelled)
        except msgspec.ValidationError:
            pass
        raise


def _read_text(
    decoder: msgspec.json.Decoder[Any], value: msgspec.Raw, name: str, schema: Mapping[str, Any]
) -> Any:
    """The argument that `value` holds as JSON text; UNSET if it holds none that fits."""
    if takes_text(schema.get("properties", {}).get(name, {}), schema):
        return UNSET
    inner = unquoted(value)
    if inner is None:
        return UNSET
    try:
        return _read(decoder, msgspec.Raw(inner))
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 - checks of the user's own types raise what they like
        return UNSET


def _with_integers(value: bytes) -> bytes | None:
    """`value` with each integral float, as ``3.0``, written as an integer; None if it holds none."""
    if not any(mark in value for mark in (b".", b"e", b"E")):
        return None
    respelled = msgspec.json.encode(_floats.decode(value))
    return None if respelled == value else respelled


def _integer(text: str) -> int | msgspec.Raw:
    value = float(text)
    if abs(value) < _EXACT and value.is_integer() and _is_exactly(text, int(value)):
        return int(value)
    return msgspec.Raw(text.encode())  # every other number goes on as it was written


def _is_exactly(text: str, value: int) -> bool:
    """Whether `text` is `value` before it is rounded to a float."""
    try:
        return Decimal(text) == value
    except ArithmeticError:  # an exponent beyond what even a Decimal has
        return False


_floats: msgspec.json.Decoder[Any] = msgspec.json.Decoder(float_hook=_integer)


def _missing(name: str, schema: Mapping[str, Any]) -> Problem:
    expected = words(subschema(schema, f".{name}"), schema)
    return Problem(name, f"missing, expected {expected}", expected)


def _unknown(name: str, known: Mapping[str, Any]) -> Problem:
    there_are = f"the arguments are {', '.join(known)}" if known else "it takes none"
    return Problem(shortened(name), f"no such argument; {shortened(there_are)}")


def _wrong(name: str, error: Exception, schema: Mapping[str, Any]) -> Problem:
    if not isinstance(error, ValueError | TypeError):
        # Its text was not written for callers; the cause is kept for whoever holds the exception.
        message, where = "it was refused", ""
    else:
        match = _AT.match(str(error))
        message, where = (match[1], match[2] or "") if match else (str(error), "")
    path = name + where
    expected = words(subschema(schema, f".{path}"), schema)
    if field := _FIELD.match(message):
        return _wrong_field(f"{path}.{field[2]}", field[1].startswith("missing"), schema)
    if enum := _ENUM.match(message):
        got = shortened(enum[1])
        return Problem(shortened(path), f"expected {expected}, got {got}", expected, got)
    if plain := _EXPECTED.match(message):
        stated, got = shortened(in_words(plain[1])), in_words(plain[2] or "")
        what = f"expected {stated}, got {got}" if got else f"expected {stated}"
        return Problem(shortened(path), what, stated, got or "another value")
    said = shortened(message[:1].lower() + message[1:])
    known = expected not in ("a value", "an object")
    return Problem(
        shortened(path), f"{said} (expected {expected})" if known else said, expected, "another value"
    )


def _wrong_field(path: str, missing: bool, schema: Mapping[str, Any]) -> Problem:
    if missing:
        expected = words(subschema(schema, f".{path}"), schema)
        return Problem(shortened(path), f"missing, expected {expected}", expected)
    return Problem(shortened(path), "no such field")


def shortened(text: str) -> str:
    """`text`, or as much of it as a caller learns from."""
    return text if len(text) <= _MAX_TEXT else f"{text[: _MAX_TEXT - 1]}…"
