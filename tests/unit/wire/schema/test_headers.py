from __future__ import annotations

from typing import Any

import pytest

from longreach.errors import DeclarationError
from longreach.wire.schema.headers import check_headers


def marked(name: Any = "Region", kind: Any = "string") -> dict[str, Any]:
    return {"type": kind, "x-mcp-header": name}


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"properties": {"a": marked(), "b": marked("Other", "integer"), "c": marked("c", "boolean")}},
        {"properties": {"a": {"type": "object", "properties": {"b": marked()}}}},
        {"properties": {"x-mcp-header": {"type": "string"}}},
        {"properties": {"a": {"default": {"x-mcp-header": "no annotation"}}}},
    ],
)
def test_what_mcp_allows_is_allowed(schema: Any):
    check_headers(schema, "t")


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ({"properties": {"a": marked("")}}, "header's name"),
        ({"properties": {"a": marked("a b")}}, "header's name"),
        ({"properties": {"a": marked("a\r\nb")}}, "header's name"),
        ({"properties": {"a": marked(5)}}, "header's name"),
        ({"properties": {"a": marked(kind="number")}}, "string, an integer or a boolean"),
        ({"properties": {"a": marked(kind=["string", "null"])}}, "string, an integer or a boolean"),
        ({"properties": {"a": marked("X"), "b": marked("x")}}, "two arguments"),
        ({"properties": {"a": {"items": marked()}}}, "no client finds it"),
        ({"properties": {"a": {"anyOf": [marked()]}}}, "no client finds it"),
        ({"$defs": {"a": marked()}}, "no client finds it"),
        (marked(), "no client finds it"),
    ],
)
def test_what_would_make_clients_leave_the_tool_out_is_refused(schema: Any, said: str):
    with pytest.raises(DeclarationError, match=said):
        check_headers(schema, "t")
