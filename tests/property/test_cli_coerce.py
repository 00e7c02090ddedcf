"""Arguments survive the command line: whatever a schema allows can be written as a word, and read back."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from longreach.cli.coerce import read_arguments
from longreach.errors import ConfigError

_numbers = st.floats(allow_nan=False, allow_infinity=False)
_scalars = st.one_of(st.none(), st.booleans(), st.integers(), _numbers, st.text())
_json = st.recursive(
    _scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8
)
_keys = st.from_regex(r"[A-Za-z_][A-Za-z0-9_-]{0,8}", fullmatch=True)
_types = st.sampled_from(["string", "integer", "number", "boolean", "null", "array", "object"])
_schemas = st.one_of(
    st.just(True),
    st.builds(lambda kinds: {"type": kinds}, st.lists(_types, min_size=1, unique=True)),
    st.builds(lambda kinds: {"anyOf": [{"type": kind} for kind in kinds]}, st.lists(_types, min_size=1)),
)


def _schema(key: str, of_key: Any) -> dict[str, Any]:
    return {"type": "object", "properties": {key: of_key}}


@given(_keys, st.text())
def test_texts_stay_texts(key: str, text: str):
    assert read_arguments([f"{key}={text}"], _schema(key, {"type": "string"})) == {key: text}


@given(_keys, st.text())
def test_texts_stay_texts_where_null_is_allowed_too(key: str, text: str):
    schema = _schema(key, {"anyOf": [{"type": "null"}, {"type": "string"}]})
    assert read_arguments([f"{key}={text}"], schema) == {key: text}


@given(_keys, _schemas, _json)
def test_json_goes_through_whatever_the_schema_says(key: str, of_key: Any, value: Any):
    assert read_arguments([f"{key}:={json.dumps(value)}"], _schema(key, of_key)) == {key: value}


@given(_keys, st.one_of(st.integers(), _numbers))
def test_numbers_are_read_back(key: str, number: float):
    kind = "integer" if isinstance(number, int) else "number"
    assert read_arguments([f"{key}={json.dumps(number)}"], _schema(key, {"type": kind})) == {key: number}


@given(_keys, st.lists(st.text(), min_size=2))
def test_repeated_keys_are_lists_of_texts(key: str, texts: list[str]):
    schema = _schema(key, {"type": "array", "items": {"type": "string"}})
    assert read_arguments([f"{key}={text}" for text in texts], schema) == {key: texts}


@given(_keys, _schemas, st.text())
def test_a_value_has_a_type_that_the_schema_allows_or_is_refused(key: str, of_key: Any, text: str):
    try:
        value = read_arguments([f"{key}={text}"], _schema(key, of_key))[key]
    except ConfigError as error:
        assert key in str(error)  # noqa: PT017
        return
    if of_key is not True:
        kinds = of_key.get("type") or [part["type"] for part in of_key["anyOf"]]
        assert _type_of(value) & set(kinds)


def _type_of(value: Any) -> set[str]:
    if isinstance(value, bool):
        return {"boolean"}
    if isinstance(value, int):
        return {"integer", "number"}
    names = {str: "string", float: "number", list: "array", dict: "object", type(None): "null"}
    return {names[type(value)]}


@given(st.lists(st.text()), st.one_of(st.just({}), st.builds(_schema, _keys, _schemas)))
def test_nonsense_is_refused_and_nothing_else_is_raised(words: list[str], schema: dict[str, Any]):
    try:
        arguments = read_arguments(words, schema)
    except ConfigError:
        return
    assert len(arguments) <= len(words)
