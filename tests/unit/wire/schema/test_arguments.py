from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal

import msgspec
import pydantic
import pytest

from longreach.wire.schema import InvalidArguments, inspect_handler
from longreach.wire.schema.arguments import MAX_PROBLEMS


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


@dataclass
class Page:
    number: int
    colour: Colour = Colour.RED
    below: list[Page] = field(default_factory=list)


class Closed(msgspec.Struct, forbid_unknown_fields=True):
    a: int


class Model(pydantic.BaseModel):
    a: int


@dataclass
class Even:
    value: int

    def __post_init__(self) -> None:
        if self.value % 2:
            raise ValueError("an even number is wanted")


@dataclass
class Broken:
    value: int

    def __post_init__(self) -> None:
        raise KeyError("secret")


def refused(function: Callable[..., Any], raw: bytes | dict[str, Any]) -> InvalidArguments:
    data = raw if isinstance(raw, bytes) else json.dumps(raw).encode()
    with pytest.raises(InvalidArguments) as caught:
        inspect_handler(function).decode_arguments(data)
    return caught.value


def test_everything_that_is_wrong_is_named_at_once():
    def extract(url: str, pages: int = 1, *, quiet: bool = False) -> None: ...

    error = refused(extract, {"pages": "3", "quiet": 1, "color": 0})
    assert str(error) == (
        "wrong arguments: url: missing, expected a string; pages: expected an integer, got a string; "
        "quiet: expected a boolean, got an integer; "
        "color: no such argument; the arguments are url, pages, quiet"
    )
    assert [(p.path, p.expected, p.got) for p in error.problems] == [
        ("url", "a string", None),
        ("pages", "an integer", "a string"),
        ("quiet", "a boolean", "an integer"),
        ("color", None, None),
    ]


@pytest.mark.parametrize(
    ("annotation", "value", "text"),
    [
        (int, True, "x: expected an integer, got a boolean"),
        (int, 3.5, "x: expected an integer, got a number"),
        (int | None, "a", "x: expected an integer or null, got a string"),
        (list[int], [1, "2"], "x[1]: expected an integer, got a string"),
        (tuple[int, str], [1], "x: expected an array of length 2"),
        (dict[str, int], {"a": None}, "x[...]: expected an integer, got null"),
        (Colour, "green", """x: expected one of "red", "blue", got 'green'"""),
        (Literal["a", "b"], "c", """x: expected one of "a", "b", got 'c'"""),
        (Annotated[int, msgspec.Meta(ge=1)], 0, "x: expected an integer >= 1"),
        (Annotated[str, msgspec.Meta(max_length=1)], "ab", "x: expected a string of length <= 1"),
        (bytes, "!", "x: invalid base64 encoded string (expected base64 text)"),
        (date, "soon", "x: invalid RFC3339 encoded date (expected a date)"),
        (
            Page,
            {"number": 1, "below": [{"number": "2"}]},
            "x.below[0].number: expected an integer, got a string",
        ),
        (Page, {"number": 1, "colour": "c"}, """x.colour: expected one of "red", "blue", got 'c'"""),
        (Page, {}, "x.number: missing, expected an integer"),
        (Closed, {"a": 1, "b": 2}, "x.b: no such field"),
        (Model, {"a": "z"}, "x: a: Input should be a valid integer, unable to parse string as an integer"),
        (Even, {"value": 3}, "x: an even number is wanted"),
        (Broken, {"value": 3}, "x: it was refused"),
    ],
)
def test_what_is_expected(annotation, value, text):
    def handler(x) -> None: ...

    handler.__annotations__["x"] = annotation
    assert str(refused(handler, {"x": value})) == f"wrong arguments: {text}"


@pytest.mark.parametrize("raw", [b"{", b"\xff", b'{"x": "\xff"}', b"{}}", b'{"x": 1e999}'])
def test_what_is_no_json(raw):
    def handler(x: str = "") -> None: ...

    assert refused(handler, raw).problems


@pytest.mark.parametrize(("raw", "got"), [(b"[]", "an array"), (b'"a"', "a string"), (b"3", "an integer")])
def test_what_is_no_object(raw, got):
    def handler() -> None: ...

    assert str(refused(handler, raw)) == (
        f"wrong arguments: expected an object with the arguments by name, got {got}"
    )


def test_a_handler_without_parameters_says_so():
    def handler() -> None: ...

    assert str(refused(handler, {"x": 1})) == "wrong arguments: x: no such argument; it takes none"


@pytest.mark.parametrize("raw", [b"[" * 100_000, b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}"])
def test_what_is_nested_too_deep(raw):
    def handler(x: Any = None) -> None: ...

    assert refused(handler, raw).problems


def test_the_text_is_bounded_whatever_is_sent():
    def handler() -> None: ...

    error = refused(handler, {f"{i}{'x' * 10_000}": i for i in range(1000)})
    assert len(error.problems) == MAX_PROBLEMS
    assert str(error).endswith(f"; and {1000 - MAX_PROBLEMS} more")
    assert len(str(error)) < 12_000
    long = refused(handler_of_choice, {"x": "y" * 100_000})
    assert len(str(long)) < 1000


def handler_of_choice(x: Literal["a"]) -> None: ...


def test_integral_floats_are_integers_wherever_they_are():
    def handler(n: int, page: Page, exact: Decimal, ratio: float, free: Any = None) -> None: ...

    raw = b'{"n":3.0,"page":{"number":2e0},"exact":1.10000000000000000001,"ratio":1.0,"free":[1.5]}'
    assert inspect_handler(handler).decode_arguments(raw) == {
        "n": 3,
        "page": Page(2),
        "exact": Decimal("1.10000000000000000001"),
        "ratio": 1.0,
        "free": [1.5],
    }


@pytest.mark.parametrize(
    "number", ["1e400", "1e300", "9007199254740993.0", "-1e16", "2.99999999999999999999"]
)
def test_a_float_that_may_stand_for_another_integer_is_none(number):
    def handler(n: int) -> None: ...

    assert refused(handler, f'{{"n":{number}}}'.encode()).problems[0].path == "n"


@pytest.mark.parametrize("number", ["1e-99999999999999999999", "0.0000001"])
def test_a_float_next_to_an_integer_is_none(number):
    def handler(n: int) -> None: ...

    assert refused(handler, f'{{"n":{number}}}'.encode()).problems[0].path == "n"


def test_integers_of_any_size():
    def handler(n: int) -> None: ...

    assert inspect_handler(handler).decode_arguments(b'{"n":%d}' % 10**30) == {"n": 10**30}


@pytest.mark.parametrize("raw", [b'{"x":{"value":1}}', b'{"y":"read one by one","x":{"value":1}}'])
def test_memory_that_runs_out_is_no_wrong_argument(raw):
    @dataclass
    class Greedy:
        value: int

        def __post_init__(self) -> None:
            raise MemoryError

    def handler(x, y: int = 0) -> None: ...

    handler.__annotations__["x"] = Greedy
    with pytest.raises(MemoryError):
        inspect_handler(handler).decode_arguments(raw)
