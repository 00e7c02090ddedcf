from __future__ import annotations

from typing import Any

import pytest

from longreach.cli.schemas import EVERYTHING, Shape, resolve_ref, shape_of, type_text

ROOT: dict[str, Any] = {
    "$defs": {
        "Tree": {"title": "Tree", "type": "object", "properties": {"kids": {"$ref": "#/$defs/Tree"}}},
        "Both": {"anyOf": [{"$ref": "#/$defs/Both"}, {"type": "string"}]},
    }
}


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        ({"type": "string"}, "string"),
        ({"type": "string", "format": "date"}, "string (date)"),
        ({"type": "string", "pattern": "^a"}, "string like ^a"),
        ({"type": "integer", "minimum": 1, "maximum": 5}, "integer >= 1 <= 5"),
        ({"type": ["integer", "null"]}, "integer | null"),
        ({"type": "array", "items": {"type": "integer"}}, "list of integer"),
        ({"type": "array"}, "list"),
        ({"enum": ["a", 1, None]}, "a | 1 | null"),
        ({"const": "a"}, "a"),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, "integer | null"),
        ({"anyOf": [{"$ref": "#/$defs/Tree"}, {"type": "null"}]}, "Tree | null"),
        ({"type": "object"}, "object"),
        (True, "anything"),
        ({}, "anything"),
    ],
)
def test_types_are_said_in_a_few_words(schema: Any, text: str):
    assert type_text(schema, ROOT) == text


def test_schemas_that_refer_to_themselves_end():
    assert shape_of({"$ref": "#/$defs/Both"}, ROOT) == Shape(EVERYTHING)
    assert "string" in type_text({"$ref": "#/$defs/Both"}, ROOT)
    assert resolve_ref({"$ref": "#/loop"}, {"loop": {"$ref": "#/loop"}}) is True


def test_all_of_narrows():
    schema = {"type": ["string", "integer"], "allOf": [{"type": ["integer", "null"]}]}

    assert shape_of(schema, {}).types == {"integer"}
