from __future__ import annotations

from typing import Any

import pytest

from longreach.wire import mcp
from longreach.wire.schema.result import typed_result, untyped_result


class Picture: ...


@pytest.mark.parametrize(
    ("annotation", "returns"),
    [
        (Any, "any"),
        (None, "none"),
        (type(None), "none"),
        (str, "text"),
        (bytes, "content"),
        (Picture, "content"),
        (list[mcp.TextContent | Picture], "content"),
    ],
)
def test_results_without_a_schema(annotation, returns):
    shape = untyped_result(annotation, (Picture,))
    assert shape is not None
    assert (shape.returns, shape.schema, shape.wraps) == (returns, None, False)


def test_data_has_a_shape_of_its_own():
    assert untyped_result(int, ()) is None


def test_an_object_is_the_structured_content():
    schema = {"type": "object", "additionalProperties": {"type": "integer"}}
    assert typed_result(dict[str, int], schema) == ("data", dict[str, int], schema, False, None, False)


def test_anything_else_is_wrapped_and_its_definitions_stay_at_the_root():
    schema = {"type": "array", "items": {"$ref": "#/$defs/A"}, "$defs": {"A": {"type": "string"}}}
    assert typed_result(list[str], schema) == (
        "data",
        list[str],
        {
            "type": "object",
            "properties": {"result": {"type": "array", "items": {"$ref": "#/$defs/A"}}},
            "required": ["result"],
            "$defs": {"A": {"type": "string"}},
        },
        True,
        None,
        False,
    )
