"""The `<call>` token, and the two tokens of a reply subject that matter.

Source: docs/binding.md M2.2, M2.3, M3.1.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from longreach.wire.tokens import MAX_TOKEN_BYTES

_CALL = re.compile(r"([a-z0-9]+)-([0-9a-f]{1,16})-([fn])")
_ID = re.compile(r"[a-z0-9]+")
_REPLY = re.compile(
    r"lr\.v1\.[a-z0-9_=-]{1,96}\.[a-z0-9_=-]{1,96}\.rep\.[a-z0-9_=-]{1,96}\.[a-z0-9_=-]{1,96}"
    r"\.([a-z0-9_=-]{1,96})\.([a-z0-9_=-]{1,96})"
)
# What "-", 16 digits of a deadline, "-" and the flag leave of a token.
_MAX_ID_CHARS = MAX_TOKEN_BYTES - 19


class CallToken(NamedTuple):
    """What a `<call>` token says.

    Attributes:
        id: unique in its connection, opaque to nodes.
        deadline_ms: when nobody waits any more, in ms since the Unix epoch; 0: not stated.
        frames: whether the asker understands frames.
    """

    id: str
    deadline_ms: int
    frames: bool


def build_call(id: str, deadline_ms: int, frames: bool) -> str:
    """The token of one attempt.

    Args:
        id: ``[a-z0-9]+``, unique in its connection; at most 77 characters, so that the token stays one.
        deadline_ms: when nobody waits any more, in ms since the Unix epoch, >= 0; 0: not stated.
        frames: whether the asker understands frames.

    Raises:
        ValueError: `id` or `deadline_ms` is not like that.
    """
    # A wrong token would not fail here but as a request that no node can answer.
    if deadline_ms < 0 or len(id) > _MAX_ID_CHARS or _ID.fullmatch(id) is None:
        raise ValueError(f"no call token can be made of id {id!r} and deadline {deadline_ms} ms")
    return f"{id}-{deadline_ms:x}-{'f' if frames else 'n'}"


def read_call(token: str) -> re.Match[str] | None:
    """A match with the groups id, deadline (ms, hexadecimal), and ``f`` or ``n``; None if it is none.

    `parse_call` for the hot path, which makes no object of what it reads once.
    """
    return _CALL.fullmatch(token) if len(token) <= MAX_TOKEN_BYTES else None


def parse_call(token: str) -> CallToken | None:
    """What `token` says; None if it is none."""
    match = read_call(token)
    return CallToken(match[1], int(match[2], 16), match[3] == "f") if match else None


def reply_tail(reply: str) -> tuple[str, str] | None:
    """(connection, call) of a reply subject of the binding's form; None if it is not of that form."""
    match = _REPLY.fullmatch(reply)
    return (match[1], match[2]) if match else None
