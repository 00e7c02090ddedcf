from __future__ import annotations

import math
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from uuid import UUID

import msgspec
import pydantic
import pytest

from longreach.wire.values import NotFinite, decode_hook, encode, encode_hook, is_pydantic


class Stay(pydantic.BaseModel, strict=True):
    first: date = pydantic.Field(alias="from")


def test_what_is_a_model():
    assert is_pydantic(Stay)
    assert not is_pydantic(Stay.model_validate({"from": date(2026, 1, 2)}))
    assert not is_pydantic(dict)


def test_a_strict_model_reads_json_and_is_written_by_its_aliases():
    stay = decode_hook(Stay, {"from": "2026-01-02"})
    assert stay.first == date(2026, 1, 2)
    assert encode_hook(stay) == {"from": "2026-01-02"}


def test_what_does_not_fit_is_told_without_urls_and_inputs():
    with pytest.raises(ValueError, match=r"^from: Input should be a valid date") as caught:
        decode_hook(Stay, {"from": 7})
    assert "http" not in str(caught.value)


def test_other_types_have_no_json_form():
    with pytest.raises(TypeError, match="a object has no JSON form"):
        encode_hook(object())
    with pytest.raises(TypeError, match="complex has no JSON form"):
        decode_hook(complex, 1)


def test_pydantic_is_not_imported():
    code = "import sys, longreach.wire.schema as s; sys.exit('pydantic' in sys.modules)"
    assert (
        subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": ":".join(sys.path)}).returncode == 0
    )


class Text(str):
    def __str__(self) -> str:
        return "something else"


class Whole(int):
    pass


class Real(float):
    pass


class Moment(datetime):
    pass


class Data(bytes):
    pass


class Hue(Enum):
    RED = "red"


class Scalar:
    """Stands for a scalar of numpy, which is not imported."""

    def __init__(self, value: object) -> None:
        self.value = value

    def tolist(self) -> object:
        return self.value


Scalar.__module__ = "numpy"


@dataclass
class Point:
    x: float
    rest: list[object]


class Measured(pydantic.BaseModel):
    mean: float | None


class SaysNull(Measured):
    model_config = pydantic.ConfigDict(ser_json_inf_nan="null")


class SaysNullButMustNot(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(ser_json_inf_nan="null")
    mean: float


class SaysText(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(ser_json_inf_nan="strings")
    mean: float | str


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (Text("a"), b'"a"'),
        (Whole(3), b"3"),
        (Real(1.5), b"1.5"),
        (Moment(2026, 1, 2, 3, tzinfo=UTC), b'"2026-01-02T03:00:00Z"'),
        (Data(b"x"), b'"eA=="'),
        (Scalar(1.5), b"1.5"),
        ({Text("k"): [Whole(1)]}, b'{"k":[1]}'),
        ({"a": Scalar([[1, 2]])}, b'{"a":[[1,2]]}'),
        ({"mean": None}, b'{"mean":null}'),
        (SaysNull(mean=math.nan), b'{"mean":null}'),
        (SaysText(mean=math.inf), b'{"mean":"Infinity"}'),
        (msgspec.Raw(b'{"a":null}'), b'{"a":null}'),
        ([None, date(2026, 1, 2)], b'[null,"2026-01-02"]'),
        ([None, datetime(2026, 1, 2, tzinfo=UTC)], b'[null,"2026-01-02T00:00:00Z"]'),
        ([None, time(1, 2), timedelta(1), Decimal("1.5"), b"x"], b'[null,"01:02:00","P1D","1.5","eA=="]'),
        ([None, Moment(2026, 1, 2, tzinfo=UTC), UUID(int=1), Hue.RED], None),
    ],
)
def test_a_value_is_written_as_the_builtin_that_it_is(value, written):
    data = encode(value)
    assert written is None or data == written


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (math.nan, "JSON has no NaN;"),
        (Real("inf"), "JSON has no Infinity;"),
        ({"mean": math.nan}, "JSON has no NaN at mean;"),
        ({"a": [1, {"b": -math.inf}]}, r"JSON has no -Infinity at a\[1\]\.b;"),
        (Point(1.0, [math.inf]), r"JSON has no Infinity at rest\[0\];"),
        ([Measured(mean=math.nan)], r"JSON has no NaN at \[0\]\.mean;"),
        (SaysNullButMustNot(mean=math.nan), "JSON has no NaN at mean;"),
        ({"x": Scalar([1.0, math.nan])}, r"JSON has no NaN at x\[1\];"),
        ({"x": Scalar(math.nan), "y": None}, "JSON has no NaN at x;"),
        ({"raw": msgspec.Raw(b"null"), "x": (1, math.nan)}, r"JSON has no NaN at x\[1\];"),
    ],
)
def test_a_number_that_json_does_not_have_is_refused_with_its_place(value, problem):
    with pytest.raises(NotFinite, match=f"^{problem}"):
        encode(value)
