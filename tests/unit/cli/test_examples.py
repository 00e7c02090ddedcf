from __future__ import annotations

import shlex
from typing import Any

import pytest

from longreach.cli.coerce import read_arguments
from longreach.cli.examples import easiest, example_call
from longreach.wire.mcp import Tool, ToolAnnotations

STRING = {"type": "string"}


@pytest.mark.parametrize(
    ("properties", "arguments"),
    [
        ({}, {}),
        ({"url": STRING}, {"url": "https://example.com"}),
        ({"n": {"type": "integer", "minimum": 3}}, {"n": 4}),
        ({"p": {"type": "object"}}, {"p": {}}),
        ({"xs": {"type": "array", "items": STRING}}, {"xs": ["hello"]}),
        ({"b": {"type": "boolean"}}, {"b": True}),
        ({"e": {"enum": [1, "a"]}}, {"e": 1}),
        ({"m": {"type": ["string", "integer"], "const": 5}}, {"m": 5}),
        ({"q": {"type": "string", "examples": ["it's $5; rm -rf *"]}}, {"q": "it's $5; rm -rf *"}),
        ({"x": {"anyOf": [{"type": "integer"}, STRING]}}, {"x": 1}),
    ],
)
def test_what_is_pasted_is_read_as_it_was_meant(properties: dict[str, Any], arguments: dict[str, Any]):
    schema = {"type": "object", "properties": properties, "required": list(properties)}

    words = shlex.split(example_call("docs.get", schema))

    assert words[:3] == ["longreach", "call", "docs.get"]
    assert read_arguments(words[3:], schema) == arguments


def test_what_is_optional_is_left_out():
    assert (
        example_call("a.b", {"properties": {"x": STRING}}, ("--nats", "n")) == "longreach call a.b --nats n"
    )


def test_the_example_is_harmless_before_it_is_easy():
    def tool(name: str, required: int, **hints: bool) -> tuple[str, Tool]:
        schema = {"type": "object", "required": ["x"] * required}
        return name, Tool(name, schema, annotations=ToolAnnotations(**hints))

    looks = tool("looks", 2, read_only_hint=True)
    changes = tool("changes", 0)
    destroys = tool("destroys", 0, destructive_hint=True)

    assert easiest([destroys, changes, looks]) == looks
    assert easiest([destroys, changes]) == changes
    assert easiest([]) is None
    assert easiest([("plain", Tool("plain", {}))]) == ("plain", Tool("plain", {}))
