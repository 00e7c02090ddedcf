"""Signatures out of annotations, and values that go through JSON and back."""

from __future__ import annotations

import inspect
import json
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal, NamedTuple, NotRequired, TypedDict
from uuid import UUID

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from longreach.wire.schema import HandlerSchema, InvalidArguments, inspect_handler

patient = settings(deadline=None)  # a time per example says more about the machine than about the code


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


@dataclass
class Tree:
    name: str
    below: list[Tree] = field(default_factory=list)


class Row(TypedDict):
    a: int
    b: NotRequired[str | None]


class Point(NamedTuple):
    x: float
    y: float = 0.0


class Page(msgspec.Struct, rename="camel"):
    page_number: int
    colour: Colour | None = None


Typed = tuple[Any, st.SearchStrategy[Any]]
"""An annotation, and the values that fit it."""

text = st.text(st.characters(codec="utf-8"), max_size=8)
floats = st.floats(allow_nan=False, allow_infinity=False)
moments = st.datetimes(timezones=st.just(UTC))
spans = st.timedeltas(min_value=timedelta(days=-9999), max_value=timedelta(days=9999))
trees = st.recursive(
    st.builds(Tree, text), lambda below: st.builds(Tree, text, st.lists(below, max_size=2)), max_leaves=4
)
rows = st.fixed_dictionaries({"a": st.integers()}, optional={"b": st.none() | text})

SCALARS: list[Typed] = [
    (str, text),
    (int, st.integers()),
    (bool, st.booleans()),
    (Colour, st.sampled_from(Colour)),
    (Literal["a", "b"], st.sampled_from(["a", "b"])),
    (date, st.dates()),
    (datetime, moments),
    (time, st.times()),
    (timedelta, spans),
    (UUID, st.uuids()),
    (Decimal, st.decimals(allow_nan=False, allow_infinity=False)),
]
LEAVES: list[Typed] = [
    *SCALARS,
    (float, floats),
    (None, st.none()),
    (bytes, st.binary(max_size=8)),
    (Annotated[int, msgspec.Meta(ge=1, le=9)], st.integers(1, 9)),
    (Annotated[str, "a text"], text),
    (Tree, trees),
    (Row, rows),
    (Point, st.builds(Point, floats, floats)),
    (Page, st.builds(Page, st.integers(), st.none() | st.sampled_from(Colour))),
]


def containers(inner: st.SearchStrategy[Typed]) -> st.SearchStrategy[Typed]:
    def contain(typed: Typed) -> st.SearchStrategy[Typed]:
        kind, values = typed
        forms: list[Typed] = [
            (list[kind], st.lists(values, max_size=3)),
            (tuple[kind, ...], st.lists(values, max_size=3).map(tuple)),
            (tuple[kind, int], st.tuples(values, st.integers())),
            (dict[str, kind], st.dictionaries(text, values, max_size=3)),
            (kind | None if isinstance(kind, type) else kind, values),
        ]
        return st.sampled_from(forms)

    return inner.flatmap(contain)


sets = st.sampled_from(SCALARS).map(lambda typed: (set[typed[0]], st.sets(typed[1], max_size=3)))  # type: ignore[name-defined]
typed = st.recursive(st.sampled_from(LEAVES) | sets, containers, max_leaves=3)
NAMES = ["a", "self", "type", "url", "page_count", "_x"]


def handler_of(parameters: dict[str, Any], returns: Any) -> HandlerSchema:
    def handler(**arguments: Any) -> Any:
        return arguments

    function: Any = handler
    function.__annotations__ = {**parameters, "return": returns}
    function.__signature__ = inspect.Signature(
        [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=kind)
            for name, kind in parameters.items()
        ]
    )
    return inspect_handler(function)


def accepts(schema: dict[str, Any], data: bytes) -> bool:
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema).is_valid(json.loads(data))


@patient
@given(st.data(), st.dictionaries(st.sampled_from(NAMES), typed, max_size=3))
def test_arguments_go_through_json_and_back(data: st.DataObject, parameters: dict[str, Typed]):
    schema = handler_of({name: kind for name, (kind, _) in parameters.items()}, None)
    arguments = {name: data.draw(values) for name, (_, values) in parameters.items()}
    sent = schema.encode_arguments((), arguments)
    assert accepts(schema.input_schema, sent)
    assert schema.decode_arguments(sent) == arguments


@patient
@given(st.data(), typed)
def test_results_go_through_json_and_back(data: st.DataObject, returns: Typed):
    kind, values = returns
    schema = handler_of({}, kind)
    value = data.draw(values)
    sent = schema.structured(value)
    if schema.output_schema is None:
        assert sent is None
        return
    assert sent is not None
    assert accepts(schema.output_schema, sent)
    assert schema.output_schema["type"] == "object"
    assert schema.decode_result(sent, None) == value


@patient
@given(st.data(), st.dictionaries(st.sampled_from(NAMES), typed, min_size=1, max_size=3))
def test_what_is_missing_is_named(data: st.DataObject, parameters: dict[str, Typed]):
    schema = handler_of({name: kind for name, (kind, _) in parameters.items()}, None)
    missing = data.draw(st.sampled_from(sorted(parameters)))
    given_ = {name: data.draw(values) for name, (_, values) in parameters.items() if name != missing}
    raw = msgspec.json.encode(given_)
    with pytest.raises(InvalidArguments) as caught:
        schema.decode_arguments(raw)
    assert [(problem.path, problem.got) for problem in caught.value.problems] == [(missing, None)]
