"""Schemas that were written by hand: JSON Schema 2020-12 in full, and the older drafts that `$schema` names.

Validation is python-jsonschema's. Nothing is ever fetched: a `$ref` that the schema itself does not hold is
refused when it is declared.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Raw

from longreach.errors import ConfigError, DeclarationError
from longreach.wire.schema.arguments import MAX_PROBLEMS, InvalidArguments, Problem, object_in, shortened
from longreach.wire.schema.jsontexts import takes_text, unquoted
from longreach.wire.schema.words import words

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError

MAX_SCHEMA_BYTES = 256 * 1024
MAX_SCHEMA_DEPTH = 64
"""Both bound how long one validation can take, and keep a definition below what a broker carries."""
MAX_VALUES = 100_000
"""So many JSON values are checked at the most: it takes microseconds for each, in which nothing else runs."""
_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")
_KINDS = {
    dict: "an object", list: "an array", str: "a string", bool: "a boolean", int: "an integer",
    float: "a number", type(None): "null",
}  # fmt: skip


class DeclaredSchema:
    """A JSON Schema that values are held against.

    Args:
        schema: the schema.
        what: what it is the schema of, for errors: ``"input_schema of echo"``.
        json_texts: an argument may come as JSON text; see `jsontexts`.

    Raises:
        DeclarationError: it is no valid schema, refers to what is not in it, or is too large.
        ConfigError: python-jsonschema is not installed.
    """

    def __init__(self, schema: Mapping[str, Any], what: str, *, json_texts: bool = False) -> None:
        self._json_texts = json_texts
        self._what = what
        self.schema = _plain(schema, what)
        self._validator = _validator(self.schema, what)

    def arguments(self, raw: bytes | Raw) -> dict[str, Any]:
        """The arguments in `raw`, a JSON object; nothing at all and ``null`` count as an empty one.

        Raises:
            InvalidArguments: they do not fit; the text names each one that is wrong.
        """
        given = {name: _value(value) for name, value in object_in(raw).items()}
        if len(bytes(raw)) > MAX_VALUES and not _has_at_most(given, MAX_VALUES):
            raise InvalidArguments([Problem("", f"these are more than {MAX_VALUES} values")])
        problems = list(self._problems(given))
        if problems and self._json_texts:
            read = self._with_texts_read(given)
            if read != given and not list(self._problems(read)):
                return read
        if problems:
            raise InvalidArguments(problems[:MAX_PROBLEMS], max(0, len(problems) - MAX_PROBLEMS))
        return given

    def _with_texts_read(self, given: dict[str, Any]) -> dict[str, Any]:
        """`given`, with what each text that cannot fit holds as JSON."""
        read = dict(given)
        declared = self.schema.get("properties", {})
        for name, value in given.items():
            if not isinstance(value, str) or takes_text(declared.get(name, True), self.schema):
                continue
            inner = unquoted(msgspec.json.encode(value))
            if inner is not None:
                read[name] = _value(Raw(inner))
        return read

    def complaint(self, value: Any) -> str | None:
        """The first thing that is wrong with `value`; None if it fits."""
        problem = next(iter(self._problems(value)), None)
        return None if problem is None else str(problem)

    def _problems(self, value: Any) -> Iterable[Problem]:
        try:
            errors = sorted(self._validator.iter_errors(value), key=lambda error: list(map(str, error.path)))
        except RecursionError:
            return [Problem("", "it is nested too deeply")]
        except MemoryError:
            raise
        except Exception:  # noqa: BLE001 - what the validator stumbles over must not crash an actor
            return [Problem("", "it cannot be checked")]
        return [problem for error in errors for problem in _told(error, self.schema)]


def _value(raw: Raw) -> Any:
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidArguments([Problem("", f"the arguments cannot be read: {error}")]) from None


def _has_at_most(value: Any, left: int) -> bool:
    """Whether there are no more than `left` values in `value`."""
    todo = [value]
    while todo and left >= 0:
        one = todo.pop()
        left -= 1
        if isinstance(one, dict):
            todo += one.values()
        elif isinstance(one, list):
            todo += one
    return left >= 0


def _plain(schema: Mapping[str, Any], what: str) -> dict[str, Any]:
    """`schema` as plain JSON values."""
    try:
        data = msgspec.json.encode(schema)
        plain = msgspec.json.decode(data)
    except (TypeError, ValueError, RecursionError) as error:
        raise DeclarationError(f"the {what} is no JSON: {error}") from None
    if not isinstance(plain, dict):
        raise DeclarationError(f"the {what} must be an object")
    if len(data) > MAX_SCHEMA_BYTES:
        raise DeclarationError(f"the {what} has {len(data)} bytes; at most {MAX_SCHEMA_BYTES} are allowed")
    if _depth(plain) > MAX_SCHEMA_DEPTH:
        raise DeclarationError(
            f"the {what} is nested more than {MAX_SCHEMA_DEPTH} deep; put parts into $defs"
        )
    return plain


def _depth(value: Any) -> int:
    below: Iterable[Any] = (
        value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    )
    return 1 + max(map(_depth, below), default=0)


def _validator(schema: dict[str, Any], what: str) -> Any:
    try:
        from jsonschema import Draft202012Validator, exceptions, validators
        from jsonschema_specifications import REGISTRY
        from referencing.exceptions import Unresolvable
    except ImportError:
        raise ConfigError(
            "schemas that are declared by hand need python-jsonschema: install longreach[schema]"
        ) from None
    dialect = validators.validator_for(schema, default=None)
    if dialect is None and "$schema" in schema:
        raise DeclarationError(f"the {what} is of a dialect that nobody here knows: {schema['$schema']!r}")
    cls = validators.extend(dialect or Draft202012Validator, {"uniqueItems": _unique_items})
    try:
        cls.check_schema(schema)
    except exceptions.SchemaError as error:
        raise DeclarationError(
            f"the {what} is no JSON Schema: at {error.json_path}: {error.message}"
        ) from None
    # A registry of its own: without one, jsonschema would fetch what it does not know.
    try:
        _resolve_all(schema, REGISTRY)
    except re.error as error:
        raise DeclarationError(f"the {what} has a pattern that Python does not understand: {error}") from None
    except (Unresolvable, RecursionError) as error:
        raise DeclarationError(
            f"the {what} refers to what is not in it, and nothing is fetched: {shortened(str(error))}"
        ) from None
    return cls(schema, registry=REGISTRY)


def _resolve_all(schema: dict[str, Any], registry: Any) -> None:
    """Look up each reference that validation could meet.

    Raises:
        Unresolvable: one is to something else.
    """
    from referencing import Resource
    from referencing.jsonschema import DRAFT202012

    root = Resource.from_contents(schema, default_specification=DRAFT202012)
    todo = [(root, registry.resolver_with_root(root))]
    seen: set[int] = set()
    while todo:
        resource, resolver = todo.pop()
        contents = resource.contents
        _compile_patterns(contents)
        if id(contents) in seen:
            continue
        seen.add(id(contents))
        for keyword in _REFERENCES:
            if isinstance(contents, dict) and isinstance(contents.get(keyword), str):
                found = resolver.lookup(contents[keyword])
                todo.append((DRAFT202012.create_resource(found.contents), found.resolver))
        todo += [(below, resolver.in_subresource(below)) for below in resource.subresources()]


def _compile_patterns(schema: Any) -> None:
    """See to it that each pattern is one that Python understands.

    Raises:
        re.error: it is not.
    """
    if isinstance(schema, dict):
        patterns = schema.get("patternProperties")
        for pattern in (schema.get("pattern"), *(patterns if isinstance(patterns, dict) else ())):
            if isinstance(pattern, str):
                re.compile(pattern)


def _unique_items(validator: Any, unique: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
    """`uniqueItems` in time that grows with the instance, where jsonschema's may grow with its square."""
    from jsonschema.exceptions import ValidationError

    if not unique or not isinstance(instance, list):
        return
    seen: set[bytes] = set()
    for item in instance:
        key = msgspec.json.encode(_canonical(item), order="deterministic")
        if key in seen:
            yield ValidationError("its items are not all different")
            return
        seen.add(key)


def _canonical(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_canonical(item) for item in value]
    if isinstance(value, dict):
        return {key: _canonical(item) for key, item in value.items()}
    return value


def _told(error: ValidationError, root: Mapping[str, Any]) -> Iterator[Problem]:
    """What `error` says, in the words that typed handlers use too."""
    path = _path(error.absolute_path)
    schema: Any = error.schema
    if error.validator == "required" and isinstance(error.instance, dict):
        name = str(error.message.partition("' is a required")[0].removeprefix("'"))
        expected = words(schema.get("properties", {}).get(name, {}), root)
        yield Problem(shortened(_joined(path, name)), f"missing, expected {expected}", expected)
    elif (
        error.validator in ("additionalProperties", "unevaluatedProperties")
        and error.validator_value is False
    ):
        known = schema.get("properties", {})
        extra = [name for name in error.instance if name not in known] or [""]
        what = "no such field" if path else "no such argument"
        for name in extra:
            yield Problem(shortened(_joined(path, name)), what)
    elif error.validator in ("type", "enum", "const"):
        expected = words({error.validator: error.validator_value}, root)
        got = _KINDS.get(type(error.instance), "another value")
        if error.validator != "type":
            got = shortened(msgspec.json.encode(error.instance).decode())
        yield Problem(shortened(path), f"expected {expected}, got {got}", expected, got)
    else:
        said = error.message[:1].lower() + error.message[1:]
        yield Problem(shortened(path), shortened(said))


def _path(steps: Iterable[Any]) -> str:
    path = ""
    for step in steps:
        path = f"{path}[{step}]" if isinstance(step, int) else _joined(path, str(step))
    return path


def _joined(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
