from __future__ import annotations

import socket
import sys
import time
from functools import reduce
from typing import Any

import pytest
from msgspec import json

from longreach.errors import ConfigError, DeclarationError
from longreach.wire.schema import InvalidArguments
from longreach.wire.schema.declared import DeclaredSchema

TREE = {
    "type": "object",
    "properties": {"a": {"type": "integer"}, "tree": {"$ref": "#/$defs/Tree"}, "set": {"uniqueItems": True}},
    "required": ["a"],
    "additionalProperties": False,
    "$defs": {
        "Tree": {
            "type": "object",
            "properties": {"next": {"$ref": "#/$defs/Tree"}, "x": {"enum": [1, 2]}, "l": {"type": "array"}},
            "required": ["x"],
        }
    },
}


def declared(schema: Any = None) -> DeclaredSchema:
    return DeclaredSchema(TREE if schema is None else schema, "schema")


def complaint(schema: Any, value: Any) -> str | None:
    return declared(schema).complaint(value)


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (b'{"a":1}', {"a": 1}),
        (b'{"a":1.0}', {"a": 1.0}),
        (b'{"a":1,"tree":{"x":2}}', {"a": 1, "tree": {"x": 2}}),
    ],
)
def test_what_fits_is_given_as_it_is(raw: bytes, value: Any):
    assert declared().arguments(raw) == value


@pytest.mark.parametrize("raw", [b"", b"null", b"{}"])
def test_nothing_is_an_empty_object(raw: bytes):
    assert declared({"type": "object"}).arguments(raw) == {}


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"{}", "wrong arguments: a: missing, expected an integer"),
        (b'{"a":"x","b":1}', "wrong arguments: b: no such argument; a: expected an integer, got a string"),
        (b'{"a":1,"tree":{"x":3}}', "wrong arguments: tree.x: expected one of 1, 2, got 3"),
        (b'{"a":1,"tree":{"x":1,"next":{}}}', "wrong arguments: tree.next.x: missing, expected one of 1, 2"),
        (b'{"a":1,"set":[{"b":1},{"b":1.0}]}', "wrong arguments: set: its items are not all different"),
        (b"[]", "wrong arguments: expected an object with the arguments by name, got an array"),
        (b"{", "wrong arguments: the arguments are not JSON"),
        (
            b'{"a":1,"tree":' + b'{"x":1,"next":' * 300 + b'{"x":1}' + b"}" * 301,
            "wrong arguments: it is nested too deeply",
        ),
    ],
)
def test_what_is_wrong_is_named_in_the_words_of_typed_handlers(raw: bytes, said: str):
    with pytest.raises(InvalidArguments) as caught:
        declared().arguments(raw)
    assert str(caught.value) == said


def test_what_would_take_too_long_is_not_checked_at_all():
    schema = declared({"type": "object"})
    assert schema.arguments(b'{"a":"%s"}' % (b"x" * 200_000))
    with pytest.raises(InvalidArguments, match="more than 100000 values"):
        schema.arguments(b'{"a":[%s0]}' % (b"0," * 100_000))


def test_what_the_validator_stumbles_over_is_a_wrong_argument():
    assert complaint({"multipleOf": 0.5}, 10**400) == "it cannot be checked"


def test_no_more_is_listed_than_helps():
    schema = {"type": "object", "additionalProperties": {"type": "integer"}}
    with pytest.raises(InvalidArguments, match="and 4 more"):
        declared(schema).arguments(json.encode({f"x{n}": "" for n in range(20)}))


@pytest.mark.parametrize(
    ("schema", "fits", "not_fitting"),
    [
        ({"prefixItems": [{"type": "string"}], "items": False}, ["a"], ["a", 1]),
        ({"type": ["string", "null"]}, None, 5),
        ({"if": {"const": 1}, "then": False}, 2, 1),
        ({"dependentRequired": {"a": ["b"]}}, {"b": 1}, {"a": 1}),
        ({"unevaluatedProperties": False, "allOf": [{"properties": {"a": True}}]}, {"a": 1}, {"b": 1}),
        ({"contains": {"const": 1}, "minContains": 2}, [1, 1], [1]),
        ({"$dynamicAnchor": "n", "properties": {"n": {"$dynamicRef": "#n"}}, "maxProperties": 1}, {"n": {}},
         {"n": {"a": 1, "b": 1}}),
        ({"$ref": "#here", "$defs": {"x": {"$anchor": "here", "type": "string"}}}, "a", 1),
        ({"$id": "https://a/b", "$ref": "c", "$defs": {"x": {"$id": "c", "type": "string"}}}, "a", 1),
        ({"$schema": "http://json-schema.org/draft-07/schema#", "definitions": {"a": {"type": "string"}},
          "$ref": "#/definitions/a"}, "a", 1),
        ({"$ref": "https://json-schema.org/draft/2020-12/schema"}, {"type": "string"}, {"type": "no"}),
        ({"uniqueItems": True}, [1, True, "1"], [0, 0.0]),
    ],
)  # fmt: skip
def test_json_schema_is_there_in_full(schema: Any, fits: Any, not_fitting: Any):
    assert complaint(schema, fits) is None
    assert complaint(schema, not_fitting)


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ({"$ref": "https://example.com/x.json"}, "nothing is fetched"),
        ({"properties": {"a": {"anyOf": [{"$ref": "other.json"}]}}}, "nothing is fetched"),
        ({"$ref": "#/$defs/no"}, "nothing is fetched"),
        ({"$ref": "#/x", "x": {"$ref": "file:///etc/passwd"}}, "nothing is fetched"),
        ({"type": "nope"}, r"at \$.type"),
        ({"properties": {"a": {"pattern": "["}}}, "pattern"),
        ({"patternProperties": {"(": True}}, "pattern"),
        ({"$schema": "https://example.com/dialect"}, "dialect"),
        ({"enum": [object()]}, "no JSON"),
        ({"description": "x" * 300_000}, "bytes"),
        (reduce(lambda inner, _: {"not": inner}, range(80), {}), "deep"),
    ],
)  # fmt: skip
def test_what_is_no_schema_of_ours_is_refused_and_nothing_is_fetched(
    schema: Any, said: str, monkeypatch: pytest.MonkeyPatch
):
    def fetched(*_: Any, **__: Any) -> Any:
        raise AssertionError("something was fetched")

    monkeypatch.setattr(socket, "socket", fetched)
    with pytest.raises(DeclarationError, match=said):
        declared(schema)


def test_many_items_take_no_time_to_be_told_apart():
    schema = declared({"uniqueItems": True})
    began = time.process_time()
    assert schema.complaint([[n, {"a": n}] for n in range(20_000)]) is None
    assert time.process_time() - began < 2


def test_without_jsonschema_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "jsonschema", None)
    with pytest.raises(ConfigError, match=r"longreach\[schema\]"):
        declared()
