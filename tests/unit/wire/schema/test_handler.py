from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Any, Literal, NamedTuple, NotRequired, TypedDict
from uuid import UUID

import msgspec
import pydantic
import pytest
from jsonschema import Draft202012Validator

from longreach.errors import InvalidResult
from longreach.wire.schema import HandlerSchema, inspect_handler


class Colour(Enum):
    RED = "red"


class Level(IntEnum):
    LOW = 1


@dataclass
class Page:
    number: int
    at: datetime | None = None


class Row(TypedDict):
    a: int
    b: NotRequired[str]


class Point(NamedTuple):
    x: int
    y: int = 0


class Extract(msgspec.Struct):
    pages: list[Page]


class Circle(msgspec.Struct, tag=True):
    r: float


class Square(msgspec.Struct, tag=True):
    a: float


class Item(pydantic.BaseModel):
    price: Decimal = pydantic.Field(alias="unitPrice")
    since: date


VALUES: list[tuple[Any, Any]] = [
    (str, "é\n"),
    (int, -3),
    (float, 1.5),
    (float, 3),
    (bool, True),
    (None, None),
    (Any, {"a": [1, None]}),
    (int | None, None),
    (int | str, "a"),
    (Literal["a", 1, None], 1),
    (Colour, Colour.RED),
    (Level, Level.LOW),
    (list[int], [1]),
    (tuple[int, str], (1, "a")),
    (tuple[int, ...], (1, 2, 3)),
    (set[str], {"a"}),
    (frozenset[int], frozenset({1})),
    (dict[str, list[int]], {"a": [1]}),
    (dict[int, str], {1: "a"}),
    (Sequence[int], [1]),
    (Mapping[str, int], {"a": 1}),
    (datetime, datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
    (date, date(2026, 1, 2)),
    (time, time(3, 4, 5)),
    (timedelta, timedelta(hours=1, seconds=2)),
    (UUID, UUID(int=7)),
    (Decimal, Decimal("1.10")),
    (bytes, b"\x00\xff"),
    (Page, Page(1, datetime(2026, 1, 2, tzinfo=UTC))),
    (list[Page], [Page(1), Page(2)]),
    (Row, {"a": 1}),
    (Row, {"a": 1, "b": "x"}),
    (Point, Point(1, 2)),
    (Extract, Extract([Page(1)])),
    (Circle | Square, Square(1.0)),
    (Item, Item(unitPrice=Decimal("1.5"), since=date(2026, 1, 2))),
    (dict[str, Item | None], {"a": Item(unitPrice=Decimal(1), since=date(2026, 1, 2)), "b": None}),
]


def of(annotation: Any, returns: Any = Any) -> HandlerSchema:
    def handler(x) -> None: ...

    handler.__annotations__.update({"x": annotation, "return": returns})
    return inspect_handler(handler)


def valid(schema: dict[str, Any] | None, data: bytes) -> bool:
    assert schema is not None
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema).is_valid(json.loads(data))


@pytest.mark.parametrize(("annotation", "value"), VALUES, ids=str)
def test_an_argument_arrives_as_it_was_passed_and_fits_the_schema(annotation, value):
    schema = of(annotation)
    data = schema.encode_arguments((value,), {})
    assert valid(schema.input_schema, data)
    arrived = schema.decode_arguments(data)
    assert arrived == {"x": value}
    assert schema.decode_arguments(msgspec.Raw(data)) == arrived
    if type(value) is not int:  # an int that was passed for a float arrives as one
        assert type(arrived["x"]) is type(value)


TYPED = [(annotation, value) for annotation, value in VALUES if annotation not in (str, None, Any, bytes)]


@pytest.mark.parametrize(("annotation", "value"), TYPED, ids=str)
def test_a_result_arrives_as_it_was_returned_and_fits_the_schema(annotation, value):
    schema = of(int, annotation)
    data = schema.structured(value)
    assert data is not None
    assert valid(schema.output_schema, data)
    assert schema.decode_result(data, None) == value


def test_what_is_left_out_is_left_to_the_functions_own_defaults():
    def handler(a: int, b: int = 2, c: int | None = None) -> None: ...

    assert inspect_handler(handler).decode_arguments(b'{"a":1,"c":null}') == {"a": 1, "c": None}


@pytest.mark.parametrize("raw", [b"", b"{}", b" null ", msgspec.Raw(b"null"), msgspec.Raw()])
def test_nothing_is_an_empty_object(raw):
    def handler(a: int = 1) -> None: ...

    def without() -> None: ...

    assert inspect_handler(handler).decode_arguments(raw) == {}
    assert inspect_handler(without).decode_arguments(raw) == {}


def named(a: int, b: str = "x", *, c: bool = False) -> None: ...


@pytest.mark.parametrize(
    ("args", "kwargs", "expected"),
    [
        ((1,), {}, {"a": 1}),
        ((1, "y"), {"c": True}, {"a": 1, "b": "y", "c": True}),
        ((), {"a": 1, "c": True}, {"a": 1, "c": True}),
    ],
)
def test_arguments_are_bound_as_python_binds_them(args, kwargs, expected):
    assert json.loads(inspect_handler(named).encode_arguments(args, kwargs)) == expected


@pytest.mark.parametrize(
    ("args", "kwargs", "text"),
    [
        ((), {}, "missing a required argument: 'a'"),
        ((), {"a": 1, "d": 1}, "unexpected keyword argument 'd'"),
        ((1,), {"a": 1}, "multiple values for argument 'a'"),
        ((1, "y", True), {}, "too many positional arguments"),
        ((1,), {"b": object()}, "argument 'b' cannot be written as JSON: a object has no JSON form"),
        ((1,), {"b": "\ud800"}, "argument 'b' cannot be written as JSON"),
    ],
)
def test_arguments_that_the_function_does_not_take(args, kwargs, text):
    with pytest.raises(TypeError, match=text):
        inspect_handler(named).encode_arguments(args, kwargs)


def test_a_cycle_cannot_be_written():
    cycle: list[Any] = []
    cycle.append(cycle)
    with pytest.raises(TypeError, match="argument 'x' cannot be written"):
        of(list).encode_arguments((cycle,), {})


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (int, "1"),
        (int, True),
        (int, None),
        (float, float("nan")),
        (Page, Page("one")),  # type: ignore[arg-type]
        (list[int], [1, "2"]),
        (dict[str, int], {"a": object()}),
        (Row, {"b": "x"}),
        (Item, {"since": "soon"}),
    ],
)
def test_a_result_that_breaks_the_promise_is_none(annotation, value):
    with pytest.raises(InvalidResult, match="does not fit the return annotation"):
        of(int, annotation).structured(value)


def test_a_result_may_be_given_in_another_shape_of_the_same_json():
    assert of(int, Page).structured({"number": 1}) == b'{"number":1}'
    assert of(int, list[int]).structured((1, 2)) == b'{"result":[1,2]}'
    assert of(int, Point).structured(Point(1)) == b'{"result":[1,0]}'


@pytest.mark.parametrize("returns", [str, None, bytes, Any])
def test_results_without_a_schema_have_no_structured_content(returns):
    schema = of(int, returns)
    assert schema.output_schema is None
    assert schema.structured("x") is None


@pytest.mark.parametrize(
    ("returns", "structured", "text", "expected"),
    [
        (str, None, "hello", "hello"),
        (str, None, None, ""),
        (None, b'{"a":1}', "hello", None),
        (Any, b'{"a":1}', "hello", {"a": 1}),
        (Any, b"", "hello", "hello"),
        (bytes, None, "hello", "hello"),
        (int, b'{"result":3}', "4", 3),
        (int, msgspec.Raw(b'{"result":3,"more":1}'), None, 3),
    ],
)
def test_what_a_result_stands_for(returns, structured, text, expected):
    assert of(int, returns).decode_result(structured, text) == expected


@pytest.mark.parametrize(
    ("structured", "text"),
    [
        (None, "no structured content"),
        (b"", "no structured content"),
        (b"{}", "the key 'result'"),
        (b'{"result":"x"}', "does not fit"),
        (b"[1]", "does not fit"),
        (b"{", "does not fit"),
        (b'{"result":"\xff"}', "does not fit"),
        (b'{"result":' + b"[" * 100_000, "does not fit"),
    ],
)
def test_a_result_that_stands_for_nothing(structured, text):
    with pytest.raises(InvalidResult, match=text):
        of(int, int).decode_result(structured, "3")


def test_parameters_say_how_they_can_be_passed():
    a, b, c = inspect_handler(named).parameters
    assert (a.name, a.kind, a.required) == ("a", inspect.Parameter.POSITIONAL_OR_KEYWORD, True)
    assert (b.default, b.required, b.description) == ("x", False, None)
    assert c.kind is inspect.Parameter.KEYWORD_ONLY


def test_a_parameter_may_have_the_name_of_anything():
    def handler(self: int, cls: int, type_: int, type: str, copy: int = 0) -> None: ...

    function: Callable[..., Any] = handler
    raw = b'{"self":1,"cls":2,"type_":3,"type":"t"}'
    assert inspect_handler(function).decode_arguments(raw) == json.loads(raw)
