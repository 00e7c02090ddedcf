"""What is published of each type is a contract: it does not hang on what msgspec prints."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, NamedTuple, Optional, TypedDict, TypeVar

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from longreach.wire.schema.definitions import json_schema

T = TypeVar("T")


class Colour(enum.Enum):
    """What it looks like."""

    RED = "r"
    BLUE = "b"
    AZURE = "b"  # noqa: PIE796 - an alias


class Level(enum.IntEnum):
    HIGH = 2
    LOW = 1


class Right(enum.Flag):
    READ = 1
    WRITE = 2
    ADMIN = 8
    NONE = 0
    BOTH = 3


class Many(enum.IntFlag):
    A, B, C, D, E, F, G = (1 << place for place in range(7))


class Pair(NamedTuple):
    a: int
    b: str = "x"


class Cat(msgspec.Struct, tag="cat"):
    lives: int


class Dog(msgspec.Struct, tag="dog"):
    owner: str


class Row(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    a: int
    b: int = 0


@dataclass
class Box(Generic[T]):
    """Holds one.

    Indented as it was written.
    """

    item: T


@dataclass
class Defaults:
    path: Path = Path("a")
    names: list[str] = field(default_factory=list)
    colour: Colour = Colour.RED


class Options(TypedDict, total=False):
    deep: bool


@pytest.mark.parametrize(
    ("kind", "schema"),
    [
        (datetime, {"type": "string", "format": "date-time"}),
        (date, {"type": "string", "format": "date"}),
        (time, {"type": "string", "format": "time"}),
        (timedelta, {"type": "string", "format": "duration"}),
        (tuple[()], {"type": "array", "minItems": 0, "maxItems": 0}),
        (Literal["z", "a"], {"type": "string", "enum": ["z", "a"]}),
        (Literal["z", 1, "a", None], {"enum": ["z", 1, "a", None]}),
        (Literal[2, 1], {"type": "integer", "enum": [2, 1]}),
        (
            dict[Literal["z", "a"], int],
            {
                "type": "object",
                "propertyNames": {"enum": ["z", "a"]},
                "additionalProperties": {"type": "integer"},
            },
        ),
        (dict[int, Any], {"type": "object"}),
        (
            Colour,
            {"title": "Colour", "description": "What it looks like.", "type": "string", "enum": ["r", "b"]},
        ),
        (Level, {"title": "Level", "type": "integer", "enum": [2, 1]}),
        (
            Right,
            {
                "title": "Right",
                "type": "integer",
                "enum": [0, 1, 2, 3, 8, 9, 10, 11],
                "description": "A sum of: READ = 1, WRITE = 2, ADMIN = 8, NONE = 0, BOTH = 3",
            },
        ),
        (
            Many,
            {
                "title": "Many",
                "type": "integer",
                "minimum": 0,
                "maximum": 127,
                "description": "A sum of: A = 1, B = 2, C = 4, D = 8, E = 16, F = 32, G = 64",
            },
        ),
        (
            Annotated[bytes, msgspec.Meta(max_length=4)],
            {"type": "string", "contentEncoding": "base64", "maxLength": 8},
        ),
        (frozenset[int], {"type": "array", "items": {"type": "integer"}, "uniqueItems": True}),
        (
            Pair,
            {
                "title": "Pair",
                "type": "array",
                "prefixItems": [{"type": "integer"}, {"type": "string", "default": "x"}],
                "minItems": 1,
                "maxItems": 2,
            },
        ),
        (
            Row,
            {
                "title": "Row",
                "type": "array",
                "prefixItems": [{"type": "integer"}, {"type": "integer", "default": 0}],
                "minItems": 1,
                "maxItems": 2,
            },
        ),
        (
            Box[int],
            {
                "title": "Box[int]",
                "description": "Holds one.\n\nIndented as it was written.",
                "type": "object",
                "properties": {"item": {"type": "integer"}},
                "required": ["item"],
            },
        ),
        (
            Options,
            {
                "title": "Options",
                "type": "object",
                "properties": {"deep": {"type": "boolean"}},
                "required": [],
            },
        ),
    ],
    ids=lambda one: str(one)[:40],
)
def test_what_is_published_of_a_type(kind, schema):
    assert json_schema(kind) == schema
    Draft202012Validator.check_schema(schema)


def test_defaults_of_fields_are_published_as_json():
    properties = json_schema(Defaults)["properties"]
    assert properties["path"]["default"] == "a"
    assert properties["names"]["default"] == []
    assert properties["colour"]["default"] == "r"


def test_a_union_of_tagged_structs_has_a_discriminator():
    schema = json_schema(Cat | Dog | None)
    tagged, nothing = schema["anyOf"]
    assert nothing == {"type": "null"}
    assert tagged["discriminator"] == {
        "propertyName": "type",
        "mapping": {"cat": "#/$defs/Cat", "dog": "#/$defs/Dog"},
    }
    assert Draft202012Validator(schema).is_valid({"type": "cat", "lives": 9})
    assert not Draft202012Validator(schema).is_valid({"type": "dog", "lives": 9})


def test_classes_of_one_name_are_numbered_as_they_are_met():
    def one() -> Any:
        class Local(msgspec.Struct):
            a: int

        return Local

    def two() -> Any:
        class Local(msgspec.Struct):
            b: int

        return Local

    assert list(json_schema(tuple[one(), two()])["$defs"]) == ["Local", "Local1"]


PLAIN = [int, str, bool, float, None, bytes, datetime, date, timedelta, Literal["z", "a"], Literal[1, 2]]
NAMED = [Colour, Level, Right, Many, Pair, Row, Cat, Box[int], Options]
KINDS = st.recursive(
    st.sampled_from([*PLAIN, *NAMED, Annotated[int, msgspec.Meta(ge=1)]]),
    lambda inner: st.one_of(
        inner.map(lambda kind: list[kind]),  # type: ignore[valid-type]
        inner.map(lambda kind: dict[str, kind]),  # type: ignore[valid-type]
        st.tuples(inner, inner).map(lambda kinds: tuple[kinds]),  # type: ignore[valid-type]
        inner.map(lambda kind: Optional[kind]),  # noqa: UP045 - of None, too
    ),
    max_leaves=4,
)


@given(KINDS, st.data())
def test_what_is_written_of_a_type_fits_its_schema(kind, data):
    schema = json_schema(kind)
    Draft202012Validator.check_schema(schema)
    try:
        value = data.draw(st.from_type(kind) if kind is not None else st.none())
        encoded = msgspec.json.encode(value, enc_hook=str)
    except (TypeError, ValueError, OverflowError, msgspec.MsgspecError):
        return
    written = msgspec.json.decode(encoded)
    try:
        msgspec.json.decode(encoded, type=kind, dec_hook=lambda kind, value: kind(value))
    except (msgspec.ValidationError, msgspec.DecodeError):
        return
    assert Draft202012Validator(schema).is_valid(written)
