"""Whatever is sent as arguments is read or refused, and the schema says which."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal
from uuid import UUID

import annotated_types
import msgspec
import pydantic
from hypothesis import assume, event, example, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from longreach.errors import InvalidResult
from longreach.wire.schema import HandlerSchema, InvalidArguments, inspect_handler
from longreach.wire.schema.docstring import parse_docstring

patient = settings(deadline=None)  # a time per example says more about the machine than about the code


class Colour(Enum):
    RED = "red"


@dataclass
class Page:
    number: int
    words: list[str] | None = None


class Model(pydantic.BaseModel):
    a: int
    at: datetime | None = None


def everything(
    text: str,
    number: int = 0,
    ratio: float = 0.0,
    colour: Colour = Colour.RED,
    data: bytes = b"",
    at: datetime | None = None,
    span: timedelta | None = None,
    exact: Decimal = Decimal(0),
    key: UUID | None = None,
    page: Page | None = None,
    model: Model | None = None,
    free: Any = None,
) -> list[Page]:
    return []


def exact(
    text: Annotated[str, annotated_types.MinLen(1)] | None = None,
    number: Annotated[int, annotated_types.Interval(ge=-3, lt=3)] = 0,
    ratio: float = 0.0,
    flag: bool = False,
    choice: Literal["a", "b", 1] = "a",
    pair: tuple[int, str] = (0, ""),
    table: dict[str, list[int | None]] | None = None,
    page: Page | None = None,
    free: Any = None,
) -> None: ...


EVERYTHING = inspect_handler(everything)
EXACT = inspect_handler(exact)
VALIDATOR = Draft202012Validator(EXACT.input_schema)

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-5, 5)
    | st.floats(-1e6, 1e6)
    | st.sampled_from([1.0, 2.0, -3.0, 0.5])
    | st.sampled_from(["", "a", "b", "red", "P1D", "2026-01-02T03:04:05Z", "1.5", "AA=="])
    | st.text(max_size=4)
)
json_values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["number", "words", "a", "at", "x"]), inner, max_size=3)
    ),
    max_leaves=6,
)
names = [*(p.name for p in EVERYTHING.parameters), *(p.name for p in EXACT.parameters), "unknown"]
bodies = st.dictionaries(st.sampled_from(sorted(set(names))), json_values, max_size=4)


near = st.fixed_dictionaries(
    {},
    optional={
        "text": st.none() | st.text(max_size=3) | scalars,
        "number": st.integers(-5, 5) | st.sampled_from([1.0, 2.5, 3.0]),
        "ratio": st.floats(-1e6, 1e6) | st.integers() | st.booleans(),
        "choice": st.sampled_from(["a", "b", "c", 1, 1.0, 2, None]),
        "pair": st.tuples(st.integers() | scalars, st.text(max_size=2)).map(list),
        "table": st.dictionaries(st.text(max_size=2), st.lists(st.none() | st.integers() | st.just(2.0))),
        "page": st.fixed_dictionaries(
            {"number": st.integers() | scalars}, optional={"words": st.lists(scalars)}
        ),
        "free": json_values,
    },
)


def outcome(schema: HandlerSchema, raw: bytes) -> tuple[dict[str, Any], InvalidArguments | None]:
    """(the arguments, None) or (nothing, the refusal)."""
    try:
        return schema.decode_arguments(raw), None
    except InvalidArguments as error:
        return {}, error


@patient
@given(st.binary(max_size=60) | bodies.map(lambda body: json.dumps(body).encode()))
@example(b'{"span":"P99999999999999999999D"}')
@example(b'{"exact":"1e99999999999999999999"}')
@example(b'{"number":%s}' % (b"9" * 5000))
@example(b'{"text":"\\ud800"}')
@example(b'{"text":"\xed\xa0\x80"}')
@example(b'{"data":"\\u0000"}')
@example(b'{"number":1e-99999999999999999999}')
def test_garbage_is_refused_as_wrong_arguments(raw: bytes):
    arguments, refusal = outcome(EVERYTHING, raw)
    if refusal is not None:
        assert refusal.problems
        assert str(refusal).startswith("wrong arguments: ")
    else:
        assert arguments.keys() <= {parameter.name for parameter in EVERYTHING.parameters}
        assert "text" in arguments


@patient
@given(near | bodies)
def test_what_the_schema_allows_is_read_and_nothing_else(body: dict[str, Any]):
    # JSON Schema takes 1e300 for an integer; which one it is, a float does not tell.
    assume(not is_huge(body))
    _, refusal = outcome(EXACT, json.dumps(body).encode())
    event("refused" if refusal else "read")
    assert VALIDATOR.is_valid(body) == (refusal is None), refusal


@patient
@given(near | bodies)
def test_each_problem_is_in_an_argument_that_the_schema_refuses(body: dict[str, Any]):
    assume(not is_huge(body))
    _, refusal = outcome(EXACT, json.dumps(body).encode())
    wrong = {name for name, value in body.items() if not VALIDATOR.is_valid({name: value})}
    named = {re.split(r"[.\[]", problem.path)[0] for problem in refusal.problems} if refusal else set()
    assert named == wrong


@patient
@given(st.none() | st.binary(max_size=60) | json_values.map(lambda x: json.dumps({"result": x}).encode()))
def test_garbage_is_refused_as_an_invalid_result(structured: bytes | None):
    try:
        result = EVERYTHING.decode_result(structured, None)
    except InvalidResult:
        return
    assert all(isinstance(page, Page) for page in result)


@patient
@given(st.text(st.sampled_from("aA :\n-*(),") | st.characters(), max_size=80))
@example("Args:\n    a: b\n\nParameters\n---\na : b\n:param a: b")
def test_any_docstring_is_read(text: str):
    description, parameters = parse_docstring(text)
    assert description is None or description.strip()
    assert all(name.isidentifier() or name.isalnum() for name in parameters)
    assert all(parameters.values())


@patient
@given(json_values)
def test_a_value_without_annotation_arrives_as_it_was_sent(value: Any):
    def handler(x): ...

    assert inspect_handler(handler).decode_arguments(msgspec.json.encode({"x": value})) == {"x": value}


def leaves(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [leaf for inner in value.values() for leaf in leaves(inner)]
    if isinstance(value, list):
        return [leaf for inner in value for leaf in leaves(inner)]
    return [value]


def is_huge(value: Any) -> bool:
    return any(isinstance(x, float) and abs(x) >= 2**53 for x in leaves(value))
