from __future__ import annotations

import functools
import math
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Optional

import annotated_types
import msgspec
import pydantic
import pytest

from longreach.errors import DeclarationError
from longreach.wire.schema import inspect_handler

if TYPE_CHECKING:
    from nowhere import Missing


class Context: ...


class Picture: ...


class One(msgspec.Struct):
    a: int


class Two(msgspec.Struct):
    b: int


@dataclass
class Arguments:
    a: int


def documented(
    url: str,
    pages: Annotated[int, msgspec.Meta(ge=1)] = 1,
    arguments: Optional[Arguments] = None,  # noqa: UP045
) -> dict[str, int]:
    """Extract the text.

    Args:
        url: where it is.
        pages: how many.
        arguments: of the arguments.
    """
    return {}


def test_the_schema_of_a_signature():
    schema = inspect_handler(documented)
    assert schema.description == "Extract the text."
    assert schema.input_schema == {
        "type": "object",
        "properties": {
            "url": {"type": "string", "description": "where it is."},
            "pages": {"type": "integer", "minimum": 1, "description": "how many.", "default": 1},
            "arguments": {
                "anyOf": [{"$ref": "#/$defs/Arguments"}, {"type": "null"}],
                "description": "of the arguments.",
                "default": None,
            },
        },
        "required": ["url"],
        "additionalProperties": False,
        "$defs": {
            "Arguments": {
                "title": "Arguments",
                "type": "object",
                "properties": {"a": {"type": "integer"}},
                "required": ["a"],
            }
        },
    }
    assert schema.output_schema == {"type": "object", "additionalProperties": {"type": "integer"}}


def test_a_handler_without_parameters():
    def handler() -> None: ...

    assert inspect_handler(handler).input_schema == {
        "type": "object",
        "properties": {},
        "additionalProperties": False,
    }


def test_a_parameter_without_annotation_takes_any_value():
    def handler(x, y=3): ...

    schema = inspect_handler(handler)
    assert schema.input_schema["properties"] == {"x": {}, "y": {"default": 3}}
    assert schema.returns == "any"


def test_a_text_in_the_annotation_goes_before_the_docstrings():
    def handler(x: Annotated[int, "stated"]) -> None:
        """Do.

        Args:
            x: documented.
        """

    assert inspect_handler(handler).input_schema["properties"]["x"]["description"] == "stated"


def test_a_default_that_json_does_not_have_is_not_shown():
    def handler(x: float = math.inf) -> None: ...

    schema = inspect_handler(handler)
    assert schema.input_schema["properties"]["x"] == {"type": "number"}
    assert schema.decode_arguments(b"{}") == {}


def test_the_context_is_passed_by_the_framework():
    def plain(ctx: Context, x: int) -> None: ...

    def optional(x: int, ctx: Context | None = None) -> None: ...

    def quoted(x: int, *, ctx: "Optional[Context]") -> None: ...  # noqa: UP037, UP045

    for function in (plain, optional, quoted):
        schema = inspect_handler(function, context_type=Context)
        assert schema.context_parameter == "ctx"
        assert list(schema.input_schema["properties"]) == ["x"]
        assert schema.encode_arguments((1,), {}) == b'{"x":1}'


def test_without_a_context_there_is_no_context_parameter():
    assert inspect_handler(documented, context_type=Context).context_parameter is None


def test_a_methods_instance_is_no_parameter():
    class Actor:
        def method(self, x: int) -> None: ...

    schema = inspect_handler(Actor.method, skip_self=True)
    assert list(schema.input_schema["properties"]) == ["x"]
    assert schema.encode_arguments((1,), {}) == b'{"x":1}'


def test_content_of_others_is_content():
    def handler() -> Picture: ...

    assert inspect_handler(handler, content_types=(Picture,)).returns == "content"
    with pytest.raises(DeclarationError, match="the result of type Picture has no JSON form"):
        inspect_handler(handler)


def test_a_wrapped_function_is_seen_through():
    @functools.wraps(documented)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return documented(*args, **kwargs)

    assert inspect_handler(wrapper).input_schema == inspect_handler(documented).input_schema


def variadic(*rest: int) -> None: ...
def keywords(**rest: int) -> None: ...
def positional(x: int, /) -> None: ...
def unresolved(x: Missing) -> None: ...
def unwritten(x: "int int") -> None: ...  # noqa: F722
def number(x: complex) -> None: ...
def untagged(x: One | Two) -> None: ...
def number_result() -> complex: ...
def bad_pattern(x: Annotated[str, msgspec.Meta(pattern="(")]) -> None: ...
def bad_bound(x: Annotated[str, msgspec.Meta(ge=1)]) -> None: ...
def unheld(x: Annotated[str, annotated_types.Predicate(str.islower)]) -> None: ...
def keyed(x: dict[tuple[int, int], str]) -> None: ...
def none_default(x: int = None) -> None: ...  # type: ignore[assignment]  # noqa: RUF013
def text_default(x: int = "1") -> None: ...  # type: ignore[assignment]
def low_default(x: Annotated[int, msgspec.Meta(ge=1)] = 0) -> None: ...
def endless_default(x: int = math.inf) -> None: ...  # type: ignore[assignment]
def object_default(x: Any = object()) -> None: ...  # noqa: B008
def field_default(x: int = pydantic.Field(default=0, ge=1)) -> None: ...
def two_contexts(a: Context, b: Context | None) -> None: ...
def generator() -> Iterator[int]:
    yield 1


async def stream() -> AsyncIterator[int]:
    yield 1


@pytest.mark.parametrize(
    ("function", "text"),
    [
        (variadic, r"variadic: \*rest cannot be an argument by name; name each parameter"),
        (keywords, r"keywords: \*\*rest has no schema; name each parameter, or take one dict"),
        (positional, "positional: parameter 'x' is positional-only.*drop the '/'"),
        (unresolved, "unresolved: an annotation cannot be resolved: .*Missing.*import what it names"),
        (unwritten, "unwritten: an annotation cannot be evaluated"),
        (number, "number: parameter 'x' of type complex has no JSON form: .*Use standard types"),
        (untagged, "untagged: parameter 'x' of type .*One | Two has no JSON form: .* must be tagged"),
        (number_result, "number_result: the result of type complex has no JSON form"),
        (bad_pattern, "bad_pattern: an annotation cannot be evaluated: missing \\)"),
        (bad_bound, "bad_bound: parameter 'x' .* has no JSON form: Can only set `ge`"),
        (unheld, "unheld: parameter 'x': Predicate.* cannot be made here; make it in the function"),
        (keyed, r"keyed: parameter 'x': keys of type tuple\[int, int\] have no JSON form; use str"),
        (none_default, r"none_default: the default of parameter 'x' does not fit .* \(write `... \| None`\)"),
        (text_default, "text_default: the default of parameter 'x' does not fit its annotation int"),
        (low_default, "low_default: the default of parameter 'x' does not fit"),
        (endless_default, "endless_default: the default of parameter 'x' does not fit"),
        (object_default, "object_default: the default of parameter 'x' does not fit"),
        (field_default, r"field_default: the default of parameter 'x' does not fit its annotation"),
        (two_contexts, "two_contexts: parameters 'a' and 'b' are both the context"),
        (generator, "generator yields, but a call has one result; return it"),
        (stream, "stream yields, but a call has one result; return it"),
        (functools.partial(documented, "u"), "is no function; a handler is a function or a method"),
        (dict.update, "dict.update has no signature that can be read"),
    ],
)
def test_what_cannot_be_a_handler(function, text):
    with pytest.raises(DeclarationError, match=text):
        inspect_handler(function, context_type=Context)


def test_a_refusal_is_one_line():
    for function in (number, untagged, none_default, unresolved):
        with pytest.raises(DeclarationError) as caught:
            inspect_handler(function)
        assert "\n" not in str(caught.value)


def test_a_method_that_has_no_instance_is_refused_when_it_is_declared():
    class Box:
        def method(self, x: int) -> None: ...

        @staticmethod
        def static(x: int) -> None: ...

        @functools.wraps(method)
        def wrapped(*args: Any) -> None: ...

    def self_like(self: int) -> None: ...

    for unbound in (Box.method, Box.wrapped):
        with pytest.raises(DeclarationError, match=r"is a method, .* server\.tool\(instance\.method\)"):
            inspect_handler(unbound)
    assert list(inspect_handler(Box().method).input_schema["properties"]) == ["x"]
    assert list(inspect_handler(Box.static).input_schema["properties"]) == ["x"]
    assert list(inspect_handler(self_like).input_schema["properties"]) == ["self"]
