"""What we publish of what people write, next to what FastMCP and the official SDK publish of the same.

Each declaration of `signatures` is published as one of the two publishes it, or is in `DIFFERENT`, with the
reason that docs/servers.md gives.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from fastmcp.tools.function_tool import FunctionTool
from jsonschema import Draft202012Validator
from mcp.server.mcpserver.tools.base import Tool
from tests.unit.wire.schema.signatures import declarations, function_of

from longreach.errors import DeclarationError
from longreach.wire.schema import inspect_handler

ROWS = declarations()
PAGE = Path(__file__).parents[4] / "docs" / "servers.md"

DIFFERENT = {
    "`bytes`": ("bytes",),
    "an array of anything": ("list", "tuple", "set", "frozenset", "list_any"),
    "`items: false`": ("tuple_two", "tuple_three", "tuple_model", "default_tuple"),
    "`Flag`": ("flag",),
    "`Decimal`, `Fraction`": ("decimal", "decimals", "default_decimal", "fraction"),
    "`complex`": ("complex",),
    "an empty default": ("dataclass_nested", "stated_list", "field_factory"),
}
"""For each heading of the table in docs/servers.md, the rows that differ for its reason."""
DIFFERS = {row for rows in DIFFERENT.values() for row in rows}


def compared(schema: Any, root: Any = None, depth: int = 0) -> Any:
    """Return what a schema says, without how: titles, references, and the several ways to write a choice."""
    root = schema if root is None else root
    if isinstance(schema, list):
        return [compared(one, root, depth) for one in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        if depth > 4:
            return "..."
        target = root["$defs"][schema["$ref"].rpartition("/")[2]]
        rest = {key: value for key, value in schema.items() if key != "$ref"}
        return compared({**target, **rest}, root, depth + 1)
    said: dict[str, Any] = {}
    for key, value in schema.items():
        if key in ("$defs", "discriminator", "title") or (key == "required" and not value):
            continue
        if key == "properties":
            said[key] = {name: compared(one, root, depth) for name, one in value.items()}
        elif key in ("enum", "const"):
            choices = value if key == "enum" else [value]
            said["enum"] = sorted(map(json.dumps, choices))  # the order is held by test_printer
        elif key in ("default", "examples"):
            said[key] = value
        else:
            said["anyOf" if key == "oneOf" else key] = compared(value, root, depth)
    if "enum" in said:
        said.pop("type", None)
    if said.get("additionalProperties") is True:
        del said["additionalProperties"]
    return said


def parameter(schema: dict[str, Any]) -> Any:
    whole = compared(schema)
    return whole["properties"]["x"], whole.get("required", [])


def ours(name: str) -> Any:
    try:
        return inspect_handler(function_of(*ROWS[name])).input_schema
    except DeclarationError:
        return None


def test_there_are_enough_rows():
    assert len(ROWS) >= 150


@pytest.mark.parametrize("name", ROWS)
def test_a_declaration_is_published_as_its_peers_publish_it_or_differs_for_a_reason(name: str) -> None:
    published = ours(name)
    theirs = [
        parameter(FunctionTool.from_function(function_of(*ROWS[name]), name="tool").parameters),
        parameter(Tool.from_function(function_of(*ROWS[name]), name="tool").parameters),
    ]
    if name in DIFFERS:
        assert published is None or parameter(published) not in theirs, "it does not differ any more"
        return
    assert published is not None
    assert parameter(published) in theirs
    Draft202012Validator.check_schema(published)


def test_every_reason_is_in_the_documentation():
    page = PAGE.read_text()
    for reason in DIFFERENT:
        assert f"| {reason}" in page, reason


def test_what_is_published_is_what_is_published_again():
    for name in ROWS:
        assert json.dumps(ours(name)) == json.dumps(ours(name)), name
