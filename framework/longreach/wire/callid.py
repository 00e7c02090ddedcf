"""The `<call>` token, and the two tokens of a reply subject that matter.

Source: docs/binding.md M2.2, M2.3, M3.1.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_CALL = re.compile(r"([a-z0-9]{1,48})-([0-9a-f]{1,15})-([fn])")
_REPLY = re.compile(
    r"lr\.v1\.[a-z0-9_=-]{1,96}\.[a-z0-9_=-]{1,96}\.rep\.[a-z0-9_=-]{1,96}\.[a-z0-9_=-]{1,96}"
    r"\.([a-z0-9_=-]{1,96})\.([a-z0-9_=-]{1,96})"
)


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


def build_call(id: str, deadline_ms: int, *, frames: bool) -> str:
    """The token; `id` holds ``[a-z0-9]`` only."""
    return f"{id}-{deadline_ms:x}-{'f' if frames else 'n'}"


def parse_call(token: str) -> CallToken | None:
    """What `token` says; None if it is none."""
    match = _CALL.fullmatch(token)
    return CallToken(match[1], int(match[2], 16), match[3] == "f") if match else None


def reply_tail(reply: str) -> tuple[str, str] | None:
    """(connection, call) of a reply subject of the binding's form; None if it is not of that form."""
    match = _REPLY.fullmatch(reply)
    return (match[1], match[2]) if match else None
