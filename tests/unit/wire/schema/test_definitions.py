from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, NamedTuple

import msgspec
import pydantic
import pytest
from jsonschema import Draft202012Validator

from longreach.wire.schema.definitions import json_schema


@dataclass
class Tree:
    name: Annotated[str, "what it is called"]
    below: list[Tree]


class Point(NamedTuple):
    x: int
    y: Annotated[int, "down"]


class Item(pydantic.BaseModel):
    price: int


class Order(pydantic.BaseModel):
    items: list[Item]


class Node(pydantic.BaseModel):
    kids: list[Node] = []


class Area(pydantic.BaseModel):
    width: int

    @pydantic.computed_field
    def doubled(self) -> int:
        return 2 * self.width


def clashing_order() -> Any:
    class Item(pydantic.BaseModel):
        weight: str

    class Other(pydantic.BaseModel):
        item: Item

    return Other


def clashing_tree() -> Any:
    class Tree(pydantic.BaseModel):
        height: float

    return Tree


def accepts(schema: dict[str, Any], value: Any) -> bool:
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema).is_valid(value)


def test_a_plain_type_has_no_definitions():
    assert json_schema(int) == {"type": "integer"}


def test_a_record_is_inlined_unless_it_refers_to_itself():
    assert json_schema(Point)["prefixItems"] == [
        {"type": "integer"},
        {"type": "integer", "description": "down"},
    ]
    tree = json_schema(Tree)
    assert tree["type"] == "object"
    assert tree["$defs"]["Tree"]["properties"]["name"]["description"] == "what it is called"
    assert accepts(tree, {"name": "a", "below": [{"name": "b", "below": []}]})
    assert not accepts(tree, {"name": "a", "below": [{"name": 1, "below": []}]})


def test_a_model_brings_its_definitions_along():
    schema = json_schema(dict[str, Order])
    assert set(schema["$defs"]) == {"Order", "Item"}
    assert accepts(schema, {"a": {"items": [{"price": 1}]}})
    assert not accepts(schema, {"a": {"items": [{"price": "x"}]}})


def test_models_share_what_they_have_in_common():
    assert set(json_schema(tuple[Order, Item])["$defs"]) == {"Order", "Item"}


def test_a_recursive_model():
    schema = json_schema(Node)
    assert accepts(schema, {"kids": [{"kids": []}]})
    assert not accepts(schema, {"kids": [{"kids": 1}]})


def test_models_of_the_same_name_are_told_apart():
    schema = json_schema(tuple[Order, clashing_order()])
    good = [{"items": [{"price": 1}]}, {"item": {"weight": "1 kg"}}]
    assert accepts(schema, good)
    assert not accepts(schema, [good[0], {"item": {"price": 1}}])
    assert not accepts(schema, [{"items": [{"weight": "1 kg"}]}, good[1]])


def test_a_model_and_a_dataclass_of_the_same_name_are_told_apart():
    schema = json_schema(tuple[Tree, clashing_tree()])
    assert accepts(schema, [{"name": "a", "below": []}, {"height": 1.5}])
    assert not accepts(schema, [{"height": 1.5}, {"height": 1.5}])


def test_local_classes_of_the_same_name_have_clean_names():
    def one() -> Any:
        @dataclass
        class Local:
            a: int

        return Local

    def two() -> Any:
        @dataclass
        class Local:
            b: int

        return Local

    schema = json_schema(tuple[one(), two()])
    assert accepts(schema, [{"a": 1}, {"b": 1}])
    assert not accepts(schema, [{"b": 1}, {"a": 1}])
    assert not any("<" in name for name in schema["$defs"])


def test_what_is_written_may_hold_more_than_what_is_read():
    assert "doubled" not in json_schema(Area)["properties"]
    assert "doubled" in json_schema(Area, serialised=True)["properties"]


def test_a_type_without_json_form():
    with pytest.raises(TypeError, match="complex"):
        json_schema(complex)


def test_an_empty_container_that_a_factory_makes_is_a_default_whatever_msgspec_prints():
    @dataclass
    class Data:
        names: list[str] = field(default_factory=list)
        sizes: dict[str, int] = field(default_factory=dict)
        tags: set[str] = field(default_factory=set)
        raw: bytearray = field(default_factory=bytearray)
        users: list[str] = field(default_factory=lambda: ["root"])

    class Camel(msgspec.Struct, rename="camel"):
        page_names: list[str] = []
        page_tags: set[str] = set()

    class Row(msgspec.Struct, array_like=True):
        names: list[str] = []

    def defaults(properties: dict[str, Any]) -> dict[str, Any]:
        return {name: one["default"] for name, one in properties.items() if "default" in one}

    assert defaults(json_schema(Data)["properties"]) == {"names": [], "sizes": {}, "tags": [], "raw": ""}
    assert defaults(json_schema(Camel)["properties"]) == {"pageNames": [], "pageTags": []}
    assert json_schema(Row)["prefixItems"][0]["default"] == []
