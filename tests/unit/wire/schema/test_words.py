from __future__ import annotations

import pytest

from longreach.wire.schema.words import in_words, subschema, words

ROOT = {
    "properties": {
        "tree": {"$ref": "#/$defs/Tree"},
        "many": {"type": "array", "items": {"anyOf": [{"$ref": "#/$defs/Tree"}, {"type": "null"}]}},
        "pair": {"type": "array", "prefixItems": [{"type": "string"}, {"type": "integer"}], "items": False},
        "map": {"type": "object", "additionalProperties": {"enum": ["a", 1]}},
        "loop": {"$ref": "#/$defs/Loop"},
    },
    "$defs": {
        "Tree": {
            "type": "object",
            "properties": {"kids": {"type": "array", "items": {"$ref": "#/$defs/Tree"}}},
        },
        "Loop": {"$ref": "#/$defs/Loop"},
    },
}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (".tree", "an object"),
        (".tree.kids[3].kids", "an array"),
        (".many[0]", "an object or null"),
        (".many[0].kids", "an array"),
        (".pair[1]", "an integer"),
        (".map[...]", 'one of "a", 1'),
        (".pair[7]", "a value"),
        (".nothing.here", "a value"),
        (".loop", "a value"),
        (".loop.further", "a value"),
    ],
)
def test_a_path_leads_to_what_is_expected_there(path, expected):
    assert words(subschema(ROOT, path), ROOT) == expected


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "string"}, "a string"),
        ({"type": "string", "format": "date-time"}, "a date-time"),
        ({"type": "string", "contentEncoding": "base64"}, "base64 text"),
        ({"const": 3}, "3"),
        ({"anyOf": [{"type": "string"}, {"type": "string", "format": "uri"}]}, "a string"),
        (
            {"anyOf": [{"type": "integer"}, {"type": "string"}, {"type": "null"}]},
            "an integer, a string or null",
        ),
        ({}, "a value"),
    ],
)
def test_a_schema_in_words(schema, expected):
    assert words(schema, {}) == expected


def test_a_long_choice_is_cut():
    assert words({"enum": list(range(1000))}, {}).endswith("22, 23, …")


def test_the_types_in_a_text():
    assert in_words("Expected `int | str | null`, got `array`") == (
        "Expected an integer, a string or null, got an array"
    )
    assert in_words("`Widget` it is") == "Widget it is"
