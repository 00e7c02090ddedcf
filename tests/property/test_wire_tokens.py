from __future__ import annotations

import hashlib
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from longreach.wire.tokens import (
    NONE,
    decode_optional,
    decode_token,
    encode_optional,
    encode_token,
    is_token,
)

texts = st.text(min_size=1) | st.text(alphabet="aA_=-.0*> é", min_size=1)
tokens = st.text(alphabet="ab09_-=cdef25", max_size=100)


def spelled(text: str) -> str:
    """The encoding as binding.md M1.1 and M1.2 say it, without a thought for speed."""
    safe = "abcdefghijklmnopqrstuvwxyz0123456789_-"
    token = "".join(chr(b) if chr(b) in safe else f"={b:02x}" for b in text.encode())
    if token == NONE:
        return "=5f"
    return token if len(token) <= 96 else "==" + hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


@given(texts | st.text(alphabet="aB", min_size=90, max_size=120))
@example("_")
@example("a" * 96)
@example("a" * 97)
def test_tokens_are_spelled_as_the_binding_says(text: str):  # M1.1, M1.2
    token = encode_token(text)
    assert token == spelled(text)
    assert is_token(token)
    assert token != NONE


@given(texts)
def test_what_is_not_hashed_is_read_back(text: str):
    token = encode_token(text)
    if token.startswith("=="):
        with pytest.raises(ValueError, match="no token"):
            decode_token(token)
    else:
        assert decode_token(token) == text


@given(tokens | st.text())
def test_each_token_is_either_canonical_or_refused(token: str):
    try:
        text = decode_token(token)
    except ValueError:
        return
    assert encode_token(text) == token


@given(st.lists(st.integers(0, 255), min_size=1, max_size=20))
def test_of_all_escaped_byte_strings_only_canonical_utf8_is_read(data: list[int]):
    token = "".join(f"={byte:02x}" for byte in data)
    try:
        expected = bytes(data).decode()
    except UnicodeDecodeError:
        expected = None
    canonical = expected is not None and (expected == "_" or not re.search(r"[a-z0-9_-]", expected))
    if canonical:
        assert decode_token(token) == expected
    else:
        with pytest.raises(ValueError):  # noqa: PT011
            decode_token(token)


@given(st.one_of(st.none(), texts), st.one_of(st.none(), texts))
def test_different_texts_have_different_tokens(one: str | None, other: str | None):
    assert (encode_optional(one) == encode_optional(other)) == (one == other)


@given(st.text(min_size=1, max_size=30))
def test_optional_tokens_are_read_back(text: str):
    assert decode_optional(encode_optional(text)) in (text, encode_token(text))


@given(st.text())
def test_a_safe_token_is_one_token_of_a_subject(token: str):
    safe = is_token(token)
    assert safe == (1 <= len(token) <= 96 and set(token) <= set("abcdefghijklmnopqrstuvwxyz0123456789_=-"))
