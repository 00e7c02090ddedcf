from __future__ import annotations

import enum
from dataclasses import dataclass, field
from datetime import date
from typing import Annotated, Any, Literal, TypedDict

import msgspec
import pytest
from mcp_types import ElicitRequestFormParams
from pydantic import BaseModel, Field
from tests.support.oracle import models

from longreach.errors import ConfigError
from longreach.wire import inputs
from longreach.wire.forms import InvalidContent, form_of


class Size(enum.Enum):
    """Sizes."""

    SMALL = "s"
    LARGE = "l"


@dataclass
class Order:
    """An order."""

    name: Annotated[str, msgspec.Meta(min_length=2, description="Your name.")]
    count: Annotated[int, msgspec.Meta(ge=1, le=9)] = 1
    price: float = 0.5
    gift: bool = False
    size: Size = Size.SMALL
    colour: Literal["red", "blue"] = "red"
    extras: list[Literal["nuts", "milk"]] = field(default_factory=list)
    note: str | None = None
    on: date | None = None


class Contact(TypedDict, total=False):
    email: str
    age: int


class Point(msgspec.Struct):
    x: int
    y: int


class Model(BaseModel):
    name: str = Field(min_length=2)
    age: int = 3


def test_a_dataclass_is_a_form() -> None:
    form = form_of(Order)
    assert form.schema == {
        "type": "object",
        "properties": {
            "name": {"type": "string", "minLength": 2, "description": "Your name."},
            "count": {"type": "integer", "minimum": 1, "maximum": 9, "default": 1},
            "price": {"type": "number", "default": 0.5},
            "gift": {"type": "boolean", "default": False},
            "size": {"type": "string", "enum": ["s", "l"], "default": "s"},
            "colour": {"type": "string", "enum": ["red", "blue"], "default": "red"},
            "extras": {"type": "array", "items": {"type": "string", "enum": ["nuts", "milk"]}, "default": []},
            "note": {"type": "string"},
            "on": {"type": "string", "format": "date"},
        },
        "required": ["name"],
    }
    order = form.read({"name": "Al", "size": "l", "extras": ["milk"], "note": None, "on": "2026-01-02"})
    assert order == Order("Al", size=Size.LARGE, extras=["milk"], on=date(2026, 1, 2))


@pytest.mark.parametrize("kind", [Order, Contact, Point, Model, bool, Size, Literal["a"], list[Size], None])
def test_every_form_is_one_that_mcp_allows(kind: Any) -> None:
    schema = form_of(kind).schema
    request = inputs.ElicitRequest(inputs.ElicitParams("m", schema, "form"))
    models.ElicitRequest.model_validate_json(msgspec.json.encode(request))
    ElicitRequestFormParams.model_validate_json(msgspec.json.encode(request.params))
    for one in schema["properties"].values():
        assert not {"$ref", "anyOf", "const"} & one.keys()


@pytest.mark.parametrize(
    ("kind", "content", "value"),
    [
        (Contact, {"age": 3}, {"age": 3}),
        (Point, {"x": 1, "y": 2}, Point(1, 2)),
        (Model, {"name": "Al"}, Model(name="Al")),
        (bool, {"value": True}, True),
        (Size, {"value": "s"}, Size.SMALL),
        (Literal["a", "b"], {"value": "b"}, "b"),
        (list[Size], {"value": ["s", "l"]}, [Size.SMALL, Size.LARGE]),
        (None, {}, {}),
    ],
)
def test_answers_become_what_was_asked_for(kind: Any, content: Any, value: Any) -> None:
    assert form_of(kind).read(content) == value


@pytest.mark.parametrize(
    ("kind", "content", "says"),
    [
        (Point, {"x": 1}, "required field `y`"),
        (Point, {"x": 1, "y": "2"}, r"expected `int`, got `str` - at `\$.y`"),
        (Order, {"name": "x"}, "length >= 2"),
        (Model, {"name": "x"}, "at least 2 characters"),
        (bool, {}, "required field `value`"),
        (Annotated[str, msgspec.Meta(pattern="^a")], {"value": "b"}, "matching regex"),
    ],
)
def test_answers_that_do_not_fit_are_told(kind: Any, content: Any, says: str) -> None:
    with pytest.raises(InvalidContent, match=says):
        form_of(kind).read(content)


@pytest.mark.parametrize(
    "kind", [dict[str, int], list[str], list[Point], int | str, bytes, Literal[1, 2], set]
)
def test_what_no_form_can_ask_for(kind: Any) -> None:
    with pytest.raises(ConfigError):
        form_of(kind)


def test_a_nested_record_is_refused_by_the_name_of_its_field() -> None:
    @dataclass
    class Outer:
        inner: Point

    with pytest.raises(ConfigError, match=r"field 'inner' of Outer: a form asks for text"):
        form_of(Outer)


def test_checks_that_raise_what_they_like_refuse_too() -> None:
    @dataclass
    class Picky:
        name: str

        def __post_init__(self) -> None:
            raise KeyError(self.name)

    with pytest.raises(InvalidContent, match="it was refused"):
        form_of(Picky).read({"name": "x"})


SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 2, "maxLength": 4},
        "n": {"type": "integer", "minimum": 0, "maximum": 3},
        "x": {"type": "number"},
        "ok": {"type": "boolean"},
        "one": {"type": "string", "enum": ["a", "b"]},
        "titled": {"type": "string", "oneOf": [{"const": "a", "title": "A"}]},
        "many": {"type": "array", "items": {"anyOf": [{"const": "a", "title": "A"}]}, "maxItems": 1},
        "listed": {"type": "array", "items": {"type": "string", "enum": ["a"]}, "minItems": 1},
    },
    "required": ["name"],
}


def test_a_schema_is_sent_as_it_was_written_and_held() -> None:
    form = form_of(SCHEMA)
    assert form.schema == SCHEMA
    content = {
        "name": "Al", "n": 3.0, "x": 1, "ok": True, "one": "a", "titled": "a", "many": ["a"],
        "listed": ["a"], "unasked": 1,
    }  # fmt: skip
    assert form.read(content) == content


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ({}, "name is missing"),
        ({"name": 3}, "name must be of type string"),
        ({"name": "x"}, "name must be at least 2 characters"),
        ({"name": "xxxxx"}, "name must be at most 4 characters"),
        ({"name": "xx", "n": 4}, "n must be at most 3"),
        ({"name": "xx", "n": -1}, "n must be at least 0"),
        ({"name": "xx", "n": True}, "n must be of type integer"),
        ({"name": "xx", "n": 1.5}, "n must be of type integer"),
        ({"name": "xx", "ok": 1}, "ok must be of type boolean"),
        ({"name": "xx", "one": "c"}, "one must be one of a, b"),
        ({"name": "xx", "titled": "A"}, "titled must be one of a"),
        ({"name": "xx", "many": ["b"]}, "many must hold nothing but a"),
        ({"name": "xx", "many": ["a", "a"]}, "many must be at most 1 items"),
        ({"name": "xx", "listed": []}, "listed must be at least 1 items"),
    ],
)
def test_a_schema_is_held(content: Any, says: str) -> None:
    with pytest.raises(InvalidContent, match=says):
        form_of(SCHEMA).read(content)


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"type": "object"},
        {"type": "object", "properties": {"a": {"type": "object"}}},
        {"type": "object", "properties": {"a": {"$ref": "#"}}},
    ],
)
def test_a_schema_that_is_no_form(schema: Any) -> None:
    with pytest.raises(ConfigError):
        form_of(schema)
