"""Any text as one NATS subject token, reversibly.

Source: docs/binding.md M1.1, M1.2.
"""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache

NONE = "_"
"""The token that says "none"."""
MAX_TOKEN_BYTES = 96
_HASH_MARK = "=="
_PLAIN = re.compile(r"[a-z0-9_-]{1,96}")
_TOKEN = re.compile(r"[a-z0-9_=-]{1,96}")
_SAFE = frozenset(b"abcdefghijklmnopqrstuvwxyz0123456789_-")


@lru_cache(maxsize=16_384)
def encode_token(text: str) -> str:
    """The token for `text`; longer than 96 bytes it becomes ``==`` and a hash, which cannot be decoded.

    Raises:
        ValueError: `text` is empty, or has no UTF-8 form.
    """
    if text == NONE:
        return "=5f"
    if _PLAIN.fullmatch(text):
        return text
    if not text:
        raise ValueError("a subject token cannot be empty")
    data = text.encode()
    token = "".join(chr(byte) if byte in _SAFE else f"={byte:02x}" for byte in data)
    if len(token) > MAX_TOKEN_BYTES:
        return _HASH_MARK + hashlib.blake2b(data, digest_size=16).hexdigest()
    return token


def decode_token(token: str) -> str:
    """The text that `encode_token` made `token` from.

    Raises:
        ValueError: `token` is malformed, not the canonical form, ``_``, or a hash.
    """
    if not is_token(token) or token.startswith(_HASH_MARK):
        raise ValueError(f"{token!r} is no token of a text")
    data = bytearray()
    at = 0
    while at < len(token):
        if token[at] == "=":
            data.append(int(token[at + 1 : at + 3], 16) if len(token) >= at + 3 else _malformed(token))
            at += 3
        else:
            data.append(ord(token[at]))
            at += 1
    text = data.decode()  # UnicodeDecodeError is a ValueError
    if encode_token(text) != token:
        _malformed(token)
    return text


def _malformed(token: str) -> int:
    raise ValueError(f"{token!r} is not the canonical token of any text")


def encode_optional(text: str | None) -> str:
    """The token for `text`, or the one for "none"."""
    return NONE if text is None else encode_token(text)


def decode_optional(token: str) -> str | None:
    """The text of a token, None for "none"; a hashed token stays as it is.

    Raises:
        ValueError: `token` is malformed or not the canonical form.
    """
    if token == NONE:
        return None
    return token if token.startswith(_HASH_MARK) else decode_token(token)


def is_token(token: str) -> bool:
    """Whether `token` is safe as one token of our subjects: no dot, no wildcard, no space."""
    return _TOKEN.fullmatch(token) is not None
