"""Headers that repeat what the body says, and what is wrong where they do not: pure.

Source: MCP 2026-07-28 basic/transports/streamable-http, Request Metadata, Value Encoding, Server Validation.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from longreach.wire.incoming import Incoming

VERSION = b"mcp-protocol-version"
METHOD = b"mcp-method"
NAME = b"mcp-name"
_ONCE = frozenset({VERSION, METHOD, NAME})
NAMED = frozenset({"tools/call", "prompts/get", "resources/read"})
"""Methods whose `params.name`, or `params.uri`, is repeated in `Mcp-Name`."""
_PREFIX, _SUFFIX = "=?base64?", "?="
_SAFE = re.compile(r"[\t\x20-\x7e]*")
_QUOTED_MAX = 100


class Unreadable(ValueError):
    """A header's value is none that a client may send."""


def decode_value(raw: bytes) -> str:
    """What a mirrored header says: as it stands, or out of its base64.

    Raises:
        Unreadable: it has bytes that no header may have, or base64 or UTF-8 that is none.
    """
    text = raw.decode("latin-1").strip(" \t")
    if not _SAFE.fullmatch(text):
        raise Unreadable("has characters that a header cannot carry; they go in =?base64?...?=")
    if not (text.startswith(_PREFIX) and text.endswith(_SUFFIX) and len(text) >= len(_PREFIX) + len(_SUFFIX)):
        return text
    payload = text[len(_PREFIX) : -len(_SUFFIX)]
    try:
        decoded = base64.b64decode(payload, validate=True)
        if base64.b64encode(decoded).decode() != payload:  # bits that mean nothing could mean two things
            raise Unreadable("has base64 that is not canonical")
        return decoded.decode()
    except (binascii.Error, UnicodeDecodeError):
        raise Unreadable("has base64 that cannot be decoded to text") from None


def find_duplicate(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """A mirrored header that is there twice: readers of the first and of the last would disagree."""
    seen: set[bytes] = set()
    for name, _ in headers:
        if name in _ONCE or name.startswith(b"mcp-param-"):
            if name in seen:
                return name.decode("latin-1")
            seen.add(name)
    return None


def find_mismatch(headers: Mapping[bytes, bytes], request: Incoming, version: object) -> str | None:
    """What in the standard headers does not say what the body says; None if all is well.

    Args:
        headers: by lower-case name.
        request: the body.
        version: the protocol version in its `_meta`.
    """
    problem = _differs("MCP-Protocol-Version", headers.get(VERSION), version, encoded=False)
    problem = problem or _differs("Mcp-Method", headers.get(METHOD), request.method, encoded=False)
    if problem is not None or request.method not in NAMED:
        return problem
    given = headers.get(NAME)
    if request.name is None:  # what the method lacks is said where the method is looked at
        return None if given is None else "Mcp-Name is there, but the body names nothing"
    return _differs("Mcp-Name", given, request.name, encoded=True)


def _differs(header: str, raw: bytes | None, said: object, *, encoded: bool) -> str | None:
    if raw is None:
        return f"the header {header} is missing"
    try:
        value = decode_value(raw) if encoded else raw.decode("latin-1").strip(" \t")
    except Unreadable as error:
        return f"the header {header} {error}"
    if value == said:
        return None
    return f"the header {header} says {_quoted(value)}, the body says {_quoted(said)}"


def _quoted(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _QUOTED_MAX else text[:_QUOTED_MAX] + "..."
