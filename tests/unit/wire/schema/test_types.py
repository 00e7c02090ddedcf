from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Union

import annotated_types
import msgspec
import pydantic
import pytest
from typing_extensions import Doc

from longreach.wire import mcp
from longreach.wire.schema.types import Unsupported, describe, is_content, normalise, without_none


class Picture: ...


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [
        (Annotated[int, "how many"], {"type": "integer", "description": "how many"}),
        (Annotated[int, Doc("how many")], {"type": "integer", "description": "how many"}),
        (Annotated[int, annotated_types.Ge(1)], {"type": "integer", "minimum": 1}),
        (Annotated[int, annotated_types.Gt(1)], {"type": "integer", "exclusiveMinimum": 1}),
        (
            Annotated[float, annotated_types.Interval(ge=0, lt=1)],
            {"type": "number", "minimum": 0, "exclusiveMaximum": 1},
        ),
        (Annotated[int, annotated_types.MultipleOf(3)], {"type": "integer", "multipleOf": 3}),
        (Annotated[str, annotated_types.Len(1, 9)], {"type": "string", "minLength": 1, "maxLength": 9}),
        (
            Annotated[str, pydantic.Field(pattern="^a", description="an a", examples=["ab"])],
            {"type": "string", "pattern": "^a", "description": "an a", "examples": ["ab"]},
        ),
        (
            Annotated[str, pydantic.StringConstraints(min_length=2, pattern=re.compile("b$"))],
            {"type": "string", "minLength": 2, "pattern": "b$"},
        ),
        (
            Annotated[int, msgspec.Meta(ge=1), "how many"],
            {"type": "integer", "minimum": 1, "description": "how many"},
        ),
        (
            list[Annotated[int, annotated_types.Ge(1)]],
            {"type": "array", "items": {"type": "integer", "minimum": 1}},
        ),
        (
            Annotated[int, annotated_types.Ge(1)] | None,
            {"anyOf": [{"type": "integer", "minimum": 1}, {"type": "null"}]},
        ),
        (Annotated[int, annotated_types.Unit("m")], {"type": "integer"}),
    ],
)
def test_metadata_of_others_is_held(annotation, expected):
    assert msgspec.json.schema(normalise(annotation)) == expected


@pytest.mark.parametrize("annotation", [int, Any, list[int], Literal["a", 1], int | None, tuple[()]])
def test_what_needs_no_change_stays_what_it_was(annotation):
    assert normalise(annotation) is annotation


@pytest.mark.parametrize(
    "check",
    [
        annotated_types.Predicate(str.islower),
        annotated_types.Timezone(None),
        pydantic.AfterValidator(str.strip),
    ],
)
def test_a_check_that_cannot_be_made_is_refused(check):
    with pytest.raises(Unsupported, match="cannot be made here"):
        normalise(list[Annotated[str, check]])


@pytest.mark.parametrize("annotation", [dict[tuple[int, int], str], Mapping[frozenset[int], str]])
def test_keys_that_json_cannot_have_are_refused(annotation):
    with pytest.raises(Unsupported, match="use str"):
        normalise(annotation)


@pytest.mark.parametrize(
    "annotation",
    [
        bytes,
        mcp.CallToolResult,
        mcp.TextContent | None,
        list[mcp.TextContent],
        Sequence[str | Picture],
        tuple[Picture, ...],
        Annotated[Picture, "a picture"],
        Union[int, Picture],  # noqa: UP007
    ],
)
def test_content(annotation):
    assert is_content(annotation, (Picture,))


@pytest.mark.parametrize(
    "annotation",
    [str, int, list[bytes], list[str], dict[str, Picture], Mapping[str, bytes], list, Literal["a"]],
)
def test_data(annotation):
    assert not is_content(annotation, (Picture,))


def test_without_none():
    assert without_none(int | None) is int
    assert without_none(int) is int
    assert without_none(int | str | None) == int | str | None


@pytest.mark.parametrize(
    ("annotation", "text"), [(int, "int"), (list[int], "list[int]"), (Literal["a"], "Literal['a']")]
)
def test_an_annotation_in_a_message(annotation, text):
    assert describe(annotation) == text
