from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Generic, NamedTuple, TypedDict, TypeVar

import annotated_types
import msgspec
import pydantic
import pytest
from pydantic.dataclasses import dataclass as pydantic_dataclass

from longreach.wire.schema.records import field_texts, is_record, records_in
from longreach.wire.schema.types import Unsupported

T = TypeVar("T")


@dataclass
class Leaf:
    size: Annotated[int, "in mm"]


@dataclass
class Tree:
    leaves: list[Leaf]
    below: dict[str, Tree] | None = None


class Row(TypedDict):
    tree: Tree


class Point(NamedTuple):
    x: int
    y: Annotated[int, "down"]


class Renamed(msgspec.Struct, rename="camel"):
    page_count: Annotated[int, "pages"]


@dataclass
class Box(Generic[T]):
    held: T


class Model(pydantic.BaseModel):
    leaf: int


@dataclass
class Bounded:
    sizes: list[Annotated[int, annotated_types.Ge(0)]]


@dataclass
class WellBounded:
    size: Annotated[int, msgspec.Meta(ge=0)]


@pydantic_dataclass
class Checked:
    size: int


@pytest.mark.parametrize("kind", [Leaf, Row, Point, Renamed])
def test_is_a_record(kind):
    assert is_record(kind)


@pytest.mark.parametrize("kind", [int, dict, tuple, Model, list[Leaf], "Leaf"])
def test_is_no_record(kind):
    assert not is_record(kind)


def test_records_are_found_however_deep_and_each_once():
    found = list(records_in(tuple[Row | None, Point, Model, Row]))
    assert sorted(kind.__name__ for kind in found) == ["Leaf", "Point", "Row", "Tree"]


def test_a_generic_record_is_found_with_its_arguments():
    assert set(records_in(Box[Leaf])) == {Box[Leaf], Leaf}


def test_texts_of_fields_by_their_json_names():
    assert field_texts(Leaf) == {"size": {"description": "in mm"}}
    assert field_texts(Renamed) == {"pageCount": {"description": "pages"}}
    assert field_texts(Point) == {1: {"description": "down"}}
    assert field_texts(Tree) == {}


def test_a_constraint_that_nobody_would_hold_is_refused():
    with pytest.raises(Unsupported, match=r"field 'sizes' of Bounded states ge .* write msgspec\.Meta"):
        list(records_in(list[Bounded]))


def test_msgspecs_own_constraints_are_held():
    assert list(records_in(WellBounded)) == [WellBounded]


def test_a_pydantic_dataclass_is_refused():
    with pytest.raises(Unsupported, match="Checked is a pydantic dataclass"):
        list(records_in(Checked))
