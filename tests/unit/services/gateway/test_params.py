from __future__ import annotations

from typing import Any

import pytest

from longreach_gateway.params import Mirror, find_mismatch, mirrors_of

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "region": {"type": "string", "x-mcp-header": "Region"},
        "count": {"type": "integer", "x-mcp-header": "Count"},
        "dry": {"type": "boolean", "x-mcp-header": "Dry-Run"},
        "deep": {"type": "object", "properties": {"id": {"type": "string", "x-mcp-header": "Deep"}}},
        "query": {"type": "string", "default": {"x-mcp-header": "data, not a schema"}},
    },
}
MIRRORS = mirrors_of(SCHEMA)


def test_the_headers_of_a_schema_are_those_of_its_properties_however_deep():
    assert set(MIRRORS) == {
        Mirror(b"mcp-param-region", ("region",), is_integer=False),
        Mirror(b"mcp-param-count", ("count",), is_integer=True),
        Mirror(b"mcp-param-dry-run", ("dry",), is_integer=False),
        Mirror(b"mcp-param-deep", ("deep", "id"), is_integer=False),
    }


def _property(**keywords: Any) -> dict[str, Any]:
    return {"type": "object", "properties": {"a": keywords}}


OK = {"type": "string", "x-mcp-header": "A"}


@pytest.mark.parametrize(
    "schema",
    [
        _property(type="string", **{"x-mcp-header": ""}),
        _property(type="string", **{"x-mcp-header": "a b"}),
        _property(type="string", **{"x-mcp-header": "a\r\nb"}),
        _property(type="string", **{"x-mcp-header": 7}),
        _property(type="number", **{"x-mcp-header": "A"}),
        _property(type="object", **{"x-mcp-header": "A"}),
        _property(type=["string", "null"], **{"x-mcp-header": "A"}),
        _property(**{"x-mcp-header": "A"}),
        _property(type="array", items=OK),
        _property(anyOf=[OK]),
        _property(**{"if": OK}),
        {"x-mcp-header": "A", "type": "string"},
        {"properties": {"a": OK}, "$defs": {"b": OK}},
        {"properties": {"a": OK, "b": {"type": "string", "x-mcp-header": "a"}}},
    ],
)
def test_one_annotation_that_breaks_the_rules_takes_all_of_them_away(schema: dict[str, Any]):
    assert mirrors_of(schema) == ()


def test_a_schema_of_any_size_is_looked_through_within_bounds():
    deep: dict[str, Any] = {}
    place = deep
    for _ in range(50_000):
        place["properties"] = {"a": {}}
        place = place["properties"]["a"]

    assert mirrors_of(deep) == ()


@pytest.mark.parametrize(
    ("arguments", "headers", "wrong"),
    [
        ({}, {}, None),
        (None, {}, None),
        ({"region": "eu"}, {"region": "eu"}, None),
        ({"region": "ü"}, {"region": "=?base64?w7w=?="}, None),
        ({"region": None}, {}, None),
        ({"region": ""}, {"region": ""}, None),
        ({"count": 42}, {"count": "42"}, None),
        ({"count": 42}, {"count": "42.0"}, None),
        ({"count": -7}, {"count": "-7"}, None),
        ({"count": 42.0}, {"count": "42"}, None),
        ({"count": 2**53 + 1}, {"count": str(2**53 + 1)}, None),
        ({"dry": True}, {"dry-run": "true"}, None),
        ({"deep": {"id": "x"}}, {"deep": "x"}, None),
        ({"deep": 3}, {}, None),
        ({"query": "x"}, {"other": "y"}, None),
        ({"region": "eu"}, {}, "region is missing"),
        ({}, {"region": "eu"}, "no such argument"),
        ({"region": None}, {"region": "eu"}, "no such argument"),
        ({"region": {"a": 1}}, {"region": "eu"}, "no such argument"),
        ({"region": "eu"}, {"region": "us"}, "differs"),
        ({"region": "eu"}, {"region": "EU"}, "differs"),
        ({"region": "eu"}, {"region": "=?base64?***?="}, "base64"),
        ({"count": 42}, {"count": "43"}, "differs"),
        ({"count": 42}, {"count": "42.5"}, "differs"),
        ({"count": 42}, {"count": "4.2e1"}, "differs"),
        ({"count": 2**53 + 1}, {"count": str(2**53)}, "differs"),
        ({"count": True}, {"count": "1"}, "differs"),
        ({"dry": True}, {"dry-run": "True"}, "differs"),
        ({"deep": {"id": "x"}}, {}, "deep is missing"),
    ],
)
def test_a_header_must_say_what_its_argument_says(arguments: Any, headers: dict[str, str], wrong: str | None):
    given = {f"mcp-param-{name}".encode(): value.encode() for name, value in headers.items()}
    problem = find_mismatch(MIRRORS, arguments, given)

    assert problem is None if wrong is None else wrong in (problem or "")


def test_a_number_of_any_length_costs_no_more_than_a_comparison():
    huge = "9" * 100_000

    assert find_mismatch(MIRRORS, {"count": 1}, {b"mcp-param-count": huge.encode()}) is not None
    assert find_mismatch(MIRRORS, {"count": 10**5000}, {b"mcp-param-count": b"1"}) is not None
