from __future__ import annotations

from typing import Any

import pytest

from longreach.cli.coerce import coerce, read_arguments, unknown_keys
from longreach.errors import ConfigError

STRING = {"type": "string"}
INTEGER = {"type": "integer"}
NUMBER = {"type": "number"}
BOOLEAN = {"type": "boolean"}
NULL = {"type": "null"}
ROOT: dict[str, Any] = {
    "$defs": {
        "Point": {"type": "object", "properties": {"x": INTEGER}},
        "Mode": {"enum": ["fast", "slow"]},
        "Loop": {"$ref": "#/$defs/Loop"},
        "a/b~c": INTEGER,
    }
}


@pytest.mark.parametrize(
    ("schema", "raw", "value"),
    [
        # texts stay as they are
        (STRING, "02139", "02139"),
        (STRING, "https://x?a=b=c", "https://x?a=b=c"),
        (STRING, "true", "true"),
        (STRING, "null", "null"),
        (STRING, "", ""),
        (STRING, '"quoted"', '"quoted"'),
        ({"type": "string", "format": "date"}, "2026-07-28", "2026-07-28"),
        ({"anyOf": [STRING, NULL]}, "null", "null"),
        ({"anyOf": [INTEGER, STRING]}, "5", "5"),
        ({"type": ["string", "integer"]}, "5", "5"),
        # numbers
        (INTEGER, "5", 5),
        (INTEGER, "-5", -5),
        (INTEGER, "007", 7),
        (INTEGER, "5.0", 5),
        (INTEGER, "123456789012345678901234567890", 123456789012345678901234567890),
        (NUMBER, "5", 5),
        (NUMBER, "1e3", 1000.0),
        (NUMBER, ".5", 0.5),
        ({"anyOf": [INTEGER, NULL]}, "null", None),
        ({"anyOf": [INTEGER, NULL]}, "3", 3),
        ({"type": ["integer", "null"]}, "null", None),
        # truth
        (BOOLEAN, "true", True),
        (BOOLEAN, "No", False),
        (BOOLEAN, "1", True),
        ({"anyOf": [BOOLEAN, INTEGER]}, "1", 1),
        # literals
        ({"enum": ["fast", "slow"]}, "fast", "fast"),
        ({"enum": ["fast", 1, None, True]}, "1", 1),
        ({"enum": ["fast", 1, None, True]}, "null", None),
        ({"enum": ["fast", 1, None, True]}, "true", True),
        ({"enum": ["1", 1]}, "1", "1"),
        ({"const": "x"}, "x", "x"),
        ({"anyOf": [{"enum": ["fast", "slow"]}, NULL]}, "slow", "slow"),
        ({"anyOf": [{"enum": ["fast", "slow"]}, NULL]}, "null", None),
        ({"anyOf": [{"enum": [1, 2]}, STRING]}, "3", "3"),
        ({"$ref": "#/$defs/Mode"}, "fast", "fast"),
        # structures
        ({"type": "array", "items": INTEGER}, "[1, 2]", [1, 2]),
        ({"type": "array", "items": INTEGER}, "1", [1]),
        ({"type": "array", "items": STRING}, "a,b", ["a,b"]),
        ({"type": "array", "items": STRING}, "[]", []),
        ({"anyOf": [{"type": "array", "items": STRING}, NULL]}, "null", None),
        ({"anyOf": [{"type": "array", "items": STRING}, NULL]}, "a", ["a"]),
        ({"type": "object"}, '{"a": 1}', {"a": 1}),
        ({"$ref": "#/$defs/Point"}, '{"x": 1}', {"x": 1}),
        ({"allOf": [{"$ref": "#/$defs/Point"}], "description": "d"}, '{"x": 1}', {"x": 1}),
        ({"anyOf": [{"$ref": "#/$defs/Point"}, NULL]}, "null", None),
        ({"properties": {"x": INTEGER}}, '{"x": 1}', {"x": 1}),
        ({"$ref": "#/$defs/a~1b~0c"}, "5", 5),
        # anything
        (True, "02139", "02139"),
        (True, "5", 5),
        ({}, "https://x", "https://x"),
        ({}, '{"a": [1]}', {"a": [1]}),
        ({}, "NaN", "NaN"),
        ({"description": "d"}, "true", True),
        ({"$ref": "#/$defs/Loop"}, "5", 5),
        ({"$ref": "#/nowhere"}, "x", "x"),
    ],
)
def test_values_are_what_the_schema_says(schema: Any, raw: str, value: Any):
    found = coerce("key", raw, schema, ROOT)

    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("schema", "raw", "said"),
    [
        (INTEGER, "many", "key takes integer; 'many' is none"),
        (INTEGER, "1_000", "integer"),
        (INTEGER, "1.5", "integer"),
        (INTEGER, "9" * 5000, "integer"),
        (INTEGER, "", "integer"),
        (NUMBER, "nan", "number"),
        (NUMBER, "inf", "number"),
        (BOOLEAN, "perhaps", "boolean"),
        ({"anyOf": [INTEGER, NULL]}, "x", "integer or null"),
        ({"enum": ["fast", 1]}, "slow", "one of fast, 1; 'slow' is none"),
        ({"enum": [1]}, "1.0", "one of 1"),
        ({"type": "array", "items": STRING}, "[1, 2", "JSON list"),
        ({"type": "array", "items": INTEGER}, "x", "integer"),
        ({"type": "object"}, "x", "JSON object"),
        ({"type": "object"}, "[1]", "JSON object"),
        (NULL, "5", "null"),
    ],
)
def test_what_is_none_is_refused_by_name(schema: Any, raw: str, said: str):
    with pytest.raises(ConfigError) as caught:
        coerce("key", raw, schema, {})
    assert said in str(caught.value)


SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "zip": STRING, "pages": INTEGER, "tags": {"type": "array", "items": STRING}, "odd:": STRING,
    },
    "additionalProperties": False,
}  # fmt: skip


@pytest.mark.parametrize(
    ("words", "arguments"),
    [
        ([], {}),
        (["zip=02139", "pages=3"], {"zip": "02139", "pages": 3}),
        (["zip=a=b=c"], {"zip": "a=b=c"}),
        (["zip="], {"zip": ""}),
        (["tags=a", "tags=b"], {"tags": ["a", "b"]}),
        (["tags:=1", "tags=b"], {"tags": [1, "b"]}),
        (["tags=[1", "tags=2"], {"tags": ["[1", "2"]}),
        (["zip:=null"], {"zip": None}),
        (['zip:={"a": 1}'], {"zip": {"a": 1}}),
        (["odd:=x"], {"odd:": "x"}),
        (["unknown=5"], {"unknown": 5}),
    ],
)
def test_words_become_arguments(words: list[str], arguments: dict[str, Any]):
    assert read_arguments(words, SCHEMA) == arguments


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["zip"], "write key=value"),
        (["=x"], "write key=value"),
        (["zip:=02139"], "a text is written zip=02139"),
        (["zip=1", "zip=2"], "zip is given 2 times"),
    ],
)
def test_malformed_words_are_refused(words: list[str], said: str):
    with pytest.raises(ConfigError, match=said):
        read_arguments(words, SCHEMA)


def test_unknown_keys_are_those_that_the_schema_forbids():
    assert unknown_keys({"zip": 1, "zap": 2}, SCHEMA) == ["zap"]
    assert unknown_keys({"zap": 2}, {"properties": {}}) == []
