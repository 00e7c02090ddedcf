"""What was checked of a result is what is sent, and nothing more than the schema says."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple, TypedDict

import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from pydantic import BaseModel, ConfigDict, Field

from longreach.errors import InvalidResult
from longreach.wire.schema import HandlerSchema, inspect_handler


class Base(BaseModel):
    a: int


class Sub(Base):
    secret: str = "s"


@dataclass
class Record:
    a: int


@dataclass
class SubRecord(Record):
    secret: str = "s"


class Struct(msgspec.Struct):
    a: int


class SubStruct(Struct):
    secret: str = "s"


class Typed(TypedDict):
    a: int


class Pair(NamedTuple):
    a: int


class Aliased(BaseModel):
    page_size: int = Field(alias="pageSize")


class Named(BaseModel):
    model_config = ConfigDict(serialize_by_alias=False)
    page_size: int = Field(alias="pageSize")


class Turned(BaseModel):
    size: int = Field(validation_alias="in", serialization_alias="out")


class Infinite(BaseModel):
    model_config = ConfigDict(ser_json_inf_nan="constants")
    x: float


def giving(annotation: Any) -> HandlerSchema:
    def handler(): ...

    handler.__annotations__ = {"return": annotation}
    return inspect_handler(handler)


def sent(annotation: Any, value: Any) -> Any:
    schema = giving(annotation)
    data = schema.structured(value)
    assert data is not None
    whole = msgspec.json.decode(data)
    assert Draft202012Validator(schema.output_schema or {}).is_valid(whole)
    return whole["result"] if schema.wraps_result else whole


@pytest.mark.parametrize(
    ("base", "value"),
    [
        (Base, Sub(a=1)),
        (Record, SubRecord(1)),
        (Struct, SubStruct(1)),
        (Typed, {"a": 1, "secret": "s"}),
        (Base | Record, Sub(a=1)),
    ],
    ids=str,
)
def test_a_subclass_gives_away_only_what_the_schema_says(base: Any, value: Any) -> None:
    assert sent(base, value) == {"a": 1}
    assert sent(list[base], [value]) == [{"a": 1}]
    assert sent(dict[str, base], {"x": value}) == {"x": {"a": 1}}
    assert sent(base | None, value) == {"a": 1}
    assert sent(base | None, None) is None


def test_what_was_checked_is_what_is_sent() -> None:
    assert sent(Base, {"a": "3"}) == {"a": 3}
    assert sent(list[Base], [{"a": "3", "secret": 1}]) == [{"a": 3}]
    assert sent(set[int], [1, 1]) == [1]
    assert sent(Pair, (1,)) == [1]


@pytest.mark.parametrize(
    ("model", "value", "written"),
    [
        (Aliased, Aliased(pageSize=1), {"pageSize": 1}),
        (Named, Named(pageSize=1), {"page_size": 1}),
        (Turned, Turned(**{"in": 1}), {"out": 1}),
    ],
)
def test_aliases_are_as_the_model_says_in_the_schema_and_in_the_result(model, value, written) -> None:
    assert sent(model, value) == written
    assert sent(list[model], [value]) == [written]
    assert sent(model | None, value) == written
    assert list(giving(model).output_schema["properties"]) == list(written)
    assert giving(list[model]).output_schema is not None
    if model is not Turned:
        schema = giving(model)
        assert schema.decode_result(schema.structured(value), None) == value


@pytest.mark.parametrize(
    "annotation", [Base, list[Base], dict[str, Base], Base | None, Record, list[Record], Base | Record]
)
@pytest.mark.parametrize("value", [{"a": "x"}, [{"a": None}], 3, {"x": 1}, Aliased(pageSize=1)])
def test_what_does_not_fit_is_refused(annotation, value) -> None:
    with pytest.raises(InvalidResult, match="does not fit the return annotation"):
        giving(annotation).structured(value)


def test_a_number_that_json_does_not_have_is_refused_beside_models() -> None:
    class Mean(BaseModel):
        mean: float

    for annotation, value in ((list[Mean], [Mean(mean=math.nan)]), (Mean | Base, Mean(mean=math.inf))):
        with pytest.raises(InvalidResult, match="JSON has no"):
            giving(annotation).structured(value)


def test_a_model_whose_values_were_changed_is_refused_in_a_list() -> None:
    wrong = Base(a=1)
    wrong.a = "x"  # type: ignore[assignment]
    with pytest.raises(InvalidResult):
        giving(list[Base]).structured([wrong])


@given(
    st.lists(
        st.builds(Sub, a=st.integers(-9, 9), secret=st.text(max_size=3))
        | st.builds(Base, a=st.integers(-9, 9)),
        max_size=3,
    )
)
def test_whatever_subclasses_a_list_holds_it_is_sent_as_its_type(values) -> None:
    assert sent(list[Base], values) == [{"a": one.a} for one in values]


def test_secrets_stay_secret() -> None:
    assert sent(pydantic.SecretStr, pydantic.SecretStr("abc")) == "**********"
