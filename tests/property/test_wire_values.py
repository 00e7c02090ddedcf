"""What JSON cannot hold is refused with its place; all else is read back as it was."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from longreach.wire.values import NotFinite, encode


class Real(float):
    """A subclass, as numpy's float64 is."""


class Text(str):
    """A subclass, as markup libraries return."""


texts = st.text(st.characters(codec="utf-8"), max_size=8)
numbers = st.floats() | st.integers() | st.builds(Real, st.floats())
others = (
    st.dates()
    | st.times()
    | st.timedeltas()
    | st.uuids()
    | st.binary(max_size=4)
    | st.decimals(allow_nan=False)
)
"""What msgspec writes as texts by itself."""
leaves = st.none() | st.booleans() | numbers | texts | st.builds(Text, texts)
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)


def is_finite(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, dict):
        return all(map(is_finite, value.values()))
    return not isinstance(value, list) or all(map(is_finite, value))


@given(st.lists(st.none() | others, max_size=6))
def test_what_is_written_as_text_stands_beside_null(value: list[Any]) -> None:
    assert [one is None for one in msgspec.json.decode(encode(value))] == [one is None for one in value]


@given(values)
def test_what_is_written_is_read_back_equal_or_refused_by_name(value: Any) -> None:
    if is_finite(value):
        assert msgspec.json.decode(encode(value)) == value
        assert msgspec.json.decode(encode(value, order="deterministic")) == value
    else:
        with pytest.raises(NotFinite, match=r"JSON has no (NaN|Infinity|-Infinity)"):
            encode(value)
