"""Types that msgspec does not hold: value types of the standard library, and what pydantic holds for us."""

from __future__ import annotations

import datetime as dt
import ipaddress
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from pydantic import BaseModel, Field

from longreach.errors import DeclarationError
from longreach.wire.schema import HandlerSchema, InvalidArguments, inspect_handler
from longreach.wire.values import encode


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int = 9


class Dog(BaseModel):
    kind: Literal["dog"]
    owner: str


@dataclass
class Point:
    x: int


@dataclass
class Name:
    text: str


@dataclass
class Place:
    path: Path
    address: ipaddress.IPv4Address | None = None


@dataclass
class Owned:
    pet: Cat | Dog
    mail: pydantic.EmailStr


Pet = Annotated[Cat | Dog, Field(discriminator="kind")]


def taking(annotation: Any) -> HandlerSchema:
    def handler(x): ...

    handler.__annotations__ = {"x": annotation}
    return inspect_handler(handler)


def giving(annotation: Any) -> HandlerSchema:
    def handler(): ...

    handler.__annotations__ = {"return": annotation}
    return inspect_handler(handler)


VALUES = [
    (Path, Path("/a/b"), "/a/b"),
    (PurePosixPath, PurePosixPath("a"), "a"),
    (list[Path], [Path("a")], ["a"]),
    (ipaddress.IPv4Address, ipaddress.IPv4Address("10.0.0.1"), "10.0.0.1"),
    (ipaddress.IPv6Address | None, ipaddress.IPv6Address("::1"), "::1"),
    (ipaddress.IPv4Network, ipaddress.IPv4Network("10.0.0.0/8"), "10.0.0.0/8"),
    (ipaddress.IPv6Interface, ipaddress.IPv6Interface("::1/64"), "::1/64"),
    (Fraction, Fraction(1, 3), "1/3"),
    (re.Pattern, re.compile("a+"), "a+"),
    (re.Pattern[str], re.compile("a+"), "a+"),
    (ZoneInfo, ZoneInfo("UTC"), "UTC"),
    (Place, Place(Path("a"), ipaddress.IPv4Address("1.2.3.4")), {"path": "a", "address": "1.2.3.4"}),
    (pydantic.AnyUrl, pydantic.AnyUrl("http://example.com/a"), "http://example.com/a"),
    (pydantic.HttpUrl | None, pydantic.HttpUrl("https://example.com/"), "https://example.com/"),
    (pydantic.EmailStr, "a@example.com", "a@example.com"),
    (pydantic.ByteSize, pydantic.ByteSize(5), 5),
    (Cat | Dog, Dog(kind="dog", owner="a"), {"kind": "dog", "owner": "a"}),
    (Pet, Cat(kind="cat"), {"kind": "cat", "lives": 9}),
    (list[Pet], [Cat(kind="cat")], [{"kind": "cat", "lives": 9}]),
    (Cat | int, 3, 3),
    (Point | Name, Name("a"), {"text": "a"}),
    (dict[str, Point | Name] | None, {"a": Point(1)}, {"a": {"x": 1}}),
    (
        Owned,
        Owned(Cat(kind="cat"), "a@example.com"),
        {"pet": {"kind": "cat", "lives": 9}, "mail": "a@example.com"},
    ),
    (str | dt.date, "soon", "soon"),
    (dt.date | int, dt.date(2026, 1, 2), "2026-01-02"),
    (Annotated[int | None, Field(ge=1)], None, None),
    (Annotated[int | None, msgspec.Meta(ge=1)], 1, 1),
]


@pytest.mark.parametrize(("annotation", "value", "written"), VALUES, ids=lambda one: str(one)[:40])
def test_a_value_is_taken_and_given_and_fits_what_is_published(annotation, value, written):
    takes, gives = taking(annotation), giving(annotation)
    arguments = {"x": written}
    Draft202012Validator.check_schema(takes.input_schema)
    assert Draft202012Validator(takes.input_schema).is_valid(arguments)
    assert takes.decode_arguments(msgspec.json.encode(arguments)) == {"x": value}
    structured = gives.structured(value)
    assert structured is not None
    assert Draft202012Validator(gives.output_schema or {}).is_valid(msgspec.json.decode(structured))
    assert gives.decode_result(structured, None) == value


@pytest.mark.parametrize(
    ("annotation", "wrong"),
    [
        (Path, 3),
        (Path, "a\0b"),
        (Fraction, "1/0"),
        (Fraction, "1e999999999"),
        (re.Pattern, "("),
        (ZoneInfo, "../../etc/passwd"),
        (ZoneInfo, "Nowhere/Land"),
        (ipaddress.IPv4Address, "300.0.0.1"),
        (ipaddress.IPv4Address, 3),
        (pydantic.AnyUrl, "no url"),
        (pydantic.EmailStr, "nobody"),
        (Cat | Dog, {"kind": "cow"}),
        (Pet, {"kind": "cow"}),
        (Cat | int, "3"),
        (Cat | int, True),
        (Point | Name, {"x": "1"}),
        (str | dt.date, 3),
        (dt.date | int, "3"),
        (Annotated[int | None, Field(ge=1)], 0),
        (Annotated[str | None, Field(max_length=2)], "abc"),
        (Annotated[str, pydantic.AfterValidator(str.upper)], 3),
    ],
    ids=str,
)
def test_a_value_that_does_not_fit_is_named(annotation, wrong):
    with pytest.raises(InvalidArguments, match=r"^wrong arguments: x"):
        taking(annotation).decode_arguments(msgspec.json.encode({"x": wrong}))


@pytest.mark.parametrize(
    "annotation",
    [complex, list[complex], complex | str, Callable[[int], int], Iterator[int] | int],
    ids=str,
)
def test_what_is_no_data_is_refused_when_declared(annotation):
    with pytest.raises(DeclarationError, match="parameter 'x' of type"):
        taking(annotation)


def test_a_validator_of_pydantic_is_held():
    schema = taking(Annotated[str, pydantic.AfterValidator(str.upper)])
    assert schema.decode_arguments(b'{"x": "a"}') == {"x": "A"}
    stripped = taking(Annotated[str, pydantic.StringConstraints(strip_whitespace=True)])
    assert stripped.decode_arguments(b'{"x": " a "}') == {"x": "a"}


def test_the_bound_of_an_optional_number_is_published_as_that_of_the_number():
    def handler(x: Annotated[int | None, Field(ge=1, description="how many")] = None) -> None: ...

    schema = inspect_handler(handler)
    assert schema.input_schema["properties"]["x"] == {
        "anyOf": [{"type": "integer", "minimum": 1}, {"type": "null"}],
        "description": "how many",
        "default": None,
    }
    assert schema.decode_arguments(b"{}") == {}


def test_a_default_that_the_annotation_states_is_published_and_passed():
    def stated(x: Annotated[int, Field(default=4)]) -> None: ...
    def made(x: Annotated[list[int], Field(default_factory=list)]) -> None: ...
    def assigned(x: int = Field(default=4, ge=1)) -> None: ...
    def required(x: int = Field(description="how many")) -> None: ...
    def both(x: Annotated[int, Field(default=4)] = 5) -> None: ...

    assert inspect_handler(stated).input_schema["properties"]["x"] == {"type": "integer", "default": 4}
    assert "required" not in inspect_handler(stated).input_schema
    assert inspect_handler(stated).decode_arguments(b"{}") == {"x": 4}
    assert inspect_handler(stated).decode_arguments(b'{"x": 5.0}') == {"x": 5}
    assert inspect_handler(assigned).decode_arguments(b"{}") == {"x": 4}
    assert inspect_handler(assigned).input_schema["properties"]["x"] == {
        "type": "integer",
        "minimum": 1,
        "default": 4,
    }
    schema = inspect_handler(made)
    first, second = (schema.decode_arguments(b"")["x"] for _ in range(2))
    assert first == second == []
    assert first is not second
    assert inspect_handler(required).input_schema["required"] == ["x"]
    assert inspect_handler(required).input_schema["properties"]["x"]["description"] == "how many"
    assert inspect_handler(both).input_schema["properties"]["x"]["default"] == 5
    assert inspect_handler(both).decode_arguments(b"{}") == {}


def test_additions_to_a_schema_are_published():
    schema = taking(Annotated[int, Field(json_schema_extra={"x-unit": "m"})])
    assert schema.input_schema["properties"]["x"] == {"type": "integer", "x-unit": "m"}

    def change(schema: dict[str, Any]) -> None:
        schema["x-unit"] = "s"

    schema = taking(Annotated[int, Field(json_schema_extra=change)])
    assert schema.input_schema["properties"]["x"]["x-unit"] == "s"


def test_the_mapping_of_a_discriminator_names_definitions_that_there_are():
    def clashing() -> Any:
        class Cat(BaseModel):
            kind: Literal["cat"]
            name: str

        return Cat

    def handler(x: Pet, y: Any) -> None: ...

    handler.__annotations__["y"] = Annotated[clashing() | Dog, Field(discriminator="kind")]
    schema = inspect_handler(handler).input_schema
    for name in ("x", "y"):
        parameter = schema["properties"][name]
        mapped = set(parameter["discriminator"]["mapping"].values())
        assert mapped == {one["$ref"] for one in parameter["oneOf"]}
        assert all(target.removeprefix("#/$defs/") in schema["$defs"] for target in mapped)
    good = {"x": {"kind": "cat"}, "y": {"kind": "cat", "name": "a"}}
    assert Draft202012Validator(schema).is_valid(good)
    assert not Draft202012Validator(schema).is_valid({**good, "y": {"kind": "cat"}})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=3) | st.just("2026-01-02"),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("xt"), inner, max_size=2),
    max_leaves=4,
)
UNIONS = {
    kind: taking(kind)
    for kind in (
        Point | Name,
        str | dt.date,
        int | dt.date,
        list[Point | Name] | int,
        Annotated[int | None, Field(ge=1)],
    )
}


@given(st.sampled_from(list(UNIONS)), JSON)
def test_whatever_comes_is_taken_as_it_is_written_or_refused(kind, value):
    schema = UNIONS[kind]
    try:
        taken = schema.decode_arguments(msgspec.json.encode({"x": value}))["x"]
    except InvalidArguments:
        return
    assert Draft202012Validator(schema.input_schema).is_valid({"x": value})
    written = msgspec.json.decode(encode(taken))
    if isinstance(value, dict):  # members that a dataclass does not have are left out
        assert written.items() <= value.items()
    elif not isinstance(value, list):
        assert written == value


def test_a_secret_that_is_an_argument_arrives():
    schema = taking(pydantic.SecretStr)
    data = schema.encode_arguments((pydantic.SecretStr("abc"),), {})
    assert schema.decode_arguments(data)["x"].get_secret_value() == "abc"
