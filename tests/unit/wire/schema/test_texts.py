from __future__ import annotations

from collections.abc import Callable
from datetime import date
from enum import Enum
from typing import Any, Literal

import pytest

from longreach.wire.schema import InvalidArguments, decode_texts, inspect_handler


class Colour(Enum):
    RED = "red"


def takes(kind: Any) -> Callable[..., Any]:
    def function(x): ...

    function.__annotations__["x"] = kind
    return function


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (str, "5", "5"),
        (int, "5", 5),
        (float, "1e3", 1000.0),
        (bool, "true", True),
        (list[int], "[1, 2]", [1, 2]),
        (dict[str, int], '{"a": 1}', {"a": 1}),
        (int | None, "null", None),
        (str | int, "5", "5"),
        (Literal["a", "b"], "b", "b"),
        (Literal[1, 2], "2", 2),
        (Colour, "red", Colour.RED),
        (date, "2026-07-28", date(2026, 7, 28)),
        (Any, "5", "5"),
    ],
)
def test_a_parameter_gets_the_text_or_what_it_means(kind: Any, text: str, value: Any):
    assert decode_texts(inspect_handler(takes(kind)), {"x": text}) == {"x": value}


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        ({}, "x: missing, expected an integer"),
        ({"x": "five"}, "x: expected an integer, got a string"),
        ({"x": "1", "y": "2"}, "y: no such argument"),
        ({"x": '{"a":'}, "x: expected an integer, got a string"),
    ],
)
def test_wrong_texts_are_named(texts: dict[str, str], said: str):
    with pytest.raises(InvalidArguments, match=said):
        decode_texts(inspect_handler(takes(int)), texts)
