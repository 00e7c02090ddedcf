from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from decimal import Decimal
from enum import IntEnum
from typing import Any, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from longreach.wire.schema import InvalidArguments, inspect_handler
from longreach.wire.schema.declared import DeclaredSchema
from longreach.wire.schema.jsontexts import MAX_DEPTH, unquoted


@dataclass
class Point:
    x: int


class Level(IntEnum):
    LOW = 1


def schema_for(annotation: Any, *, json_texts: bool = True):
    def handler(x): ...

    handler.__annotations__ = {"x": annotation}
    return inspect_handler(handler, json_texts=json_texts)


def taken(annotation: Any, value: Any) -> Any:
    return schema_for(annotation).decode_arguments(msgspec.json.encode({"x": value}))["x"]


@pytest.mark.parametrize(
    ("annotation", "text", "value"),
    [
        (int, "3", 3),
        (int, " 3.0 ", 3),
        (float, "1.5", 1.5),
        (bool, "true", True),
        (int | None, "null", None),
        (list[int], "[1, 2]", [1, 2]),
        (list[str], '["1"]', ["1"]),
        (dict[str, int], '{"a": 1}', {"a": 1}),
        (Point, '{"x": 1}', Point(1)),
        (Point | None, '{"x": 1}', Point(1)),
        (Level, "1", Level.LOW),
        (Literal[1, 2], "2", 2),
        (list[list[int]], "[[1]]", [[1]]),
        # A type that takes a text gets the text.
        (str, "3", "3"),
        (int | str, "3", "3"),
        (str | None, "null", "null"),
        (Any, "[1]", "[1]"),
        (Decimal, "3", Decimal(3)),
    ],
)
def test_a_text_is_read_as_json_where_the_type_takes_no_text(annotation, text, value):
    got = taken(annotation, text)
    assert got == value
    assert type(got) is type(value)


@pytest.mark.parametrize(
    ("annotation", "text"),
    [
        (int, "three"),
        (int, ""),
        (int, "3 4"),
        (int, "true"),
        (int, '"3"'),
        (float, "NaN"),
        (float, "Infinity"),
        (float, "1e999"),
        (list[float], "[NaN]"),
        (dict[str, int], '{"a": 1, "a": 2}'),
        (list[int], '["1"]'),
        (list[int], "[1] "[:-2]),
        (list[Any], "[" * 100_000),
        (list[Any], "[" * (MAX_DEPTH + 2) + "]" * (MAX_DEPTH + 2)),
        (int, "9" * 5_000),
        (dt.date | None, "20260102"),
        (Literal["a", "b"], '"a"'),
        (Literal["1", 2], "2"),
    ],
    ids=lambda one: str(one)[:30],
)
def test_what_is_no_whole_json_of_the_type_is_refused_as_the_text_that_it_was(annotation, text):
    with pytest.raises(InvalidArguments, match=r"^wrong arguments: x"):
        taken(annotation, text)


def test_what_is_inside_an_argument_stays_as_it_came():
    with pytest.raises(InvalidArguments, match=r"x\[0\]"):
        taken(list[int], ["1"])
    with pytest.raises(InvalidArguments, match=r"x\.x"):
        taken(Point, {"x": "1"})


def test_it_is_done_once():
    with pytest.raises(InvalidArguments):
        taken(list[int], msgspec.json.encode("[1]").decode())


def test_the_whole_of_the_arguments_is_no_text():
    with pytest.raises(InvalidArguments):
        schema_for(int).decode_arguments(b'"{\\"x\\": 1}"')


def test_the_published_schema_is_the_same_and_without_it_texts_are_refused():
    strict = schema_for(list[int], json_texts=False)
    assert strict.input_schema == schema_for(list[int]).input_schema
    with pytest.raises(InvalidArguments, match="expected an array, got a string"):
        strict.decode_arguments(b'{"x": "[1]"}')


def test_a_schema_by_hand_takes_them_by_the_same_rules():
    schema = {
        "type": "object",
        "properties": {
            "n": {"type": "integer", "minimum": 1},
            "l": {"$ref": "#/$defs/L"},
            "s": {"type": ["string", "integer"], "pattern": "^a"},
            "any": {},
        },
        "$defs": {"L": {"type": "array"}},
    }
    declared = DeclaredSchema(schema, "it", json_texts=True)
    given = b'{"n": "3", "l": "[1]", "any": "[1]", "other": "[1]"}'
    assert declared.arguments(given) == {"n": 3, "l": [1], "any": "[1]", "other": "[1]"}
    for wrong in (b'{"n": "0"}', b'{"s": "3"}', b'{"n": "3", "l": "{}"}'):
        with pytest.raises(InvalidArguments):
            declared.arguments(wrong)
    with pytest.raises(InvalidArguments):
        DeclaredSchema(schema, "it").arguments(given)


ANY = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(ANY)
def test_json_in_a_text_is_that_json(value):
    data = msgspec.json.encode(value)
    inner = unquoted(msgspec.json.encode(data.decode()))
    assert inner is not None
    assert msgspec.json.decode(inner) == value


@given(st.text(max_size=20))
def test_no_text_makes_it_fail_otherwise_than_by_none(text):
    inner = unquoted(msgspec.json.encode(text))
    if inner is not None:
        msgspec.json.decode(inner)
