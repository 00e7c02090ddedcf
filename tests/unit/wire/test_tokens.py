from __future__ import annotations

import hashlib

import pytest

from longreach.wire.tokens import (
    MAX_TOKEN_BYTES,
    decode_optional,
    decode_token,
    encode_optional,
    encode_token,
    is_token,
)

# M1.1: what a token holds, and how every other byte is written.
SPELLINGS = [
    ("docs", "docs"),
    ("a-b_c-9", "a-b_c-9"),
    ("getDocument", "get=44ocument"),
    ("a.b", "a=2eb"),
    ("a=b", "a=3db"),
    ("=", "=3d"),
    ("_", "=5f"),
    ("__", "__"),
    ("*", "=2a"),
    (">", "=3e"),
    (" \t\r\n\x00", "=20=09=0d=0a=00"),
    ("é", "=c3=a9"),
    ("ﬀ𝕏", "=ef=ac=80=f0=9d=95=8f"),
]


@pytest.mark.parametrize(("text", "token"), SPELLINGS)
def test_a_text_is_spelled_byte_by_byte_and_read_back(text: str, token: str):
    assert encode_token(text) == token
    assert decode_token(token) == text


def test_what_is_longer_than_96_bytes_is_hashed():  # M1.2
    assert encode_token("a" * MAX_TOKEN_BYTES) == "a" * MAX_TOKEN_BYTES
    for text in ("a" * 97, "A" * 33, "é" * 17):
        assert encode_token(text) == "==" + hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
    assert encode_token("A" * 32) == "=41" * 32


def test_a_hash_is_not_read_back():
    with pytest.raises(ValueError, match="no token of a text"):
        decode_token(encode_token("a" * 97))


@pytest.mark.parametrize("text", ["", "\ud800", "a\udfff"])
def test_what_has_no_token_is_refused(text: str):
    with pytest.raises(ValueError):  # noqa: PT011 - a UnicodeEncodeError is one
        encode_token(text)


@pytest.mark.parametrize(
    "token",
    [
        "",
        "_",
        "A",
        "a.b",
        "a b",
        "é",
        "a\n",
        "=",
        "=4",
        "=4g",
        "=-1",
        "=_1",
        "=1_",
        "==",
        "==" + "0" * 32,
        "a=",
        "=61",  # "a" stays "a"
        "=2d",
        "a=5f",  # only a lone "_" is written so
        "=C3=A9",
        "=c3",  # no UTF-8
        "=ed=a0=80",  # a surrogate
        "=c0=80",  # an overlong zero
        "a" * 97,
    ],
)
def test_no_other_token_is_read(token: str):
    with pytest.raises(ValueError):  # noqa: PT011 - a UnicodeDecodeError is one
        decode_token(token)


@pytest.mark.parametrize("token", ["a", "_", "=2a", "==" + "0" * 32, "0", "-", "a" * 96])
def test_tokens_are_safe(token: str):
    assert is_token(token)


@pytest.mark.parametrize("token", ["", "*", ">", "a.b", "a ", "a\n", "A", "é", "٣", "a" * 97, "\x00"])
def test_other_texts_are_no_tokens(token: str):
    assert not is_token(token)


def test_none_is_a_lone_underscore_and_nothing_else_is():
    assert encode_optional(None) == "_"
    assert decode_optional("_") is None
    assert encode_optional("_") == "=5f"
    assert decode_optional("=5f") == "_"


def test_an_optional_hash_stays_what_it_is():
    token = encode_optional("x" * 200)
    assert decode_optional(token) == token


def test_an_optional_token_that_is_malformed_is_refused():
    with pytest.raises(ValueError, match="canonical"):
        decode_optional("=61")
