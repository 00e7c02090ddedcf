from __future__ import annotations

from typing import Any

import jsonschema
import pytest

from longreach.cli.samples import sample


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string"},
        {"type": "string", "minLength": 12},
        {"type": "string", "maxLength": 2},
        {"type": "string", "minLength": 3, "maxLength": 3},
        {"type": "string", "format": "uuid"},
        {"type": "string", "contentEncoding": "base64"},
        {"type": "integer"},
        {"type": "integer", "minimum": 5},
        {"type": "integer", "maximum": -5},
        {"type": "integer", "minimum": 100, "maximum": 1_000_000},
        {"type": "integer", "exclusiveMinimum": 5, "exclusiveMaximum": 7},
        {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
        {"type": "number", "exclusiveMaximum": 0},
        {"type": "boolean"},
        {"type": "null"},
        {"type": "array", "items": {"type": "integer"}, "minItems": 2},
        {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]},
        {"enum": ["a", "b"]},
        {"const": 5},
        {"anyOf": [{"type": "integer"}, {"type": "null"}]},
        {"type": ["null", "integer"]},
        {"type": "integer", "default": 7},
        {"type": "string", "examples": ["AAPL"], "pattern": "A+PL"},
        {"$ref": "#/$defs/Point", "$defs": {"Point": {"type": "object", "required": ["x"]}}},
        {},
    ],
)
def test_a_sample_fits_its_schema(schema: dict[str, Any]):
    jsonschema.validate(sample(schema, schema), schema)


def test_addresses_look_like_addresses():
    assert sample({"type": "string"}, {}, "url") == "https://example.com"
